//! Whatever is lost, overtaken or doubled on the way in, whichever layers are asked for, and however often
//! the receiver pauses: the numbers that it gets have no hole that the input had not, and never come twice,
//! and time does not go back.

// What can not be read or written is a broken test.
#![allow(clippy::unwrap_used)]

#[path = "../../layers/tests/model/mod.rs"]
mod model;
mod sim;

use model::encoder::{Between, Encoder, Packet, Structure};
use model::rng::Rng;
use proptest::collection::vec;
use proptest::prelude::*;
use sim::*;
use weirgate_packet::rtcp::{RtcpPacket, packets};
use weirgate_packet::rtp::{ExtensionForm, RtpPacket, RtpWriter};
use weirgate_shard::CommandBody;
use weirgate_wire::{Codec, ConsumerType, ExtensionKind, Layers, ObjectKind, ProducerEncoding};

const SSRC: u32 = 0x5000_0000;
const DESCRIPTOR_ID: u8 = 9;

/// What becomes of packets on the way in, in percent.
#[derive(Debug, Clone, Copy)]
struct Way {
    lost: u64,
    swapped: u64,
    doubled: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Pictures(usize),
    Prefer(u8, u8),
    /// So many bit/s at most; 0 is any number.
    Limit(u32),
    Pause(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..40usize).prop_map(Step::Pictures),
        4 => (0..3u8, 0..3u8).prop_map(|(spatial, temporal)| Step::Prefer(spatial, temporal)),
        1 => prop_oneof![Just(0), 30_000..400_000u32].prop_map(Step::Limit),
        2 => any::<bool>().prop_map(Step::Pause),
    ]
}

fn structures() -> impl Strategy<Value = Vec<Structure>> {
    let layered = prop_oneof![Just(Codec::Vp9), Just(Codec::Av1)].prop_flat_map(|codec| {
        let between = prop_oneof![Just(Between::Always), Just(Between::KeyPictures)];
        between.prop_map(move |between| vec![Structure::new(codec, 3, 3, between)])
    });
    let temporal = prop_oneof![Just((Codec::Vp8, 3)), Just((Codec::H264, 1))];
    let simulcast = temporal
        .prop_map(|(codec, temporal)| vec![Structure::new(codec, 1, temporal, Between::Never); 3]);
    prop_oneof![layered, simulcast]
}

struct Call {
    sim: Sim,
    encoders: Vec<Encoder>,
    way: Way,
    rng: Rng,
    lost: usize,
    /// Sequence number and timestamp of what the receiver got, in the order in which it came.
    got: Vec<(u16, u32)>,
}

impl Call {
    /// The receiver is on another shard. Nothing is encrypted, or doubles would end there.
    fn new(structures: &[Structure], seed: u64, way: Way) -> Self {
        let mut sim = Sim::new(2);
        let send = sim.plain(0, 1, addr(1), None);
        let mut producer = video_producer(1);
        producer.codecs[0].codec = structures[0].codec;
        let encoding = |(index, structure): (u32, &Structure)| ProducerEncoding {
            ssrc: Some(SSRC + index),
            spatial_layers: structure.spatial,
            temporal_layers: structure.temporal,
            ..ProducerEncoding::default()
        };
        producer.encodings = (0..).zip(structures).map(encoding).collect();
        let descriptor = ExtensionKind::DependencyDescriptor;
        producer.extensions.set(descriptor, DESCRIPTOR_ID);
        let source = sim.producer(0, send, producer.clone());
        sim.relay(0, 1, source, &producer);
        let transport = sim.plain(1, 2, addr(2), None);
        let mut consumer = video_consumer(2, &producer);
        consumer.consumer_type = match structures.len() {
            1 => ConsumerType::Svc,
            _ => ConsumerType::Simulcast,
        };
        sim.consumer(1, transport, consumer);
        let encoders = (0..).zip(structures);
        Self {
            encoders: encoders.map(|(i, &s)| Encoder::new(s, i, seed)).collect(),
            sim,
            way,
            rng: Rng::new(seed),
            lost: 0,
            got: Vec::new(),
        }
    }

