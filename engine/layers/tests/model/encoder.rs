//! A seeded encoder: frames of a layer structure, what each refers to, and packets of them.

use weirgate_wire::Codec;

use super::bits::BitWriter;
use super::rng::Rng;

/// How spatial layers refer to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Each to the one below it (L3T3).
    Always,
    /// In key pictures only (L3T3_KEY).
    KeyPictures,
    /// Never (S3T3).
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure {
    pub codec: Codec,
    pub spatial: u8,
    pub temporal: u8,
    pub between: Between,
    /// Flexible mode of VP9.
    pub flexible: bool,
    /// Non-flexible mode where the second T2 of a period refers to the first, too, and the switching-up bit
    /// is set where a picture refers to the base layer alone, as in older libwebrtc: only the group of
    /// pictures in the scalability structure tells where to go on.
    pub grouped: bool,
    /// Bits of VP8's and VP9's picture id.
    pub long_picture_id: bool,
    /// VP8 that is encrypted from end to end: there is a dependency descriptor, and beside it nothing in VP8's own,
    /// as libwebrtc has it.
    pub encrypted: bool,
}

impl Structure {
    pub const fn new(codec: Codec, spatial: u8, temporal: u8, between: Between) -> Self {
        Self {
            codec,
            spatial,
            temporal,
            between,
            flexible: false,
            grouped: false,
            long_picture_id: true,
            encrypted: false,
        }
    }
}

/// What every packet of a frame knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Unique in a test.
    pub id: u32,
    pub spatial: u8,
    pub temporal: u8,
    pub is_key: bool,
    /// Frames it refers to.
    pub references: Vec<u32>,
    pub packets: u8,
    /// Its picture, unique in a test.
    pub picture: u32,
}

#[derive(Debug, Clone)]
pub struct Packet {
    pub encoding: u8,
    /// Extended.
    pub sequence: u64,
    pub timestamp: u32,
    pub capture_ms: u64,
    pub marker: bool,
    pub payload: Vec<u8>,
    pub descriptor: Option<Vec<u8>>,
    pub frame: Frame,
    /// Place in its frame.
    pub index: u8,
}

/// A frame that may be referred to: its id and what it is called in the stream.
#[derive(Debug, Clone, Copy)]
struct Reference {
    id: u32,
    number: u64,
    picture: u64,
}

#[derive(Debug)]
pub struct Encoder {
    pub structure: Structure,
    encoding: u8,
    rng: Rng,
    sequence: u64,
    timestamp_base: u32,
    picture_id: u64,
    tl0: u8,
    frame_number: u64,
    next_id: u32,
    next_picture: u32,
    /// Place in the temporal pattern.
    position: usize,
    periods: u64,
    /// Newest frame of each layer.
    newest: [[Option<Reference>; 3]; 3],
    /// Pictures that it makes without their highest layer, and does not say so, in percent.
    pub dropped: u64,
    /// Spatial layers it makes now.
    active: u8,
    wants_key: bool,
}

