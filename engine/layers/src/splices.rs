//! How a consumer's own numbers follow from its source streams'.
//!
//! The outgoing stream is a row of splices, each a run of one source stream moved by a constant and
//! with some packets left out. A new splice begins at the start, after a pause, at a switch of
//! streams and when the source restarted. Losses of the source stay visible as holes; whatever was
//! left out, inside of a splice or between two, leaves none.
//!
//! A splice gets its place in the outgoing stream when its first packet leaves: until then packets
//! of the one before may still be waiting to leave.

use crate::decisions::Decisions;
use crate::drops::{Drops, Marks};
use crate::packet_layers::{PacketLayers, PictureNumber};

/// Splices remembered, for late packets and NACKs.
const REMEMBERED: usize = 8;
/// Of these, the newest that may have left packets out.
const THINNED: usize = 2;
/// Words of 64 packets: as far back as a history of 1024 packets.
const PACKET_WORDS: usize = 16;
/// Words of 64 pictures.
const PICTURE_WORDS: usize = 4;
/// Outgoing timestamps grow at least this much at a splice.
const MIN_TIMESTAMP_STEP: u32 = 1;
/// Outgoing pictures are counted from here where the source begins without a count.
const FIRST_PICTURE: u64 = 1 << 31;

/// Where a source packet goes in the outgoing stream, and what is written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Extended outgoing sequence number: SRTP's ROC and SEQ.
    pub sequence: u64,
    /// Outgoing RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// The frame goes on one of the same picture that went before it.
    pub(crate) joins_previous: bool,
    /// The next frame of the same picture goes on this one.
    pub(crate) joins_next: bool,
    /// The packet was left out too late to close the row behind it: it leaves without payload, to
    /// fill the hole.
    pub is_filler: bool,
    /// Outgoing picture, to be cut to the width it has in the payload.
    pub(crate) picture: u64,
    /// Outgoing TL0PICIDX.
    pub(crate) tl0: u8,
}

/// The source packet behind an outgoing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Index of the source stream.
    pub encoding: u8,
    /// Its extended sequence number there.
    pub sequence: u64,
    /// The extended outgoing sequence number.
    pub outgoing: u64,
    /// It is of the run that goes on, not of one before the last key frame that a run began with.
    pub is_current: bool,
}

/// How the run stands that something left by last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Source stream of the splice before.
    pub encoding: u8,
    /// Its highest sequence number that left.
    pub sequence: u64,
    /// What was added to that stream's timestamps.
    pub timestamp_delta: u32,
    /// Highest outgoing timestamp so far.
    pub timestamp: u32,
}

/// One run of a source stream in the outgoing stream.
#[derive(Debug, Clone, Copy)]
struct Splice {
    encoding: u8,
    /// Its map has this number; 0 where it leaves nothing out.
    map: u32,
    first_in: u64,
    /// One past the last source packet that is part of it; `u64::MAX` while it is open.
    end_in: u64,
    /// Highest source packet that was accepted.
    accepted_in: u64,
    first_unit: u64,
    /// Once something left.
    left: Option<Left>,
}

/// Where a splice lies in the outgoing stream.
#[derive(Debug, Clone, Copy)]
struct Left {
    first_out: u64,
    /// Highest source packet that left.
    newest_in: u64,
    /// Outgoing picture of the first unit.
    first_picture: u64,
    timestamp_delta: u32,
    tl0_delta: u8,
}

/// What was left out of a splice, and how its frames were decided.
#[derive(Debug)]
pub(crate) struct Map {
    number: u32,
    drops: Drops<PACKET_WORDS>,
    /// Packets that left, or will, without payload.
    fillers: Marks<PACKET_WORDS>,
    /// Packets that leave with the marker bit.
    markers: Marks<PACKET_WORDS>,
    /// Packets that begin a frame that goes on another of its picture.
    joined: Marks<PACKET_WORDS>,
    pictures: Drops<PICTURE_WORDS>,
    /// Highest unit that left, counted from the splice's first.
    left_unit: Option<u64>,
    pub(crate) decisions: Decisions,
}

