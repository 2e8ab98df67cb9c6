//! Keys and packets.

use weirgate_wire::{SrtpKey, SrtpSuite};

/// Bytes of the header of [`rtp_packet`].
pub const RTP_HEADER_BYTES: usize = 20;

/// A plaintext RTP packet of `len` bytes as a browser sends them: a one-byte header extension of
/// one word with a transport-wide sequence number (id 3), then payload.
pub fn rtp_packet(ssrc: u32, sequence: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0x90, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&0x0102_0304u32.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x31, 0x12, 0x34, 0]);
    assert_eq!(packet.len(), RTP_HEADER_BYTES);
    packet.extend((RTP_HEADER_BYTES..len).map(|byte| byte as u8));
    packet
}

/// A key of `suite`; other seeds give other keys.
pub fn srtp_key(suite: SrtpSuite, seed: u8) -> SrtpKey {
    let len = (suite.key_len() + suite.salt_len()) as u8;
    SrtpKey {
        suite,
        key_and_salt: (0..len).map(|byte| byte.wrapping_mul(7) ^ seed).collect(),
    }
}
