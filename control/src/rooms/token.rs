//! Join tokens: JWTs signed with the server's secret (RFC 7519, HS256).

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, errors::ErrorKind};
use serde::Deserialize;

use super::Rights;
use crate::error::{ApiError, ErrorCode};

/// Clocks may differ by this much.
const LEEWAY_S: u64 = 30;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JoinToken {
    /// Takes the place of the client's own.
    pub(super) name: Option<String>,
    /// What the peer may do.
    pub(super) rights: Rights,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    room: String,
    name: Option<String>,
    can_publish: Option<bool>,
    can_subscribe: Option<bool>,
}

/// Checks a token for a room.
pub(super) fn check(secret: &str, room: &str, token: Option<&str>) -> Result<JoinToken, ApiError> {
    let refused = |why: String| ApiError {
        field: Some("token".to_owned()),
        ..ApiError::new(ErrorCode::Unauthorized, why)
    };
    let token = token.ok_or_else(|| refused("token: this server asks for a join token".into()))?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = LEEWAY_S;
    validation.validate_aud = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let claims = decode::<Claims>(token, &key, &validation)
        .map_err(|error| refused(format!("token: {}", in_words(error.kind()))))?
        .claims;
    if claims.room != room {
        return Err(refused("token: is for another room".to_owned()));
    }
    Ok(JoinToken {
        name: claims.name,
        rights: Rights {
            publish: claims.can_publish.unwrap_or(true),
            subscribe: claims.can_subscribe.unwrap_or(true),
        },
    })
}

fn in_words(error: &ErrorKind) -> String {
    match error {
        ErrorKind::InvalidSignature => "is signed with another secret".to_owned(),
        ErrorKind::ExpiredSignature => "has expired".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("has no {claim}"),
        _ => "is no JWT signed by HS256 with the claims that rooms need".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;
    use crate::events::unix_ms;

    const SECRET: &str = "a secret of some length";

    fn token(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn in_a_minute() -> u64 {
        unix_ms() / 1000 + 60
    }

    #[test]
    fn rights_and_name_come_from_the_token() {
        let claims = json!({
            "room": "r", "sub": "7", "name": "Ann", "canPublish": false, "exp": in_a_minute(),
        });
        let token = token(Algorithm::HS256, SECRET, &claims);
        let checked = check(SECRET, "r", Some(&token)).unwrap();
        assert_eq!(checked.name.as_deref(), Some("Ann"));
        assert!(!checked.rights.publish && checked.rights.subscribe);
    }

    #[test]
    fn whatever_is_wrong_is_refused() {
        let good = json!({ "room": "r", "exp": in_a_minute() });
        let late = json!({ "room": "r", "exp": in_a_minute() - 3600 });
        let endless = json!({ "room": "r" });
        let made = |algorithm, secret, claims| Some(token(algorithm, secret, claims));
        for (token, said) in [
            (None, "asks for a join token"),
            (Some("nonsense".to_owned()), "is no JWT"),
            (
                made(Algorithm::HS256, "another secret altogether", &good),
                "another secret",
            ),
            (made(Algorithm::HS384, SECRET, &good), "signed by HS256"),
            (made(Algorithm::HS256, SECRET, &late), "has expired"),
            (made(Algorithm::HS256, SECRET, &endless), "has no exp"),
        ] {
            let error = check(SECRET, "r", token.as_deref()).unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthorized, "{token:?}");
            assert!(error.message.contains(said), "{}", error.message);
        }
        let other_room = token(Algorithm::HS256, SECRET, &good);
        assert!(check(SECRET, "other", Some(&other_room)).is_err());
    }
}
