//! The template dependency structure (appendix A.8.3): what the frames of a stream are made after,
//! from one key frame to the next that brings another.

use super::bits::Bits;

/// Most templates, by the width of the template id.
pub const MAX_TEMPLATES: usize = 64;
/// Most decode targets.
pub const MAX_DECODE_TARGETS: usize = 32;
/// Most chains: one for each decode target.
pub const MAX_CHAINS: usize = MAX_DECODE_TARGETS;
/// Spatial layers above this one are malformed.
const MAX_SPATIAL: u8 = 3;
/// Temporal layers above this one are malformed.
const MAX_TEMPORAL: u8 = 7;

/// What a frame is to a decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indication {
    /// No part of it.
    NotPresent,
    /// Part of it, and no other frame of it refers to this one.
    Discardable,
    /// Part of it; where this frame can be decoded, all later ones of the target can.
    Switch,
    /// Part of it, and others of it refer to this one.
    Required,
}

/// The indications of all decode targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indications(u64);

impl Indications {
    pub(super) fn read(bits: &mut Bits<'_>, decode_targets: u8) -> Option<Self> {
        let mut packed = 0;
        for target in 0..decode_targets {
            packed |= u64::from(bits.number(2)?) << (2 * target);
        }
        Some(Self(packed))
    }

    /// For the decode target with that index; not present beyond the last.
    pub const fn of(self, decode_target: u8) -> Indication {
        if decode_target as usize >= MAX_DECODE_TARGETS {
            return Indication::NotPresent;
        }
        match self.0 >> (2 * decode_target) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }
}

/// Frames that a frame refers to, by how many frames they are before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct References {
    /// Bit `n` stands for the frame `n + 1` before.
    pub near: u64,
    /// One is more than 64 frames before.
    pub has_far: bool,
}

impl References {
    pub(super) fn add(&mut self, minus_one: u32) {
        match minus_one {
            0..64 => self.near |= 1 << minus_one,
            _ => self.has_far = true,
        }
    }
}

/// A template: what most frames of a layer are like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Template {
    /// Spatial layer, 0–3.
    pub spatial: u8,
    /// Temporal layer, 0–7.
    pub temporal: u8,
    /// What the frame is to each decode target.
    pub indications: Indications,
    /// The frames it refers to.
    pub references: References,
    /// Four bits for each chain: how many frames before this one the chain's last frame is, 0 where
    /// the chain starts here.
    pub(super) chain_diffs: u128,
}

/// The structure of a stream. Under 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateStructure {
    id_offset: u8,
    decode_targets: u8,
    chains: u8,
    template_count: u8,
    protected_by: [u8; MAX_DECODE_TARGETS],
    layers: [(u8, u8); MAX_DECODE_TARGETS],
    templates: [Template; MAX_TEMPLATES],
}

impl TemplateStructure {
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let mut structure = Self {
            id_offset: bits.number(6)? as u8,
            decode_targets: bits.number(5)? as u8 + 1,
            chains: 0,
            template_count: 0,
            protected_by: [0; MAX_DECODE_TARGETS],
            layers: [(0, 0); MAX_DECODE_TARGETS],
            templates: [Template::default(); MAX_TEMPLATES],
        };
        structure.read_layers(bits)?;
        let count = usize::from(structure.template_count);
        for template in &mut structure.templates[..count] {
            template.indications = Indications::read(bits, structure.decode_targets)?;
        }
        for template in &mut structure.templates[..count] {
            while bits.flag()? {
                template.references.add(bits.number(4)?);
            }
        }
        structure.read_chains(bits)?;
        structure.find_target_layers();
        if bits.flag()? {
            // Width and height of every spatial layer, of 16 bits each.
            let spatial_layers = structure.templates[count - 1].spatial + 1;
            bits.skip(usize::from(spatial_layers) * 32)?;
        }
        Some(structure)
    }

    /// Number of decode targets, 1–32.
    pub const fn decode_targets(&self) -> u8 {
        self.decode_targets
    }

    /// Number of chains, 0–32.
    pub const fn chains(&self) -> u8 {
        self.chains
    }

    /// The chain that protects a decode target: while none of its frames is missing, the target can
    /// be decoded. `None` where there are no chains or no such target.
    pub const fn protecting_chain(&self, decode_target: u8) -> Option<u8> {
        if self.chains == 0 || decode_target >= self.decode_targets {
            return None;
        }
        Some(self.protected_by[decode_target as usize])
    }

    /// The highest spatial and temporal layer of a decode target, (0, 0) beyond the last.
    pub fn target_layers(&self, decode_target: u8) -> (u8, u8) {
        self.layers
            .get(usize::from(decode_target))
            .copied()
            .unwrap_or_default()
    }

    /// All templates in their order.
    pub fn templates(&self) -> &[Template] {
        &self.templates[..usize::from(self.template_count)]
    }

    /// The template that a frame names.
    pub fn template(&self, id: u8) -> Option<&Template> {
        self.templates().get(self.template_index(id))
    }

    /// Place among the templates of the one with that id; beyond the last where there is none.
    pub const fn template_index(&self, id: u8) -> usize {
        (id as usize + MAX_TEMPLATES - self.id_offset as usize) % MAX_TEMPLATES
    }

    fn read_layers(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let (mut spatial, mut temporal) = (0, 0);
        loop {
            let template = self.templates.get_mut(usize::from(self.template_count))?;
            (template.spatial, template.temporal) = (spatial, temporal);
            self.template_count += 1;
            match bits.number(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => return Some(()),
            }
            if spatial > MAX_SPATIAL || temporal > MAX_TEMPORAL {
                return None;
            }
        }
    }

    fn read_chains(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        self.chains = bits.below(u32::from(self.decode_targets) + 1)? as u8;
        if self.chains == 0 {
            return Some(());
        }
        for protected_by in &mut self.protected_by[..usize::from(self.decode_targets)] {
            *protected_by = bits.below(u32::from(self.chains))? as u8;
        }
        for template in &mut self.templates[..usize::from(self.template_count)] {
            for chain in 0..self.chains {
                template.chain_diffs |= u128::from(bits.number(4)?) << (4 * chain);
            }
        }
        Some(())
    }

    fn find_target_layers(&mut self) {
        for target in 0..self.decode_targets {
            let (mut spatial, mut temporal) = (0, 0);
            for template in &self.templates[..usize::from(self.template_count)] {
                if template.indications.of(target) != Indication::NotPresent {
                    spatial = spatial.max(template.spatial);
                    temporal = temporal.max(template.temporal);
                }
            }
            self.layers[usize::from(target)] = (spatial, temporal);
        }
    }
}
