//! Layers inside of streams: whatever is asked for, the receiver's decoder gets whole frames with
//! all that they refer to, as one stream without a seam.

// What can not be read or written is a broken test.
#![allow(clippy::unwrap_used)]

#[path = "../../layers/tests/model/mod.rs"]
mod model;
mod sim;

use std::collections::HashMap;

use model::encoder::{Between, Encoder, Frame, Packet, Structure};
use sim::*;
use uuid::Uuid;
use weirgate_packet::payload::vp8::Vp8Descriptor;
use weirgate_packet::rtcp::{RtcpPacket, RtcpWriter, packets};
use weirgate_packet::rtp::{ExtensionForm, RtpPacket, RtpWriter};
use weirgate_shard::CommandBody;
use weirgate_wire::{
    Codec, ConsumerType, Event, ExtensionKind, Layers, ProducerConfig, ProducerEncoding,
};

const SSRC: u32 = 0x5000_0000;
const DESCRIPTOR_ID: u8 = 9;

struct Call {
    sim: Sim,
    encoders: Vec<Encoder>,
    transport: Uuid,
    consumer: Uuid,
    /// The truth by frame id.
    sent: HashMap<u32, Frame>,
    requests: usize,
    received: Vec<Got>,
}

/// A packet as the receiver got it.
struct Got {
    sequence: u16,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
    frame: u32,
}

fn producer(structures: &[Structure]) -> ProducerConfig {
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
    producer
}

impl Call {
    /// The receiver is on another shard.
    fn new(structures: &[Structure]) -> Self {
        let mut sim = Sim::new(2);
        let send = sim.plain(0, 1, addr(1), None);
        let producer = producer(structures);
        let source = sim.producer(0, send, producer.clone());
        sim.relay(0, 1, source, &producer);
        let transport = sim.plain(1, 2, addr(2), None);
        let mut consumer = video_consumer(2, &producer);
        consumer.consumer_type = match structures.len() {
            1 => ConsumerType::Svc,
            _ => ConsumerType::Simulcast,
        };
        let id = consumer.id;
        sim.consumer(1, transport, consumer);
        let encoders = (0..).zip(structures);
        Self {
            sim,
            transport,
            encoders: encoders.map(|(i, &s)| Encoder::new(s, i, 5)).collect(),
            consumer: id,
            sent: HashMap::new(),
            requests: 0,
            received: Vec::new(),
        }
    }

    fn prefer(&mut self, spatial: u8, temporal: u8) {
        let layers = Some(Layers { spatial, temporal });
        let id = self.consumer;
        self.sim
            .command(1, CommandBody::SetPreferredLayers { id, layers });
    }

    /// The receiver's path carries so much.
    fn limit(&mut self, max_outgoing: u32) {
        let body = CommandBody::SetBitrates {
            id: self.transport,
            max_incoming: 0,
            max_outgoing,
            min_outgoing: 0,
        };
        self.sim.command(1, body);
    }

    /// Numbers of the last packets that came of a spatial layer.
    fn last_of(&self, spatial: u8, count: usize) -> Vec<u16> {
        let is_of = |got: &&Got| self.sent[&got.frame].spatial == spatial;
        let of = self.received.iter().rev().filter(is_of);
        of.take(count).map(|got| got.sequence).collect()
    }

    /// Asks for packets again; how many came.
    fn ask_again(&mut self, lost: &[u16]) -> usize {
        let mut bytes = [0; 1_400];
        let mut writer = RtcpWriter::new(&mut bytes);
        assert!(writer.nack(1, 0x3000_0002, lost.iter().copied()));
        let len = writer.len();
        self.sim.deliver(1, plain_path(2, addr(2)), &bytes[..len]);
        self.sim.advance_ms(1);
        let sent = self.sim.take_sent_to(addr(2));
        let types = sent
            .iter()
            .filter_map(|sent| Some(RtpPacket::parse(&sent.bytes)?.payload_type()));
        types.filter(|&it| it == OUT_RTX_PT).count()
    }

