//! AES_CM_128_HMAC_SHA1_80 and _32 (RFC 3711 sections 4.1.1 and 4.2.1).

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hmac_sha1::{HmacSha1, KEY_LEN};
use super::{PacketId, SRTCP_WORD_LEN, SrtcpWord, Unauthentic};
use crate::header::RTCP_CLEAR_LEN;
use crate::session_keys::{KeyDerivation, Label};

/// Bytes of an SRTCP tag, with the 32-bit suite as well (RFC 5764 section 4.1.2).
pub(super) const RTCP_TAG_LEN: usize = 10;

const SALT_LEN: usize = 14;
/// Bytes of the rollover counter behind the authenticated packet.
pub(super) const ROLLOVER_COUNTER_LEN: usize = 4;

/// Session keys of one direction.
pub(crate) struct AesCm {
    rtp: Session,
    rtcp: Session,
    rtp_tag_len: usize,
}

/// What the tag of an encrypted RTP packet is made with.
pub(crate) struct Untagged<'a> {
    pub(crate) hmac: &'a HmacSha1,
    /// What follows the packet in the authenticated portion.
    pub(crate) rollover_counter: [u8; ROLLOVER_COUNTER_LEN],
    /// Bytes of the tag.
    pub(crate) tag_len: usize,
}

struct Session {
    aes: Aes128Enc,
    salt: [u8; SALT_LEN],
    hmac: HmacSha1,
}

impl AesCm {
    pub(super) fn new(derivation: &KeyDerivation, rtp_tag_len: usize) -> Self {
        let session = |key_label, salt_label, authentication_label| {
            let mut key = Zeroizing::new([0; 16]);
            derivation.fill(key_label, &mut *key);
            let mut salt = [0; SALT_LEN];
            derivation.fill(salt_label, &mut salt);
            let mut authentication = Zeroizing::new([0; KEY_LEN]);
            derivation.fill(authentication_label, &mut *authentication);
            Session {
                aes: Aes128Enc::new(&(*key).into()),
                salt,
                hmac: HmacSha1::new(&authentication),
            }
        };
        Self {
            rtp: session(
                Label::RtpEncryption,
                Label::RtpSalt,
                Label::RtpAuthentication,
            ),
            rtcp: session(
                Label::RtcpEncryption,
                Label::RtcpSalt,
                Label::RtcpAuthentication,
            ),
            rtp_tag_len,
        }
    }

    #[inline]
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        id: PacketId,
    ) -> Option<usize> {
        let untagged = self.encrypt_rtp(packet, header_len, len, id)?;
        let (body, rest) = packet.split_at_mut_checked(len)?;
        let tag = untagged.hmac.tag(body, untagged.rollover_counter);
        rest.get_mut(..untagged.tag_len)?
            .copy_from_slice(&tag[..untagged.tag_len]);
        Some(len + untagged.tag_len)
    }

    /// Encrypts `packet[..len]`, behind which the tag has room. `None`, and the packet as it was,
    /// where that does not fit.
    #[inline]
    pub(crate) fn encrypt_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        id: PacketId,
    ) -> Option<Untagged<'_>> {
        let packet = packet.get_mut(..len + self.rtp_tag_len)?;
        let payload = packet.get_mut(header_len..len)?;
        self.rtp.apply_keystream(id, payload)?;
        Some(Untagged {
            hmac: &self.rtp.hmac,
            rollover_counter: rollover_counter(id),
            tag_len: self.rtp_tag_len,
        })
    }

    #[inline]
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        id: PacketId,
    ) -> Result<usize, Unauthentic> {
        let len = packet.len().checked_sub(self.rtp_tag_len);
        let (body, tag) = packet.split_at_mut(len.ok_or(Unauthentic)?);
        let whole_tag = self.rtp.hmac.tag(body, rollover_counter(id));
        verify(&whole_tag, tag)?;
        let payload = body.get_mut(header_len..).ok_or(Unauthentic)?;
        self.rtp.apply_keystream(id, payload).ok_or(Unauthentic)?;
        Ok(body.len())
    }

    /// RFC 3711 section 3.4: the word follows the payload and is authenticated with it.
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut [u8],
        len: usize,
        ssrc: u32,
        word: SrtcpWord,
    ) -> Option<usize> {
        let packet = packet.get_mut(..len + SRTCP_WORD_LEN + RTCP_TAG_LEN)?;
        let (authenticated, tag) = packet.split_at_mut(len + SRTCP_WORD_LEN);
        let payload = authenticated.get_mut(RTCP_CLEAR_LEN..len)?;
        self.rtcp.apply_keystream(rtcp_id(ssrc, word), payload)?;
        authenticated[len..].copy_from_slice(&word.to_bytes());
        let whole_tag = self.rtcp.hmac.tag(authenticated, []);
        tag.copy_from_slice(&whole_tag[..RTCP_TAG_LEN]);
        Some(packet.len())
    }

    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        ssrc: u32,
        word: SrtcpWord,
    ) -> Result<usize, Unauthentic> {
        let authenticated_len = packet.len().checked_sub(RTCP_TAG_LEN);
        let (authenticated, tag) = packet.split_at_mut(authenticated_len.ok_or(Unauthentic)?);
        verify(&self.rtcp.hmac.tag(authenticated, []), tag)?;
        let len = authenticated.len().checked_sub(SRTCP_WORD_LEN);
        let len = len.ok_or(Unauthentic)?;
        if word.is_encrypted() {
            let payload = authenticated.get_mut(RTCP_CLEAR_LEN..len);
            self.rtcp
                .apply_keystream(rtcp_id(ssrc, word), payload.ok_or(Unauthentic)?)
                .ok_or(Unauthentic)?;
        }
        Ok(len)
    }
}