/// A splice, found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found(usize);

/// The row of splices.
#[derive(Debug)]
pub(crate) struct Splices {
    ring: [Option<Splice>; REMEMBERED],
    /// Splices ever begun; the newest is at `(begun - 1) % REMEMBERED`.
    begun: usize,
    is_open: bool,
    maps: Option<Box<[Map; THINNED]>>,
    maps_taken: u32,
    next_out: u64,
    next_picture: u64,
    newest_tl0: u8,
    newest_timestamp: u32,
    has_left: bool,
}

impl Splices {
    /// `first_out` is the first outgoing sequence number. With `can_thin` packets can be left out
    /// inside of a splice.
    pub(crate) fn new(first_out: u16, can_thin: bool) -> Self {
        Self {
            ring: [None; REMEMBERED],
            begun: 0,
            is_open: false,
            maps: can_thin.then(|| Box::new([Map::new(), Map::new()])),
            maps_taken: 0,
            next_out: u64::from(first_out),
            next_picture: FIRST_PICTURE,
            newest_tl0: 0,
            newest_timestamp: 0,
            has_left: false,
        }
    }

    /// One past the highest outgoing sequence number given.
    pub(crate) const fn next_out(&self) -> u64 {
        self.next_out
    }

    /// The stream of the splice that is open.
    pub(crate) fn encoding(&self) -> Option<u8> {
        self.ring[self.current()?.0].map(|splice| splice.encoding)
    }

    /// How the newest splice that something left by stands.
    pub(crate) fn newest(&self) -> Option<Before> {
        self.newest_first().find_map(|found| {
            let splice = self.ring[found.0]?;
            let left = splice.left?;
            Some(Before {
                encoding: splice.encoding,
                sequence: left.newest_in,
                timestamp_delta: left.timestamp_delta,
                timestamp: self.newest_timestamp,
            })
        })
    }

    /// Begins a splice at the packet, which goes on without a hole. One that is layered has a map.
    pub(crate) fn begin(&mut self, encoding: u8, sequence: u64, layers: &PacketLayers) -> Found {
        self.close();
        let mut number = 0;
        if let Some(maps) = &mut self.maps
            && layers.is_layered
        {
            number = self.maps_taken.wrapping_add(1).max(1);
            self.maps_taken = number;
            maps[number as usize % THINNED] = Map {
                number,
                ..Map::new()
            };
        }
        let found = Found(self.begun % REMEMBERED);
        self.ring[found.0] = Some(Splice {
            encoding,
            map: number,
            first_in: sequence,
            end_in: u64::MAX,
            accepted_in: sequence,
            first_unit: layers.frame.unit,
            left: None,
        });
        self.begun += 1;
        self.is_open = true;
        found
    }

    /// No packet from this one on was accepted before: one that still waits to leave must not find
    /// itself in a new splice, and leave twice.
    pub(crate) fn may_begin(&self, encoding: u8, sequence: u64) -> bool {
        self.ring
            .iter()
            .flatten()
            .all(|splice| splice.encoding != encoding || splice.accepted_in < sequence)
    }

    /// Ends the current splice behind what was accepted.
    pub(crate) fn close(&mut self) {
        self.end(|splice| splice.accepted_in + 1);
    }

    /// Ends the current splice behind what has left: what is still waiting does not.
    pub(crate) fn cut(&mut self) {
        self.end(Splice::end_of_left);
    }

    /// The splice that is open.
    pub(crate) fn current(&self) -> Option<Found> {
        let newest = self.begun.checked_sub(1)?;
        self.is_open.then_some(Found(newest % REMEMBERED))
    }

    /// The splice the packet is part of.
    #[inline]
    pub(crate) fn find(&self, encoding: u8, sequence: u64) -> Option<Found> {
        let has = |found: &Found| {
            let splice = self.ring[found.0].as_ref();
            splice.is_some_and(|splice| splice.has(encoding, sequence))
        };
        let newest = Found(self.begun.wrapping_sub(1) % REMEMBERED);
        if has(&newest) {
            return Some(newest);
        }
        self.newest_first().find(has)
    }