    fn pictures(&mut self, count: usize) {
        for _ in 0..count {
            let now_ms = self.sim.now.as_micros() / 1_000;
            let mut all = Vec::new();
            for encoder in &mut self.encoders {
                all.extend(encoder.picture(now_ms, 3));
            }
            for packet in all {
                self.sent.insert(packet.frame.id, packet.frame.clone());
                let bytes = written(&packet);
                self.sim.deliver(0, plain_path(1, addr(1)), &bytes);
            }
            self.sim.advance_ms(33);
            self.answer_requests();
            for sent in self.sim.take_sent_to(addr(2)) {
                if RtpPacket::parse(&sent.bytes)
                    .is_some_and(|packet| packet.payload_type() == OUT_PT)
                {
                    self.received.push(Got::read(&sent.bytes));
                }
            }
        }
    }

    fn answer_requests(&mut self) {
        for sent in self.sim.take_sent_to(addr(1)) {
            for packet in packets(&sent.bytes) {
                if let RtcpPacket::Pli { media, .. } = packet {
                    self.requests += 1;
                    self.encoders[(media - SSRC) as usize].request_key_frame();
                }
            }
        }
    }

    /// As last told by an event.
    fn layers(&self) -> Option<Layers> {
        let mut events = self.sim.events.iter().rev();
        events.find_map(|event| match event {
            Event::ConsumerLayers { layers, .. } => Some(*layers),
            _ => None,
        })?
    }

    fn assert_one_decodable_stream(&self) {
        let mut packets: HashMap<u32, u8> = HashMap::new();
        for got in &self.received {
            *packets.entry(got.frame).or_default() += 1;
        }
        for (id, count) in &packets {
            let frame = &self.sent[id];
            assert_eq!(*count, frame.packets, "{frame:?} is not whole");
            for reference in &frame.references {
                assert!(
                    packets.contains_key(reference),
                    "{frame:?} can not be decoded"
                );
            }
        }
        for pair in self.received.windows(2) {
            let [one, next] = pair else { unreachable!() };
            assert_eq!(next.sequence, one.sequence.wrapping_add(1));
            let is_same = self.sent[&one.frame].picture == self.sent[&next.frame].picture;
            let step = next.timestamp.wrapping_sub(one.timestamp);
            assert_eq!(step == 0, is_same);
            assert!(step < 90_000, "{step}");
            assert_eq!(one.marker, !is_same, "{:?}", self.sent[&one.frame]);
            if let (Some(a), Some(b)) = (one.picture_id(self), next.picture_id(self)) {
                let step = b.wrapping_sub(a) & 0x7fff;
                assert_eq!(step, u16::from(!is_same));
            }
        }
    }
}

impl Got {
    fn read(bytes: &[u8]) -> Self {
        let packet = RtpPacket::parse(bytes).unwrap();
        let payload = packet.payload().to_vec();
        assert_eq!(packet.padding_len(), 0, "a filler where nothing was late");
        assert!(
            packet.extensions().all(|(id, _)| id != DESCRIPTOR_ID),
            "the descriptor does not go to browsers"
        );
        Self {
            sequence: packet.sequence(),
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            frame: u32::from_be_bytes(*payload.last_chunk().unwrap()),
            payload,
        }
    }

    /// Of VP8.
    fn picture_id(&self, call: &Call) -> Option<u16> {
        let is_vp8 = call.encoders[0].structure.codec == Codec::Vp8;
        let descriptor = Vp8Descriptor::parse(&self.payload).filter(|_| is_vp8)?;
        descriptor.picture_id.map(|id| id.value)
    }
}