impl Session {
    /// Encrypts or decrypts; `None` only past the counter's end, which no packet reaches.
    #[inline]
    fn apply_keystream(&self, id: PacketId, data: &mut [u8]) -> Option<()> {
        // Only the low 16 bits of the counter ever step, so one of 32 bits is as good as the
        // RFC's of 128, and quicker.
        CtrCore::<_, Ctr32BE>::inner_iv_init(&self.aes, &self.counter(id).into())
            .try_apply_keystream_partial(data.into())
            .ok()
    }

    /// RFC 3711 section 4.1.1: salt, SSRC and index shifted into their places, the last 16 bits
    /// left to the block counter.
    #[inline]
    fn counter(&self, id: PacketId) -> [u8; 16] {
        let mut counter = [0; 16];
        counter[4..8].copy_from_slice(&id.ssrc.to_be_bytes());
        counter[8..14].copy_from_slice(&id.index.to_be_bytes()[2..]);
        for (byte, salt) in counter.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        counter
    }
}

fn verify(whole_tag: &[u8], tag: &[u8]) -> Result<(), Unauthentic> {
    let expected = whole_tag.get(..tag.len()).ok_or(Unauthentic)?;
    if bool::from(expected.ct_eq(tag)) {
        Ok(())
    } else {
        Err(Unauthentic)
    }
}

/// What follows the packet in the authenticated portion (RFC 3711 section 4.2).
const fn rollover_counter(id: PacketId) -> [u8; ROLLOVER_COUNTER_LEN] {
    ((id.index >> 16) as u32).to_be_bytes()
}

fn rtcp_id(ssrc: u32, word: SrtcpWord) -> PacketId {
    PacketId {
        ssrc,
        index: u64::from(word.index()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::test_support::hex;
    use weirgate_wire::{SrtpKey, SrtpSuite};

    #[test]
    fn rfc_3711_appendix_b2() {
        let key: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
        let session = Session {
            aes: Aes128Enc::new(&key.into()),
            salt: hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
            hmac: HmacSha1::new(&[0; KEY_LEN]),
        };
        let mut keystream = vec![0; 1_044_512];
        let id = PacketId { ssrc: 0, index: 0 };
        session.apply_keystream(id, &mut keystream).unwrap();
        assert_eq!(
            keystream[..48],
            hex("E03EAD0935C95E80E166B16DD92B4EB4
                 D23513162B02D0F72A43A2FE4A5F97AB
                 41E95B3BB0A2E8DD477901E4FCA894C0")
        );
        assert_eq!(
            keystream[keystream.len() - 48..],
            hex("EC8CDF7398607CB0F2D21675EA9EA1E4
                 362B7C3C6773516318A077D7FC5073AE
                 6A2CC3787889374FBEB4C81B17BA6C44")
        );
    }

    #[test]
    fn an_srtcp_packet_without_the_e_bit_is_authenticated_and_left_as_it_is() {
        let key = SrtpKey::new(SrtpSuite::AesCm128HmacSha1_80, vec![7; 30]).unwrap();
        let cm = AesCm::new(&KeyDerivation::new(&key).unwrap(), 10);
        let plain = hex("80c80001 01020304 05060708");
        let word = SrtcpWord(77);
        let mut packet = [&plain[..], &word.to_bytes()].concat();
        let tag = cm.rtcp.hmac.tag(&packet, []);
        packet.extend_from_slice(&tag[..RTCP_TAG_LEN]);

        let mut forged = packet.clone();
        forged[9] ^= 1;
        let ssrc = 0x0102_0304;
        assert_eq!(cm.open_rtcp(&mut forged, ssrc, word), Err(Unauthentic));
        assert_eq!(cm.open_rtcp(&mut packet, ssrc, word), Ok(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }

    #[test]
    fn a_tag_of_another_length_is_not_taken() {
        assert_eq!(verify(&[1; 20], &[1; 10]), Ok(()));
        assert_eq!(verify(&[1; 20], &[1; 21]), Err(Unauthentic));
        assert_eq!(verify(&[1; 20], &[2; 10]), Err(Unauthentic));
    }
}
