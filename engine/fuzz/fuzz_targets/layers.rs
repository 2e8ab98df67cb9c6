#![no_main]
//! Packets of three streams with any payload and dependency descriptor, read, chosen and numbered
//! for one consumer. Outgoing numbers never repeat, and each leads back to its packet.
//!
//! An input is a row of packets: two bytes of sequence number, one that says which stream, codec
//! and target, one of length, and that many bytes, which are payload and descriptor both.

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use weirgate_layers::{Incoming, Layer, LayerReader, Offer, Selector, Target, rewrite};
use weirgate_wire::Codec;

const CODECS: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];
/// As far from 0 as the engine puts a stream's first sequence number.
const FIRST: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut readers: [LayerReader; 3] = Default::default();
    let mut selector = Selector::new(0, true);
    let mut numbers = HashMap::new();
    let mut newest = 0;
    let mut rest = bytes;
    while let Some((&[high, low, kind, len], tail)) = rest.split_first_chunk::<4>() {
        let (data, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        let sequence = FIRST + u64::from(u16::from_be_bytes([high, low]));
        let encoding = kind % 3;
        let layers = readers[usize::from(encoding)].read(&Incoming {
            codec: CODECS[usize::from(kind >> 2 & 3)],
            sequence,
            timestamp: u32::from(kind) * 3_000,
            marker: kind & 0x10 != 0,
            payload: data,
            descriptor: (kind & 0x20 != 0).then_some(data),
        });
        let layer = Layer::new(len & 3, len >> 2 & 7);
        let is_nothing = kind & 0xc0 == 0xc0;
        selector.set_target((!is_nothing).then_some(Target { encoding: low % 3, layer, meanwhile: len >> 5 & 3 }));
        let offered = selector.offer(encoding, sequence, layers.begins_key_frame(), &layers);
        if offered.offer == Offer::Skip {
            continue;
        }
        let place = selector.place(encoding, sequence, 0, &layers, |before| before.timestamp);
        let Some(place) = place else {
            continue;
        };
        // A packet is offered once; the same one again has its number.
        let packet = (encoding, sequence);
        assert_eq!(*numbers.entry(place.sequence).or_insert(packet), packet);
        newest = place.sequence.max(newest);
        // Receivers ask by 16 bits, which stand for the newest number that has them.
        if newest - place.sequence < 1 << 15 {
            let origin = selector.origin(place.sequence as u16);
            assert!(origin.is_none_or(|origin| (origin.encoding, origin.sequence) == packet));
        }
        rewrite(&mut data.to_vec(), &layers, &place);
    }
});
