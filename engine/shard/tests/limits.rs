//! Bitrate limits of a transport, what its estimate begins with, and REMB in both directions.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::camera::Camera;
use sim::link::LinkConfig;
use sim::*;
use uuid::Uuid;
use weirgate_packet::rtcp::{RtcpPacket, RtcpWriter, packets};
use weirgate_shard::{CommandBody, WebRtcCredentials};
use weirgate_wire::{
    ConsumerConfig, ConsumerType, ExtensionKind, Feedback, Layers, ObjectKind, ProducerConfig,
    Stats,
};

const SECOND: u64 = 1_000_000;

fn limit(sim: &mut Sim, id: Uuid, max_incoming: u32, max_outgoing: u32, min_outgoing: u32) {
    sim.command(
        0,
        CommandBody::SetBitrates {
            id,
            max_incoming,
            max_outgoing,
            min_outgoing,
        },
    );
}

fn wide_call() -> Call {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig {
        rate_bps: 10_000_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    call
}

#[test]
fn no_more_leaves_than_the_most_and_all_again_without_it() {
    let mut call = wide_call();
    let transport = call.receivers[0].transport;
    call.run_ms(8_000);
    assert_eq!(call.receivers[0].shown.last().unwrap().stream, 2);

    limit(&mut call.sim, transport, 0, 700_000, 0);
    call.run_ms(8_000);
    assert!(call.target_bps(0) <= 700_000);
    let receiver = &call.receivers[0];
    let sent_bps = receiver.media_bps(10 * SECOND, 16 * SECOND);
    assert!(sent_bps < 700_000, "{sent_bps}");
    assert_eq!(receiver.shown.last().unwrap().stream, 1);

    limit(&mut call.sim, transport, 0, 0, 0);
    call.run_ms(8_000);
    assert_eq!(call.receivers[0].shown.last().unwrap().stream, 2);
}

#[test]
fn the_estimate_never_goes_under_the_least() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig {
        rate_bps: 200_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    let transport = call.receivers[0].transport;
    limit(&mut call.sim, transport, 0, 0, 500_000);
    for _ in 0..10 {
        call.run_ms(1_000);
        let target_bps = call.target_bps(0);
        assert!(target_bps >= 500_000, "{target_bps}");
    }
    limit(&mut call.sim, transport, 0, 0, 0);
    call.run_ms(5_000);
    assert!(call.target_bps(0) < 500_000);
}

#[test]
fn an_estimate_begins_with_what_was_asked_for() {
    for (asked_bps, begins_bps) in [(0, 600_000), (150_000, 150_000), (2_500_000, 2_500_000)] {
        let mut sim = Sim::new(1);
        let camera = camera(&mut sim, 1);
        let id = Uuid::from_u128(5);
        let ice = credentials(0, 5);
        sim.command(
            0,
            CommandBody::CreateWebRtcTransport {
                id,
                ice: ice.clone(),
                ice_consent_timeout_s: 30,
                initial_outgoing_bps: asked_bps,
            },
        );
        connect(&mut sim, id, &ice, 5);
        sim.consumer(0, id, video_consumer(5, &camera.producer(1)));
        assert_eq!(transport_stats(&mut sim, id), Some(begins_bps));
    }
}

fn camera(sim: &mut Sim, number: u8) -> Camera {
    let peer = Peer::new(addr(number.into()), &key(number));
    let transport = sim.plain(0, number.into(), peer.remote, Some(key(number)));
    let ssrc = 1_000 * u32::from(number);
    let camera = Camera::new(peer, number.into(), ssrc, &RATES_BPS);
    sim.producer(0, transport, camera.producer(number.into()));
    camera
}

fn connect(sim: &mut Sim, id: Uuid, ice: &WebRtcCredentials, number: u8) {
    let check = check(ice, &CheckOptions::default());
    sim.deliver(0, media_path(addr(number.into())), &check);
    let (send, receive) = (key(number), key(number));
    sim.command(0, CommandBody::SetSrtpKeys { id, send, receive });
}

fn transport_stats(sim: &mut Sim, id: Uuid) -> Option<u64> {
    match sim.stats(0, ObjectKind::Transport, id) {
        Stats::Transport(stats) => stats.available_outgoing_bitrate_bps,
        other => panic!("{other:?}"),
    }
}

/// REMBs that reached the sender, in bit/s.
fn grants(sim: &mut Sim, sender: &mut Peer) -> Vec<u64> {
    let sent = sim.take_sent_to(sender.remote);
    let (_, rtcp) = sender.open(sent);
    let mut grants = Vec::new();
    for packet in rtcp.iter().flat_map(|compound| packets(compound)) {
        if let RtcpPacket::Remb { bitrate_bps, .. } = packet {
            grants.push(bitrate_bps);
        }
    }
    grants
}

/// A sender with that feedback, its transport, and a packet of it that has come.
fn sender(feedback: Feedback) -> (Sim, Peer, Uuid) {
    let mut sim = Sim::new(1);
    let peer = Peer::new(addr(1), &key(1));
    let transport = sim.plain(0, 1, peer.remote, Some(key(1)));
    let mut producer = video_producer(1);
    producer.codecs[0].feedback = feedback;
    sim.producer(0, transport, producer);
    let sealed = peer.seal(&vp8(0, 0, true));
    sim.deliver(0, plain_path(1, addr(1)), &sealed);
    (sim, peer, transport)
}

#[test]
fn a_sender_is_told_its_limit_whatever_feedback_it_takes() {
    let transport_cc = Feedback {
        transport_cc: true,
        ..Feedback::default()
    };
    for feedback in [transport_cc, ALL_FEEDBACK] {
        let (mut sim, mut peer, transport) = sender(feedback);
        sim.advance_ms(3_000);
        assert_eq!(grants(&mut sim, &mut peer), [], "no limit, no word of it");
        limit(&mut sim, transport, 524_288, 0, 0);
        assert_eq!(grants(&mut sim, &mut peer), [524_288], "at once");
        sim.advance_ms(4_000);
        let again = grants(&mut sim, &mut peer);
        assert!(again.len() >= 2, "{again:?}");
        assert!(again.iter().all(|&bps| bps == 524_288), "{again:?}");
        limit(&mut sim, transport, 0, 0, 0);
        sim.advance_ms(10_000);
        let lifted = grants(&mut sim, &mut peer);
        assert_eq!(lifted.len(), 4, "{lifted:?}");
        assert!(lifted.iter().all(|&bps| bps > 1 << 33), "{lifted:?}");
    }
}

#[test]
fn a_sender_that_takes_only_remb_has_room_to_grow() {
    let remb = Feedback {
        remb: true,
        ..Feedback::default()
    };
    let (mut sim, mut peer, transport) = sender(remb);
    // A sender that goes to what it is granted, up to what its camera has.
    let (mut rate_bps, mut sequence) = (300_000, 1u16);
    let mut ramped_ms = None;
    for ms in 0..8_000u64 {
        let packets = rate_bps / 8 / 1_000 * (ms + 1) / 220 - rate_bps / 8 / 1_000 * ms / 220;
        for _ in 0..packets {
            let sealed = peer.seal(&vp8(sequence, sequence.into(), false));
            sequence += 1;
            sim.deliver(0, plain_path(1, addr(1)), &sealed);
        }
        sim.advance_ms(1);
        if let Some(&grant_bps) = grants(&mut sim, &mut peer).last() {
            rate_bps = grant_bps.min(2_500_000);
        }
        if rate_bps == 2_500_000 {
            ramped_ms.get_or_insert(ms);
        }
    }
    assert!(ramped_ms.is_some_and(|ms| ms < 5_000), "{ramped_ms:?}");
    limit(&mut sim, transport, 524_288, 0, 0);
    assert_eq!(grants(&mut sim, &mut peer), [524_288]);
}

/// Two cameras, and one receiver of both that tells no more than REMB.
struct RembCall {
    sim: Sim,
    cameras: Vec<Camera>,
    receiver: Peer,
    consumers: Vec<Uuid>,
}

fn remb_only(number: u32, producer: &ProducerConfig) -> ConsumerConfig {
    let mut consumer = video_consumer(number, producer);
    consumer.consumer_type = ConsumerType::Simulcast;
    consumer.extensions.set(ExtensionKind::TransportWideCc, 0);
    consumer.feedback.transport_cc = false;
    consumer
}

fn remb_call(priorities: [u8; 2]) -> RembCall {
    let mut sim = Sim::new(1);
    let cameras = vec![camera(&mut sim, 1), camera(&mut sim, 2)];
    let (transport, ice) = sim.webrtc(0, 9);
    connect(&mut sim, transport, &ice, 9);
    let mut consumers = Vec::new();
    for (number, priority) in (0..2).zip(priorities) {
        let producer = cameras[number].producer(number as u128 + 1);
        let mut consumer = remb_only(10 + number as u32, &producer);
        consumer.priority = priority;
        consumers.push(consumer.id);
        sim.consumer(0, transport, consumer);
    }
    RembCall {
        sim,
        cameras,
        receiver: Peer::new(addr(9), &key(9)),
        consumers,
    }
}

impl RembCall {
    /// The receiver tells `remb_bps` twice a second.
    fn run_ms(&mut self, ms: u64, remb_bps: u64) {
        for at_ms in 0..ms {
            self.sim.advance_ms(1);
            let now_us = self.sim.now.as_micros();
            for camera in &mut self.cameras {
                let packets = camera.tick(now_us);
                let sealed = packets.iter().map(|packet| camera.peer.seal(packet));
                let sealed = sealed.collect();
                self.sim.deliver_all(0, camera.path(), sealed);
                for sent in self.sim.take_sent_to(camera.peer.remote) {
                    let (_, rtcp) = camera.peer.open(vec![sent]);
                    rtcp.iter().for_each(|it| camera.on_rtcp(now_us, it));
                }
            }
            if at_ms % 500 == 0 {
                self.tell(remb_bps);
            }
            self.sim.sent.clear();
        }
    }

    fn tell(&mut self, remb_bps: u64) {
        let mut bytes = [0; 100];
        let mut writer = RtcpWriter::new(&mut bytes);
        assert!(writer.remb(1, remb_bps, &[0x3000_000a]));
        let len = writer.len();
        let sealed = self.receiver.seal_rtcp(&bytes[..len]);
        self.sim.deliver(0, media_path(addr(9)), &sealed);
    }

    fn spatial_layers(&mut self) -> Vec<Option<u8>> {
        let sim = &mut self.sim;
        let layers = |&id: &Uuid| match sim.stats(0, ObjectKind::Consumer, id) {
            Stats::Consumer(_, stats) => stats.current_layers.map(|it: Layers| it.spatial),
            other => panic!("{other:?}"),
        };
        self.consumers.iter().map(layers).collect()
    }
}

#[test]
fn a_receiver_that_tells_only_remb_gets_what_that_carries() {
    let mut call = remb_call([1, 1]);
    // All of both take 3 Mbit/s, the middle ones 900 kbit/s, the lowest ones 240 kbit/s.
    for (remb_bps, layers) in [
        (5_000_000, [Some(2), Some(2)]),
        (1_200_000, [Some(1), Some(1)]),
        (330_000, [Some(0), Some(0)]),
        (5_000_000, [Some(2), Some(2)]),
    ] {
        call.run_ms(8_000, remb_bps);
        assert_eq!(call.spatial_layers(), layers, "{remb_bps}");
    }
}

#[test]
fn the_one_with_priority_has_its_layers_first() {
    let mut call = remb_call([1, 9]);
    for (remb_bps, layers) in [
        (2_300_000, [Some(1), Some(2)]),
        (800_000, [Some(0), Some(1)]),
        // Not even the lowest ones of both fit: a REMB does not take these.
        (170_000, [Some(0), Some(0)]),
    ] {
        call.run_ms(8_000, remb_bps);
        assert_eq!(call.spatial_layers(), layers, "{remb_bps}");
    }
}

/// A receiver that names its video alone in its REMB, as aiortc does: audio goes beside that, and
/// what little it tells at first does not stop what it would need to tell more.
#[test]
fn a_remb_that_names_video_alone_does_not_stop_it() {
    const TALK_SSRC: u32 = 77;
    let mut call = remb_call([1, 1]);
    let talker = Peer::new(addr(70), &key(70));
    let from = call.sim.plain(0, 70, talker.remote, Some(key(70)));
    let producer = audio_producer(70, TALK_SSRC);
    call.sim.producer(0, from, producer.clone());
    let transport = Uuid::from_u128(0xB000_0009);
    call.sim
        .consumer(0, transport, audio_consumer(71, &producer));
    for second in 0..10_u16 {
        for at in 0..50 {
            let sequence = second * 50 + at;
            // 160 kbit/s.
            let packet = rtp(
                AUDIO_PT,
                sequence,
                u32::from(sequence) * 960,
                TALK_SSRC,
                None,
                &[5; 400],
            );
            let sealed = talker.seal(&packet);
            call.sim.deliver(0, plain_path(70, talker.remote), &sealed);
            call.run_ms(20, 50_000);
        }
    }
    assert_eq!(call.spatial_layers(), [Some(0), Some(0)]);
    let target_bps = transport_stats(&mut call.sim, transport).unwrap();
    assert!((190_000..280_000).contains(&target_bps), "{target_bps}");
}
