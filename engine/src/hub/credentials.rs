//! ICE credentials of our side.

use weirgate_shard::{ShardNo, WebRtcCredentials};
use weirgate_wire::Refusal;

use super::refuse;

/// `ice-char` of RFC 8839 section 5.4; 64 of them, so that six random bits give one.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Beside the two digits of the shard; 84 bits, where RFC 8445 section 5.3 asks for 24.
const UFRAG_RANDOM_CHARS: usize = 14;
/// 192 bits, where RFC 8445 section 5.3 asks for 128.
const PWD_CHARS: usize = 32;

/// New credentials for a transport of `shard`. Refused where the system has no random bytes.
pub(super) fn generate(shard: ShardNo) -> Result<WebRtcCredentials, Refusal> {
    let mut random = [0u8; UFRAG_RANDOM_CHARS + PWD_CHARS];
    getrandom::fill(&mut random)
        .map_err(|error| refuse::over_capacity(format_args!("no random bytes: {error}")))?;
    let chars = random.map(|byte| char::from(ICE_CHARS[usize::from(byte & 63)]));
    let (ufrag, pwd) = chars.split_at(UFRAG_RANDOM_CHARS);
    Ok(WebRtcCredentials {
        ufrag: format!("{shard:02x}{}", String::from_iter(ufrag)),
        pwd: pwd.iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_name_the_shard_have_the_right_lengths_and_differ() {
        let one = generate(0x1f).unwrap();
        let other = generate(0x1f).unwrap();
        assert!(one.ufrag.starts_with("1f"));
        assert_eq!((one.ufrag.len(), one.pwd.len()), (16, 32));
        assert_ne!(one.ufrag, other.ufrag);
        assert_ne!(one.pwd, other.pwd);
        assert!(generate(3).unwrap().ufrag.starts_with("03"));
    }
}
