//! Keys and packets the tests share.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that can not set up has failed")]

use weirgate_srtp::{Opener, Sealer, SrtpKey, SrtpSuite};

pub(crate) const SSRC: u32 = 0xdead_beef;

/// A key whose bytes differ from those of other seeds.
pub(crate) fn key(suite: SrtpSuite, seed: u8) -> SrtpKey {
    let len = (suite.key_len() + suite.salt_len()) as u8;
    let bytes = (0..len).map(|byte| byte.wrapping_mul(7) ^ seed).collect();
    SrtpKey::new(suite, bytes).unwrap()
}

/// Both ends of one direction.
pub(crate) fn pair(suite: SrtpSuite) -> (Sealer, Opener) {
    let key = key(suite, 0x5a);
    (Sealer::new(&key).unwrap(), Opener::new(&key, 16).unwrap())
}

/// A plaintext RTP packet without CSRCs and extension.
pub(crate) fn rtp(ssrc: u32, sequence: u16, payload_len: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&0x0102_0304u32.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend((0..payload_len).map(|byte| byte as u8));
    packet
}

/// The same with two CSRCs and a one-byte extension; its header has 28 bytes.
pub(crate) fn rtp_with_extension(ssrc: u32, sequence: u16, payload_len: usize) -> Vec<u8> {
    let mut packet = rtp(ssrc, sequence, 0);
    packet[0] = 0x92;
    packet.extend_from_slice(&[1, 1, 1, 1, 2, 2, 2, 2]);
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0x42, 0, 0]);
    packet.extend((0..payload_len).map(|byte| byte as u8));
    packet
}

/// A receiver report with one block.
pub(crate) fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 7];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend(0..24);
    packet
}

/// `packet`, whose header has `header_len` bytes, sealed as `index`.
pub(crate) fn seal_rtp(sealer: &Sealer, packet: &[u8], header_len: usize, index: u64) -> Vec<u8> {
    let mut sealed = packet.to_vec();
    sealed.resize(packet.len() + sealer.rtp_overhead(), 0);
    let len = sealer.seal_rtp(&mut sealed, header_len, packet.len(), index);
    assert_eq!(len, Some(sealed.len()));
    sealed
}

/// A small packet of `ssrc`, sealed as `index`.
pub(crate) fn sealed_rtp(sealer: &Sealer, ssrc: u32, index: u64) -> Vec<u8> {
    seal_rtp(sealer, &rtp(ssrc, index as u16, 20), 12, index)
}

/// `packet` sealed under the sealer's next index.
pub(crate) fn seal_rtcp(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
    let mut sealed = packet.to_vec();
    sealed.resize(packet.len() + sealer.rtcp_overhead(), 0);
    let len = sealer.seal_rtcp(&mut sealed, packet.len());
    assert_eq!(len, Some(sealed.len()));
    sealed
}
