//! Losses on both legs: asked of the sender, given to the receiver.

mod sim;

use sim::*;
use weirgate_packet::rtcp::{RtcpPacket, RtcpWriter, packets};
use weirgate_wire::ConsumerConfig;

struct Call {
    sim: Sim,
    sender: Peer,
    receiver: Peer,
}

fn call(rtx: bool) -> Call {
    call_with(|consumer| {
        if !rtx {
            consumer.rtx_ssrc = None;
            consumer.codecs[0].rtx_payload_type = None;
        }
    })
}

fn call_with(change: impl FnOnce(&mut ConsumerConfig)) -> Call {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    let receiver = Peer::new(addr(2), &key(2));
    let transport = sim.plain(0, 2, receiver.remote, Some(key(2)));
    let mut consumer = video_consumer(2, &producer);
    change(&mut consumer);
    sim.consumer(0, transport, consumer);
    Call {
        sim,
        sender,
        receiver,
    }
}

impl Call {
    fn media(&mut self, sequence: u16) {
        let packet = vp8(sequence, u32::from(sequence) * 3000, sequence == 0);
        let sealed = self.sender.seal(&packet);
        self.sim.deliver(0, plain_path(1, addr(1)), &sealed);
    }

    fn rtx(&mut self, rtx_sequence: u16, original: u16) {
        let mut payload = original.to_be_bytes().to_vec();
        payload.extend(vp8_payload(false, original));
        let packet = rtp(
            RTX_PT,
            rtx_sequence,
            u32::from(original) * 3000,
            RTX_SSRC,
            None,
            &payload,
        );
        let sealed = self.sender.seal(&packet);
        self.sim.deliver(0, plain_path(1, addr(1)), &sealed);
    }

    fn received(&mut self) -> Vec<Received> {
        let sent = self.sim.take_sent_to(addr(2));
        self.receiver.open(sent).0
    }

    fn nack(&mut self, lost: &[u16]) {
        let mut bytes = [0; 200];
        let mut writer = RtcpWriter::new(&mut bytes);
        assert!(writer.nack(1, 0x3000_0002, lost.iter().copied()));
        let len = writer.len();
        let sealed = self.receiver.seal_rtcp(&bytes[..len]);
        self.sim.deliver(0, plain_path(2, addr(2)), &sealed);
    }

    fn asked_of_sender(&mut self) -> Vec<u16> {
        let sent = self.sim.take_sent_to(addr(1));
        let (_, rtcp) = self.sender.open(sent);
        let mut asked = Vec::new();
        for compound in &rtcp {
            for packet in packets(compound) {
                if let RtcpPacket::Nack {
                    media: MEDIA_SSRC,
                    lost,
                    ..
                } = packet
                {
                    asked.extend(lost);
                }
            }
        }
        asked
    }
}

#[test]
fn a_loss_on_the_way_in_is_asked_for_and_fills_its_hole() {
    let mut call = call(true);
    for sequence in [0, 1, 2, 5, 6] {
        call.media(sequence);
    }
    call.sim.advance_ms(20);
    assert_eq!(call.asked_of_sender(), [3, 4]);
    call.rtx(100, 3);
    call.rtx(101, 4);
    // The same once more is a duplicate.
    call.rtx(102, 4);
    let media = call.received();
    let order: Vec<u32> = media.iter().map(|packet| packet.timestamp / 3000).collect();
    assert_eq!(order, [0, 1, 2, 5, 6, 3, 4]);
    let first = media[0].sequence;
    for packet in &media {
        assert_eq!(
            u32::from(packet.sequence.wrapping_sub(first)),
            packet.timestamp / 3000
        );
    }
    call.sim.advance_ms(2000);
    assert_eq!(call.asked_of_sender(), []);
    assert_eq!(call.sim.counter(0, "rtx_packets_repaired"), 2);
    assert_eq!(call.sim.counter(0, "rtp_duplicates"), 1);
}

#[test]
fn a_loss_on_the_way_out_is_answered_as_rtx_from_history() {
    let mut call = call(true);
    for sequence in 0..10 {
        call.media(sequence);
    }
    let media = call.received();
    let (lost, also) = (media[3].clone(), media[7].clone());
    call.nack(&[lost.sequence, also.sequence]);
    let repaired = call.received();
    assert_eq!(repaired.len(), 2);
    for (rtx, original) in repaired.iter().zip([&lost, &also]) {
        assert_eq!((rtx.ssrc, rtx.payload_type), (0x4000_0002, OUT_RTX_PT));
        assert_eq!(rtx.timestamp, original.timestamp);
        assert_eq!(rtx.payload[..2], original.sequence.to_be_bytes());
        assert_eq!(rtx.payload[2..], original.payload);
    }
    assert!(repaired[1].transport_sequence > Some(10));
    // Asked again at once, nothing is sent twice within a round trip.
    call.nack(&[lost.sequence]);
    assert_eq!(call.received(), []);
    call.sim.advance_ms(300);
    call.received();
    call.nack(&[lost.sequence, 0x7777]);
    assert_eq!(call.received().len(), 1);
}

#[test]
fn what_came_long_ago_is_not_sent_again() {
    let mut call = call(true);
    for sequence in 0..10 {
        call.media(sequence);
    }
    let media = call.received();
    let ask = |call: &mut Call, after_ms, packet: usize| {
        call.sim.advance_ms(after_ms);
        call.received();
        call.nack(&[media[packet].sequence]);
        call.received().len()
    };
    assert_eq!(ask(&mut call, 3_500, 3), 1);
    assert_eq!(ask(&mut call, 1_000, 4), 0);
    assert_eq!(call.sim.counter(0, "nacks_unanswered"), 1);
}

