//! H.264 payloads of packetization modes 0 and 1 (RFC 6184 sections 5.6 to 5.8).

use crate::bytes::u16_at;

/// Type of a slice of a picture that refers to none before.
pub const NAL_IDR: u8 = 5;
/// Type of a sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// Type of a picture parameter set.
pub const NAL_PPS: u8 = 8;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const TYPE_MASK: u8 = 0x1f;
const START_BIT: u8 = 0x80;
const END_BIT: u8 = 0x40;

/// A NAL unit, or a fragment of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nal<'a> {
    /// NAL unit type, 1–23.
    pub nal_type: u8,
    /// `nal_ref_idc`, 0–3: 0 where no other picture refers to it.
    pub ref_idc: u8,
    /// The unit starts here.
    pub start: bool,
    /// The unit ends here.
    pub end: bool,
    /// Its bytes after the NAL header.
    pub data: &'a [u8],
}

/// The NAL units of a payload: one, those of a STAP-A, or the fragment of an FU-A.
pub const fn nals(payload: &[u8]) -> NalIter<'_> {
    NalIter {
        state: State::Payload(payload),
    }
}

/// Yields NAL units; ends at one that does not fit or whose type is for other modes.
#[derive(Debug, Clone)]
pub struct NalIter<'a> {
    state: State<'a>,
}

#[derive(Debug, Clone)]
enum State<'a> {
    /// Nothing was read yet.
    Payload(&'a [u8]),
    /// What is left of a STAP-A; empty at the end.
    Aggregate(&'a [u8]),
}

impl<'a> Iterator for NalIter<'a> {
    type Item = Nal<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = match self.state {
            State::Aggregate(rest) => rest,
            State::Payload(payload) => {
                self.state = State::Aggregate(&[]);
                let (header, data) = payload.split_first()?;
                match header & TYPE_MASK {
                    STAP_A => data,
                    FU_A => return fragment(*header, data),
                    _ => return unit(payload),
                }
            }
        };
        let nal = aggregated(&mut rest);
        self.state = State::Aggregate(if nal.is_some() { rest } else { &[] });
        nal
    }
}

fn unit(bytes: &[u8]) -> Option<Nal<'_>> {
    let (header, data) = bytes.split_first()?;
    let nal_type = header & TYPE_MASK;
    (1..STAP_A).contains(&nal_type).then_some(Nal {
        nal_type,
        ref_idc: header >> 5 & 0x03,
        start: true,
        end: true,
        data,
    })
}

/// Takes the first unit of a STAP-A: two bytes of length, then the unit.
fn aggregated<'a>(rest: &mut &'a [u8]) -> Option<Nal<'a>> {
    let len = usize::from(u16_at(rest, 0)?);
    let (bytes, after) = rest[2..].split_at_checked(len)?;
    *rest = after;
    unit(bytes)
}

fn fragment(indicator: u8, bytes: &[u8]) -> Option<Nal<'_>> {
    let (header, data) = bytes.split_first()?;
    let nal_type = header & TYPE_MASK;
    (1..STAP_A).contains(&nal_type).then_some(Nal {
        nal_type,
        ref_idc: indicator >> 5 & 0x03,
        start: header & START_BIT != 0,
        end: header & END_BIT != 0,
        data,
    })
}

/// True where an IDR slice or a sequence parameter set starts in the payload.
pub(super) fn begins_key_frame(payload: &[u8]) -> bool {
    nals(payload).any(|nal| nal.start && matches!(nal.nal_type, NAL_IDR | NAL_SPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_units() {
        let payload = [0x65, 1, 2];
        let expected = Nal {
            nal_type: NAL_IDR,
            ref_idc: 3,
            start: true,
            end: true,
            data: &[1, 2],
        };
        assert_eq!(nals(&payload).collect::<Vec<_>>(), [expected]);
        assert!(begins_key_frame(&payload));
        assert!(begins_key_frame(&[0x67, 0x42]));
        assert!(!begins_key_frame(&[0x41, 1]), "slice of another picture");
        assert!(!begins_key_frame(&[0x68, 1]), "picture parameter set");
        assert!(!begins_key_frame(&[]));
    }

    #[test]
    fn units_of_an_aggregate() {
        let payload = [0x78, 0, 2, 0x67, 9, 0, 1, 0x68, 0, 3, 0x65, 1, 2];
        let types: Vec<_> = nals(&payload).map(|nal| nal.nal_type).collect();
        assert_eq!(types, [NAL_SPS, NAL_PPS, NAL_IDR]);
        assert!(begins_key_frame(&payload));
        assert!(begins_key_frame(&[0x78, 0, 1, 0x68, 0, 1, 0x65]));
        assert!(
            !begins_key_frame(&[0x78, 0, 1, 0x68, 0, 2, 0x65]),
            "over-long"
        );
        assert!(!begins_key_frame(&[0x78, 0, 0, 0, 1, 0x65]), "empty unit");
    }

    #[test]
    fn fragments() {
        assert!(begins_key_frame(&[0x7c, 0x85, 1]));
        assert!(!begins_key_frame(&[0x7c, 0x05, 1]), "middle");
        assert!(!begins_key_frame(&[0x7c, 0x45, 1]), "end");
        assert!(!begins_key_frame(&[0x7c, 0x81, 1]), "another picture");
        assert!(!begins_key_frame(&[0x7c]));
        let fragment = nals(&[0x5c, 0x41, 7]).next().unwrap();
        assert_eq!((fragment.nal_type, fragment.ref_idc), (1, 2));
        assert!(!fragment.start && fragment.end);
    }

    #[test]
    fn types_of_other_modes_have_no_units() {
        for kind in [0, 25, 26, 27, 29, 30, 31] {
            assert_eq!(nals(&[0x60 | kind, 0x85, 0, 1, 0x65]).count(), 0);
        }
        assert_eq!(nals(&[0x78, 0, 2, 0x78, 0x65, 0, 1, 0x65]).count(), 0);
    }
}
