//! One consumer's choice among the packets of its source, and the numbers of what leaves.

use crate::choice::{Choice, Wanted};
use crate::packet_layers::PacketLayers;
use crate::splices::{Before, Found, Origin, Place, Splices};
use crate::targets::Layer;

/// A source that leaps ahead by more than this has started anew: no loss is that long.
const RESTART_LEAP: u64 = 1 << 19;

/// What a consumer is to get at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Index of the source stream.
    pub encoding: u8,
    /// The layers inside of it.
    pub layer: Layer,
    /// Highest temporal layer of what is above that and goes on until a key frame comes.
    pub meanwhile: u8,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Nothing.
    Skip,
    /// It goes out.
    Forward,
    /// It goes out and begins a run of its stream: packets after it that came before it are to be
    /// offered again.
    Begin,
}

/// The answer to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// What becomes of the packet.
    pub offer: Offer,
    /// [`Selector::layers`] is not what it was.
    pub layers_changed: bool,
    /// The packet was taken but is not to leave yet.
    pub is_held: bool,
    /// The packet of the same stream that was held until now: it leaves before this one.
    pub released: Option<u64>,
}

impl Offered {
    /// Nothing becomes of a packet.
    pub const SKIPPED: Self = Self {
        offer: Offer::Skip,
        layers_changed: false,
        is_held: false,
        released: None,
    };
}

/// The newest packet that was taken, where only what comes next tells whether its picture ends with it:
/// senders leave out upper layers without a word.
#[derive(Debug, Clone, Copy)]
struct Held {
    found: Found,
    sequence: u64,
    picture: u64,
}

/// The newest packet that was left out, to tell what is missing next to it.
#[derive(Debug, Clone, Copy)]
struct LeftOut {
    sequence: u64,
    unit: u64,
    spatial: u8,
}

/// Selects and numbers the packets of one consumer. Under 1 KiB, and under 2 KiB more on the heap
/// where it may take some layers and leave others.
#[derive(Debug)]
pub struct Selector {
    splices: Splices,
    choice: Choice,
    target: Option<Target>,
    reported: Option<(u8, Layer)>,
    /// Highest sequence number offered of the stream that is forwarded.
    newest_in: u64,
    left_out: Option<LeftOut>,
    held: Option<Held>,
}

impl Selector {
    /// `first_sequence` is the first outgoing sequence number, below 2^15 so that a receiver that
    /// misses the first packets still guesses SRTP's ROC right. Without `takes_layers` a stream
    /// goes out whole or not at all.
    pub fn new(first_sequence: u16, takes_layers: bool) -> Self {
        Self {
            splices: Splices::new(first_sequence, takes_layers),
            choice: Choice::default(),
            target: None,
            reported: None,
            newest_in: 0,
            left_out: None,
            held: None,
        }
    }

    /// What is to be sent at most from now on; `None` for nothing, which ends at once what is
    /// under way.
    pub fn set_target(&mut self, target: Option<Target>) {
        self.target = target;
        if target.is_none() {
            self.splices.close();
        }
    }

    /// What is to be sent at most.
    pub const fn target(&self) -> Option<Target> {
        self.target
    }

    /// Ends the run of the stream that is sent; the next one begins where a decoder can. What was
    /// accepted and has not left does not leave.
    pub fn interrupt(&mut self) {
        self.splices.cut();
        self.reported = None;
    }

    /// The stream that is sent now.
    pub fn encoding(&self) -> Option<u8> {
        self.splices.encoding()
    }

    /// The stream and the layers of it that are sent now. The temporal layer is cut to the highest
    /// one that the source has.
    pub fn layers(&self) -> Option<(u8, Layer)> {
        let encoding = self.splices.encoding()?;
        let layer = match self.is_layered() {
            true => self.choice.layer()?,
            false => Layer::default(),
        };
        Some((encoding, layer))
    }

    /// The stream of which a key frame is needed to get to the target, if one is.
    pub fn wanted_key_frame(&self) -> Option<u8> {
        let target = self.target?;
        let has_arrived = self.splices.encoding() == Some(target.encoding)
            && !(self.is_layered() && self.choice.needs_key_frame(target.layer));
        (!has_arrived).then_some(target.encoding)
    }

    /// Something is sent, and not of a layer that the source has stopped making.
    pub fn has_picture(&self) -> bool {
        self.layers().is_some() && !(self.is_layered() && self.choice.stands_still())
    }

