//! VP9: spatial and temporal layers by the payload descriptor (RFC 9628 section 4.2).

use weirgate_packet::payload::vp9::{PictureGroup, Vp9Descriptor, Vp9Layer};

use super::vp8::{extend, picture_number, small};
use super::{Incoming, Units};
use crate::packet_layers::{Climb, FrameLayers, PacketLayers};
use crate::targets::{Layer, Targets};

/// What pictures of non-flexible mode refer to, as the scalability structure tells. The switching-up bit
/// does not: to some senders it speaks of the pictures after, to others, as older libwebrtc, of this one.
#[derive(Debug, Default)]
pub(super) struct Group {
    pictures: PictureGroup,
    /// The unit of the first one.
    start: u64,
}

/// Units before a picture to which it refers.
#[derive(Debug, Clone, Copy, Default)]
struct References {
    near: u64,
    has_far: bool,
}

/// `group` is what is known of the stream.
pub(super) fn read(
    units: &mut Units,
    group: &mut Option<Box<Group>>,
    packet: &Incoming<'_>,
) -> PacketLayers {
    let Some(descriptor) = Vp9Descriptor::parse(packet.payload) else {
        return PacketLayers::default();
    };
    let mut layers = PacketLayers {
        begins_frame: descriptor.frame_begin,
        ends_frame: descriptor.frame_end,
        picture_number: picture_number(descriptor.picture_id),
        tl0: small(descriptor.tl0_pic_idx_offset).zip(descriptor.tl0_pic_idx),
        ..PacketLayers::default()
    };
    let Some(picture_id) = descriptor.picture_id else {
        return layers;
    };
    layers.frame.unit = extend(units, packet.sequence, picture_id);
    let Some(indices) = descriptor.layer else {
        return layers;
    };
    let layer = Layer::new(indices.spatial, indices.temporal);
    let unit = layers.frame.unit;
    note_group(group, packet.payload, &descriptor, unit);
    // It goes along with higher layers even where none refers to it (k-SVC): senders leave those out
    // where they are short of bits, and then there is a picture all the same, and one to go on with.
    let present = Targets::from(layer);
    let needed = match descriptor.not_spatial_reference {
        true => Targets::row_from(layer),
        false => present,
    };
    let told = group
        .as_deref()
        .filter(|_| descriptor.inter_picture && !descriptor.flexible)
        .and_then(|group| group.references(unit, indices.temporal));
    let (grants, climb) = match told {
        Some(_) if layer.temporal > 0 => (Targets::of_temporal(layer).and(needed), Climb::Temporal),
        Some(_) => (Targets::NONE, Climb::References),
        None => grants(&descriptor, indices, layer, needed),
    };
    let references = told.unwrap_or_default();
    layers.is_layered = true;
    layers.frame = FrameLayers {
        layer,
        present,
        needed,
        grants,
        climb,
        references: references.near,
        has_far_references: references.has_far,
        is_independent: !descriptor.inter_picture,
        available: Targets::ALL,
        ..layers.frame
    };
    layers
}

/// Keeps the newest structure. One that was lost with the beginning of a key picture would be counted from
/// the wrong place.
fn note_group(
    group: &mut Option<Box<Group>>,
    payload: &[u8],
    descriptor: &Vp9Descriptor,
    unit: u64,
) {
    let is_newer = group.as_deref().is_none_or(|group| unit > group.start);
    if !is_newer {
        return;
    }
    let told = descriptor.structure.map(|at| payload.get(at..));
    match told.flatten().and_then(PictureGroup::parse) {
        Some(pictures) => {
            **group.get_or_insert_default() = Group {
                pictures,
                start: unit,
            };
        }
        None if !descriptor.inter_picture && descriptor.spatial_layer() == 0 => {
            if let Some(group) = group {
                group.pictures = PictureGroup::default();
            }
        }
        None => {}
    }
}

impl Group {
    /// `None` where it tells nothing of that picture.
    fn references(&self, unit: u64, temporal: u8) -> Option<References> {
        let ahead = unit.checked_sub(self.start)?;
        let pictures = self.pictures.pictures();
        let index = ahead.checked_rem(pictures.len() as u64)?;
        let picture = pictures
            .get(index as usize)
            .filter(|picture| picture.temporal == temporal)?;
        let mut references = References::default();
        for back in picture.references.into_iter().filter(|&back| back > 0) {
            match back {
                1..=64 => references.near |= 1 << (back - 1),
                _ => references.has_far = true,
            }
        }
        Some(references)
    }
}

/// What can be decoded from this frame on.
fn grants(
    descriptor: &Vp9Descriptor,
    indices: Vp9Layer,
    layer: Layer,
    needed: Targets,
) -> (Targets, Climb) {
    if !descriptor.inter_picture {
        // Layers above this one may go on with what they had, but for a key frame.
        let own = Targets::row_from(layer);
        return match (layer.spatial, indices.inter_layer) {
            (0, _) => (needed, Climb::References),
            (_, false) => (own, Climb::References),
            (_, true) => (own, Climb::Spatial),
        };
    }
    if !indices.switching_up {
        return (Targets::NONE, Climb::References);
    }
    // Later pictures of higher temporal layers refer to none of these layers before this one. In
    // flexible mode senders mean by the bit that this picture itself does not.
    let first = match descriptor.flexible && layer.temporal > 0 {
        true => layer.temporal,
        false => layer.temporal + 1,
    };
    if first > Layer::TOP.temporal {
        return (Targets::NONE, Climb::References);
    }
    let from = Targets::from(Layer::new(layer.spatial, first));
    (from.and(needed), Climb::Temporal)
}

#[cfg(test)]
mod tests {
    use weirgate_wire::Codec;

    use super::*;
    use crate::LayerReader;

    #[test]
    fn pictures_without_layers_are_counted_too() {
        let mut reader = LayerReader::default();
        let units = [0x7fff_u16, 0x8000, 0x8001].map(|id| {
            let [high, low] = id.to_be_bytes();
            // I, F, B and E; a picture id of 15 bits; P but for the first.
            let first = if id == 0x7fff { 0x9c } else { 0xdc };
            let payload = [first, high | 0x80, low, 1 << 1, 0];
            let layers = reader.read(&Incoming {
                codec: Codec::Vp9,
                sequence: u64::from(id),
                timestamp: u32::from(id) * 3000,
                marker: true,
                payload: &payload,
                descriptor: None,
            });
            assert!(!layers.is_layered);
            layers.frame.unit
        });
        assert_eq!([units[0] + 1, units[0] + 2], units[1..]);
    }
}
