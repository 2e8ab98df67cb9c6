//! The dependency descriptor header extension (AV1 RTP payload format, appendix A), which tells the
//! layers of any codec, and is readable where the payload is encrypted end to end.

mod bits;
mod structure;

pub use structure::{
    Indication, Indications, MAX_CHAINS, MAX_DECODE_TARGETS, MAX_TEMPLATES, References, Template,
    TemplateStructure,
};

use bits::Bits;

use crate::bytes::u16_at;

/// The byte after the mandatory fields starts with the flags of the extended ones.
const EXTENDED_FLAGS_OFFSET: usize = 3;
const STRUCTURE_PRESENT_BIT: u8 = 0x80;

/// Start of a dependency descriptor: the fields that need no structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// The first packet of a frame.
    pub start_of_frame: bool,
    /// The last packet of a frame.
    pub end_of_frame: bool,
    /// Template the frame is made after, 0–63.
    pub template_id: u8,
    /// Counts frames, modulo 65,536.
    pub frame_number: u16,
    /// A template dependency structure follows: only on the first packet of a key frame.
    pub has_structure: bool,
}

impl DependencyDescriptor {
    /// Offset of the two bytes of `frame_number` in the extension's data.
    pub const FRAME_NUMBER_OFFSET: usize = 1;

    /// From the data of the extension; `None` where it is under 3 bytes.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let frame_number = u16_at(data, Self::FRAME_NUMBER_OFFSET)?;
        let first = data[0];
        Some(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3f,
            frame_number,
            has_structure: data
                .get(EXTENDED_FLAGS_OFFSET)
                .is_some_and(|flags| flags & STRUCTURE_PRESENT_BIT != 0),
        })
    }
}

/// What a frame depends on and who depends on it: its template, changed by what the descriptor says
/// of this frame alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameDependencies {
    /// Spatial layer, 0–3.
    pub spatial: u8,
    /// Temporal layer, 0–7.
    pub temporal: u8,
    /// Place of its template among the structure's.
    pub template_index: u8,
    /// What the frame is to each decode target.
    pub indications: Indications,
    /// The indications are not the template's.
    pub has_own_indications: bool,
    /// The frames it refers to.
    pub references: References,
    /// How many frames before this one the last of each chain is; 0 where the chain starts here.
    pub chain_diffs: [u8; MAX_CHAINS],
    /// Decode targets that the sender makes from now on, a bit for each; `None` where nothing is
    /// said. A new structure makes all of them active.
    pub active_decode_targets: Option<u32>,
}

impl FrameDependencies {
    /// Reads a whole descriptor. Where it brings a structure, that one takes the place of
    /// `structure`, which is kept as it is by a descriptor that does not parse. `None` also where
    /// no structure is known yet, or the frame names a template that the structure does not have.
    pub fn parse(data: &[u8], structure: &mut Option<Box<TemplateStructure>>) -> Option<Self> {
        let start = DependencyDescriptor::parse(data)?;
        let mut bits = Bits::new(data.get(EXTENDED_FLAGS_OFFSET..)?);
        let flags = match data.len() {
            EXTENDED_FLAGS_OFFSET => Flags::default(),
            _ => Flags::read(&mut bits)?,
        };
        if !flags.structure {
            return Self::read(start, flags, &mut bits, structure.as_deref()?);
        }
        let fresh = TemplateStructure::read(&mut bits)?;
        let mut frame = Self::read(start, flags, &mut bits, &fresh)?;
        let all = u32::MAX >> (MAX_DECODE_TARGETS - usize::from(fresh.decode_targets()));
        frame.active_decode_targets.get_or_insert(all);
        match structure {
            Some(known) => **known = fresh,
            None => *structure = Some(Box::new(fresh)),
        }
        Some(frame)
    }

    fn read(
        start: DependencyDescriptor,
        flags: Flags,
        bits: &mut Bits<'_>,
        structure: &TemplateStructure,
    ) -> Option<Self> {
        let active_decode_targets = match flags.active_targets {
            true => Some(read_bitmask(bits, structure.decode_targets())?),
            false => None,
        };
        let template = structure.template(start.template_id)?;
        let mut frame = Self {
            spatial: template.spatial,
            temporal: template.temporal,
            template_index: structure.template_index(start.template_id) as u8,
            indications: template.indications,
            has_own_indications: flags.own_indications,
            references: template.references,
            chain_diffs: [0; MAX_CHAINS],
            active_decode_targets,
        };
        if flags.own_indications {
            frame.indications = Indications::read(bits, structure.decode_targets())?;
        }
        if flags.own_references {
            frame.references = read_references(bits)?;
        }
        let chains = &mut frame.chain_diffs[..usize::from(structure.chains())];
        for (chain, diff) in chains.iter_mut().enumerate() {
            *diff = match flags.own_chains {
                true => bits.number(8)? as u8,
                false => (template.chain_diffs >> (4 * chain) & 0x0f) as u8,
            };
        }
        Some(frame)
    }
}

/// The flags of the extended fields.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    structure: bool,
    active_targets: bool,
    own_indications: bool,
    own_references: bool,
    own_chains: bool,
}

impl Flags {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        Some(Self {
            structure: bits.flag()?,
            active_targets: bits.flag()?,
            own_indications: bits.flag()?,
            own_references: bits.flag()?,
            own_chains: bits.flag()?,
        })
    }
}

/// The first target is the last bit.
fn read_bitmask(bits: &mut Bits<'_>, decode_targets: u8) -> Option<u32> {
    bits.number(u32::from(decode_targets))
}

/// Each with its width in front, in units of four bits; 0 ends them.
fn read_references(bits: &mut Bits<'_>) -> Option<References> {
    let mut references = References::default();
    loop {
        match bits.number(2)? {
            0 => return Some(references),
            nibbles => references.add(bits.number(4 * nibbles)?),
        }
    }
}

#[cfg(test)]
mod tests;
