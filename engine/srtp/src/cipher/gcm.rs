//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714), by ring.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use weirgate_wire::SrtpSuite;
use zeroize::Zeroizing;

use super::{PacketId, SRTCP_WORD_LEN, SrtcpWord, Unauthentic};
use crate::KeyError;
use crate::header::RTCP_CLEAR_LEN;
use crate::session_keys::{KeyDerivation, Label};

/// Bytes of the tag, for RTP and RTCP.
pub(super) const TAG_LEN: usize = 16;

const SALT_LEN: usize = 12;

/// Session keys of one direction.
pub(crate) struct AesGcm {
    rtp: Session,
    rtcp: Session,
}

struct Session {
    key: LessSafeKey,
    salt: [u8; SALT_LEN],
}

impl AesGcm {
    pub(super) fn new(suite: SrtpSuite, derivation: &KeyDerivation) -> Result<Self, KeyError> {
        let session = |key_label, salt_label| {
            let mut key = Zeroizing::new([0; 32]);
            let key = &mut key[..suite.key_len()];
            derivation.fill(key_label, key);
            let mut salt = [0; SALT_LEN];
            derivation.fill(salt_label, &mut salt);
            Session::new(suite, key, salt)
        };
        Ok(Self {
            rtp: session(Label::RtpEncryption, Label::RtpSalt)?,
            rtcp: session(Label::RtcpEncryption, Label::RtcpSalt)?,
        })
    }

    #[inline]
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        id: PacketId,
    ) -> Option<usize> {
        let (header, rest) = packet.split_at_mut_checked(header_len)?;
        let (payload, rest) = rest.split_at_mut_checked(len.checked_sub(header_len)?)?;
        let tag = rest.get_mut(..TAG_LEN)?;
        self.rtp.seal(id, header, payload, tag)?;
        Some(len + TAG_LEN)
    }

    #[inline]
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        id: PacketId,
    ) -> Result<usize, Unauthentic> {
        let len = packet.len().checked_sub(TAG_LEN).ok_or(Unauthentic)?;
        let (body, tag) = packet.split_at_mut(len);
        let (header, payload) = body.split_at_mut_checked(header_len).ok_or(Unauthentic)?;
        self.rtp.open(id, header, payload, tag)?;
        Ok(len)
    }

    /// RFC 7714 section 9.2: header and word are authenticated, the word comes after the tag.
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut [u8],
        len: usize,
        ssrc: u32,
        word: SrtcpWord,
    ) -> Option<usize> {
        let packet = packet.get_mut(..len + TAG_LEN + SRTCP_WORD_LEN)?;
        let clear = packet.first_chunk::<RTCP_CLEAR_LEN>()?;
        let aad = authenticated(clear, word);
        let (body, rest) = packet.split_at_mut(len);
        let (tag, trailer) = rest.split_at_mut(TAG_LEN);
        let payload = body.get_mut(RTCP_CLEAR_LEN..)?;
        self.rtcp.seal(rtcp_id(ssrc, word), &aad, payload, tag)?;
        trailer.copy_from_slice(&word.to_bytes());
        Some(packet.len())
    }

    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        ssrc: u32,
        word: SrtcpWord,
    ) -> Result<usize, Unauthentic> {
        let len = packet
            .len()
            .checked_sub(TAG_LEN + SRTCP_WORD_LEN)
            .ok_or(Unauthentic)?;
        let clear = *packet.first_chunk::<RTCP_CLEAR_LEN>().ok_or(Unauthentic)?;
        let (body, rest) = packet.split_at_mut(len);
        let tag = *rest.first_chunk::<TAG_LEN>().ok_or(Unauthentic)?;
        let id = rtcp_id(ssrc, word);
        if word.is_encrypted() {
            let payload = body.get_mut(RTCP_CLEAR_LEN..).ok_or(Unauthentic)?;
            let aad = authenticated(&clear, word);
            self.rtcp.open(id, &aad, payload, &tag)?;
        } else {
            // RFC 7714 section 9.3: the whole packet and the word are authenticated, nothing is
            // encrypted. The word takes the tag's place, to be in one piece with the packet.
            let aad = &mut packet[..len + SRTCP_WORD_LEN];
            aad[len..].copy_from_slice(&word.to_bytes());
            self.rtcp.open(id, aad, &mut [], &tag)?;
        }
        Ok(len)
    }
}

