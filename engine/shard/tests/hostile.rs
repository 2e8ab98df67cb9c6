//! Datagrams that are forged, replayed, cut or simply wrong: dropped, counted, without a trace in
//! any table, while the running call goes on.

mod sim;

use proptest::prelude::*;
use sim::*;
use weirgate_packet::rtcp::RtcpWriter;
use weirgate_shard::{CommandBody, SourceNo};

struct Call {
    sim: Sim,
    sender: Peer,
    receiver: Peer,
    next: u16,
}

/// A keyed sender by WebRTC and a keyed receiver by a plain transport.
fn call() -> Call {
    let mut sim = Sim::new(1);
    let (id, ice) = sim.webrtc(0, 1);
    sim.deliver(
        0,
        media_path(addr(1)),
        &check(&ice, &CheckOptions::default()),
    );
    sim.command(
        0,
        CommandBody::SetSrtpKeys {
            id,
            send: key(9),
            receive: key(1),
        },
    );
    let producer = video_producer(1);
    sim.producer(0, id, producer.clone());
    let receiver = Peer::new(addr(2), &key(2));
    let transport = sim.plain(0, 2, receiver.remote, Some(key(2)));
    sim.consumer(0, transport, video_consumer(2, &producer));
    sim.sent.clear();
    Call {
        sim,
        sender: Peer::new(addr(1), &key(1)),
        receiver,
        next: 0,
    }
}

impl Call {
    fn media(&mut self) -> Vec<u8> {
        let packet = vp8(self.next, u32::from(self.next) * 3000, self.next == 0);
        self.next += 1;
        self.sender.seal(&packet)
    }

    fn goes_on(&mut self) {
        self.sim.take_sent_to(addr(2));
        let packet = self.media();
        self.sim.deliver(0, media_path(addr(1)), &packet);
        let sent = self.sim.take_sent_to(addr(2));
        assert_eq!(self.receiver.open(sent).0.len(), 1);
    }

    fn gauges(&mut self) -> Vec<u64> {
        [
            "transports",
            "sources",
            "consumers",
            "flows",
            "received_ssrcs",
            "ice_user_names",
        ]
        .map(|name| self.sim.gauge(0, name))
        .to_vec()
    }
}

#[test]
fn a_flood_of_forged_ssrcs_leaves_no_trace() {
    let mut call = call();
    call.goes_on();
    let before = call.gauges();
    let forger = Peer::new(addr(1), &key(66));
    for number in 0..100_000u32 {
        let packet = rtp(PT, 1, 0, number.wrapping_mul(0x9e37_79b1), None, &[0; 20]);
        let sealed = if number < 100 {
            forger.seal(&packet)
        } else {
            packet
        };
        // From the checked address, and from anywhere.
        let from = if number % 2 == 0 {
            addr(1)
        } else {
            addr(number as u16)
        };
        call.sim.deliver(0, media_path(from), &sealed);
    }
    assert_eq!(call.gauges(), before);
    assert!(call.sim.counter(0, "srtp_auth_failures") >= 50_000);
    assert!(call.sim.counter(0, "unknown_flow") >= 49_000);
    call.goes_on();
}

#[test]
fn replayed_and_cut_packets_are_dropped() {
    let mut call = call();
    call.goes_on();
    let packet = call.media();
    for _ in 0..5 {
        call.sim.deliver(0, media_path(addr(1)), &packet);
    }
    assert_eq!(call.sim.take_sent_to(addr(2)).len(), 1);
    assert_eq!(call.sim.counter(0, "srtp_replays"), 4);
    let next = call.media();
    for cut in 0..next.len() {
        call.sim.deliver(0, media_path(addr(1)), &next[..cut]);
    }
    assert!(call.sim.take_sent_to(addr(2)).is_empty());
    call.sim.deliver(0, media_path(addr(1)), &next);
    assert_eq!(call.sim.take_sent_to(addr(2)).len(), 1);
    call.goes_on();
}

#[test]
fn an_authentic_peer_can_not_fill_the_tables() {
    let mut call = call();
    call.goes_on();
    for number in 0..5_000u32 {
        let packet = rtp(PT, 1, 0, 0x5000_0000 + number, None, &[0; 20]);
        call.sim
            .deliver(0, media_path(addr(1)), &call.sender.seal(&packet));
    }
    assert_eq!(call.sim.gauge(0, "received_ssrcs"), 1);
    assert!(call.sim.counter(0, "ssrcs_refused") > 3_000);
    call.goes_on();
}

#[test]
fn unknown_crossings_and_late_ones_are_nobodys() {
    let mut call = call();
    let mut crossing = empty_crossing();
    crossing.kind = weirgate_shard::CrossingKind::Media {
        source: SourceNo::new(0, 0),
        encoding: 200,
        arrival: call.sim.now,
        audio: false,
    };
    crossing.len = weirgate_shard::CROSSING_BYTES + 1;
    call.sim.shards[0].handle_crossing(call.sim.now, &mut crossing);
    call.goes_on();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever authentic bytes a peer sends as RTP or RTCP, cut anywhere, nothing panics and the
    /// call goes on.
    #[test]
    fn authentic_nonsense_does_no_harm(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..20),
        rtx in any::<bool>(),
    ) {
        let mut call = call();
        for (index, payload) in payloads.iter().enumerate() {
            let (payload_type, ssrc) = if rtx { (RTX_PT, RTX_SSRC) } else { (PT, MEDIA_SSRC) };
            let mut packet = rtp(payload_type, 100 + index as u16, 0, ssrc, Some(3), payload);
            let sealed = call.sender.seal(&packet);
            call.sim.deliver(0, media_path(addr(1)), &sealed);
            // As RTCP: a NACK of random packets, then noise.
            packet.clear();
            packet.resize(64, 0);
            let mut writer = RtcpWriter::new(&mut packet);
            writer.nack(1, 0x3000_0002, payload.iter().map(|&byte| u16::from(byte)));
            let len = writer.len();
            packet.truncate(len);
            packet.extend(payload);
            if packet.len() < 8 {
                continue;
            }
            packet[0] = 0x80 | (packet[0] & 0x3f);
            let sealed = call.receiver.seal_rtcp(&packet);
            call.sim.deliver(0, plain_path(2, addr(2)), &sealed);
            call.sim.advance_ms(20);
        }
        call.next = 5000;
        let packet = vp8(5000, 0, true);
        call.sim.deliver(0, media_path(addr(1)), &call.sender.seal(&packet));
        call.next = 5001;
        call.goes_on();
    }
}
