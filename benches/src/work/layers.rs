//! A consumer's choice among the packets of a layered stream, and the numbers in its payload.

use std::collections::VecDeque;
use std::hint::black_box;

use weirgate_layers::{Incoming, Layer, LayerReader, Offer, PacketLayers, Place, Selector, Target};
use weirgate_wire::Codec;

use super::Work;

/// Packets of a picture.
const PACKETS: usize = 9;
/// Temporal layers of the pictures, over and over.
const PATTERN: [u8; 4] = [0, 2, 1, 2];
const PAYLOAD_BYTES: usize = 1180;
const FIRST_SEQUENCE: u64 = 1 << 20;
/// RTP timestamp units between two pictures.
const TIMESTAMP_STEP: u32 = 3000;

/// Payloads of VP8 with three temporal layers as a browser sends it, the first picture a key frame.
struct Source {
    payload: Vec<u8>,
    pictures: u64,
}

/// A packet and what a consumer needs to know of it.
#[derive(Clone, Copy)]
struct Read {
    sequence: u64,
    timestamp: u32,
    layers: PacketLayers,
}

impl Source {
    fn new() -> Self {
        Self {
            payload: vec![0x55; PAYLOAD_BYTES],
            pictures: 0,
        }
    }

    /// Shows each packet of the next picture.
    fn next_picture(&mut self, mut show: impl FnMut(&Incoming<'_>)) {
        let picture = self.pictures;
        self.pictures += 1;
        let temporal = PATTERN[picture as usize % PATTERN.len()];
        for index in 0..PACKETS {
            self.write_descriptor(picture, temporal, index == 0);
            show(&Incoming {
                codec: Codec::Vp8,
                sequence: FIRST_SEQUENCE + picture * PACKETS as u64 + index as u64,
                timestamp: picture as u32 * TIMESTAMP_STEP,
                marker: index == PACKETS - 1,
                payload: &self.payload,
                descriptor: None,
            });
        }
    }

    /// RFC 7741 section 4.2: 15 bits of picture id, TL0PICIDX and TID; and the first byte of the
    /// frame, which tells key frames.
    fn write_descriptor(&mut self, picture: u64, temporal: u8, is_first: bool) {
        let [high, low] = (picture as u16).to_be_bytes();
        let tl0 = (picture / PATTERN.len() as u64) as u8;
        let inter = u8::from(picture > 0);
        let start = u8::from(is_first) << 4;
        let bytes = [
            0x80 | start,
            0xe0,
            0x80 | high,
            low,
            tl0,
            temporal << 6,
            inter,
        ];
        self.payload[..bytes.len()].copy_from_slice(&bytes);
    }

    fn read_picture(&mut self, reader: &mut LayerReader) -> Vec<Read> {
        let mut picture = Vec::with_capacity(PACKETS);
        self.next_picture(|packet| {
            picture.push(Read {
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                layers: reader.read(packet),
            });
        });
        picture
    }
}

/// A turn reads the layers of a picture's packets, which is done once for all consumers.
pub struct ReadLayers {
    source: Source,
    reader: LayerReader,
}

impl ReadLayers {
    /// Of a stream from its beginning.
    #[expect(clippy::new_without_default, reason = "as the other works")]
    pub fn new() -> Self {
        Self {
            source: Source::new(),
            reader: LayerReader::default(),
        }
    }
}

impl Work for ReadLayers {
    fn prepare(&mut self, _turns: usize) {}

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            let reader = &mut self.reader;
            self.source.next_picture(|packet| {
                black_box(reader.read(packet));
            });
        }
        (turns * PACKETS) as u64
    }
}

/// A turn offers a picture's packets to one consumer, and numbers those that it takes.
pub struct Select {
    source: Source,
    reader: LayerReader,
    selector: Selector,
    pictures: VecDeque<Vec<Read>>,
}

impl Select {
    /// For a consumer that gets up to that temporal layer.
    pub fn new(temporal: u8) -> Self {
        let mut selector = Selector::new(1, true);
        selector.set_target(Some(Target {
            encoding: 0,
            layer: Layer::new(0, temporal),
            meanwhile: 0,
        }));
        let mut select = Self {
            source: Source::new(),
            reader: LayerReader::default(),
            selector,
            pictures: VecDeque::new(),
        };
        select.prepare(PATTERN.len());
        select.run(PATTERN.len());
        select
    }

    /// Whether it leaves, and as what.
    fn take(&mut self, packet: &Read) -> Option<Place> {
        let is_entry = packet.layers.begins_key_frame();
        let offered = self
            .selector
            .offer(0, packet.sequence, is_entry, &packet.layers);
        if offered.offer == Offer::Skip {
            return None;
        }
        let (sequence, timestamp) = (packet.sequence, packet.timestamp);
        self.selector
            .place(0, sequence, timestamp, &packet.layers, |_| timestamp)
    }
}

impl Work for Select {
    fn prepare(&mut self, turns: usize) {
        while self.pictures.len() < turns {
            let picture = self.source.read_picture(&mut self.reader);
            self.pictures.push_back(picture);
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            for packet in self.pictures.pop_front().expect("more turns than prepared") {
                black_box(self.take(&packet));
            }
        }
        (turns * PACKETS) as u64
    }
}

/// A turn writes the outgoing numbers into one payload.
pub struct Rewrite {
    payload: Vec<u8>,
    layers: PacketLayers,
    place: Place,
}

impl Rewrite {
    /// Of a stream with picture id and TL0PICIDX.
    #[expect(clippy::new_without_default, reason = "as the other works")]
    pub fn new() -> Self {
        let mut select = Select::new(2);
        select.prepare(1);
        let picture = select.pictures.pop_front().expect("prepared");
        let place = select.take(&picture[0]).expect("all layers are taken");
        Self {
            payload: select.source.payload,
            layers: picture[0].layers,
            place,
        }
    }
}

impl Work for Rewrite {
    fn prepare(&mut self, _turns: usize) {}

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            weirgate_layers::rewrite(black_box(&mut self.payload), &self.layers, &self.place);
        }
        turns as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_of_the_lowest_layer_takes_every_fourth_picture() {
        let taken = |temporal| {
            let mut select = Select::new(temporal);
            select.prepare(8);
            let pictures: Vec<_> = select.pictures.drain(..).collect();
            let packets = pictures.iter().flatten();
            packets
                .filter(|packet| select.take(packet).is_some())
                .count()
        };
        assert_eq!([taken(0), taken(1), taken(2)], [18, 36, 72]);
    }
}