/// The fifth of ten packets, and what comes when it is asked for again.
fn sent_twice(mut call: Call) -> (Vec<u8>, Vec<Sent>) {
    for sequence in 0..10 {
        call.media(sequence);
    }
    let first = call.sim.take_sent_to(addr(2));
    let wanted = first[4].bytes.clone();
    let sequence = u16::from_be_bytes([wanted[2], wanted[3]]);
    call.sim.advance_ms(100);
    call.sim.take_sent_to(addr(2));
    call.nack(&[sequence]);
    (wanted, call.sim.take_sent_to(addr(2)))
}

#[test]
fn without_rtx_the_very_same_bytes_are_sent_again() {
    let with_feedback = call(false);
    let without_feedback = call_with(|consumer| {
        consumer.rtx_ssrc = None;
        consumer.feedback.transport_cc = false;
    });
    for call in [with_feedback, without_feedback] {
        let (wanted, again) = sent_twice(call);
        assert_eq!(again.len(), 1);
        assert!(
            again[0].bytes == wanted,
            "the nonce was used for other bytes"
        );
    }
}

#[test]
fn a_codec_without_rtx_is_not_sent_again_where_another_has_it() {
    let call = call_with(|consumer| consumer.codecs[0].rtx_payload_type = None);
    let (_, again) = sent_twice(call);
    assert!(again.is_empty(), "its time of departure was in it");
}

#[test]
fn key_frame_requests_of_many_receivers_become_one() {
    let mut sim = Sim::new(1);
    let mut sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    let mut sequence = 0u16;
    let mut plis = 0;
    let mut started = std::collections::BTreeSet::new();
    for step in 0..100u32 {
        for number in step * 5..step * 5 + 5 {
            let socket = 100 + number;
            let remote = addr(socket as u16);
            let transport = sim.plain(0, socket, remote, None);
            sim.consumer(0, transport, video_consumer(socket, &producer));
        }
        sim.advance_ms(10);
        let sent = sim.take_sent_to(addr(1));
        let (_, rtcp) = sender.open(sent);
        let asked = rtcp
            .iter()
            .flat_map(|compound| packets(compound))
            .filter(|packet| {
                matches!(
                    packet,
                    RtcpPacket::Pli {
                        media: MEDIA_SSRC,
                        ..
                    }
                )
            })
            .count();
        plis += asked;
        let packet = vp8(
            sequence,
            u32::from(sequence) * 3000,
            asked > 0 || sequence == 0,
        );
        sequence += 1;
        sim.deliver(0, plain_path(1, addr(1)), &sender.seal(&packet));
        for sent in sim.sent.drain(..) {
            started.insert(sent.path.remote.port());
        }
    }
    sim.advance_ms(600);
    let sent = sim.take_sent_to(addr(1));
    plis += sender
        .open(sent)
        .1
        .iter()
        .flat_map(|c| packets(c))
        .filter(|p| matches!(p, RtcpPacket::Pli { .. }))
        .count();
    assert!((1..=3).contains(&plis), "{plis} requests");
    let packet = vp8(sequence, u32::from(sequence) * 3000, true);
    sim.deliver(0, plain_path(1, addr(1)), &sender.seal(&packet));
    for sent in sim.sent.drain(..) {
        started.insert(sent.path.remote.port());
    }
    assert_eq!(started.len(), 500);
}

#[test]
fn a_receiver_that_asks_all_the_time_gets_few_and_whoever_joins_gets_one() {
    let mut call = call(true);
    call.media(0);
    let mut asked_of_sender = Vec::new();
    let mut first_of_joiner = None;
    for frame in 1..900u16 {
        let ms = u64::from(frame) * 33;
        if frame == 600 {
            let producer = video_producer(1);
            let transport = call.sim.plain(0, 3, addr(3), None);
            call.sim
                .consumer(0, transport, video_consumer(3, &producer));
        }
        let mut pli = [0u8; 64];
        let mut writer = RtcpWriter::new(&mut pli);
        assert!(writer.pli(0, 0x3000_0002));
        let len = writer.len();
        let sealed = call.receiver.seal_rtcp(&pli[..len]);
        call.sim.deliver(0, plain_path(2, addr(2)), &sealed);
        call.sim.advance_ms(33);
        let sent = call.sim.take_sent_to(addr(1));
        let is_asked = call.sender.open(sent).1.iter().any(|compound| {
            let is_pli = |packet| matches!(packet, RtcpPacket::Pli { .. });
            packets(compound).any(is_pli)
        });
        if is_asked {
            asked_of_sender.push(ms);
        }
        let packet = vp8(frame, u32::from(frame) * 3000, is_asked);
        let sealed = call.sender.seal(&packet);
        call.sim.deliver(0, plain_path(1, addr(1)), &sealed);
        if !call.sim.take_sent_to(addr(3)).is_empty() {
            first_of_joiner = first_of_joiner.or(Some(frame));
        }
    }
    let within = |range: std::ops::Range<u64>| {
        let times = asked_of_sender.iter();
        times.filter(|&ms| range.contains(ms)).count()
    };
    // Four at once, then every three seconds, and for whoever has no picture yet at once.
    assert!((3..=5).contains(&within(0..3_000)), "{asked_of_sender:?}");
    assert!(
        (3..=6).contains(&within(3_000..18_000)),
        "{asked_of_sender:?}"
    );
    let joined = first_of_joiner.expect("a picture");
    assert!(joined <= 600 + 16, "begins at frame {joined}");
}
