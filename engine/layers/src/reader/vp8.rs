//! VP8: temporal layers by TID and the layer sync bit (RFC 7741 section 4.2).

use weirgate_packet::payload::{self, PictureId, vp8::Vp8Descriptor};
use weirgate_wire::Codec;

use super::{Incoming, Units};
use crate::packet_layers::{Climb, FrameLayers, PacketLayers, PictureNumber};
use crate::targets::{Layer, Targets};

/// Stands in the header of every key frame (RFC 6386 section 9.1), and where.
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];
const START_CODE_AT: usize = 3;

/// Where key frames begin, as far as that can be told where frames may be encrypted end to end: their headers
/// say anything then.
#[derive(Debug, Default)]
pub(super) struct KeyFrames {
    /// Headers can be read, by the last one that says to be a key frame's.
    is_clear: bool,
    /// Key frames have the layer sync bit.
    have_sync: bool,
}

impl KeyFrames {
    /// Whether this packet does.
    pub(super) fn begins_key_frame(&mut self, payload: &[u8]) -> bool {
        let says_so = payload::is_key_frame(Codec::Vp8, payload);
        let Some(descriptor) = Vp8Descriptor::parse(payload).filter(Vp8Descriptor::begins_frame)
        else {
            return false;
        };
        if says_so {
            let frame = payload.get(descriptor.len + START_CODE_AT..);
            self.is_clear = frame.is_some_and(|frame| frame.starts_with(&START_CODE));
            self.have_sync |= self.is_clear && descriptor.layer_sync;
        }
        match descriptor.temporal_layer {
            _ if self.is_clear => says_so,
            // Of the base layer only a key frame refers to no frame before (RFC 7741 section 4.2).
            Some(0) if descriptor.layer_sync => {
                self.have_sync = true;
                true
            }
            Some(0) => says_so && !self.have_sync,
            Some(_) => false,
            None => says_so,
        }
    }
}

/// `is_key` where the packet begins a key frame.
pub(super) fn read(units: &mut Units, packet: &Incoming<'_>, is_key: bool) -> PacketLayers {
    let Some(descriptor) = Vp8Descriptor::parse(packet.payload) else {
        return PacketLayers::default();
    };
    let mut layers = PacketLayers {
        begins_frame: descriptor.begins_frame(),
        ends_frame: packet.marker,
        picture_number: picture_number(descriptor.picture_id),
        tl0: small(descriptor.tl0_pic_idx_offset).zip(descriptor.tl0_pic_idx),
        ..PacketLayers::default()
    };
    let Some(picture_id) = descriptor.picture_id else {
        return layers;
    };
    layers.frame.unit = extend(units, packet.sequence, picture_id);
    let Some(temporal) = descriptor.temporal_layer else {
        return layers;
    };
    let layer = Layer::new(0, temporal);
    let present = Targets::row_from(layer);
    let (grants, climb) = match (is_key, descriptor.layer_sync) {
        (true, _) => (present, Climb::References),
        // It refers to the base layer alone, but those between may not.
        (false, true) if temporal > 0 => (Targets::only(layer), Climb::Temporal),
        _ => (Targets::NONE, Climb::References),
    };
    layers.is_layered = true;
    layers.counts_pictures = true;
    layers.frame = FrameLayers {
        layer,
        present,
        needed: match descriptor.non_reference {
            true => Targets::NONE,
            false => present,
        },
        grants,
        climb,
        is_independent: is_key,
        available: Targets::ALL,
        ..layers.frame
    };
    layers
}

pub(super) fn picture_number(picture_id: Option<PictureId>) -> PictureNumber {
    let Some(id) = picture_id else {
        return PictureNumber::None;
    };
    match (small(Some(id.offset)), id.long) {
        (Some(offset), true) => PictureNumber::Long(offset),
        (Some(offset), false) => PictureNumber::Short(offset),
        (None, _) => PictureNumber::None,
    }
}

pub(super) fn extend(units: &mut Units, sequence: u64, id: PictureId) -> u64 {
    units.extend(sequence, id.value, if id.long { 15 } else { 7 })
}

/// Descriptors are short: their offsets fit.
pub(super) fn small(offset: Option<usize>) -> Option<u8> {
    offset.and_then(|offset| offset.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet that begins a frame: a descriptor with TID and Y, and the frame's first bytes.
    fn frame(temporal: u8, sync: bool, header: [u8; 6]) -> Vec<u8> {
        let mut payload = vec![0x90, 0x20, temporal << 6 | u8::from(sync) << 5];
        payload.extend_from_slice(&header);
        payload
    }

    const KEY: [u8; 6] = [0x10, 0, 0, 0x9d, 0x01, 0x2a];
    const DELTA: [u8; 6] = [0x11, 0, 0, 1, 2, 3];
    /// Encrypted: the first byte says key frame, or not.
    const LIKE_KEY: [u8; 6] = [0x42, 1, 2, 3, 4, 5];
    const LIKE_DELTA: [u8; 6] = [0x43, 1, 2, 3, 4, 5];

    #[test]
    fn frames_in_the_clear_say_what_they_are() {
        let mut frames = KeyFrames::default();
        assert!(frames.begins_key_frame(&frame(0, false, KEY)));
        assert!(!frames.begins_key_frame(&frame(0, false, DELTA)));
        // A wrong bit of the descriptor does not count against them.
        assert!(!frames.begins_key_frame(&frame(0, true, DELTA)));
        assert!(frames.begins_key_frame(&frame(0, false, KEY)));
        let mut cut = frame(0, true, KEY);
        cut[0] = 0x80;
        assert!(!frames.begins_key_frame(&cut), "inside of a frame");
    }

    #[test]
    fn encrypted_frames_are_told_by_their_descriptor() {
        let mut frames = KeyFrames::default();
        for header in [LIKE_KEY, LIKE_DELTA] {
            assert!(frames.begins_key_frame(&frame(0, true, header)));
            assert!(!frames.begins_key_frame(&frame(0, false, header)));
            assert!(!frames.begins_key_frame(&frame(1, true, header)));
            assert!(!frames.begins_key_frame(&frame(2, false, header)));
        }
    }

    #[test]
    fn encryption_may_begin_and_end_at_any_time() {
        let mut frames = KeyFrames::default();
        assert!(frames.begins_key_frame(&frame(0, true, KEY)));
        assert!(!frames.begins_key_frame(&frame(2, false, LIKE_KEY)));
        assert!(!frames.begins_key_frame(&frame(0, false, LIKE_KEY)));
        assert!(frames.begins_key_frame(&frame(0, true, LIKE_DELTA)));
        assert!(frames.begins_key_frame(&frame(0, true, KEY)));
        assert!(!frames.begins_key_frame(&frame(0, true, DELTA)));
    }

    #[test]
    fn without_layers_in_the_descriptor_only_the_frame_tells() {
        let mut frames = KeyFrames::default();
        let begins = |frames: &mut KeyFrames, header: [u8; 6]| {
            let payload = [&[0x10][..], &header].concat();
            frames.begins_key_frame(&payload)
        };
        assert!(begins(&mut frames, KEY) && !begins(&mut frames, DELTA));
        assert!(begins(&mut frames, LIKE_KEY) && !begins(&mut frames, LIKE_DELTA));
    }
}