impl Session {
    fn new(suite: SrtpSuite, key: &[u8], salt: [u8; SALT_LEN]) -> Result<Self, KeyError> {
        let algorithm = match suite {
            SrtpSuite::AeadAes256Gcm => &AES_256_GCM,
            _ => &AES_128_GCM,
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| KeyError::Refused(suite))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            salt,
        })
    }

    #[inline]
    fn seal(&self, id: PacketId, aad: &[u8], payload: &mut [u8], tag: &mut [u8]) -> Option<()> {
        let made = self
            .key
            .seal_in_place_separate_tag(self.nonce(id), Aad::from(aad), payload)
            .ok()?;
        tag.copy_from_slice(made.as_ref());
        Some(())
    }

    #[inline]
    fn open(
        &self,
        id: PacketId,
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Unauthentic> {
        let tag = Tag::try_from(tag).map_err(|_| Unauthentic)?;
        self.key
            .open_in_place_separate_tag(self.nonce(id), Aad::from(aad), tag, payload, 0..)
            .map_err(|_| Unauthentic)?;
        Ok(())
    }

    /// RFC 7714 sections 8.1 and 9.1: two zero bytes, the SSRC and the index in 48 bits, by the
    /// salt. A 31-bit SRTCP index has the leading zeros the RFC asks for.
    #[inline]
    fn nonce(&self, id: PacketId) -> Nonce {
        let mut nonce = [0; SALT_LEN];
        nonce[2..6].copy_from_slice(&id.ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&id.index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

fn rtcp_id(ssrc: u32, word: SrtcpWord) -> PacketId {
    PacketId {
        ssrc,
        index: u64::from(word.index()),
    }
}

fn authenticated(
    clear: &[u8; RTCP_CLEAR_LEN],
    word: SrtcpWord,
) -> [u8; RTCP_CLEAR_LEN + SRTCP_WORD_LEN] {
    let mut aad = [0; RTCP_CLEAR_LEN + SRTCP_WORD_LEN];
    aad[..RTCP_CLEAR_LEN].copy_from_slice(clear);
    aad[RTCP_CLEAR_LEN..].copy_from_slice(&word.to_bytes());
    aad
}

/// The vectors of RFC 7714 sections 16 and 17, which give session keys.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::test_support::hex;

    const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
                       69736120 696e2070 61727465 73207472 6573";
    const RTP_ID: PacketId = PacketId {
        ssrc: 0x5501_a0b2,
        index: 0xf17b,
    };
    const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
                        deadbeef deadbeef deadbeef deadbeef deadbeef";
    const RTCP_SSRC: u32 = 0x4d61_7273;
    const RTCP_INDEX: u32 = 0x5d4;

    struct Vectors {
        suite: SrtpSuite,
        rtp_encrypted: &'static str,
        rtp_tagged: &'static str,
        rtcp_encrypted: &'static str,
        rtcp_tagged: &'static str,
    }

    const VECTORS: [Vectors; 2] = [
        Vectors {
            suite: SrtpSuite::AeadAes128Gcm,
            rtp_encrypted: "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
                            0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439
                            0cce",
            rtp_tagged: "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
                         69736120 696e2070 61727465 73207472 65732249 3f82d2bc e397e9d7 9e3b19aa
                         4216",
            rtcp_encrypted:
                "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
                             c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872
                             45d9eade 800005d4",
            rtcp_tagged: "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
                          deadbeef deadbeef deadbeef deadbeef deadbeef 841dd968 3dd78ec9 2ae58790
                          125f62b3 000005d4",
        },
        Vectors {
            suite: SrtpSuite::AeadAes256Gcm,
            rtp_encrypted: "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
                            9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7
                            6c13",
            rtp_tagged: "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
                         69736120 696e2070 61727465 73207472 6573a866 d5910f88 7463067c eefec452
                         15d4",
            rtcp_encrypted:
                "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
                             a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c
                             b26ac3be 800005d4",
            rtcp_tagged: "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
                          deadbeef deadbeef deadbeef deadbeef deadbeef 91db4afb feee5a97 8fab4393
                          ed2615fe 000005d4",
        },
    ];

    fn cipher(suite: SrtpSuite) -> AesGcm {
        let key: Vec<u8> = (0..suite.key_len() as u8).collect();
        let session = || Session::new(suite, &key, *b"Quid pro quo").unwrap();
        AesGcm {
            rtp: session(),
            rtcp: session(),
        }
    }

    fn with_room(packet: &str) -> (Vec<u8>, usize) {
        let mut packet = hex(packet);
        let len = packet.len();
        packet.resize(len + 64, 0xee);
        (packet, len)
    }

    #[test]
    fn section_16_encryption_and_tagging() {
        for vectors in VECTORS {
            let cipher = cipher(vectors.suite);
            let (mut packet, len) = with_room(RTP);
            let sealed = cipher.seal_rtp(&mut packet, 12, len, RTP_ID).unwrap();
            assert_eq!(packet[..sealed], hex(vectors.rtp_encrypted));
            let opened = cipher.open_rtp(&mut packet[..sealed], 12, RTP_ID);
            assert_eq!(opened, Ok(len));
            assert_eq!(packet[..len], hex(RTP));
        }
    }

    /// A packet that is all header is only tagged.
    #[test]
    fn section_16_tagging_only() {
        for vectors in VECTORS {
            let cipher = cipher(vectors.suite);
            let (mut packet, len) = with_room(RTP);
            let sealed = cipher.seal_rtp(&mut packet, len, len, RTP_ID).unwrap();
            assert_eq!(packet[..sealed], hex(vectors.rtp_tagged));
            let opened = cipher.open_rtp(&mut packet[..sealed], len, RTP_ID);
            assert_eq!(opened, Ok(len));
        }
    }

    #[test]
    fn section_17_encryption_and_tagging() {
        for vectors in VECTORS {
            let cipher = cipher(vectors.suite);
            let word = SrtcpWord::encrypted(RTCP_INDEX);
            let (mut packet, len) = with_room(RTCP);
            let sealed = cipher.seal_rtcp(&mut packet, len, RTCP_SSRC, word).unwrap();
            assert_eq!(packet[..sealed], hex(vectors.rtcp_encrypted));
            let opened = cipher.open_rtcp(&mut packet[..sealed], RTCP_SSRC, word);
            assert_eq!(opened, Ok(len));
            assert_eq!(packet[..len], hex(RTCP));
        }
    }

    #[test]
    fn section_17_tag_verification() {
        for vectors in VECTORS {
            let cipher = cipher(vectors.suite);
            let word = SrtcpWord(RTCP_INDEX);
            let sealed = hex(vectors.rtcp_tagged);
            let mut packet = sealed.clone();
            let len = cipher.open_rtcp(&mut packet, RTCP_SSRC, word).unwrap();
            assert_eq!(packet[..len], hex(RTCP));

            let mut forged = sealed;
            forged[12] ^= 1;
            let refused = cipher.open_rtcp(&mut forged, RTCP_SSRC, word);
            assert_eq!(refused, Err(Unauthentic));
        }
    }
}
