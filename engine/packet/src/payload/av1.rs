//! The AV1 aggregation header (AV1 RTP payload format, section 4.4).

/// The byte in front of every AV1 payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Av1AggregationHeader {
    /// Z: the first OBU element continues one of the packet before.
    pub continues_previous: bool,
    /// Y: the last OBU element goes on in the next packet.
    pub continues_next: bool,
    /// W: number of OBU elements, 1–3; 0 where each has its length.
    pub obu_count: u8,
    /// N: a coded video sequence begins here.
    pub new_sequence: bool,
}

impl Av1AggregationHeader {
    /// `None` for an empty payload.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let byte = *payload.first()?;
        Some(Self {
            continues_previous: byte & 0x80 != 0,
            continues_next: byte & 0x40 != 0,
            obu_count: byte >> 4 & 0x03,
            new_sequence: byte & 0x08 != 0,
        })
    }
}

/// True where a coded video sequence begins, which no fragment of an earlier OBU can.
pub(super) fn begins_key_frame(payload: &[u8]) -> bool {
    Av1AggregationHeader::parse(payload)
        .is_some_and(|header| header.new_sequence && !header.continues_previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header() {
        assert_eq!(
            Av1AggregationHeader::parse(&[0x68, 0x0a]),
            Some(Av1AggregationHeader {
                continues_previous: false,
                continues_next: true,
                obu_count: 2,
                new_sequence: true,
            })
        );
        assert_eq!(Av1AggregationHeader::parse(&[]), None);
    }

    #[test]
    fn where_key_frames_begin() {
        assert!(begins_key_frame(&[0x08, 0x0a]));
        assert!(!begins_key_frame(&[0x10, 0x0a]));
        assert!(!begins_key_frame(&[0x88, 0x0a]), "contradicts itself");
        assert!(!begins_key_frame(&[]));
    }
}
