//! What a shard's objects take: caps that docs/ARCHITECTURE.md publishes.

mod sim;

use std::collections::VecDeque;

use allocation_counter::measure;
use sim::*;
use weirgate_shard::{CommandBody, Limits};
use weirgate_wire::MediaKind;

/// Enough that tables which double weigh what they do on average.
const OBJECTS: u32 = 200;

/// Bytes of the heap that stay taken per object.
const WEBRTC_TRANSPORT_BYTES: i64 = 8 << 10;
const PLAIN_TRANSPORT_BYTES: i64 = 5 << 10;
/// Of a WebRTC transport from its first consumer on: the estimate of its path.
const ESTIMATE_BYTES: i64 = 64 << 10;
const VIDEO_CONSUMER_BYTES: i64 = 4 << 10;
const AUDIO_CONSUMER_BYTES: i64 = 8 << 10;
/// Of a source stream beside the packets of its history; most of it says where those are.
const VIDEO_STREAM_BYTES: i64 = 128 << 10;
const AUDIO_STREAM_BYTES: i64 = 40 << 10;

/// What is left of what `work` took, by object.
fn kept(sim: &mut Sim, objects: u32, work: impl FnOnce(&mut Sim)) -> i64 {
    let forget = |sim: &mut Sim| {
        sim.events = Vec::new();
        sim.sent = VecDeque::new();
    };
    forget(sim);
    let info = measure(|| {
        work(sim);
        forget(sim);
    });
    info.bytes_current / i64::from(objects)
}

fn check_cap(what: &str, bytes: i64, cap: i64) {
    println!("{what}: {bytes} bytes");
    assert!(bytes <= cap, "{what}: {bytes} bytes are over {cap}");
}

fn webrtc_transport(sim: &mut Sim, number: u32) -> uuid::Uuid {
    let (id, ice) = sim.webrtc(0, number);
    let consent = check(&ice, &CheckOptions::default());
    sim.deliver(0, media_path(addr(number as u16)), &consent);
    let keys = key(number as u8);
    let (send, receive) = (keys.clone(), keys);
    sim.command(0, CommandBody::SetSrtpKeys { id, send, receive });
    id
}

#[test]
fn transports_and_consumers_keep_to_their_caps() {
    let mut sim = Sim::new(1);
    let producer = video_producer(1);
    let talk = audio_producer(2, 7_777);
    let sender = sim.plain(0, 1, addr(1), Some(key(1)));
    sim.producer(0, sender, producer.clone());
    sim.producer(0, sender, talk.clone());

    let mut transports = Vec::with_capacity(OBJECTS as usize);
    let bytes = kept(&mut sim, OBJECTS, |sim| {
        let numbers = 1_000..1_000 + OBJECTS;
        transports.extend(numbers.map(|number| webrtc_transport(sim, number)));
        sim.advance_ms(100);
    });
    check_cap("WebRTC transport", bytes, WEBRTC_TRANSPORT_BYTES);

    let bytes = kept(&mut sim, OBJECTS, |sim| {
        for number in 3_000..3_000 + OBJECTS {
            sim.plain(0, number, addr(number as u16), Some(key(number as u8)));
        }
    });
    check_cap("plain transport", bytes, PLAIN_TRANSPORT_BYTES);

    let consume = |sim: &mut Sim, first: u32| {
        for (number, &transport) in (first..).zip(&transports) {
            sim.consumer(0, transport, video_consumer(number, &producer));
        }
    };
    let first = kept(&mut sim, OBJECTS, |sim| consume(sim, 10_000));
    let video = kept(&mut sim, OBJECTS, |sim| consume(sim, 20_000));
    check_cap("video consumer", video, VIDEO_CONSUMER_BYTES);
    check_cap("estimate of a path", first - video, ESTIMATE_BYTES);
    let audio = kept(&mut sim, OBJECTS, |sim| {
        for (number, &transport) in (30_000..).zip(&transports) {
            sim.consumer(0, transport, audio_consumer(number, &talk));
        }
    });
    check_cap("audio consumer", audio, AUDIO_CONSUMER_BYTES);
}

#[test]
fn source_streams_keep_to_their_caps() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let transport = sim.plain(0, 1, sender.remote, Some(key(1)));
    let limits = Limits::default();
    for (kind, history, cap) in [
        (
            MediaKind::Video,
            limits.video_history_bytes,
            VIDEO_STREAM_BYTES,
        ),
        (
            MediaKind::Audio,
            limits.audio_history_bytes,
            AUDIO_STREAM_BYTES,
        ),
    ] {
        let streams = 20;
        let bytes = kept(&mut sim, streams, |sim| {
            for number in 0..streams {
                let config = match kind {
                    MediaKind::Video => {
                        let mut config = video_producer(u128::from(1_000 + number));
                        for encoding in &mut config.encodings {
                            encoding.ssrc = Some(500_000 + number);
                            encoding.rtx_ssrc = None;
                        }
                        config
                    }
                    MediaKind::Audio => {
                        audio_producer(u128::from(2_000 + number), 600_000 + number)
                    }
                };
                sim.producer(0, transport, config);
            }
        });
        let descriptors = bytes - history as i64;
        println!("{kind:?} history: {history} bytes of packets");
        check_cap("source stream", descriptors, cap);
    }
}