    fn play(&mut self, steps: &[Step]) {
        let consumer = video_consumer(2, &video_producer(1)).id;
        self.pictures(20);
        for step in steps {
            let body = match *step {
                Step::Pictures(count) => {
                    self.pictures(count);
                    continue;
                }
                Step::Prefer(spatial, temporal) => CommandBody::SetPreferredLayers {
                    id: consumer,
                    layers: Some(Layers { spatial, temporal }),
                },
                Step::Limit(max_outgoing) => CommandBody::SetBitrates {
                    id: self.sim.transport_on(2),
                    max_incoming: 0,
                    max_outgoing,
                    min_outgoing: 0,
                },
                Step::Pause(paused) => CommandBody::SetPaused {
                    kind: ObjectKind::Consumer,
                    id: consumer,
                    paused,
                },
            };
            self.sim.command(1, body);
        }
        self.sim.command(
            1,
            CommandBody::SetPaused {
                kind: ObjectKind::Consumer,
                id: consumer,
                paused: false,
            },
        );
        self.pictures(40);
    }

    fn pictures(&mut self, count: usize) {
        for _ in 0..count {
            let now_ms = self.sim.now.as_micros() / 1_000;
            let mut all = Vec::new();
            for encoder in &mut self.encoders {
                all.extend(encoder.picture(now_ms, 3).iter().map(written));
            }
            for bytes in self.on_the_way(all) {
                self.sim.deliver(0, plain_path(1, addr(1)), &bytes);
            }
            self.sim.advance_ms(33);
            for sent in self.sim.take_sent_to(addr(1)) {
                for packet in packets(&sent.bytes) {
                    if let RtcpPacket::Pli { media, .. } = packet {
                        self.encoders[(media - SSRC) as usize].request_key_frame();
                    }
                }
            }
            for sent in self.sim.take_sent_to(addr(2)) {
                let packet = RtpPacket::parse(&sent.bytes);
                if let Some(packet) = packet.filter(|packet| packet.payload_type() == OUT_PT) {
                    self.got.push((packet.sequence(), packet.timestamp()));
                }
            }
        }
    }

    fn on_the_way(&mut self, packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for packet in packets {
            if self.rng.percent(self.way.lost) {
                self.lost += 1;
                continue;
            }
            if self.rng.percent(self.way.doubled) {
                out.push(packet.clone());
            }
            out.push(packet);
        }
        for at in 1..out.len() {
            if self.rng.percent(self.way.swapped) {
                out.swap(at - 1, at);
            }
        }
        out
    }

    /// What came, by sequence number.
    fn in_order(&self) -> Vec<(i64, u32)> {
        let mut newest = self
            .got
            .first()
            .map_or(0, |&(sequence, _)| i64::from(sequence));
        let extended = |&(sequence, timestamp): &(u16, u32)| {
            let at = newest + i64::from(sequence.wrapping_sub(newest as u16) as i16);
            newest = newest.max(at);
            (at, timestamp)
        };
        let mut in_order: Vec<_> = self.got.iter().map(extended).collect();
        in_order.sort_unstable_by_key(|&(sequence, _)| sequence);
        in_order
    }
}

fn written(packet: &Packet) -> Vec<u8> {
    let mut slot = [0; 400];
    let (sequence, ssrc) = (packet.sequence as u16, SSRC + u32::from(packet.encoding));
    let mut writer = RtpWriter::new(
        &mut slot,
        packet.marker,
        PT,
        sequence,
        packet.timestamp,
        ssrc,
        ExtensionForm::TwoByte,
    )
    .unwrap();
    if let Some(descriptor) = &packet.descriptor {
        writer.extension(DESCRIPTOR_ID, descriptor).unwrap();
    }
    writer.payload(&packet.payload).unwrap();
    let len = writer.finish().len;
    slot[..len].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn numbers_have_no_hole_of_ours_and_never_come_twice(
        structures in structures(),
        seed: u64,
        lost in prop_oneof![Just(0), 1..15u64],
        swapped in prop_oneof![Just(0), 1..20u64],
        doubled in 0..20u64,
        steps in vec(step(), 1..20),
    ) {
        let mut call = Call::new(&structures, seed, Way { lost, swapped, doubled });
        call.play(&steps);
        let got = call.in_order();
        // Nothing is repaired here: every key frame may have been lost.
        prop_assert!(lost > 0 || !got.is_empty(), "no picture");
        let mut holes = 0;
        for pair in got.windows(2) {
            let [(before, earlier), (after, later)] = pair else { unreachable!() };
            prop_assert!(after > before, "{before} came twice");
            prop_assert!(later.wrapping_sub(*earlier) < 1 << 31, "time goes back at {after}");
            holes += after - before - 1;
        }
        prop_assert!(holes <= call.lost as i64, "{holes} holes, {} lost", call.lost);
    }
}
