//! Reports and feedback: the numbers a sender and a receiver are told.

mod sim;

use std::time::Duration;

use sim::*;
use weirgate_packet::rtcp::{
    DlrrReport, ExtendedBlock, ReportBlock, RtcpPacket, RtcpWriter, packets,
};
use weirgate_wire::{ObjectKind, Stats};

struct Call {
    sim: Sim,
    sender: Peer,
    receiver: Peer,
    producer: uuid::Uuid,
    consumer: uuid::Uuid,
}

fn call() -> Call {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    let receiver = Peer::new(addr(2), &key(2));
    let transport = sim.plain(0, 2, receiver.remote, Some(key(2)));
    let consumer = video_consumer(2, &producer);
    sim.consumer(0, transport, consumer.clone());
    Call {
        sim,
        sender,
        receiver,
        producer: producer.id,
        consumer: consumer.id,
    }
}

impl Call {
    fn media(&mut self, sequence: u16, transport_sequence: Option<u16>) {
        let sealed = self.sealed(sequence, transport_sequence);
        self.sim.deliver(0, plain_path(1, addr(1)), &sealed);
    }

    fn sealed(&mut self, sequence: u16, transport_sequence: Option<u16>) -> Vec<u8> {
        let timestamp = u32::from(sequence) * 900;
        let payload = vp8_payload(sequence == 0, sequence);
        let packet = rtp(
            PT,
            sequence,
            timestamp,
            MEDIA_SSRC,
            transport_sequence,
            &payload,
        );
        self.sender.seal(&packet)
    }

    fn rtcp_to(&mut self, sender: bool) -> Vec<Vec<u8>> {
        let (peer, remote) = if sender {
            (&mut self.sender, addr(1))
        } else {
            (&mut self.receiver, addr(2))
        };
        let sent = self.sim.take_sent_to(remote);
        peer.open(sent).1
    }
}

#[test]
fn receiver_reports_count_losses_and_measure_the_delay_since_the_senders_report() {
    let mut call = call();
    for sequence in 0..200u16 {
        if sequence % 10 != 3 {
            call.media(sequence, None);
        }
        if sequence == 100 {
            let mut bytes = [0; 100];
            let mut writer = RtcpWriter::new(&mut bytes);
            assert!(writer.sender_report(MEDIA_SSRC, 0x0001_2345_6789_abcd, 0, 1, 1, &[]));
            let len = writer.len();
            let sealed = call.sender.seal_rtcp(&bytes[..len]);
            call.sim.deliver(0, plain_path(1, addr(1)), &sealed);
        }
        call.sim.advance_ms(10);
    }
    let mut blocks: Vec<ReportBlock> = Vec::new();
    for compound in call.rtcp_to(true) {
        for packet in packets(&compound) {
            if let RtcpPacket::ReceiverReport { reports, .. } = packet {
                blocks.extend(reports);
            }
        }
    }
    assert!(blocks.len() >= 2);
    let last = blocks.last().unwrap();
    assert_eq!(last.ssrc, MEDIA_SSRC);
    let expected = last.highest_sequence as u16;
    assert_eq!(last.cumulative_lost, i32::from((expected + 7) / 10));
    assert!(
        (20..=31).contains(&last.fraction_lost),
        "{}",
        last.fraction_lost
    );
    assert_eq!(last.last_sr, 0x2345_6789);
    assert!(
        last.delay_since_last_sr < 65_536,
        "{}",
        last.delay_since_last_sr
    );
    assert_eq!(last.jitter, 0);
}

#[test]
fn a_sender_that_answers_our_clock_has_a_round_trip() {
    let mut call = call();
    call.media(0, None);
    call.sim.advance_ms(2_000);
    let mut asked = None;
    for sent in call.sim.take_sent_to(addr(1)) {
        let at = sent.at;
        for compound in call.sender.open(vec![sent]).1 {
            for packet in packets(&compound) {
                let RtcpPacket::ExtendedReport { ssrc, mut blocks } = packet else {
                    continue;
                };
                if let Some(ExtendedBlock::ReceiverReferenceTime { ntp }) = blocks.next() {
                    asked = Some((ssrc, ntp, at));
                }
            }
        }
    }
    let (ssrc, ntp, at) = asked.expect("our clock");
    // The answer comes 80 ms later, 20 ms of which the sender held it; one to somebody else does not count.
    call.sim.now = at;
    call.sim.advance_ms(80);
    let answer = |ssrc, delay_since_last_rr| DlrrReport {
        ssrc,
        last_rr: (ntp >> 16) as u32,
        delay_since_last_rr,
    };
    let mut bytes = [0; 100];
    let mut writer = RtcpWriter::new(&mut bytes);
    let answers = [answer(ssrc ^ 1, 0), answer(ssrc, 65_536 / 50)];
    assert!(writer.dlrr(MEDIA_SSRC, &answers));
    let len = writer.len();
    let sealed = call.sender.seal_rtcp(&bytes[..len]);
    call.sim.deliver(0, plain_path(1, addr(1)), &sealed);
    let Stats::Producer(_, stats) = call.sim.stats(0, ObjectKind::Producer, call.producer) else {
        panic!("no producer");
    };
    let rtt = stats.streams[0].round_trip_time_ms.unwrap();
    assert!((59.0..61.0).contains(&rtt), "{rtt}");
}

