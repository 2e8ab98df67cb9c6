//! SRTP keys out of a finished handshake (RFC 5764 section 4.2).

use openssl::{
    srtp::{SrtpProfileId, SrtpProtectionProfileRef},
    ssl::SslRef,
};
use weirgate_wire::{SrtpKey, SrtpSuite};

use crate::{FailureReason, Fingerprint};

const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// What a finished handshake gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// The profile both sides agreed on.
    pub suite: SrtpSuite,
    /// For what we send.
    pub send: SrtpKey,
    /// For what we receive.
    pub receive: SrtpKey,
    /// Fingerprint of the peer's certificate, by the hash function that was compared.
    pub remote_fingerprint: Fingerprint,
    /// The peer's certificate as PEM text.
    pub remote_cert_pem: String,
}

/// Exports both directions' keys.
pub(crate) fn export(
    ssl: &SslRef,
    we_are_client: bool,
) -> Result<(SrtpKey, SrtpKey), FailureReason> {
    let suite = ssl
        .selected_srtp_profile()
        .map(SrtpProtectionProfileRef::id)
        .and_then(suite_of)
        .ok_or(FailureReason::NoSrtpProfile)?;
    let mut material = vec![0; 2 * (suite.key_len() + suite.salt_len())];
    ssl.export_keying_material(&mut material, EXPORTER_LABEL, None)
        .map_err(|error| FailureReason::Protocol(error.to_string()))?;
    let (client, server) = split(suite, &material)
        .ok_or_else(|| FailureReason::Protocol("key material of a wrong length".to_owned()))?;
    Ok(if we_are_client {
        (client, server)
    } else {
        (server, client)
    })
}

fn suite_of(profile: SrtpProfileId) -> Option<SrtpSuite> {
    match profile {
        SrtpProfileId::SRTP_AEAD_AES_128_GCM => Some(SrtpSuite::AeadAes128Gcm),
        SrtpProfileId::SRTP_AEAD_AES_256_GCM => Some(SrtpSuite::AeadAes256Gcm),
        SrtpProfileId::SRTP_AES128_CM_SHA1_80 => Some(SrtpSuite::AesCm128HmacSha1_80),
        SrtpProfileId::SRTP_AES128_CM_SHA1_32 => Some(SrtpSuite::AesCm128HmacSha1_32),
        _ => None,
    }
}

/// The exporter's order is client key, server key, client salt, server salt.
fn split(suite: SrtpSuite, material: &[u8]) -> Option<(SrtpKey, SrtpKey)> {
    let (client_key, rest) = material.split_at_checked(suite.key_len())?;
    let (server_key, rest) = rest.split_at_checked(suite.key_len())?;
    let (client_salt, server_salt) = rest.split_at_checked(suite.salt_len())?;
    Some((
        SrtpKey::new(suite, [client_key, client_salt].concat())?,
        SrtpKey::new(suite, [server_key, server_salt].concat())?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_salts_are_split_for_every_suite() {
        for suite in SrtpSuite::ALL {
            let (key, salt) = (suite.key_len(), suite.salt_len());
            let material: Vec<u8> = [(1, key), (2, key), (3, salt), (4, salt)]
                .into_iter()
                .flat_map(|(byte, len)| std::iter::repeat_n(byte, len))
                .collect();
            let (client, server) = split(suite, &material).unwrap();
            assert!(client.key_and_salt[..key].iter().all(|&byte| byte == 1));
            assert!(client.key_and_salt[key..].iter().all(|&byte| byte == 3));
            assert!(server.key_and_salt[..key].iter().all(|&byte| byte == 2));
            assert!(server.key_and_salt[key..].iter().all(|&byte| byte == 4));
            assert_eq!(split(suite, &material[..material.len() - 1]), None);
        }
    }
}