    /// The splice leaves something out, or may.
    pub(crate) fn is_layered(&self, found: Found) -> bool {
        let splice = self.ring[found.0].as_ref();
        splice.is_some_and(|splice| splice.map != 0)
    }

    /// The map of a layered splice, while it is remembered.
    pub(crate) fn map_mut(&mut self, found: Found) -> Option<&mut Map> {
        map_of(&mut self.maps, self.ring[found.0].as_ref()?.map)
    }

    /// Takes a packet into the splice that is open, if it is part of that and nothing is to be
    /// decided: the splice leaves nothing out.
    #[inline]
    pub(crate) fn accept_whole(&mut self, encoding: u8, sequence: u64) -> bool {
        let Some(splice) = self
            .current()
            .and_then(|found| self.ring[found.0].as_mut())
            .filter(|splice| splice.map == 0 && splice.encoding == encoding)
        else {
            return false;
        };
        let is_part = sequence >= splice.first_in;
        if is_part {
            splice.accepted_in = splice.accepted_in.max(sequence);
        }
        is_part
    }

    /// Takes a packet into the row.
    pub(crate) fn accept(&mut self, found: Found, sequence: u64, marker: bool, joined: bool) {
        let Some(splice) = self.ring[found.0].as_mut() else {
            return;
        };
        splice.accepted_in = splice.accepted_in.max(sequence);
        let item = sequence - splice.first_in;
        if let Some(map) = self.map_mut(found) {
            map.drops.reach(item);
            map.markers.set(item, marker);
            map.joined.set(item, joined);
            map.fillers.set(item, false);
        }
    }

    /// A packet that has not left is the last of its picture after all.
    pub(crate) fn end_picture(&mut self, found: Found, sequence: u64) {
        let Some(splice) = self.ring[found.0] else {
            return;
        };
        let item = sequence - splice.first_in;
        if let Some(map) = self.map_mut(found)
            && map.drops.knows(item)
        {
            map.markers.set(item, true);
        }
    }

    /// Leaves a packet out of a layered splice. True where it has to be filled, for something
    /// behind it has left already.
    pub(crate) fn leave_out(&mut self, found: Found, sequence: u64) -> bool {
        let Some(splice) = self.ring[found.0] else {
            return false;
        };
        let item = sequence - splice.first_in;
        let Some(map) = self.map_mut(found) else {
            return false;
        };
        if splice.left.is_none_or(|left| left.newest_in < sequence) {
            map.drops.leave_out(item);
            return false;
        }
        let is_hole = map.drops.knows(item) && !map.drops.has(item);
        if is_hole {
            map.markers.set(item, false);
            map.fillers.set(item, true);
        }
        is_hole
    }

    /// Leaves a picture out of the count of pictures, where nothing behind it has left yet.
    pub(crate) fn leave_out_picture(&mut self, found: Found, unit: u64) {
        let Some(splice) = self.ring[found.0] else {
            return;
        };
        if let Some(map) = self.map_mut(found)
            && let Some(item) = unit.checked_sub(splice.first_unit)
            && map.left_unit.is_none_or(|left| item > left)
        {
            map.pictures.leave_out(item);
        }
    }

    /// The place of a packet that leaves for the first time. Where it is the first of its splice
    /// and something left before, `timestamp` tells the outgoing timestamp it should have.
    #[inline]
    pub(crate) fn place(
        &mut self,
        encoding: u8,
        sequence: u64,
        source_timestamp: u32,
        layers: &PacketLayers,
        timestamp: impl FnOnce(&Before) -> u32,
    ) -> Option<Place> {
        let found = self.find(encoding, sequence)?;
        let splice = self.ring[found.0].as_ref()?;
        if splice.left.is_none() {
            splice.number(self.map(splice), sequence)?;
            self.first_to_leave(found, sequence, source_timestamp, layers, timestamp);
        }
        let splice = self.ring[found.0].as_mut()?;
        let map = map_of(&mut self.maps, splice.map);
        let place = splice.place(map.as_deref(), sequence, source_timestamp, layers)?;
        if let Some(left) = &mut splice.left {
            left.newest_in = left.newest_in.max(sequence);
        }
        if let Some(map) = map
            && !place.is_filler
        {
            let unit = layers.frame.unit.checked_sub(splice.first_unit);
            map.left_unit = map.left_unit.max(unit);
        }
        self.note_left(layers, &place);
        Some(place)
    }

