//! Any codec: layers by the dependency descriptor (AV1 RTP payload format, appendix A).

use weirgate_packet::payload::dependency_descriptor::{
    DependencyDescriptor, FrameDependencies, Indication, Indications, MAX_TEMPLATES,
    TemplateStructure,
};

use super::Units;
use crate::packet_layers::{Climb, FrameLayers, PacketLayers};
use crate::targets::{Layer, Targets};

/// The structure of a stream, and its templates in our terms.
#[derive(Debug)]
pub(super) struct Dependencies {
    structure: Option<Box<TemplateStructure>>,
    templates: [Roles; MAX_TEMPLATES],
    available: Targets,
}

/// What a frame is to all decode targets.
#[derive(Debug, Clone, Copy, Default)]
struct Roles {
    present: Targets,
    needed: Targets,
    switches: Targets,
}

impl Default for Dependencies {
    fn default() -> Self {
        Self {
            structure: None,
            templates: [Roles::default(); MAX_TEMPLATES],
            available: Targets::ALL,
        }
    }
}

/// The fields that need no structure.
pub(super) fn start(data: &[u8]) -> Option<DependencyDescriptor> {
    DependencyDescriptor::parse(data)
}

impl Dependencies {
    /// `None` where the frame's structure is not known.
    pub(super) fn read(
        &mut self,
        units: &mut Units,
        sequence: u64,
        data: &[u8],
    ) -> Option<PacketLayers> {
        let start = DependencyDescriptor::parse(data)?;
        let frame = FrameDependencies::parse(data, &mut self.structure)?;
        let structure = self.structure.as_deref()?;
        if start.has_structure {
            for (roles, template) in self.templates.iter_mut().zip(structure.templates()) {
                *roles = Roles::new(structure, template.indications);
            }
        }
        if let Some(active) = frame.active_decode_targets {
            self.available = targets(structure, |target| active >> target & 1 == 1);
        }
        let roles = match frame.has_own_indications {
            true => Roles::new(structure, frame.indications),
            false => self.templates[usize::from(frame.template_index)],
        };
        Some(PacketLayers {
            is_layered: true,
            begins_frame: start.start_of_frame,
            ends_frame: start.end_of_frame,
            frame: FrameLayers {
                unit: units.extend(sequence, start.frame_number, 16),
                picture: 0,
                layer: Layer::new(frame.spatial, frame.temporal),
                present: roles.present,
                needed: roles.needed,
                grants: roles.switches,
                climb: Climb::References,
                references: frame.references.near,
                has_far_references: frame.references.has_far,
                is_independent: frame.references.near == 0 && !frame.references.has_far,
                available: self.available,
            },
            ..PacketLayers::default()
        })
    }
}

impl Roles {
    fn new(structure: &TemplateStructure, indications: Indications) -> Self {
        let of = |wanted: fn(Indication) -> bool| {
            targets(structure, |target| wanted(indications.of(target)))
        };
        let present = of(|indication| indication != Indication::NotPresent);
        Self {
            present,
            needed: present.without(of(|indication| indication == Indication::Discardable)),
            switches: of(|indication| indication == Indication::Switch),
        }
    }
}

/// The structure's decode targets that pass, in our terms.
fn targets(structure: &TemplateStructure, passes: impl Fn(u8) -> bool) -> Targets {
    (0..structure.decode_targets())
        .filter(|&target| passes(target))
        .fold(Targets::NONE, |all, target| {
            let (spatial, temporal) = structure.target_layers(target);
            all.or(Targets::only(Layer::new(spatial, temporal)))
        })
}