#[test]
fn sender_reports_give_the_receiver_counts_clock_and_round_trip() {
    let mut call = call();
    for sequence in 0..100u16 {
        call.media(sequence, None);
        call.sim.advance_ms(10);
    }
    call.sim.take_sent_to(addr(1));
    call.sim.advance_ms(1500);
    let sent = call.sim.take_sent_to(addr(2));
    let reported_at: Vec<_> = sent.iter().map(|sent| sent.at).collect();
    let mut last = None;
    let mut media_count = 0;
    for (sent, at) in sent.into_iter().zip(reported_at) {
        let (media, rtcp) = call.receiver.open(vec![sent]);
        media_count += media.len();
        for compound in &rtcp {
            for packet in packets(compound) {
                if let RtcpPacket::SenderReport {
                    ssrc,
                    ntp,
                    rtp,
                    packet_count,
                    octet_count,
                    ..
                } = packet
                {
                    assert_eq!(ssrc, 0x3000_0002);
                    assert_eq!(packet_count as usize, media_count);
                    assert_eq!(
                        octet_count as usize,
                        media_count * vp8_payload(false, 0).len()
                    );
                    last = Some((ntp, rtp, at));
                }
            }
        }
    }
    let (ntp, rtp, at) = last.expect("a sender report");
    // Unix time of the simulation plus its clock, in NTP seconds.
    assert_eq!(
        ntp >> 32,
        1_700_000_000 + at.as_micros() / 1_000_000 + 2_208_988_800
    );
    // Media ran at 90 kHz: one packet of 900 units every 10 ms from the start.
    let expected = (at.as_micros() - 1_000_000_000) * 9 / 100;
    assert!(u64::from(rtp).abs_diff(expected) < 1000, "{rtp} {expected}");
    // The receiver answers 30 ms later, 20 ms of which it held the report.
    call.sim.now = at;
    call.sim.advance_ms(50);
    let block = ReportBlock {
        ssrc: 0x3000_0002,
        fraction_lost: 64,
        cumulative_lost: 5,
        last_sr: (ntp >> 16) as u32,
        delay_since_last_sr: 65_536 / 50,
        ..ReportBlock::default()
    };
    let mut bytes = [0; 100];
    let mut writer = RtcpWriter::new(&mut bytes);
    assert!(writer.receiver_report(1, &[block]));
    let len = writer.len();
    let sealed = call.receiver.seal_rtcp(&bytes[..len]);
    call.sim.deliver(0, plain_path(2, addr(2)), &sealed);
    let Stats::Consumer(_, stats) = call.sim.stats(0, ObjectKind::Consumer, call.consumer) else {
        panic!("no consumer");
    };
    let rtt = stats.stream.round_trip_time_ms.unwrap();
    assert!((29.0..31.0).contains(&rtt), "{rtt}");
    assert_eq!(
        (stats.stream.fraction_lost, stats.stream.packets_lost),
        (64, 5)
    );
}

#[test]
fn transport_feedback_covers_every_packet_once_with_its_arrival() {
    let mut call = call();
    let mut statuses = std::collections::BTreeMap::new();
    let mut lost = 0;
    for sequence in 0..500u16 {
        let transport_sequence = 65_400u16.wrapping_add(sequence);
        if sequence % 17 == 5 {
            lost += 1;
        } else {
            call.media(sequence, Some(transport_sequence));
        }
        call.sim.advance_ms(3);
        for compound in call.rtcp_to(true) {
            for packet in packets(&compound) {
                if let RtcpPacket::TransportFeedback(feedback) = packet {
                    for (sequence, arrival) in feedback.statuses() {
                        statuses.insert(sequence.wrapping_sub(65_400), arrival.is_some());
                    }
                }
            }
        }
    }
    call.sim.advance_ms(100);
    let reported = statuses.values().filter(|received| **received).count();
    assert!(statuses.len() >= 480, "{}", statuses.len());
    assert!(reported >= statuses.len() - lost);
    for (sequence, received) in statuses {
        assert_eq!(received, sequence % 17 != 5, "{sequence}");
    }
}

#[test]
fn what_waited_to_be_taken_has_arrived_before() {
    let mut call = call();
    // Packets come every 10 ms, with the RTP timestamps of that, and are taken ten at a time.
    for turn in 0..20 {
        call.sim.advance_ms(100);
        let taken = (0..10u16).map(|index| {
            let sequence = turn * 10 + index;
            let waited = Duration::from_millis(u64::from(9 - index) * 10);
            (call.sealed(sequence, Some(sequence)), waited)
        });
        let taken = taken.collect();
        call.sim.deliver_late(0, plain_path(1, addr(1)), taken);
    }
    call.sim.advance_ms(6_000);
    let (mut deltas, mut jitters) = (Vec::new(), Vec::new());
    for compound in call.rtcp_to(true) {
        for packet in packets(&compound) {
            match packet {
                RtcpPacket::TransportFeedback(feedback) => {
                    // The first one's is from the reference time.
                    deltas.extend(feedback.received().skip(1).map(|(_, delta)| delta));
                }
                RtcpPacket::ReceiverReport { reports, .. } => {
                    jitters.extend(reports.map(|report| report.jitter));
                }
                _ => {}
            }
        }
    }
    assert!(deltas.len() >= 150, "{}", deltas.len());
    // 10 ms in units of 250 µs.
    assert!(deltas.iter().all(|&delta| delta == 40), "{deltas:?}");
    assert!(
        !jitters.is_empty() && jitters.iter().all(|&jitter| jitter == 0),
        "{jitters:?}"
    );
}