    /// The place of a packet that left before.
    pub(crate) fn placed(
        &self,
        encoding: u8,
        sequence: u64,
        source_timestamp: u32,
        layers: &PacketLayers,
    ) -> Option<Place> {
        let found = self.find(encoding, sequence)?;
        let splice = self.ring[found.0].as_ref()?;
        if sequence > splice.left.as_ref()?.newest_in {
            return None;
        }
        splice.place(self.map(splice), sequence, source_timestamp, layers)
    }

    /// The source packet that left with that number, taken as the nearest to the highest given.
    pub(crate) fn origin(&self, sequence: u16) -> Option<Origin> {
        let newest = self.next_out.checked_sub(1)?;
        let behind = (newest as u16).wrapping_sub(sequence);
        let outgoing = newest.checked_sub(u64::from(behind))?;
        let (found, splice, left) = self.newest_first().find_map(|found| {
            let splice = self.ring[found.0].as_ref()?;
            let left = splice.left.filter(|left| left.first_out <= outgoing)?;
            Some((found, splice, left))
        })?;
        let number = outgoing - left.first_out;
        let item = match self.map(splice) {
            Some(map) => map.drops.item(number)?,
            None if splice.map != 0 => return None,
            None => number,
        };
        let sequence = splice.first_in + item;
        (sequence <= left.newest_in).then_some(Origin {
            encoding: splice.encoding,
            sequence,
            outgoing,
            is_current: self.current() == Some(found),
        })
    }

    fn end(&mut self, end_in: impl FnOnce(&Splice) -> u64) {
        if let Some(found) = self.current()
            && let Some(splice) = &mut self.ring[found.0]
        {
            splice.end_in = end_in(splice);
        }
        self.is_open = false;
    }

    /// Gives a splice its place behind everything that left.
    fn first_to_leave(
        &mut self,
        found: Found,
        sequence: u64,
        source_timestamp: u32,
        layers: &PacketLayers,
        timestamp: impl FnOnce(&Before) -> u32,
    ) {
        let timestamp_delta = self.newest().map_or(0, |before| {
            let floor = before.timestamp.wrapping_add(MIN_TIMESTAMP_STEP);
            let wanted = timestamp(&before);
            // Never back, whatever the clocks say.
            let is_back = (wanted.wrapping_sub(floor) as i32) < 0;
            (if is_back { floor } else { wanted }).wrapping_sub(source_timestamp)
        });
        self.end_older(found);
        let first_unit = self.ring[found.0].map_or(0, |splice| splice.first_unit);
        let tl0 = layers.tl0.map_or(0, |(_, tl0)| tl0);
        let (first_picture, tl0_delta) = match self.has_left {
            true => (
                self.next_picture,
                self.newest_tl0.wrapping_add(1).wrapping_sub(tl0),
            ),
            false => (first_unit, 0),
        };
        if let Some(splice) = &mut self.ring[found.0] {
            splice.left = Some(Left {
                first_out: self.next_out,
                newest_in: sequence,
                first_picture,
                timestamp_delta,
                tl0_delta,
            });
        }
    }

    /// What has not left of earlier splices never does: its numbers are the next one's.
    fn end_older(&mut self, found: Found) {
        let older = self.newest_first().skip_while(|&other| other != found);
        for other in older.skip(1) {
            if let Some(splice) = &mut self.ring[other.0] {
                splice.end_in = splice.end_in.min(splice.end_of_left());
            }
        }
    }

