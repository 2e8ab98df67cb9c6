//! The mandatory fields of the dependency descriptor header extension (AV1 RTP payload format,
//! appendix A.8.2), which are readable where the payload is encrypted end to end.

use crate::bytes::u16_at;

/// The byte after the mandatory fields starts with the flags of the extended ones.
const EXTENDED_FLAGS_OFFSET: usize = 3;
const STRUCTURE_PRESENT_BIT: u8 = 0x80;

/// Start of a dependency descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// The first packet of a frame.
    pub start_of_frame: bool,
    /// The last packet of a frame.
    pub end_of_frame: bool,
    /// Template the frame is made after, 0–63.
    pub template_id: u8,
    /// Counts frames, modulo 65,536.
    pub frame_number: u16,
    /// A template dependency structure follows: only on the first packet of a key frame.
    pub has_structure: bool,
}

impl DependencyDescriptor {
    /// Offset of the two bytes of `frame_number` in the extension's data.
    pub const FRAME_NUMBER_OFFSET: usize = 1;

    /// From the data of the extension; `None` where it is under 3 bytes.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let frame_number = u16_at(data, Self::FRAME_NUMBER_OFFSET)?;
        let first = data[0];
        Some(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3f,
            frame_number,
            has_structure: data
                .get(EXTENDED_FLAGS_OFFSET)
                .is_some_and(|flags| flags & STRUCTURE_PRESENT_BIT != 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mandatory_fields_and_the_structure_flag() {
        let mut expected = DependencyDescriptor {
            start_of_frame: true,
            end_of_frame: false,
            template_id: 5,
            frame_number: 0x0102,
            has_structure: false,
        };
        assert_eq!(DependencyDescriptor::parse(&[0x85, 1, 2]), Some(expected));
        expected.has_structure = true;
        assert_eq!(
            DependencyDescriptor::parse(&[0x85, 1, 2, 0x80, 0]),
            Some(expected)
        );
        for len in 0..3 {
            assert_eq!(DependencyDescriptor::parse(&[0x85, 1, 2][..len]), None);
        }
    }
}
