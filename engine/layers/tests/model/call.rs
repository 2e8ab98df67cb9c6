//! A call in memory: encoders, the way to us, one selector, a queue, and the receiver.

use std::collections::{BTreeMap, HashSet, VecDeque};

use weirgate_layers::{Incoming, Layer, LayerReader, Offer, PacketLayers, Selector, Target};

use super::decoder::Receiver;
use super::encoder::{Encoder, Packet, Structure};
use super::rng::Rng;

/// How bad the way to us is, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way {
    /// Packets that never come.
    pub lost: u64,
    /// Packets that come again some packets later, as if repaired.
    pub late: u64,
    /// Packets that change places with the next.
    pub swapped: u64,
}

#[derive(Debug, Clone)]
struct Stored {
    packet: Packet,
    layers: PacketLayers,
}

pub struct Call {
    pub encoders: Vec<Encoder>,
    readers: Vec<LayerReader>,
    pub selector: Selector,
    pub receiver: Receiver,
    pub way: Way,
    /// Spatial layers that the encoders make.
    layers: u8,
    /// Between two requests for key frames.
    pub ask_interval_ms: u64,
    /// See [`Target::meanwhile`].
    pub meanwhile: u8,
    /// Streams that send.
    pub active: Vec<bool>,
    /// Packets that may wait to leave.
    pub queue_limit: usize,
    pub now_ms: u64,
    pub turn: u64,
    pub key_frames_asked: u64,
    rng: Rng,
    history: BTreeMap<(u8, u64), Stored>,
    highest: Vec<u64>,
    /// Frames of which a packet never came, or came late.
    pub disturbed: HashSet<u32>,
    /// Packets that never came.
    pub missing: HashSet<(u8, u64)>,
    held: Vec<(u64, Packet)>,
    queue: VecDeque<(u8, u64)>,
    asked_ms: u64,
    /// All changes of the current layers, by turn.
    pub changes: Vec<(u64, Option<(u8, Layer)>)>,
}

impl Call {
    pub fn new(structures: &[Structure], seed: u64, takes_layers: bool) -> Self {
        let encoders: Vec<_> = (0..)
            .zip(structures)
            .map(|(index, &structure)| Encoder::new(structure, index, seed))
            .collect();
        Self {
            readers: encoders.iter().map(|_| LayerReader::default()).collect(),
            highest: vec![0; encoders.len()],
            active: vec![true; encoders.len()],
            encoders,
            selector: Selector::new(100, takes_layers),
            receiver: Receiver::default(),
            way: Way::default(),
            layers: 3,
            meanwhile: 0,
            ask_interval_ms: 100,
            queue_limit: 0,
            now_ms: 1_000,
            turn: 0,
            key_frames_asked: 0,
            rng: Rng::new(seed ^ 0xca11),
            history: BTreeMap::new(),
            disturbed: HashSet::new(),
            missing: HashSet::new(),
            held: Vec::new(),
            queue: VecDeque::new(),
            asked_ms: 0,
            changes: Vec::new(),
        }
    }

    pub fn target(&mut self, encoding: u8, spatial: u8, temporal: u8) {
        self.selector.set_target(Some(Target {
            encoding,
            layer: Layer::new(spatial, temporal),
            meanwhile: self.meanwhile,
        }));
    }

    pub fn make_layers(&mut self, layers: u8) {
        self.layers = layers;
    }

    pub fn restart(&mut self, encoding: usize) {
        self.encoders[encoding].restart();
    }

    /// Every encoder makes a picture; 33 ms pass.
    pub fn pictures(&mut self, count: usize) {
        for _ in 0..count {
            self.now_ms += 33;
            self.ask_key_frame();
            let mut all = Vec::new();
            for (encoder, active) in self.encoders.iter_mut().zip(&self.active) {
                if *active {
                    all.extend(encoder.picture(self.now_ms, self.layers));
                }
            }
            self.travel(all);
        }
    }

    /// What is still under way comes, and leaves.
    pub fn finish(&mut self) {
        for (_, packet) in std::mem::take(&mut self.held) {
            self.arrive(packet);
        }
        self.leave(0);
    }

    fn ask_key_frame(&mut self) {
        if let Some(encoding) = self.selector.wanted_key_frame()
            && self.now_ms >= self.asked_ms + self.ask_interval_ms
        {
            self.asked_ms = self.now_ms;
            self.key_frames_asked += 1;
            self.encoders[usize::from(encoding)].request_key_frame();
        }
    }