    #[inline]
    fn note_left(&mut self, layers: &PacketLayers, place: &Place) {
        self.next_out = self.next_out.max(place.sequence + 1);
        if !self.has_left || (place.timestamp.wrapping_sub(self.newest_timestamp) as i32) > 0 {
            self.newest_timestamp = place.timestamp;
        }
        self.has_left = true;
        if place.is_filler {
            return;
        }
        let next_picture = place.picture.wrapping_add(1);
        if next_picture >= self.next_picture {
            self.newest_tl0 = place.tl0;
        }
        if layers.picture_number != PictureNumber::None {
            self.next_picture = self.next_picture.max(next_picture);
        }
    }

    #[inline]
    fn map(&self, splice: &Splice) -> Option<&Map> {
        if splice.map == 0 {
            return None;
        }
        let map = &self.maps.as_ref()?[splice.map as usize % THINNED];
        (map.number == splice.map).then_some(map)
    }

    #[inline]
    fn newest_first(&self) -> impl Iterator<Item = Found> + use<> {
        let begun = self.begun;
        (1..=begun.min(REMEMBERED)).map(move |back| Found((begun - back) % REMEMBERED))
    }
}

impl Splice {
    /// One past the highest packet that left.
    fn end_of_left(&self) -> u64 {
        self.left.map_or(self.first_in, |left| left.newest_in + 1)
    }

    #[inline]
    fn has(&self, encoding: u8, sequence: u64) -> bool {
        self.encoding == encoding && (self.first_in..self.end_in).contains(&sequence)
    }

    /// How many packets of the splice go before this one; `None` where it was left out or that is
    /// forgotten.
    #[inline]
    fn number(&self, map: Option<&Map>, sequence: u64) -> Option<u64> {
        let item = sequence - self.first_in;
        match map {
            Some(map) => map.drops.number(item),
            None => (self.map == 0).then_some(item),
        }
    }

    /// The place of a packet, where something left by the splice.
    #[inline]
    fn place(
        &self,
        map: Option<&Map>,
        sequence: u64,
        source_timestamp: u32,
        layers: &PacketLayers,
    ) -> Option<Place> {
        let number = self.number(map, sequence)?;
        let left = self.left.as_ref()?;
        let units = layers.frame.unit.wrapping_sub(self.first_unit);
        let mut place = Place {
            sequence: left.first_out + number,
            timestamp: source_timestamp.wrapping_add(left.timestamp_delta),
            marker: layers.marker,
            joins_previous: false,
            joins_next: false,
            is_filler: false,
            picture: left.first_picture.wrapping_add(units),
            tl0: layers
                .tl0
                .map_or(0, |(_, tl0)| tl0.wrapping_add(left.tl0_delta)),
        };
        let Some(map) = map else {
            return Some(place);
        };
        let item = sequence - self.first_in;
        place.marker = map.markers.has(item);
        place.is_filler = map.fillers.has(item);
        if layers.is_joinable {
            place.joins_previous = map.joined.has(item);
            place.joins_next = layers.ends_frame && !place.marker;
        }
        if layers.counts_pictures
            && layers.frame.unit >= self.first_unit
            && let Some(pictures) = map.pictures.number(units)
        {
            place.picture = left.first_picture.wrapping_add(pictures);
        }
        Some(place)
    }
}

/// The map with that number, while it is remembered.
#[inline]
fn map_of(maps: &mut Option<Box<[Map; THINNED]>>, number: u32) -> Option<&mut Map> {
    if number == 0 {
        return None;
    }
    let map = &mut maps.as_mut()?[number as usize % THINNED];
    (map.number == number).then_some(map)
}

impl Map {
    const fn new() -> Self {
        Self {
            number: 0,
            drops: Drops::new(),
            fillers: Marks::new(),
            markers: Marks::new(),
            joined: Marks::new(),
            pictures: Drops::new(),
            left_unit: None,
            decisions: Decisions::new(),
        }
    }
}
