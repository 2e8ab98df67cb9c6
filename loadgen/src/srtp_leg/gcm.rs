//! AES-GCM on RTP in place (RFC 7714) by aws-lc-rs, for what `webrtc-srtp` takes ten times as long
//! to do. Nothing of it is shared with the engine, and it is used only after it has agreed with
//! `webrtc-srtp` in this very process.

use std::collections::HashMap;
use std::sync::OnceLock;

use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use anyhow::{Result, anyhow, bail, ensure};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use webrtc_srtp::context::Context;

use super::{SrtpKey, SrtpSuite};

const TAG_BYTES: usize = 16;
/// Labels of key derivation (RFC 3711 section 4.3.2).
const LABEL_RTP_KEY: u8 = 0;
const LABEL_RTP_SALT: u8 = 2;

/// One direction of RTP.
pub(super) struct GcmRtp {
    key: LessSafeKey,
    salt: [u8; NONCE_LEN],
    sources: HashMap<u32, Index>,
}

/// Where a source's 48-bit packet index stands (RFC 3711 section 3.3.1).
#[derive(Debug, Clone, Copy, Default)]
struct Index {
    rollovers: u32,
    highest: u16,
}

impl GcmRtp {
    /// For a key of a GCM suite; `None` for others.
    pub(super) fn new(key: &SrtpKey) -> Result<Option<Self>> {
        if !matches!(
            key.suite,
            SrtpSuite::AeadAes128Gcm | SrtpSuite::AeadAes256Gcm
        ) {
            return Ok(None);
        }
        static AGREES: OnceLock<Result<(), String>> = OnceLock::new();
        let agrees = AGREES.get_or_init(|| check_agreement().map_err(|error| error.to_string()));
        if let Err(why) = agrees {
            bail!("our own AES-GCM does not agree with webrtc-srtp: {why}");
        }
        Self::derive(key).map(Some)
    }

