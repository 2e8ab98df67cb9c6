//! What changes inside of payloads: the numbers that VP8 and VP9 keep in their descriptors are
//! counted anew, and the layers of an AV1 picture are joined.

use crate::packet_layers::{PacketLayers, PictureNumber};
use crate::splices::Place;

const LONG_BIT: u8 = 0x80;
const AV1_CONTINUES_PREVIOUS: u8 = 0x80;
const AV1_CONTINUES_NEXT: u8 = 0x40;
const AV1_COUNT_SHIFT: u8 = 4;
const AV1_COUNT_MASK: u8 = 0x30;
const AV1_NEW_SEQUENCE: u8 = 0x08;

/// Writes the outgoing picture id and TL0PICIDX over those in a copy of the packet's payload, in
/// the width they have there. Payloads without them, or shorter than the packet's, stay as they
/// are.
#[inline]
pub fn rewrite(payload: &mut [u8], layers: &PacketLayers, place: &Place) {
    let [high, low] = (place.picture as u16).to_be_bytes();
    match layers.picture_number {
        PictureNumber::None => {}
        PictureNumber::Short(offset) => {
            if let Some(byte) = payload.get_mut(usize::from(offset)) {
                *byte = low & !LONG_BIT;
            }
        }
        PictureNumber::Long(offset) => {
            let place = payload.get_mut(usize::from(offset)..);
            if let Some(place) = place.and_then(|rest| rest.first_chunk_mut()) {
                *place = [high | LONG_BIT, low];
            }
        }
    }
    if let Some((offset, _)) = layers.tl0
        && let Some(byte) = payload.get_mut(usize::from(offset))
    {
        *byte = place.tl0;
    }
}

/// What goes in place of the first byte of the payload, the AV1 aggregation header, where frames of
/// a picture are to be joined, and how many bytes that are: none where the payload stays as it is.
///
/// Receivers that do not get the dependency descriptor take every spatial layer for a frame of its
/// own, and fail. So the upper layer is written as going on the lower one: with an empty fragment
/// of its last OBU in front, which adds nothing to it.
#[inline]
pub fn joined_header(payload: &[u8], place: &Place) -> ([u8; 2], usize) {
    let joins = place.joins_previous || place.joins_next;
    let Some(&header) = payload.first().filter(|_| joins) else {
        return ([0; 2], 0);
    };
    let next = if place.joins_next {
        AV1_CONTINUES_NEXT
    } else {
        0
    };
    let count = (header & AV1_COUNT_MASK) >> AV1_COUNT_SHIFT;
    // Three elements would have to be counted anew, with the length of the last.
    let joins_previous = place.joins_previous && header & AV1_CONTINUES_PREVIOUS == 0 && count < 3;
    if !joins_previous {
        return ([header | next, 0], usize::from(place.joins_next));
    }
    let count = if count == 0 { 0 } else { count + 1 };
    let kept = header & !(AV1_COUNT_MASK | AV1_NEW_SEQUENCE);
    let header = kept | AV1_CONTINUES_PREVIOUS | next | count << AV1_COUNT_SHIFT;
    ([header, 0], 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        sequence: 0,
        timestamp: 0,
        marker: false,
        is_filler: false,
        joins_previous: false,
        joins_next: false,
        picture: 0,
        tl0: 0,
    };

    fn joined(header: u8, joins_previous: bool, joins_next: bool) -> Vec<u8> {
        let place = Place {
            joins_previous,
            joins_next,
            ..PLACE
        };
        let (bytes, len) = joined_header(&[header, 1, 2], &place);
        bytes[..len].to_vec()
    }

    #[test]
    fn an_upper_layer_goes_on_the_lower_one() {
        assert_eq!(joined(0x10, false, false), []);
        assert_eq!(joined(0x10, false, true), [0x50], "the lower one's end");
        assert_eq!(
            joined(0x10, true, false),
            [0xa0, 0],
            "one element more, empty"
        );
        assert_eq!(
            joined(0x58, true, true),
            [0xe0, 0],
            "no new sequence inside"
        );
        assert_eq!(joined(0x00, true, false), [0x80, 0], "all have lengths");
        assert_eq!(joined(0x30, true, false), [], "no room to count");
    }
}
