//! The suites: one file per cipher, and the choice between them.

mod aes_cm;
mod gcm;
mod hmac_sha1;
mod sha1_lanes;

use std::fmt;

use weirgate_wire::{SrtpKey, SrtpSuite};

pub(crate) use self::aes_cm::Untagged;
pub(crate) use self::hmac_sha1::{HmacSha1, Message, Tag};
pub(crate) use self::sha1_lanes::{Lanes, MAX_LANES};
use self::{aes_cm::AesCm, gcm::AesGcm};
use crate::KeyError;
use crate::session_keys::KeyDerivation;

/// Bytes of the word behind an SRTCP packet: the E bit and the index (RFC 3711 section 3.4).
pub(crate) const SRTCP_WORD_LEN: usize = 4;

/// What a packet's nonce is made of. The same pair never seals two packets that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PacketId {
    pub(crate) ssrc: u32,
    /// 48 bits for RTP, 31 for RTCP.
    pub(crate) index: u64,
}

/// The E bit and index of an SRTCP packet (RFC 3711 section 3.4, RFC 7714 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SrtcpWord(u32);

impl SrtcpWord {
    const ENCRYPTED: u32 = 1 << 31;

    /// The word of an encrypted packet; `index` has 31 bits.
    pub(crate) const fn encrypted(index: u32) -> Self {
        Self(index | Self::ENCRYPTED)
    }

    pub(crate) const fn is_encrypted(self) -> bool {
        self.0 & Self::ENCRYPTED != 0
    }

    pub(crate) const fn index(self) -> u32 {
        self.0 & !Self::ENCRYPTED
    }

    const fn to_bytes(self) -> [u8; SRTCP_WORD_LEN] {
        self.0.to_be_bytes()
    }
}

/// The tag does not fit the packet. What was to be decrypted may be overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unauthentic;

/// Session keys of one direction, for RTP and RTCP.
pub(crate) enum Cipher {
    Gcm(Box<AesGcm>),
    Cm(Box<AesCm>),
}

impl Cipher {
    pub(crate) fn new(key: &SrtpKey) -> Result<Self, KeyError> {
        let derivation = KeyDerivation::new(key)?;
        Ok(match key.suite {
            SrtpSuite::AeadAes128Gcm | SrtpSuite::AeadAes256Gcm => {
                Self::Gcm(Box::new(AesGcm::new(key.suite, &derivation)?))
            }
            SrtpSuite::AesCm128HmacSha1_80 | SrtpSuite::AesCm128HmacSha1_32 => Self::Cm(Box::new(
                AesCm::new(&derivation, Self::rtp_overhead(key.suite)),
            )),
        })
    }

    /// Bytes an RTP packet grows by.
    pub(crate) const fn rtp_overhead(suite: SrtpSuite) -> usize {
        match suite {
            SrtpSuite::AeadAes128Gcm | SrtpSuite::AeadAes256Gcm => gcm::TAG_LEN,
            SrtpSuite::AesCm128HmacSha1_80 => 10,
            SrtpSuite::AesCm128HmacSha1_32 => 4,
        }
    }

    /// Bytes a compound RTCP packet grows by: tag and index word.
    pub(crate) const fn rtcp_overhead(suite: SrtpSuite) -> usize {
        SRTCP_WORD_LEN
            + match suite {
                SrtpSuite::AeadAes128Gcm | SrtpSuite::AeadAes256Gcm => gcm::TAG_LEN,
                SrtpSuite::AesCm128HmacSha1_80 | SrtpSuite::AesCm128HmacSha1_32 => {
                    aes_cm::RTCP_TAG_LEN
                }
            }
    }

    /// Seals `packet[..len]`, the first `header_len` bytes of which stay in the clear, and returns
    /// the new length; `None` where that does not fit.
    #[inline]
    pub(crate) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        id: PacketId,
    ) -> Option<usize> {
        match self {
            Self::Gcm(gcm) => gcm.seal_rtp(packet, header_len, len, id),
            Self::Cm(cm) => cm.seal_rtp(packet, header_len, len, id),
        }
    }

    /// Opens `packet` and returns its length without the tag.
    #[inline]
    pub(crate) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        id: PacketId,
    ) -> Result<usize, Unauthentic> {
        match self {
            Self::Gcm(gcm) => gcm.open_rtp(packet, header_len, id),
            Self::Cm(cm) => cm.open_rtp(packet, header_len, id),
        }
    }

    /// Seals and encrypts `packet[..len]` and returns the new length; `None` where that does not
    /// fit.
    pub(crate) fn seal_rtcp(
        &self,
        packet: &mut [u8],
        len: usize,
        ssrc: u32,
        index: u32,
    ) -> Option<usize> {
        let word = SrtcpWord::encrypted(index);
        match self {
            Self::Gcm(gcm) => gcm.seal_rtcp(packet, len, ssrc, word),
            Self::Cm(cm) => cm.seal_rtcp(packet, len, ssrc, word),
        }
    }

    /// Opens `packet`, whose word is `word`, and returns its length without tag and word.
    pub(crate) fn open_rtcp(
        &self,
        packet: &mut [u8],
        ssrc: u32,
        word: SrtcpWord,
    ) -> Result<usize, Unauthentic> {
        match self {
            Self::Gcm(gcm) => gcm.open_rtcp(packet, ssrc, word),
            Self::Cm(cm) => cm.open_rtcp(packet, ssrc, word),
        }
    }

    /// The word of a whole SRTCP packet: the last thing in it with GCM, before the tag with CM.
    pub(crate) fn srtcp_word(&self, packet: &[u8]) -> Option<SrtcpWord> {
        let behind = match self {
            Self::Gcm(_) => 0,
            Self::Cm(_) => aes_cm::RTCP_TAG_LEN,
        };
        let end = packet.len().checked_sub(behind)?;
        let word = packet.get(..end)?.last_chunk::<SRTCP_WORD_LEN>()?;
        Some(SrtcpWord(u32::from_be_bytes(*word)))
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys and salts must never reach a log.
        f.write_str(match self {
            Self::Gcm(_) => "Gcm",
            Self::Cm(_) => "Cm",
        })
    }
}

#[cfg(test)]
pub(crate) mod test_support {
    /// Bytes of a hexadecimal string; white space is skipped.
    pub(crate) fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .map(|digit| digit as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }
}
