//! What can go wrong, before a handshake and in one.

use openssl::error::ErrorStack;

/// A certificate, context or endpoint could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DtlsError {
    /// The crypto library refused.
    #[error("crypto library: {0}")]
    Crypto(#[from] ErrorStack),
    /// The PEM text lacks a private key, or a certificate, or they are not a pair.
    #[error("certificate file: {0}")]
    Certificate(&'static str),
    /// No fingerprint was given whose hash function is known and whose value has its length.
    #[error("no usable fingerprint: sha-1, sha-224, sha-256, sha-384 and sha-512 are known")]
    NoUsableFingerprint,
    /// [`crate::DtlsRole::Auto`] must be settled before an endpoint is made.
    #[error("the DTLS role must be client or server")]
    RoleNotSettled,
}

/// Why a handshake ended without keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailureReason {
    /// The peer's certificate is not the signaled one (RFC 8122 section 6.2).
    #[error("the peer's certificate does not match the signaled fingerprint")]
    FingerprintMismatch,
    /// Both sides speak DTLS, but have no SRTP profile in common (RFC 5764 section 4.1).
    #[error("no SRTP profile in common")]
    NoSrtpProfile,
    /// Not finished in [`crate::HANDSHAKE_DEADLINE`].
    #[error("the handshake did not finish in time")]
    TimedOut,
    /// The peer sent a fatal alert and nothing after it.
    #[error("the peer refused the handshake with alert {0}")]
    PeerAlert(u8),
    /// The handshake broke the protocol or the sides have no parameters in common.
    #[error("handshake: {0}")]
    Protocol(String),
}
