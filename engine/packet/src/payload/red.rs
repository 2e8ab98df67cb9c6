//! RED, redundant audio (RFC 2198): the headers of older blocks, the header of the primary one, then
//! the blocks in the same order. Headers name payload types, which differ from leg to leg.

/// A packet with more blocks is not understood; senders use one or two, browsers at most ten.
pub const MAX_BLOCKS: usize = 16;

/// Header of a block that is not the last: type, 14 bits of time offset, 10 bits of length.
const REDUNDANT_HEADER_BYTES: usize = 4;
const PRIMARY_HEADER_BYTES: usize = 1;
/// "F": another header follows.
const FOLLOWED: u8 = 0x80;
const PAYLOAD_TYPE: u8 = 0x7f;

/// The primary block, which is of the packet's own time: its payload type and its bytes.
pub fn primary(payload: &[u8]) -> Option<(u8, &[u8])> {
    let layout = Layout::read(payload)?;
    let header = *payload.get(layout.primary_header)?;
    Some((header & PAYLOAD_TYPE, payload.get(layout.primary_block..)?))
}

/// Gives every block the payload type that `map` has for its own. A payload that is not understood,
/// or has a type without another, stays as it is: false.
pub fn rewrite(payload: &mut [u8], map: impl Fn(u8) -> Option<u8>) -> bool {
    let Some(layout) = Layout::read(payload) else {
        return false;
    };
    let headers = || (0..=layout.primary_header).step_by(REDUNDANT_HEADER_BYTES);
    let mapped = |payload: &[u8], header: usize| {
        let payload_type = payload.get(header)? & PAYLOAD_TYPE;
        map(payload_type).filter(|&mapped| mapped <= PAYLOAD_TYPE)
    };
    if headers().any(|header| mapped(payload, header).is_none()) {
        return false;
    }
    for header in headers() {
        let payload_type = mapped(payload, header);
        if let (Some(payload_type), Some(byte)) = (payload_type, payload.get_mut(header)) {
            *byte = (*byte & FOLLOWED) | payload_type;
        }
    }
    true
}

/// Where things are; all inside the payload.
struct Layout {
    /// Offset of the primary block's header; each header before it is of a redundant block.
    primary_header: usize,
    /// Offset of the primary block.
    primary_block: usize,
}

impl Layout {
    fn read(payload: &[u8]) -> Option<Self> {
        let mut header = 0;
        let mut redundant_bytes = 0;
        for _ in 0..MAX_BLOCKS {
            if payload.get(header)? & FOLLOWED == 0 {
                let primary_block = header + PRIMARY_HEADER_BYTES + redundant_bytes;
                return (primary_block <= payload.len()).then_some(Self {
                    primary_header: header,
                    primary_block,
                });
            }
            let &[_, _, high, low] = payload.get(header..)?.first_chunk()?;
            redundant_bytes += usize::from(u16::from_be_bytes([high & 0x03, low]));
            header += REDUNDANT_HEADER_BYTES;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A payload of `blocks`, `(payload type, bytes)` each, the primary one last.
    fn red(blocks: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut payload = Vec::new();
        let (primary, redundant) = blocks.split_last().unwrap();
        for (index, (payload_type, data)) in redundant.iter().enumerate() {
            let offset = 960 * (redundant.len() - index) as u32;
            let rest = (offset << 10) | data.len() as u32;
            payload.push(0x80 | payload_type);
            payload.extend_from_slice(&rest.to_be_bytes()[1..]);
        }
        payload.push(primary.0);
        payload.extend(blocks.iter().flat_map(|(_, data)| data));
        payload
    }

    fn blocks() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let block = (0..128_u8, prop::collection::vec(any::<u8>(), 0..300));
        prop::collection::vec(block, 1..=MAX_BLOCKS)
    }

    #[test]
    fn a_packet_byte_by_byte() {
        // Opus of type 111, one block of 3 bytes 960 before, one of 2 bytes now.
        let mut payload = [0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2, 3, 4, 5];
        assert_eq!(primary(&payload), Some((111, &[4, 5][..])));
        assert!(rewrite(&mut payload, |from| (from == 111).then_some(100)));
        assert_eq!(payload, [0xe4, 0x0f, 0x00, 0x03, 0x64, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_is_not_understood_stays() {
        let too_many = [&[0xef, 0, 0, 0].repeat(MAX_BLOCKS)[..], &[0x6f]].concat();
        for payload in [
            &[][..],
            &[0xef],
            &[0xef, 0x0f, 0x00],
            &[0xef, 0x0f, 0x00, 0x03],
            &[0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2],
            &too_many,
        ] {
            let mut copy = payload.to_vec();
            assert!(!rewrite(&mut copy, |_| Some(100)));
            assert_eq!(copy, payload);
            assert_eq!(primary(payload), None);
        }
    }

    proptest! {
        #[test]
        fn types_change_and_nothing_else(blocks in blocks(), by in 0..128_u8) {
            let mut payload = red(&blocks);
            prop_assert!(rewrite(&mut payload, |from| Some(from ^ by)));
            let renumbered: Vec<_> = blocks.iter().map(|(pt, data)| (pt ^ by, data.clone())).collect();
            prop_assert_eq!(&payload, &red(&renumbered));
            let (payload_type, data) = renumbered.last().unwrap();
            prop_assert_eq!(primary(&payload), Some((*payload_type, &data[..])));
        }

        #[test]
        fn one_type_without_another_leaves_all(blocks in blocks()) {
            let mut payload = red(&blocks);
            let unknown = blocks[0].0;
            prop_assert!(!rewrite(&mut payload, |from| (from != unknown).then_some(1)));
            prop_assert_eq!(payload, red(&blocks));
        }

        #[test]
        fn any_bytes_are_taken(mut payload in prop::collection::vec(any::<u8>(), 0..80)) {
            let before = payload.clone();
            let is_read = primary(&payload).is_some();
            prop_assert_eq!(rewrite(&mut payload, Some), is_read);
            prop_assert_eq!(payload, before);
        }
    }
}