impl Encoder {
    pub fn new(structure: Structure, encoding: u8, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ (u64::from(encoding) << 32));
        Self {
            structure,
            encoding,
            sequence: (1 << 20) + rng.below(1 << 16),
            timestamp_base: rng.next() as u32,
            picture_id: rng.below(1 << 15),
            tl0: rng.next() as u8,
            frame_number: rng.below(1 << 16),
            next_id: u32::from(encoding) << 24,
            next_picture: u32::from(encoding) << 24,
            position: 0,
            periods: 0,
            newest: Default::default(),
            dropped: 0,
            active: 0,
            wants_key: true,
            rng,
        }
    }

    pub fn request_key_frame(&mut self) {
        self.wants_key = true;
    }

    /// A new sender in the stream's place: all numbers begin anew.
    pub fn restart(&mut self) {
        self.sequence = (self.sequence + (1 << 20)) & !0xffff | self.rng.below(1 << 16);
        self.timestamp_base = self.rng.next() as u32;
        self.picture_id = self.rng.below(1 << 15);
        self.tl0 = self.rng.next() as u8;
        self.frame_number = self.rng.below(1 << 16);
        self.wants_key = true;
    }

    /// The packets of one picture. `layers` is how many spatial layers it is to have: fewer at
    /// once, more at the next one of the base temporal layer.
    pub fn picture(&mut self, capture_ms: u64, layers: u8) -> Vec<Packet> {
        let layers = layers.min(self.structure.spatial);
        let is_more = layers > self.active;
        self.wants_key |= is_more && self.structure.between == Between::KeyPictures;
        let is_key = std::mem::take(&mut self.wants_key);
        if !is_more || is_key || self.position == 0 {
            self.active = layers;
        }
        let layers = self.active;
        if is_key {
            self.position = 0;
            self.periods = 0;
        }
        let pattern: &[u8] = match self.structure.temporal {
            1 => &[0],
            2 => &[0, 1],
            _ => &[0, 2, 1, 2],
        };
        let temporal = pattern[self.position];
        let is_second = self.position == 3;
        self.position += 1;
        if self.position == pattern.len() {
            self.position = 0;
            self.periods += 1;
        }
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        self.picture_id += 1;
        self.next_picture += 1;
        let mut packets = Vec::new();
        let may_drop = self.dropped > 0 && !is_key && layers > 1;
        let is_dropped = may_drop && self.rng.percent(self.dropped);
        let made = layers - u8::from(is_dropped);
        for spatial in 0..made {
            packets.extend(self.frame(capture_ms, spatial, temporal, is_key, is_second));
        }
        // A layer that was not made is not referred to later.
        for row in self.newest.iter_mut().skip(usize::from(layers)) {
            *row = Default::default();
        }
        if let Some(last) = packets.last_mut() {
            last.marker = !is_dropped;
        }
        packets
    }

    fn frame(
        &mut self,
        capture_ms: u64,
        spatial: u8,
        temporal: u8,
        is_key: bool,
        is_second: bool,
    ) -> Vec<Packet> {
        let row = self.newest[usize::from(spatial)];
        let below = spatial
            .checked_sub(1)
            .and_then(|below| self.newest[usize::from(below)][usize::from(temporal)])
            .filter(|below| below.picture == self.picture_id);
        let is_between = match self.structure.between {
            Between::Always => true,
            Between::KeyPictures => is_key,
            Between::Never => false,
        };
        // A layer that is new in this picture can only refer to the one below.
        let is_new = is_key || row[0].is_none();
        let mut references = Vec::new();
        if !is_new {
            references.extend(match (temporal, is_second) {
                (2, true) => row[1].or(row[0]),
                _ => row[0],
            });
            if is_second && self.structure.grouped {
                references.extend(row[2]);
            }
            // Every other T1 of VP8 refers to the T1 before, too.
            let is_vp8 = self.structure.codec == Codec::Vp8 && !self.structure.encrypted;
            let is_linked = is_vp8 && self.periods % 2 == 1;
            if temporal == 1 && is_linked {
                references.extend(row[1]);
            }
        }
        let inter_picture = !references.is_empty();
        let has_below = is_between || (is_new && self.structure.between != Between::Never);
        if has_below {
            references.extend(below);
        }
        self.next_id += 1;
        self.frame_number += 1;
        let own = Reference {
            id: self.next_id,
            number: self.frame_number,
            picture: self.picture_id,
        };
        if is_new {
            self.newest[usize::from(spatial)] = Default::default();
        }
        self.newest[usize::from(spatial)][usize::from(temporal)] = Some(own);
        let frame = Frame {
            id: own.id,
            spatial,
            temporal,
            is_key: is_key && spatial == 0,
            references: references.iter().map(|reference| reference.id).collect(),
            packets: 1 + self.rng.below(3) as u8,
            picture: self.next_picture,
        };
        let facts = Facts {
            is_key_picture: is_key,
            inter_picture,
            has_below: has_below && spatial > 0,
            refers_lower_only: references.iter().all(|reference| {
                let same = row[usize::from(temporal)].filter(|_| temporal > 0);
                same.is_none_or(|same| same.id != reference.id)
            }),
        };
        (0..frame.packets)
            .map(|index| {
                self.sequence += 1;
                Packet {
                    encoding: self.encoding,
                    sequence: self.sequence,
                    timestamp: self.timestamp_base.wrapping_add((capture_ms * 90) as u32),
                    capture_ms,
                    marker: false,
                    payload: self.payload(&frame, &facts, &references, index),
                    descriptor: self.descriptor(&frame, &facts, &references, index),
                    frame: frame.clone(),
                    index,
                }
            })
            .collect()
    }

    fn payload(
        &self,
        frame: &Frame,
        facts: &Facts,
        references: &[Reference],
        index: u8,
    ) -> Vec<u8> {
        let is_first = index == 0;
        let is_last = index + 1 == frame.packets;
        let mut bytes = match self.structure.codec {
            Codec::Vp8 => self.vp8(frame, facts, is_first),
            Codec::Vp9 => self.vp9(frame, facts, references, is_first, is_last),
            Codec::Av1 => {
                let new_sequence = frame.is_key && is_first;
                vec![
                    u8::from(!is_first) << 7
                        | u8::from(!is_last) << 6
                        | u8::from(new_sequence) << 3,
                ]
            }
            _ => vec![if frame.is_key { 0x65 } else { 0x41 }],
        };
        bytes.extend(frame.id.to_be_bytes());
        bytes
    }

    fn vp8(&self, frame: &Frame, facts: &Facts, is_first: bool) -> Vec<u8> {
        if self.structure.encrypted {
            // What looks like a frame's header says anything.
            return vec![u8::from(is_first) << 4, frame.id as u8];
        }
        let sync = frame.temporal > 0 && facts.refers_lower_only && self.only_base(frame);
        let mut bytes = vec![0x80 | u8::from(is_first) << 4, 0xe0];
        self.push_picture_id(&mut bytes);
        bytes.push(self.tl0);
        bytes.push(frame.temporal << 6 | u8::from(sync) << 5);
        bytes.push(u8::from(!frame.is_key));
        bytes
    }

    fn vp9(
        &self,
        frame: &Frame,
        facts: &Facts,
        references: &[Reference],
        is_first: bool,
        is_last: bool,
    ) -> Vec<u8> {
        let is_top = frame.spatial + 1 == self.structure.spatial;
        let is_between = match self.structure.between {
            Between::Always => true,
            Between::KeyPictures => facts.is_key_picture,
            Between::Never => false,
        };
        let flexible = self.structure.flexible;
        let grouped = self.structure.grouped;
        let up = match flexible || grouped {
            true => frame.temporal > 0 && facts.refers_lower_only,
            false => frame.temporal == 0,
        };
        let has_group = grouped && is_first && facts.is_key_picture && frame.spatial == 0;
        let mut bytes = vec![
            0x80 | u8::from(facts.inter_picture) << 6
                | 0x20
                | u8::from(flexible) << 4
                | u8::from(is_first) << 3
                | u8::from(is_last) << 2
                | u8::from(has_group) << 1
                | u8::from(is_top || !is_between),
        ];
        self.push_picture_id(&mut bytes);
        bytes.push(
            frame.temporal << 5
                | u8::from(up) << 4
                | frame.spatial << 1
                | u8::from(facts.has_below),
        );
        if !flexible {
            bytes.push(self.tl0);
        }
        if flexible && facts.inter_picture {
            let earlier: Vec<_> = references
                .iter()
                .filter(|reference| reference.picture != self.picture_id)
                .collect();
            for (index, reference) in earlier.iter().enumerate() {
                let diff = (self.picture_id - reference.picture) as u8;
                bytes.push(diff << 1 | u8::from(index + 1 < earlier.len()));
            }
        }
        if has_group {
            self.push_group(&mut bytes);
        }
        bytes
    }

    /// The scalability structure, with what each picture of a period refers to.
    fn push_group(&self, bytes: &mut Vec<u8>) {
        let pictures: &[(u8, &[u8])] = match self.structure.temporal {
            1 => &[(0, &[1])],
            2 => &[(0, &[2]), (1, &[1])],
            _ => &[(0, &[4]), (2, &[1]), (1, &[2]), (2, &[1, 2])],
        };
        bytes.push((self.structure.spatial - 1) << 5 | 0x08);
        bytes.push(pictures.len() as u8);
        for (temporal, references) in pictures {
            bytes.push(temporal << 5 | (references.len() as u8) << 2);
            bytes.extend(*references);
        }
    }

    /// No reference but to the base layer.
    fn only_base(&self, frame: &Frame) -> bool {
        let base = self.newest[0][0].map(|base| base.id);
        frame.references.iter().all(|&id| Some(id) == base)
    }

    fn push_picture_id(&self, bytes: &mut Vec<u8>) {
        match self.structure.long_picture_id {
            true => bytes.extend(((self.picture_id as u16) | 0x8000).to_be_bytes()),
            false => bytes.push(self.picture_id as u8 & 0x7f),
        }
    }

    fn descriptor(
        &self,
        frame: &Frame,
        facts: &Facts,
        references: &[Reference],
        index: u8,
    ) -> Option<Vec<u8>> {
        let is_described = matches!(self.structure.codec, Codec::Av1 | Codec::Other);
        if !is_described && !self.structure.encrypted {
            return None;
        }
        let Structure {
            spatial, temporal, ..
        } = self.structure;
        let has_structure = frame.is_key && index == 0;
        let mut bits = BitWriter::default();
        bits.put(1, u64::from(index == 0));
        bits.put(1, u64::from(index + 1 == frame.packets));
        bits.put(6, u64::from(frame.spatial * temporal + frame.temporal));
        bits.put(16, self.frame_number & 0xffff);
        bits.put(1, u64::from(has_structure));
        bits.put(1, 0);
        bits.put(1, 1); // Own indications
        bits.put(1, 1); // and references.
        bits.put(1, 0);
        if has_structure {
            self.put_structure(&mut bits, spatial, temporal);
        }
        self.put_indications(
            &mut bits,
            (frame.spatial, frame.temporal),
            facts.is_key_picture,
        );
        for reference in references {
            let diff = self.frame_number - reference.number;
            bits.put(2, 2);
            bits.put(8, diff - 1);
        }
        bits.put(2, 0);
        Some(bits.into_bytes())
    }

    fn put_structure(&self, bits: &mut BitWriter, spatial: u8, temporal: u8) {
        let layers: Vec<_> = (0..spatial)
            .flat_map(|s| (0..temporal).map(move |t| (s, t)))
            .collect();
        bits.put(6, 0);
        bits.put(5, layers.len() as u64 - 1);
        for (index, _) in layers.iter().enumerate() {
            let next = layers.get(index + 1);
            bits.put(2, next.map_or(3, |next| if next.1 == 0 { 2 } else { 1 }));
        }
        for &layer in &layers {
            self.put_indications(bits, layer, false);
        }
        for _ in &layers {
            bits.put(1, 0);
        }
        // No chains: ns(targets + 1) of 0.
        let limit = layers.len() as u64 + 1;
        let width = 64 - limit.leading_zeros() as usize;
        bits.put(width - 1, 0);
        bits.put(1, 0);
    }

    /// As libwebrtc's structures have them: everything of T0 is a switch, what upper layers build
    /// on is required, the rest can be discarded.
    fn put_indications(&self, bits: &mut BitWriter, (s, t): (u8, u8), is_key: bool) {
        for target_s in 0..self.structure.spatial {
            for target_t in 0..self.structure.temporal {
                let is_below = match self.structure.between {
                    Between::Always => s < target_s,
                    Between::KeyPictures => s < target_s && is_key,
                    Between::Never => false,
                };
                let indication = if t > target_t || !(s == target_s || is_below) {
                    0
                } else if t == 0 && (is_key || s == target_s) {
                    2
                } else if s == target_s && t == target_t {
                    1
                } else {
                    3
                };
                bits.put(2, indication);
            }
        }
    }
}

#[derive(Debug)]
struct Facts {
    is_key_picture: bool,
    inter_picture: bool,
    has_below: bool,
    /// No reference to a frame of its own temporal layer.
    refers_lower_only: bool,
}
