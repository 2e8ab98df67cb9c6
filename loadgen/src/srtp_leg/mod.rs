//! SRTP by the `webrtc-srtp` package, one context per direction; RTP under AES-GCM by a faster path
//! that is held to agree with it.

mod gcm;

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::random;
use gcm::GcmRtp;

/// The protection profiles of the server's API, under mediasoup's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SrtpSuite {
    /// AES-128-GCM (RFC 7714).
    #[serde(rename = "AEAD_AES_128_GCM")]
    AeadAes128Gcm,
    /// AES-256-GCM (RFC 7714).
    #[serde(rename = "AEAD_AES_256_GCM")]
    AeadAes256Gcm,
    /// AES-128 counter mode with an 80-bit HMAC-SHA1 tag (RFC 3711).
    #[serde(rename = "AES_CM_128_HMAC_SHA1_80")]
    AesCm128HmacSha1_80,
    /// The same with a 32-bit tag on RTP.
    #[serde(rename = "AES_CM_128_HMAC_SHA1_32")]
    AesCm128HmacSha1_32,
}

impl SrtpSuite {
    /// Every suite, in the order a client offers them.
    pub const ALL: [Self; 4] = [
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
    ];

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Length of the master key in bytes.
    pub fn key_len(self) -> usize {
        self.profile().key_len()
    }

    /// Length of the master salt in bytes.
    pub fn salt_len(self) -> usize {
        self.profile().salt_len()
    }

    fn profile(self) -> ProtectionProfile {
        match self {
            Self::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
            Self::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        }
    }
}

impl fmt::Display for SrtpSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SrtpSuite {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let Some(suite) = Self::ALL.into_iter().find(|suite| suite.name() == name) else {
            let known = Self::ALL.map(Self::name).join(", ");
            bail!("unknown SRTP suite `{name}`, known are {known}");
        };
        Ok(suite)
    }
}

/// Master key and salt of one direction.
#[derive(Clone)]
pub struct SrtpKey {
    suite: SrtpSuite,
    key_and_salt: Vec<u8>,
}

impl SrtpKey {
    /// A fresh key.
    pub fn random(suite: SrtpSuite) -> Result<Self> {
        let mut key_and_salt = vec![0; suite.key_len() + suite.salt_len()];
        random::fill(&mut key_and_salt)?;
        Ok(Self {
            suite,
            key_and_salt,
        })
    }

    /// From key and salt as the DTLS exporter gives them.
    pub fn new(suite: SrtpSuite, key: &[u8], salt: &[u8]) -> Result<Self> {
        Self::checked(suite, [key, salt].concat())
    }

    /// From the API's `keyBase64`.
    pub fn from_base64(suite: SrtpSuite, text: &str) -> Result<Self> {
        let bytes = BASE64.decode(text).context("keyBase64 is not base64")?;
        Self::checked(suite, bytes)
    }

    /// For the API's `keyBase64`.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.key_and_salt)
    }

    /// The suite the key is for.
    pub fn suite(&self) -> SrtpSuite {
        self.suite
    }

    fn checked(suite: SrtpSuite, key_and_salt: Vec<u8>) -> Result<Self> {
        let expected = suite.key_len() + suite.salt_len();
        if key_and_salt.len() != expected {
            bail!(
                "{suite} takes {expected} key bytes, not {}",
                key_and_salt.len()
            );
        }
        Ok(Self {
            suite,
            key_and_salt,
        })
    }

    fn context(&self) -> Result<Context> {
        let (key, salt) = self.key_and_salt.split_at(self.suite.key_len());
        // No replay window of the package's own: a duplicate is to be counted, not hidden.
        Ok(Context::new(key, salt, self.suite.profile(), None, None)?)
    }
}

impl fmt::Debug for SrtpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SrtpKey({})", self.suite)
    }
}

/// Protects what is sent.
pub struct Sealer {
    context: Context,
    gcm: Option<GcmRtp>,
}

impl Sealer {
    /// With our own key.
    pub fn new(key: &SrtpKey) -> Result<Self> {
        Ok(Self {
            context: key.context()?,
            gcm: GcmRtp::new(key)?,
        })
    }

    /// A whole RTP packet in the clear to one on the wire.
    pub fn rtp(&mut self, packet: Vec<u8>) -> Result<Bytes> {
        match &mut self.gcm {
            Some(gcm) => Ok(gcm.seal(packet)?.into()),
            None => Ok(self.context.encrypt_rtp(&packet)?),
        }
    }

    /// A compound RTCP packet in the clear to one on the wire.
    pub fn rtcp(&mut self, packet: &[u8]) -> Result<Bytes> {
        Ok(self.context.encrypt_rtcp(packet)?)
    }
}

/// Opens what is received; an error means that the packet is not authentic.
pub struct Opener {
    context: Context,
    gcm: Option<GcmRtp>,
}

impl Opener {
    /// With the server's key.
    pub fn new(key: &SrtpKey) -> Result<Self> {
        Ok(Self {
            context: key.context()?,
            gcm: GcmRtp::new(key)?,
        })
    }

    /// Opens an RTP packet, in place where that can be, and hands it to `then`.
    pub fn rtp<T>(&mut self, packet: &mut [u8], then: impl FnOnce(&[u8]) -> T) -> Result<T> {
        match &mut self.gcm {
            Some(gcm) => gcm.open(packet).map(then),
            None => Ok(then(&self.context.decrypt_rtp(packet)?)),
        }
    }

    /// An RTCP packet from the wire to one in the clear.
    pub fn rtcp(&mut self, packet: &[u8]) -> Result<Bytes> {
        // The package indexes without looking at the length.
        if packet.len() < 12 {
            bail!("SRTCP packet of {} bytes", packet.len());
        }
        Ok(self.context.decrypt_rtcp(packet)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_opens_what_it_sealed_and_nothing_else() {
        for suite in SrtpSuite::ALL {
            let key = SrtpKey::random(suite).unwrap();
            let again = SrtpKey::from_base64(suite, &key.to_base64()).unwrap();
            let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7];
            packet.extend_from_slice(&[5; 60]);
            let sealed = Sealer::new(&key).unwrap().rtp(packet.clone()).unwrap();
            assert_ne!(&sealed[12..72], &packet[12..], "{suite}");
            let opened = Opener::new(&again)
                .unwrap()
                .rtp(&mut sealed.to_vec(), <[u8]>::to_vec)
                .unwrap();
            assert_eq!(opened, packet, "{suite}");
            for at in [2, 11, 20, sealed.len() - 1] {
                let mut forged = sealed.to_vec();
                forged[at] ^= 1;
                let opened = Opener::new(&key).unwrap().rtp(&mut forged, |_| ());
                assert!(opened.is_err(), "{suite} byte {at}");
            }
        }
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        let short = BASE64.encode([0; 29]);
        assert!(SrtpKey::from_base64(SrtpSuite::AesCm128HmacSha1_80, &short).is_err());
        assert!("AES_CM_256".parse::<SrtpSuite>().is_err());
    }
}
