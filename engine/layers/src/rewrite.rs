//! The numbers that VP8 and VP9 keep in their payload descriptors, counted anew.

use crate::packet_layers::{PacketLayers, PictureNumber};
use crate::splices::Place;

const LONG_BIT: u8 = 0x80;

/// Writes the outgoing picture id and TL0PICIDX over those in a copy of the packet's payload, in
/// the width they have there. Payloads without them, or shorter than the packet's, stay as they
/// are.
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
