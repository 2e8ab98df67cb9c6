//! RTP packets (RFC 3550) with their header extensions (RFC 8285).

mod extension;
mod sequence;
mod template;
mod write;

pub use extension::{ExtensionForm, ExtensionIter};
pub use sequence::{SequenceExtender, TimestampExtender};
pub use template::RtpTemplate;
pub use write::{RtpWriter, RtpWritten};

use crate::bytes::{array_at, u16_at, u32_at};

/// Bytes of the header without CSRCs and extensions.
pub const FIXED_HEADER_LEN: usize = 12;

const VERSION: u8 = 2;
const PADDING_BIT: u8 = 0x20;
const EXTENSION_BIT: u8 = 0x10;
const MARKER_BIT: u8 = 0x80;
/// Profile and length of the extension block.
const EXTENSION_HEADER_LEN: usize = 4;

/// A plaintext RTP packet whose CSRCs, extension block and padding lie inside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct RtpPacket<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; FIXED_HEADER_LEN],
    header_len: usize,
    padding_len: usize,
}

impl<'a> RtpPacket<'a> {
    /// `None` where version, CSRC count, extension length or padding contradict the bytes.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header_len = header_len(bytes)?;
        let fixed = bytes.first_chunk()?;
        let padding_len = if fixed[0] & PADDING_BIT != 0 {
            usize::from(*bytes.last()?)
        } else {
            0
        };
        // RFC 3550 section 5.1: the count includes itself, so a set bit with a count of 0 is wrong.
        let counts_itself = fixed[0] & PADDING_BIT == 0 || padding_len > 0;
        (counts_itself && padding_len <= bytes.len() - header_len).then_some(Self {
            bytes,
            fixed,
            header_len,
            padding_len,
        })
    }

    /// The marker bit.
    pub const fn marker(&self) -> bool {
        self.fixed[1] & MARKER_BIT != 0
    }

    /// Payload type, 0–127.
    pub const fn payload_type(&self) -> u8 {
        self.fixed[1] & !MARKER_BIT
    }

    /// Sequence number.
    pub const fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// RTP timestamp, in units of the codec's clock.
    pub const fn timestamp(&self) -> u32 {
        let f = self.fixed;
        u32::from_be_bytes([f[4], f[5], f[6], f[7]])
    }

    /// Synchronization source.
    pub const fn ssrc(&self) -> u32 {
        let f = self.fixed;
        u32::from_be_bytes([f[8], f[9], f[10], f[11]])
    }

    /// Bytes before the payload: fixed header, CSRCs, extension block.
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// The payload without padding.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_len..self.bytes.len() - self.padding_len]
    }

    /// Bytes of padding at the end, its count included.
    pub const fn padding_len(&self) -> usize {
        self.padding_len
    }

    /// Header extensions in their order; none where the profile is not one of RFC 8285.
    pub fn extensions(&self) -> ExtensionIter<'a> {
        let block_start = csrc_end(self.fixed[0]);
        if self.fixed[0] & EXTENSION_BIT == 0 {
            return ExtensionIter::empty();
        }
        let Some(profile) = u16_at(self.bytes, block_start) else {
            return ExtensionIter::empty();
        };
        let data = block_start + EXTENSION_HEADER_LEN;
        self.bytes
            .get(data..self.header_len)
            .map_or_else(ExtensionIter::empty, |block| {
                ExtensionIter::new(profile, block)
            })
    }
}

/// Bytes before the payload of an RTP packet, encrypted or not; `None` where they are not all
/// there or the version is not 2. Padding is not looked at, as SRTP encrypts it.
pub fn header_len(bytes: &[u8]) -> Option<usize> {
    let fixed: &[u8; FIXED_HEADER_LEN] = bytes.first_chunk()?;
    if fixed[0] >> 6 != VERSION {
        return None;
    }
    let mut len = csrc_end(fixed[0]);
    if fixed[0] & EXTENSION_BIT != 0 {
        let words = u16_at(bytes, len + 2)?;
        len += EXTENSION_HEADER_LEN + usize::from(words) * 4;
    }
    (len <= bytes.len()).then_some(len)
}

/// The SSRC of an RTP packet, encrypted or not; `None` where the fixed header is not all there.
pub fn ssrc(bytes: &[u8]) -> Option<u32> {
    u32_at(bytes, 8)
}

/// The sequence number of an RTP packet, encrypted or not; `None` where the fixed header is not
/// all there.
pub fn sequence(bytes: &[u8]) -> Option<u16> {
    let fixed: [u8; FIXED_HEADER_LEN] = array_at(bytes, 0)?;
    Some(u16::from_be_bytes([fixed[2], fixed[3]]))
}

const fn csrc_end(first: u8) -> usize {
    FIXED_HEADER_LEN + (first & 0x0f) as usize * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CSRCs, a one-byte extension block with ids 1 and 3, payload of 3 bytes, padding of 4.
    const PACKET: [u8; 43] = [
        0xb2, 0xe0, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xca, 0xfe, 0xba, 0xbe, // fixed
        0, 0, 0, 1, 0, 0, 0, 2, // CSRCs
        0xbe, 0xde, 0x00, 0x03, // three words of extensions
        0x10, 0x30, 0x00, 0x00, 0x32, 0xaa, 0xbb, 0xcc, 0xf0, 0x11, 0x22, 0x33, // id 15 ends
        9, 8, 7, // payload
        0, 0, 0, 4, // padding
    ];

    #[test]
    fn every_field_is_read() {
        let packet = RtpPacket::parse(&PACKET).unwrap();
        assert!(packet.marker());
        assert_eq!(packet.payload_type(), 96);
        assert_eq!(packet.sequence(), 0x1234);
        assert_eq!(packet.timestamp(), 0x0102_0304);
        assert_eq!(packet.ssrc(), 0xcafe_babe);
        assert_eq!(packet.header_len(), 36);
        assert_eq!(packet.payload(), [9, 8, 7]);
        assert_eq!(packet.padding_len(), 4);
        let extensions: Vec<_> = packet.extensions().collect();
        assert_eq!(extensions, [(1, &[0x30][..]), (3, &[0xaa, 0xbb, 0xcc][..])]);
        assert_eq!(header_len(&PACKET), Some(36));
        assert_eq!(ssrc(&PACKET), Some(0xcafe_babe));
        assert_eq!(sequence(&PACKET), Some(0x1234));
    }

    #[test]
    fn a_header_that_is_cut_is_refused() {
        for len in 0..36 {
            assert!(RtpPacket::parse(&PACKET[..len]).is_none(), "{len} bytes");
            assert!(header_len(&PACKET[..len]).is_none(), "{len} bytes");
        }
        assert_eq!(header_len(&PACKET[..36]), Some(36));
    }

    #[test]
    fn padding_that_counts_nothing_or_more_than_there_is_is_refused() {
        let mut bytes = PACKET;
        for (count, valid) in [(0, false), (1, true), (7, true), (8, false), (255, false)] {
            bytes[42] = count;
            assert_eq!(RtpPacket::parse(&bytes).is_some(), valid, "count {count}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = PACKET;
        bytes[0] = 0x72;
        assert!(RtpPacket::parse(&bytes).is_none());
    }
}