    /// Decides over a packet that just came, or was just repaired. `sequence` is its number in the
    /// source stream, counted on over wraps and restarts; with `is_entry` a decoder can start at
    /// this packet. Each packet is offered once, but for what follows an [`Offer::Begin`].
    #[inline]
    pub fn offer(
        &mut self,
        encoding: u8,
        sequence: u64,
        is_entry: bool,
        layers: &PacketLayers,
    ) -> Offered {
        let restart = self.newest_in + RESTART_LEAP;
        if sequence <= restart && self.splices.accept_whole(encoding, sequence) {
            self.newest_in = self.newest_in.max(sequence);
            return Offered {
                offer: Offer::Forward,
                ..Offered::SKIPPED
            };
        }
        self.consider(encoding, sequence, is_entry, layers)
    }

    fn consider(
        &mut self,
        encoding: u8,
        sequence: u64,
        is_entry: bool,
        layers: &PacketLayers,
    ) -> Offered {
        let held = self.held.take();
        let offer = self.decide(encoding, sequence, is_entry, layers);
        let is_held = self.held.is_some();
        let released = held.and_then(|held| self.release(held, encoding, sequence, offer, layers));
        let now = self.layers();
        let layers_changed = offer != Offer::Skip && self.reported != now;
        if layers_changed {
            self.reported = now;
        }
        Offered {
            offer,
            layers_changed,
            is_held,
            released,
        }
    }

    /// Takes back an accepted packet that has not left: it is left out, and what needs its frame
    /// comes to an end with the picture. Whole frames are to be taken back. False where it leaves
    /// a hole: in a stream that goes out whole, or where something behind it has left.
    pub fn withdraw(&mut self, encoding: u8, sequence: u64, layers: &PacketLayers) -> bool {
        let Some(found) = self.splices.find(encoding, sequence) else {
            return false;
        };
        if Some(found) == self.splices.current() {
            self.choice.miss(layers);
        }
        if layers.counts_pictures {
            self.splices.leave_out_picture(found, layers.frame.unit);
        }
        self.splices.is_layered(found) && !self.splices.leave_out(found, sequence)
    }

    /// The place of an accepted packet that leaves now; packets leave in the order in which they
    /// were accepted. `timestamp` is asked where a run begins: it tells the outgoing timestamp
    /// that the packet should have. `None` where the packet is not to leave any more.
    #[inline]
    pub fn place(
        &mut self,
        encoding: u8,
        sequence: u64,
        source_timestamp: u32,
        layers: &PacketLayers,
        timestamp: impl FnOnce(&Before) -> u32,
    ) -> Option<Place> {
        self.splices
            .place(encoding, sequence, source_timestamp, layers, timestamp)
    }

    /// The place of a packet that left before, to send it again: the same in everything.
    pub fn placed(
        &self,
        encoding: u8,
        sequence: u64,
        source_timestamp: u32,
        layers: &PacketLayers,
    ) -> Option<Place> {
        self.splices
            .placed(encoding, sequence, source_timestamp, layers)
    }

    /// The source packet that left with that number, taken as the nearest to the highest given.
    pub fn origin(&self, sequence: u16) -> Option<Origin> {
        self.splices.origin(sequence)
    }

    /// One past the highest outgoing sequence number given.
    pub const fn next_sequence(&self) -> u64 {
        self.splices.next_out()
    }

    /// How the run stands that something left by last.
    pub fn newest(&self) -> Option<Before> {
        self.splices.newest()
    }

    fn is_layered(&self) -> bool {
        self.splices
            .current()
            .is_some_and(|found| self.splices.is_layered(found))
    }

    fn decide(
        &mut self,
        encoding: u8,
        sequence: u64,
        is_entry: bool,
        layers: &PacketLayers,
    ) -> Offer {
        if self.splices.encoding() == Some(encoding) {
            if sequence > self.newest_in + RESTART_LEAP {
                self.splices.close();
            } else {
                self.newest_in = self.newest_in.max(sequence);
            }
        }
        match (self.splices.find(encoding, sequence), self.target) {
            (Some(found), Some(target)) if Some(found) == self.splices.current() => {
                self.go_on(found, target, encoding, sequence, layers)
            }
            (Some(found), _) => self.late(found, sequence, layers),
            (None, Some(target))
                if is_entry
                    && encoding == target.encoding
                    && self.splices.encoding() != Some(encoding)
                    && self.splices.may_begin(encoding, sequence) =>
            {
                self.begin(target, encoding, sequence, layers)
            }
            _ => Offer::Skip,
        }
    }

    fn begin(
        &mut self,
        target: Target,
        encoding: u8,
        sequence: u64,
        layers: &PacketLayers,
    ) -> Offer {
        self.choice = Choice::default();
        self.left_out = None;
        self.newest_in = sequence;
        let found = self.splices.begin(encoding, sequence, layers);
        let (mut marker, mut joined) = (layers.marker, false);
        if let Some(map) = self.splices.map_mut(found) {
            let wanted = target.wanted(encoding);
            let fate = self.choice.decide(&mut map.decisions, layers, wanted);
            if !fate.is_sent {
                self.splices.cut();
                return Offer::Skip;
            }
            marker = fate.marker;
            joined = fate.is_upper && layers.begins_frame;
        }
        self.splices.accept(found, sequence, marker, joined);
        self.hold(found, sequence, marker, layers);
        Offer::Begin
    }