    fn derive(key: &SrtpKey) -> Result<Self> {
        let (master, salt) = key.key_and_salt.split_at(key.suite.key_len());
        let mut session_key = vec![0; master.len()];
        derive(master, salt, LABEL_RTP_KEY, &mut session_key)?;
        let mut session_salt = [0; NONCE_LEN];
        derive(master, salt, LABEL_RTP_SALT, &mut session_salt)?;
        let algorithm = if master.len() == 32 {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        let unbound =
            UnboundKey::new(algorithm, &session_key).map_err(|_| anyhow!("no AES-GCM key"))?;
        Ok(Self {
            key: LessSafeKey::new(unbound),
            salt: session_salt,
            sources: HashMap::new(),
        })
    }

    /// Protects a whole RTP packet.
    pub(super) fn seal(&mut self, mut packet: Vec<u8>) -> Result<Vec<u8>> {
        let header = Header::read(&packet)?;
        let index = self.index(header);
        let nonce = self.nonce(header, index.rollovers);
        let (aad, payload) = packet.split_at_mut(header.len);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*aad), payload)
            .map_err(|_| anyhow!("AES-GCM failed"))?;
        packet.extend_from_slice(tag.as_ref());
        self.sources.insert(header.ssrc, index);
        Ok(packet)
    }

    /// Opens a whole RTP packet in place; an error means that it is not authentic.
    pub(super) fn open<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a [u8]> {
        let header = Header::read(packet)?;
        ensure!(packet.len() >= header.len + TAG_BYTES, "no tag");
        let index = self.index(header);
        let nonce = self.nonce(header, index.rollovers);
        let clear_len = packet.len() - TAG_BYTES;
        let (aad, sealed) = packet.split_at_mut(header.len);
        self.key
            .open_in_place(nonce, Aad::from(&*aad), sealed)
            .map_err(|_| anyhow!("wrong tag"))?;
        self.sources.insert(header.ssrc, index);
        Ok(&packet[..clear_len])
    }

    /// The index of a packet, as it stands when the packet is authentic (RFC 3711 appendix A).
    fn index(&self, header: Header) -> Index {
        let Some(&before) = self.sources.get(&header.ssrc) else {
            return Index {
                rollovers: 0,
                highest: header.sequence,
            };
        };
        let ahead = header.sequence.wrapping_sub(before.highest);
        if ahead < 0x8000 {
            let wrapped = header.sequence < before.highest;
            return Index {
                rollovers: before.rollovers.wrapping_add(u32::from(wrapped)),
                highest: header.sequence,
            };
        }
        // An older one, from before the wrap or not.
        let wrapped = header.sequence > before.highest && before.rollovers > 0;
        Index {
            rollovers: before.rollovers - u32::from(wrapped),
            highest: header.sequence,
        }
    }

    /// RFC 7714 section 8.1.
    fn nonce(&self, header: Header, rollovers: u32) -> Nonce {
        let mut nonce = self.salt;
        let index = [
            &header.ssrc.to_be_bytes()[..],
            &rollovers.to_be_bytes(),
            &header.sequence.to_be_bytes(),
        ]
        .concat();
        for (byte, value) in nonce[2..].iter_mut().zip(index) {
            *byte ^= value;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What of an RTP header SRTP looks at.
#[derive(Debug, Clone, Copy)]
struct Header {
    len: usize,
    sequence: u16,
    ssrc: u32,
}

impl Header {
    fn read(packet: &[u8]) -> Result<Self> {
        let Some(fixed) = packet.first_chunk::<12>() else {
            bail!("no RTP header");
        };
        let mut len = 12 + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let Some(&[_, _, high, low]) = packet.get(len..len + 4) else {
                bail!("cut header extension");
            };
            len += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        }
        ensure!(packet.len() >= len, "cut header");
        Ok(Self {
            len,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        })
    }
}

/// AES-CM key derivation (RFC 3711 section 4.3, with the shorter salt of RFC 7714 section 11).
fn derive(master: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Result<()> {
    let mut iv = [0; 16];
    iv[..salt.len()].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    if master.len() == 32 {
        ctr::Ctr128BE::<aes::Aes256>::new_from_slices(master, &iv)
            .map_err(|_| anyhow!("key length"))?
            .apply_keystream(out);
    } else {
        ctr::Ctr128BE::<aes::Aes128>::new_from_slices(master, &iv)
            .map_err(|_| anyhow!("key length"))?
            .apply_keystream(out);
    }
    Ok(())
}

/// Both ways, both suites, over a wrap of the sequence number, with and without extension.
fn check_agreement() -> Result<()> {
    for suite in [SrtpSuite::AeadAes128Gcm, SrtpSuite::AeadAes256Gcm] {
        let key = SrtpKey::random(suite)?;
        let (mut our_seal, mut our_open) = (GcmRtp::derive(&key)?, GcmRtp::derive(&key)?);
        let (mut their_seal, mut their_open): (Context, Context) = (key.context()?, key.context()?);
        for step in 0..6_u16 {
            let packet = sample(65_533_u16.wrapping_add(step), step % 2 == 1);
            let theirs = their_seal.encrypt_rtp(&packet)?;
            let ours = our_seal.seal(packet.clone())?;
            ensure!(theirs == ours, "{suite} seals differ");
            let opened = their_open.decrypt_rtp(&ours)?;
            ensure!(opened == packet, "{suite} seal is not opened");
            let mut sealed = theirs.to_vec();
            ensure!(
                our_open.open(&mut sealed)? == packet,
                "{suite} open differs"
            );
            let mut forged = theirs.to_vec();
            forged[usize::from(step) + 14] ^= 1;
            ensure!(
                our_open.open(&mut forged).is_err(),
                "{suite} opens a forgery"
            );
        }
    }
    Ok(())
}

fn sample(sequence: u16, extended: bool) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    let first = if extended { 0x90 } else { 0x80 };
    let mut packet = vec![first, 96, high, low, 1, 2, 3, 4, 0, 0, 0, 9];
    if extended {
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
    }
    packet.extend((0..100).map(|byte| byte as u8 ^ low));
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_reference_both_ways() {
        check_agreement().unwrap();
    }

    #[test]
    fn packets_out_of_order_around_a_wrap_open() {
        let key = SrtpKey::random(SrtpSuite::AeadAes128Gcm).unwrap();
        let mut sealer = GcmRtp::derive(&key).unwrap();
        let mut opener = GcmRtp::derive(&key).unwrap();
        let mut sealed: Vec<Vec<u8>> = (0..8)
            .map(|step| sealer.seal(sample(65_532_u16.wrapping_add(step), false)))
            .collect::<Result<_>>()
            .unwrap();
        for (left, right) in [(3, 4), (1, 5), (6, 7)] {
            sealed.swap(left, right);
        }
        for packet in &mut sealed {
            opener.open(packet).unwrap();
        }
    }

    #[test]
    fn what_is_cut_is_refused() {
        let key = SrtpKey::random(SrtpSuite::AeadAes256Gcm).unwrap();
        let mut sealer = GcmRtp::derive(&key).unwrap();
        let sealed = sealer.seal(sample(1, true)).unwrap();
        let mut opener = GcmRtp::derive(&key).unwrap();
        for cut in 0..sealed.len() {
            assert!(opener.open(&mut sealed[..cut].to_vec()).is_err(), "{cut}");
        }
    }
}
