//! A receiver that knows the truth: what it got, and whether it can decode it.

use std::collections::{BTreeMap, HashMap};

use weirgate_layers::{PacketLayers, Place, joined_header, rewrite};
use weirgate_packet::payload::{vp8::Vp8Descriptor, vp9::Vp9Descriptor};
use weirgate_wire::Codec;

use super::encoder::{Frame, Packet};

/// A packet as the receiver got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub place: Place,
    pub payload: Vec<u8>,
    pub packet: Packet,
    pub codec: Codec,
    /// Turn in which it left.
    pub turn: u64,
}

#[derive(Debug, Default)]
pub struct Receiver {
    /// By outgoing sequence number.
    pub packets: BTreeMap<u64, Received>,
}

impl Receiver {
    pub fn receive(
        &mut self,
        turn: u64,
        codec: Codec,
        packet: &Packet,
        layers: &PacketLayers,
        place: Place,
    ) {
        let mut payload = packet.payload.clone();
        rewrite(&mut payload, layers, &place);
        let received = Received {
            place,
            payload,
            packet: packet.clone(),
            codec,
            turn,
        };
        let before = self.packets.insert(place.sequence, received);
        assert!(before.is_none(), "sequence number {} twice", place.sequence);
    }

    /// Media packets in the order of their sequence numbers.
    pub fn media(&self) -> impl Iterator<Item = &Received> {
        self.packets
            .values()
            .filter(|received| !received.place.is_filler)
    }

    pub fn fillers(&self) -> usize {
        self.packets.len() - self.media().count()
    }

    pub fn assert_timestamps(&self) {
        let mut newest: Option<u32> = None;
        for received in self.packets.values() {
            let now = received.place.timestamp;
            if let Some(newest) = newest {
                let step = now.wrapping_sub(newest) as i32;
                // A filler has the time of what it stands for.
                assert!(step >= 0, "timestamps go back by {step}");
            }
            newest = Some(now);
        }
    }

    /// Every outgoing sequence number that is missing, between the first and the last.
    pub fn holes(&self) -> Vec<u64> {
        let (Some((&first, _)), Some((&last, _))) = (
            self.packets.first_key_value(),
            self.packets.last_key_value(),
        ) else {
            return vec![];
        };
        (first..=last)
            .filter(|sequence| !self.packets.contains_key(sequence))
            .collect()
    }

    /// Frames that were received in part or whole, with how many packets of each.
    pub fn frames(&self) -> HashMap<u32, (&Frame, u8)> {
        let mut frames = HashMap::new();
        for received in self.media() {
            let frame = &received.packet.frame;
            frames.entry(frame.id).or_insert((frame, 0)).1 += 1;
        }
        frames
    }

    /// Whole frames of which some reference is not there; `is_excused` for a missing one that could
    /// not be sent.
    pub fn undecodable(&self, is_excused: impl Fn(u32) -> bool) -> Vec<u32> {
        let frames = self.frames();
        let mut bad = vec![];
        for (id, (frame, _)) in &frames {
            for reference in &frame.references {
                if !frames.contains_key(reference) && !is_excused(*reference) {
                    bad.push(*id);
                }
            }
        }
        bad.sort_unstable();
        bad
    }

    /// The picture ids and TL0PICIDX of the pictures in the order of their first packets, checked to
    /// be the same in all packets of a picture.
    pub fn picture_numbers(&self) -> Vec<PictureNumbers> {
        let mut all: Vec<PictureNumbers> = vec![];
        for received in self.media() {
            let numbers = numbers_of(received);
            match all.iter().rev().find(|p| p.picture == numbers.picture) {
                Some(known) => assert_eq!(*known, numbers),
                None => all.push(numbers),
            }
        }
        all
    }

    /// Every picture but the newest has an end that the receiver can see.
    pub fn assert_ends(&self) {
        let media: Vec<_> = self.media().collect();
        for pair in media.windows(2) {
            let [one, next] = pair else { unreachable!() };
            let is_last = one.packet.frame.picture != next.packet.frame.picture;
            assert_eq!(one.place.marker, is_last, "at {}", one.place.sequence);
        }
    }

    /// What the next packet of AV1 is to go on with it does go on with, in the same picture.
    pub fn assert_joints(&self) {
        let media: Vec<_> = self.media().filter(|it| it.codec == Codec::Av1).collect();
        for pair in media.windows(2) {
            let [one, next] = pair else { unreachable!() };
            if next.packet.frame.is_key && next.packet.index == 0 {
                // What was under way was cut.
                continue;
            }
            let (is_open, goes_on) = (fragments(one).1, fragments(next).0);
            let at = one.place.sequence;
            assert_eq!(is_open, goes_on, "between {at} and the next");
            let is_same = one.packet.frame.picture == next.packet.frame.picture;
            assert!(is_same || !is_open, "{at} has no end");
        }
    }

    /// One marker in each picture at most, on its last packet.
    pub fn assert_markers(&self) {
        let media: Vec<_> = self.media().collect();
        for pair in media.windows(2) {
            let [one, next] = pair else { unreachable!() };
            let is_same = one.packet.frame.picture == next.packet.frame.picture;
            if one.place.marker {
                assert!(
                    !is_same,
                    "marker inside of picture {}",
                    one.packet.frame.picture
                );
            }
        }
    }
}

/// The fragment bits that a packet of AV1 left with: it goes on the one before, the next one goes on it.
fn fragments(received: &Received) -> (bool, bool) {
    let (header, len) = joined_header(&received.payload, &received.place);
    let first = if len == 0 {
        received.payload[0]
    } else {
        header[0]
    };
    (first & 0x80 != 0, first & 0x40 != 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureNumbers {
    /// The truth.
    pub picture: u32,
    pub temporal: u8,
    pub picture_id: Option<u16>,
    pub tl0: Option<u8>,
    pub timestamp: u32,
}

fn numbers_of(received: &Received) -> PictureNumbers {
    let (picture_id, tl0) = match received.codec {
        Codec::Vp8 => {
            let descriptor = Vp8Descriptor::parse(&received.payload).unwrap();
            (descriptor.picture_id, descriptor.tl0_pic_idx)
        }
        Codec::Vp9 => {
            let descriptor = Vp9Descriptor::parse(&received.payload).unwrap();
            (descriptor.picture_id, descriptor.tl0_pic_idx)
        }
        _ => (None, None),
    };
    PictureNumbers {
        picture: received.packet.frame.picture,
        temporal: received.packet.frame.temporal,
        picture_id: picture_id.map(|id| id.value),
        tl0,
        timestamp: received.place.timestamp,
    }
}
