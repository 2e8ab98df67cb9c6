//! What all endpoints share: our certificate, the versions, ciphers and SRTP profiles we take.

use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};

use weirgate_wire::SrtpSuite;

use crate::{Certificate, DtlsError};

/// Longest datagram we send, in bytes of UDP payload.
pub const MTU_BYTES: u32 = 1200;

/// Forward secrecy always; the CBC ones at the end are for light clients without GCM.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
                       ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
                       ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
                       ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:\
                       ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA";

const GROUPS: &str = "X25519:P-256:P-384";

/// Settings shared by every endpoint of a process. Cheap to clone.
#[derive(Clone)]
pub struct DtlsContext {
    context: SslContext,
}

impl std::fmt::Debug for DtlsContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DtlsContext")
    }
}

impl DtlsContext {
    /// A context whose endpoints show `certificate` and take every suite: GCM first, since AES-CM
    /// with SHA-1 costs four times as much per packet.
    ///
    /// # Errors
    /// Where the crypto library lacks one of the algorithms.
    pub fn new(certificate: &Certificate) -> Result<Self, DtlsError> {
        Self::with_srtp_suites(certificate, &SrtpSuite::ALL)
    }

    /// A context that takes only `suites`, most wanted first. As a server our order wins over the
    /// client's (RFC 5764 section 4.1.2).
    ///
    /// # Errors
    /// Where `suites` is empty or the crypto library lacks one of the algorithms.
    pub fn with_srtp_suites(
        certificate: &Certificate,
        suites: &[SrtpSuite],
    ) -> Result<Self, DtlsError> {
        let profiles: Vec<&str> = suites.iter().copied().map(profile_name).collect();
        let mut builder = SslContextBuilder::new(SslMethod::dtls())?;
        builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        builder.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
        builder.set_cipher_list(CIPHERS)?;
        builder.set_groups_list(GROUPS)?;
        // Peers are known by fingerprint, so a short RSA key of theirs harms nobody but them.
        builder.set_security_level(1);
        builder.set_tlsext_use_srtp(&profiles.join(":"))?;
        builder.set_options(
            SslOptions::NO_QUERY_MTU
                | SslOptions::NO_RENEGOTIATION
                | SslOptions::NO_COMPRESSION
                | SslOptions::NO_TICKET
                | SslOptions::CIPHER_SERVER_PREFERENCE,
        );
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        builder.set_session_id_context(b"weirgate")?;
        builder.set_private_key(certificate.key())?;
        builder.set_certificate(certificate.x509())?;
        // Endpoints put their own callback in place; without one no peer is taken.
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        Ok(Self {
            context: builder.build(),
        })
    }

    pub(crate) fn ssl_context(&self) -> &SslContext {
        &self.context
    }
}

/// The crypto library's names of RFC 5764's and RFC 7714's protection profiles.
fn profile_name(suite: SrtpSuite) -> &'static str {
    match suite {
        SrtpSuite::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
        SrtpSuite::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
        SrtpSuite::AesCm128HmacSha1_80 => "SRTP_AES128_CM_SHA1_80",
        SrtpSuite::AesCm128HmacSha1_32 => "SRTP_AES128_CM_SHA1_32",
    }
}
