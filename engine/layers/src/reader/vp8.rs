//! VP8: temporal layers by TID and the layer sync bit (RFC 7741 section 4.2).

use weirgate_packet::payload::{PictureId, vp8::Vp8Descriptor};

use super::{Incoming, Units};
use crate::packet_layers::{Climb, FrameLayers, PacketLayers, PictureNumber};
use crate::targets::{Layer, Targets};

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
