//! Simulcast: a receiver takes one stream at a time, and what it gets is one stream.

mod sim;

use sim::*;
use weirgate_shard::{CommandBody, SourceNo};
use weirgate_wire::{
    ConsumerConfig, ConsumerType, Event, Layers, ProducerConfig, ProducerEncoding,
};

struct Call {
    sim: Sim,
    sender: Peer,
    receiver: Peer,
    producer: ProducerConfig,
    source: SourceNo,
    consumer: ConsumerConfig,
    sequences: [u16; 3],
    /// Stream that has a key frame next.
    key: [bool; 3],
}

const SSRCS: [u32; 3] = [11, 12, 13];
/// Where each stream's timestamps begin.
const TIMES: [u32; 3] = [0, 1_000_000, 4_000_000_000];

fn call() -> Call {
    let mut call = sender(1);
    call.join(0);
    call
}

/// Nobody takes what it sends.
fn sender(shards: u16) -> Call {
    let mut sim = Sim::new(shards);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let mut producer = video_producer(1);
    producer.encodings = SSRCS
        .iter()
        .map(|&ssrc| ProducerEncoding {
            ssrc: Some(ssrc),
            spatial_layers: 1,
            temporal_layers: 1,
            ..ProducerEncoding::default()
        })
        .collect();
    let source = sim.producer(0, send, producer.clone());
    let consumer = ConsumerConfig {
        consumer_type: ConsumerType::Simulcast,
        ..video_consumer(2, &producer)
    };
    Call {
        sim,
        sender,
        receiver: Peer::new(addr(2), &key(2)),
        producer,
        source,
        consumer,
        sequences: [100, 30_000, 7],
        key: [true; 3],
    }
}

impl Call {
    /// The receiver takes it, on that shard.
    fn join(&mut self, shard: usize) {
        let remote = self.receiver.remote;
        let transport = self.sim.plain(shard, 2, remote, Some(key(2)));
        if shard > 0 {
            self.sim.relay(0, shard, self.source, &self.producer);
        }
        self.sim.consumer(shard, transport, self.consumer.clone());
    }

    /// Every stream in `active` sends a frame of one packet; 33 ms pass.
    fn frame(&mut self, active: &[usize]) {
        for &stream in active {
            let sequence = self.sequences[stream];
            self.sequences[stream] += 1;
            let elapsed = (self.sim.now.as_micros() - 1_000_000_000) * 9 / 100;
            let timestamp = TIMES[stream].wrapping_add(elapsed as u32);
            let key = std::mem::take(&mut self.key[stream]);
            let payload = vp8_payload(key, stream as u16);
            let packet = rtp(PT, sequence, timestamp, SSRCS[stream], None, &payload);
            let sealed = self.sender.seal(&packet);
            self.sim.deliver(0, plain_path(1, addr(1)), &sealed);
        }
        self.sim.advance_ms(33);
    }

    fn received(&mut self) -> Vec<Received> {
        let sent = self.sim.take_sent_to(addr(2));
        self.receiver.open(sent).0
    }

    fn prefer(&mut self, spatial: u8) {
        let layers = Some(Layers {
            spatial,
            temporal: 0,
        });
        self.sim.command(
            0,
            CommandBody::SetPreferredLayers {
                id: self.consumer.id,
                layers,
            },
        );
    }
}

fn streams(media: &[Received]) -> Vec<u8> {
    let mut streams: Vec<u8> = media.iter().map(|packet| packet.payload[6]).collect();
    streams.dedup();
    streams
}

fn assert_one_stream(media: &[Received]) {
    for pair in media.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!((1..=9000).contains(&step), "{step}");
    }
}

#[test]
fn a_switch_waits_for_a_key_frame_and_leaves_no_seam() {
    let mut call = call();
    for _ in 0..60 {
        call.frame(&[0, 1, 2]);
    }
    // The key frames at the start were the lowest stream's to begin with.
    call.key[2] = true;
    for _ in 0..30 {
        call.frame(&[0, 1, 2]);
    }
    call.prefer(0);
    for _ in 0..10 {
        call.frame(&[0, 1, 2]);
    }
    call.key[0] = true;
    for _ in 0..10 {
        call.frame(&[0, 1, 2]);
    }
    let media = call.received();
    assert_one_stream(&media);
    assert_eq!(streams(&media), [0, 2, 0]);
    let layers: Vec<_> = call
        .sim
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ConsumerLayers { layers, .. } => layers.map(|layers| layers.spatial),
            _ => None,
        })
        .collect();
    assert_eq!(layers, [0, 2, 0]);
}

#[test]
fn when_the_best_stream_stops_the_next_one_takes_over() {
    let mut call = call();
    call.frame(&[0, 1, 2]);
    for _ in 0..60 {
        call.key[2] = true;
        call.frame(&[0, 1, 2]);
    }
    call.received();
    for _ in 0..90 {
        call.key[1] = true;
        call.frame(&[0, 1]);
    }
    let media = call.received();
    assert_one_stream(&media);
    assert_eq!(streams(&media), [1]);
}

#[test]
fn who_is_the_first_on_another_shard_begins_with_the_best_stream() {
    let mut call = sender(2);
    for _ in 0..60 {
        call.frame(&[0, 1, 2]);
    }
    call.join(1);
    call.key = [true; 3];
    for _ in 0..30 {
        call.frame(&[0, 1, 2]);
    }
    let media = call.received();
    assert_one_stream(&media);
    assert_eq!(streams(&media), [2]);
}
