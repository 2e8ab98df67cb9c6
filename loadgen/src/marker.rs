//! What a sent packet's payload says of itself, so that its receiver can tell what became of it.
//!
//! A payload is a codec's descriptor as browsers write it, then the marker, then filler. The
//! checksum covers marker and filler.

/// Bytes of a marker.
pub const MARKER_BYTES: usize = 40;

const MAGIC: u32 = 0x5745_4952;
const CHECKSUM_AT: usize = MARKER_BYTES - 4;

/// Says which packet this is and when it was meant to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The stream, unique among all senders of a run.
    pub stream: u32,
    /// Position in the stream, counted from 0 without gaps.
    pub index: u64,
    /// When the schedule meant it to leave ([`crate::clock::now_ns`]).
    pub intended_ns: u64,
    /// Frame it belongs to, counted from 0.
    pub frame: u32,
    /// RTP timestamp its sender gave it.
    pub timestamp: u32,
    /// It is part of a key frame.
    pub key_frame: bool,
}

/// Why a payload is not one of ours as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// Too short, or does not begin with the magic number.
    #[error("payload carries no marker")]
    NotMarked,
    /// Changed on its way.
    #[error("payload checksum is wrong")]
    Checksum,
}

impl Marker {
    /// Appends the marker and filler, so that `out` grows by `len` bytes, at least
    /// [`MARKER_BYTES`].
    pub fn write(&self, len: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.intended_ns.to_be_bytes());
        out.extend_from_slice(&self.frame.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&u32::from(self.key_frame).to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        debug_assert_eq!(out.len() - start, MARKER_BYTES);
        // Filler that differs from packet to packet, so that swapped payloads are noticed.
        let mut filler = self.index ^ (u64::from(self.stream) << 32);
        while out.len() - start < len {
            filler = filler
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let left = len - (out.len() - start);
            let chunk = filler.to_be_bytes();
            out.extend_from_slice(&chunk[..left.min(chunk.len())]);
        }
        let sum = checksum(&out[start..]);
        out[start + CHECKSUM_AT..start + MARKER_BYTES].copy_from_slice(&sum.to_be_bytes());
    }

    /// Reads and checks what [`Self::write`] wrote.
    pub fn read(bytes: &[u8]) -> Result<Self, MarkerError> {
        let Some(fixed) = bytes.first_chunk::<MARKER_BYTES>() else {
            return Err(MarkerError::NotMarked);
        };
        let word = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let long = |at: usize| (u64::from(word(at)) << 32) | u64::from(word(at + 4));
        if word(0) != MAGIC {
            return Err(MarkerError::NotMarked);
        }
        if word(CHECKSUM_AT) != checksum(bytes) {
            return Err(MarkerError::Checksum);
        }
        Ok(Self {
            stream: word(4),
            index: long(8),
            intended_ns: long(16),
            frame: word(24),
            timestamp: word(28),
            key_frame: word(32) != 0,
        })
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]);
    hasher.update(&bytes[MARKER_BYTES..]);
    hasher.finalize()
}

/// How a codec's payload begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadFormat {
    /// RFC 7587: no descriptor, a table-of-contents byte.
    Opus,
    /// RFC 7741, with a 15-bit picture id, and the frame's own header in its first packet.
    Vp8,
}

/// Where a packet stands in its frame.
#[derive(Debug, Clone, Copy)]
pub struct FramePosition {
    /// Frame number.
    pub frame: u32,
    /// It is the frame's first packet.
    pub first: bool,
    /// The frame is a key frame.
    pub key_frame: bool,
    /// Lines of the picture, which is 16 by 9.
    pub height: u16,
}

impl PayloadFormat {
    /// The most bytes [`Self::write`] can append.
    pub const MAX_BYTES: usize = 14;

    /// Appends descriptor and frame header.
    pub fn write(self, position: FramePosition, out: &mut Vec<u8>) {
        match self {
            Self::Opus => out.push(0x78),
            Self::Vp8 => {
                let [.., high, low] = position.frame.to_be_bytes();
                out.extend_from_slice(&[0x80 | (u8::from(position.first) << 4), 0x80]);
                out.extend_from_slice(&[0x80 | high, low]);
                match (position.first, position.key_frame) {
                    // Frame tag, start code, size (RFC 6386 section 9.1).
                    (true, true) => {
                        let width = u32::from(position.height) * 16 / 9;
                        out.extend_from_slice(&[0x10, 0, 0, 0x9d, 0x01, 0x2a]);
                        out.extend_from_slice(&(width as u16).to_le_bytes());
                        out.extend_from_slice(&position.height.to_le_bytes());
                    }
                    (true, false) => out.extend_from_slice(&[0x11, 0, 0]),
                    (false, _) => {}
                }
            }
        }
    }

    /// Offset of the marker in a payload, `None` where the payload is not of this format.
    pub fn skip(self, payload: &[u8]) -> Option<usize> {
        match self {
            Self::Opus => (!payload.is_empty()).then_some(1),
            Self::Vp8 => {
                let &[first, 0x80, _, _, ..] = payload else {
                    return None;
                };
                if first & 0x10 == 0 {
                    return Some(4);
                }
                let key_frame = payload.get(4)? & 1 == 0;
                Some(if key_frame { 14 } else { 7 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: Marker = Marker {
        stream: 3,
        index: u64::MAX - 1,
        intended_ns: 12_345_678_901_234,
        frame: 77,
        timestamp: 0xffff_fff0,
        key_frame: true,
    };

    #[test]
    fn a_marker_survives_and_any_changed_bit_is_seen() {
        for len in [MARKER_BYTES, 41, 1150] {
            let mut bytes = Vec::new();
            MARKER.write(len, &mut bytes);
            assert_eq!(bytes.len(), len);
            assert_eq!(Marker::read(&bytes), Ok(MARKER));
            for bit in 0..len * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(Marker::read(&changed).is_err(), "bit {bit} of {len} bytes");
            }
            assert!(Marker::read(&bytes[..MARKER_BYTES - 1]).is_err());
        }
    }

    #[test]
    fn descriptors_are_skipped_as_they_were_written() {
        for format in [PayloadFormat::Opus, PayloadFormat::Vp8] {
            for (first, key_frame) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut payload = Vec::new();
                format.write(
                    FramePosition {
                        frame: 40_000,
                        first,
                        key_frame,
                        height: 180,
                    },
                    &mut payload,
                );
                let len = payload.len();
                assert!(len <= PayloadFormat::MAX_BYTES);
                payload.extend_from_slice(&[0; 50]);
                assert_eq!(
                    format.skip(&payload),
                    Some(len),
                    "{format:?} {first} {key_frame}"
                );
            }
        }
    }
}
