//! SRTP suites and keys as they travel to the engine.

use serde::{Deserialize, Serialize};

/// The protection profiles the engine has (RFC 3711, RFC 5764, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SrtpSuite {
    /// AES-256-GCM, 16-byte tag (RFC 7714).
    AeadAes256Gcm,
    /// AES-128-GCM, 16-byte tag (RFC 7714).
    AeadAes128Gcm,
    /// AES-128 counter mode, HMAC-SHA1 cut to 80 bits (RFC 3711).
    AesCm128HmacSha1_80,
    /// The same with a 32-bit RTP tag; SRTCP keeps 80 bits (RFC 5764 section 4.1.2).
    AesCm128HmacSha1_32,
}

impl SrtpSuite {
    /// Every suite, strongest-and-cheapest preference first.
    pub const ALL: [Self; 4] = [
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
    ];

    /// Length of the master key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Length of the master salt in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 12,
            _ => 14,
        }
    }

    /// The name mediasoup and the contract use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// The suite of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }
}

/// Master key followed by master salt of one direction.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrtpKey {
    /// The suite the key is for.
    pub suite: SrtpSuite,
    /// `suite.key_len() + suite.salt_len()` bytes.
    pub key_and_salt: Vec<u8>,
}

impl SrtpKey {
    /// `None` where the length does not fit the suite.
    pub fn new(suite: SrtpSuite, key_and_salt: Vec<u8>) -> Option<Self> {
        (key_and_salt.len() == suite.key_len() + suite.salt_len()).then_some(Self {
            suite,
            key_and_salt,
        })
    }
}

impl std::fmt::Debug for SrtpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys must never reach a log.
        write!(f, "SrtpKey({})", self.suite.name())
    }
}