    fn travel(&mut self, packets: Vec<Packet>) {
        let mut packets: VecDeque<_> = packets.into();
        while let Some(packet) = packets.pop_front() {
            self.turn += 1;
            let key = (packet.encoding, packet.sequence);
            if self.rng.percent(self.way.lost) {
                self.disturbed.insert(packet.frame.id);
                self.missing.insert(key);
                continue;
            }
            if self.rng.percent(self.way.late) {
                self.disturbed.insert(packet.frame.id);
                let due = self.turn + 1 + self.rng.below(60);
                self.held.push((due, packet));
            } else if self.rng.percent(self.way.swapped) && !packets.is_empty() {
                self.disturbed.insert(packet.frame.id);
                packets.insert(1, packet);
            } else {
                self.arrive(packet);
            }
            let turn = self.turn;
            let due: Vec<_> = self.held.extract_if(.., |(at, _)| *at <= turn).collect();
            for (_, packet) in due {
                self.arrive(packet);
            }
            let left_behind = self.rng.below(self.queue_limit as u64 + 1) as usize;
            self.leave(left_behind);
        }
    }

    fn arrive(&mut self, packet: Packet) {
        let encoding = usize::from(packet.encoding);
        let layers = self.readers[encoding].read(&Incoming {
            codec: self.encoders[encoding].structure.codec,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload: &packet.payload,
            descriptor: packet.descriptor.as_deref(),
        });
        let sequence = packet.sequence;
        let key = (packet.encoding, sequence);
        self.highest[encoding] = self.highest[encoding].max(sequence);
        self.history.insert(key, Stored { packet, layers });
        if self.offer(key) == Offer::Begin {
            for next in sequence + 1..=self.highest[encoding] {
                if self.history.contains_key(&(key.0, next)) {
                    self.offer((key.0, next));
                }
            }
        }
    }

    fn offer(&mut self, key: (u8, u64)) -> Offer {
        let layers = self.history[&key].layers;
        let offered = self
            .selector
            .offer(key.0, key.1, layers.begins_key_frame(), &layers);
        if offered.layers_changed {
            self.changes.push((self.turn, self.selector.layers()));
        }
        if let Some(released) = offered.released {
            self.queue.push_back((key.0, released));
        }
        if offered.offer != Offer::Skip && !offered.is_held {
            self.queue.push_back(key);
        }
        offered.offer
    }

    /// Packets leave until only so many wait.
    fn leave(&mut self, behind: usize) {
        while self.queue.len() > behind {
            let key = self.queue.pop_front().unwrap();
            let Stored { packet, layers } = &self.history[&key];
            let capture = (packet.capture_ms * 90) as u32;
            // Clocks that are not quite the same.
            let skew = (self.rng.below(4_000)) as u32;
            let place = self
                .selector
                .place(key.0, key.1, packet.timestamp, layers, |_| {
                    capture.wrapping_sub(2_000).wrapping_add(skew)
                });
            let Some(place) = place else {
                continue;
            };
            let codec = self.encoders[usize::from(key.0)].structure.codec;
            self.receiver
                .receive(self.turn, codec, packet, layers, place);
            let again = self.selector.placed(key.0, key.1, packet.timestamp, layers);
            assert_eq!(again, Some(place));
            let origin = self.selector.origin(place.sequence as u16).unwrap();
            assert_eq!((origin.encoding, origin.sequence), key);
            assert_eq!(origin.outgoing, place.sequence);
        }
    }

    /// What must hold whatever happened.
    pub fn assert_sound(&self) {
        for hole in self.receiver.holes() {
            let origin = self.selector.origin(hole as u16);
            let is_known = origin.is_none_or(|origin| {
                let key = (origin.encoding, origin.sequence);
                self.missing.contains(&key) || !self.history.contains_key(&key)
            });
            assert!(is_known, "hole at {hole}, {origin:?}");
        }
        self.receiver.assert_timestamps();
        let bad = self.receiver.undecodable(|id| self.disturbed.contains(&id));
        assert!(bad.is_empty(), "cannot be decoded: {bad:?}");
    }

    /// What must hold too where nothing was lost or late.
    pub fn assert_seamless(&self) {
        self.assert_sound();
        assert_eq!(self.receiver.holes(), [], "holes");
        assert_eq!(self.receiver.fillers(), 0, "fillers");
        self.receiver.assert_markers();
        self.receiver.assert_joints();
        let numbers = self.receiver.picture_numbers();
        let counts = self.encoders[0].structure.codec == weirgate_wire::Codec::Vp8;
        let long = self.encoders[0].structure.long_picture_id;
        for pair in numbers.windows(2) {
            let [one, next] = pair else { unreachable!() };
            if let (Some(a), Some(b)) = (one.picture_id, next.picture_id) {
                let step = b.wrapping_sub(a) & if long { 0x7fff } else { 0x7f };
                // VP9's are not counted anew inside of a stream: its references are.
                let is_fine = if counts {
                    step == 1
                } else {
                    (1..=4).contains(&step)
                };
                assert!(is_fine, "picture ids step by {step} at {next:?}");
            }
            if let (Some(a), Some(b)) = (one.tl0, next.tl0) {
                let expected = a.wrapping_add(u8::from(next.temporal == 0));
                assert_eq!(b, expected, "TL0PICIDX at {next:?}");
            }
        }
    }
}