fn written(packet: &Packet) -> Vec<u8> {
    let mut slot = [0; 400];
    let mut writer = RtpWriter::new(
        &mut slot,
        packet.marker,
        PT,
        packet.sequence as u16,
        packet.timestamp,
        SSRC + u32::from(packet.encoding),
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

/// Two hundred switches in a row, each waited for.
fn switch_around(structures: &[Structure]) -> Call {
    let mut call = Call::new(structures);
    let top = structures[0];
    let spatial_layers = u32::from(top.spatial).max(structures.len() as u32);
    call.pictures(60);
    for step in 0..200u32 {
        let spatial = ((step * 7 + step / 5) % spatial_layers) as u8;
        let temporal = ((step * 5 + step / 7) % u32::from(top.temporal)) as u8;
        call.prefer(spatial, temporal);
        // Key frames for those who have a picture come three seconds apart.
        call.pictures(95);
        let expected = Some(Layers { spatial, temporal });
        assert_eq!(call.layers(), expected, "{top:?}, step {step}");
    }
    call.assert_one_decodable_stream();
    call
}

#[test]
fn vp9_full_svc() {
    switch_around(&[Structure::new(Codec::Vp9, 3, 3, Between::Always)]);
}

#[test]
fn vp9_full_svc_in_flexible_mode() {
    switch_around(&[Structure {
        flexible: true,
        ..Structure::new(Codec::Vp9, 3, 3, Between::Always)
    }]);
}

#[test]
fn vp9_k_svc() {
    let call = switch_around(&[Structure::new(Codec::Vp9, 3, 3, Between::KeyPictures)]);
    // In each direction a key frame, and no more than one for each switch.
    assert!(
        call.requests > 50 && call.requests <= 205,
        "{}",
        call.requests
    );
}

#[test]
fn av1_full_svc() {
    switch_around(&[Structure::new(Codec::Av1, 3, 3, Between::Always)]);
}

#[test]
fn av1_k_svc() {
    switch_around(&[Structure::new(Codec::Av1, 3, 3, Between::KeyPictures)]);
}

#[test]
fn av1_streams_side_by_side() {
    switch_around(&[Structure::new(Codec::Av1, 3, 3, Between::Never)]);
}

#[test]
fn vp8_temporal_layers() {
    let call = switch_around(&[Structure::new(Codec::Vp8, 1, 3, Between::Never)]);
    assert!(call.requests < 5, "temporal layers take no key frames");
}

#[test]
fn vp8_simulcast_with_temporal_layers() {
    switch_around(&[Structure::new(Codec::Vp8, 1, 3, Between::Never); 3]);
}

#[test]
fn h264_simulcast() {
    switch_around(&[Structure::new(Codec::H264, 1, 1, Between::Never); 3]);
}

#[test]
fn what_is_encrypted_end_to_end_has_its_layers_by_the_descriptor() {
    let call = switch_around(&[Structure::new(Codec::Other, 2, 2, Between::Always)]);
    assert!(!call.received.is_empty());
}

#[test]
fn what_was_lost_of_layers_given_up_is_repaired_or_begun_anew_whatever_is_sooner() {
    for (lost, repaired, begun_anew) in [(3, 3, 0), (60, 0, 1)] {
        let mut call = Call::new(&[Structure::new(Codec::Av1, 3, 3, Between::Always)]);
        call.pictures(60);
        assert_eq!(call.layers().map(|layers| layers.spatial), Some(2));
        let lost = call.last_of(2, lost);
        let requests = call.requests;
        call.limit(20_000);
        call.pictures(8);
        assert!(call.layers().is_some_and(|layers| layers.spatial < 2));
        assert_eq!(call.ask_again(&lost), repaired);
        call.pictures(8);
        assert_eq!(call.requests - requests, begun_anew);
        assert!(call.layers().is_some_and(|layers| layers.spatial < 2));
        let was_repaired = call.ask_again(&lost[..1]) > 0;
        assert_eq!(was_repaired, begun_anew == 0, "what is past is not of use");
        call.assert_one_decodable_stream();
    }
}