    /// Holds a packet that ends a frame but, as far as is known, not its picture: a receiver that is not
    /// told of the end waits for more, and never shows the picture.
    fn hold(&mut self, found: Found, sequence: u64, marker: bool, layers: &PacketLayers) {
        if layers.ends_frame
            && !marker
            && sequence == self.newest_in
            && self.splices.is_layered(found)
        {
            self.held = Some(Held {
                found,
                sequence,
                picture: layers.frame.picture,
            });
        }
    }

    /// What becomes of the packet that was held, now that another came: its sequence number if it leaves.
    fn release(
        &mut self,
        held: Held,
        encoding: u8,
        sequence: u64,
        offer: Offer,
        layers: &PacketLayers,
    ) -> Option<u64> {
        if Some(held.found) != self.splices.current() {
            // What begins now begins with a key frame.
            return None;
        }
        let is_same = layers.frame.picture == held.picture;
        let goes_on = is_same && offer != Offer::Skip;
        let is_over = !is_same || layers.marker;
        let is_later = self.splices.encoding() == Some(encoding) && sequence > held.sequence;
        if !is_later || !goes_on && !is_over {
            self.held = Some(held);
            return None;
        }
        if !goes_on {
            self.splices.end_picture(held.found, held.sequence);
        }
        Some(held.sequence)
    }

    /// A packet of the run that is under way.
    fn go_on(
        &mut self,
        found: Found,
        target: Target,
        encoding: u8,
        sequence: u64,
        layers: &PacketLayers,
    ) -> Offer {
        let map = self.splices.map_mut(found).filter(|_| layers.is_layered);
        let Some(map) = map else {
            self.splices.accept(found, sequence, layers.marker, false);
            return Offer::Forward;
        };
        let wanted = target.wanted(encoding);
        let fate = self.choice.decide(&mut map.decisions, layers, wanted);
        if fate.is_sent {
            let joined = fate.is_upper && layers.begins_frame;
            self.splices.accept(found, sequence, fate.marker, joined);
            self.hold(found, sequence, fate.marker, layers);
            return Offer::Forward;
        }
        self.leave_out(found, sequence, layers)
    }

    /// A late packet of a run that has ended: what was decided then counts.
    fn late(&mut self, found: Found, sequence: u64, layers: &PacketLayers) -> Offer {
        let (unit, spatial) = (layers.frame.unit, layers.frame.layer.spatial);
        let is_sent = match self.splices.map_mut(found) {
            Some(map) if layers.is_layered => map.decisions.get(unit, spatial) == Some(true),
            Some(_) => true,
            None => !self.splices.is_layered(found),
        };
        if is_sent {
            self.splices.accept(found, sequence, layers.marker, false);
            return Offer::Forward;
        }
        match self.splices.leave_out(found, sequence) {
            true => Offer::Forward,
            false => Offer::Skip,
        }
    }

    fn leave_out(&mut self, found: Found, sequence: u64, layers: &PacketLayers) -> Offer {
        let now = LeftOut {
            sequence,
            unit: layers.frame.unit,
            spatial: layers.frame.layer.spatial,
        };
        if let Some(before) = self.left_out
            && (before.unit, before.spatial) == (now.unit, now.spatial)
        {
            // Whatever is missing between two packets of a frame is of that frame.
            for missing in before.sequence + 1..sequence {
                self.splices.leave_out(found, missing);
            }
        }
        if self
            .left_out
            .is_none_or(|before| before.sequence < sequence)
        {
            self.left_out = Some(now);
        }
        if layers.counts_pictures {
            self.splices.leave_out_picture(found, now.unit);
        }
        match self.splices.leave_out(found, sequence) {
            true => Offer::Forward,
            false => Offer::Skip,
        }
    }
}

impl Target {
    /// What is wanted of a stream while it is sent.
    fn wanted(self, encoding: u8) -> Wanted {
        Wanted {
            layer: self.inside_of(encoding),
            meanwhile: self.meanwhile,
        }
    }

    fn inside_of(self, encoding: u8) -> Layer {
        match encoding.cmp(&self.encoding) {
            std::cmp::Ordering::Less => Layer::TOP,
            std::cmp::Ordering::Equal => self.layer,
            std::cmp::Ordering::Greater => Layer {
                temporal: self.meanwhile,
                ..Layer::TOP
            },
        }
    }
}
