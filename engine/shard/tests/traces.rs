//! Trace events: what passes by an object, told where it was asked for.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;
use sim::*;
use uuid::Uuid;
use weirgate_packet::rtcp::RtcpWriter;
use weirgate_shard::CommandBody;
use weirgate_wire::{
    Event, ObjectKind, Trace, TraceDirection, TraceInfo, TraceType, TraceTypes, TracedReport,
};

fn trace(sim: &mut Sim, kind: ObjectKind, id: Uuid, types: &[TraceType]) {
    let types = types.iter().copied().collect();
    sim.command(0, CommandBody::SetTrace { kind, id, types });
}

fn traces(sim: &mut Sim) -> Vec<Trace> {
    let events = std::mem::take(&mut sim.events).into_iter();
    let traces = events.filter_map(|event| match event {
        Event::Trace(trace) => Some(trace),
        _ => None,
    });
    traces.collect()
}

struct Room {
    sim: Sim,
    sender: Peer,
    receiver: Peer,
    producer: Uuid,
    consumer: Uuid,
}

fn room() -> Room {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    let receiver = Peer::new(addr(2), &key(2));
    let transport = sim.plain(0, 2, receiver.remote, Some(key(2)));
    let consumer = video_consumer(2, &producer);
    sim.consumer(0, transport, consumer.clone());
    Room {
        sim,
        sender,
        receiver,
        producer: producer.id,
        consumer: consumer.id,
    }
}

impl Room {
    fn media(&mut self, sequence: u16) {
        let packet = rtp(
            PT,
            sequence,
            u32::from(sequence) * 3000,
            MEDIA_SSRC,
            Some(sequence + 7),
            &vp8_payload(sequence == 0, sequence),
        );
        let sealed = self.sender.seal(&packet);
        self.sim.deliver(0, plain_path(1, addr(1)), &sealed);
        self.sim.advance_ms(1);
    }

    fn rtcp_of_sender(&mut self, write: impl FnOnce(&mut RtcpWriter<'_>) -> bool) {
        let sealed = sealed(&mut self.sender, write);
        self.sim.deliver(0, plain_path(1, addr(1)), &sealed);
    }

    fn rtcp_of_receiver(&mut self, write: impl FnOnce(&mut RtcpWriter<'_>) -> bool) {
        let sealed = sealed(&mut self.receiver, write);
        self.sim.deliver(0, plain_path(2, addr(2)), &sealed);
    }
}

fn sealed(peer: &mut Peer, write: impl FnOnce(&mut RtcpWriter<'_>) -> bool) -> Vec<u8> {
    let mut bytes = [0; 200];
    let mut writer = RtcpWriter::new(&mut bytes);
    assert!(write(&mut writer));
    let len = writer.len();
    peer.seal_rtcp(&bytes[..len])
}

#[test]
fn nothing_is_traced_unless_it_is_asked_for() {
    let mut room = room();
    (0..20).for_each(|sequence| room.media(sequence));
    assert!(traces(&mut room.sim).is_empty());
    assert_eq!(room.sim.counter(0, "traces_told"), 0);
}

#[test]
fn packets_of_producer_and_consumer_are_told_with_their_own_numbers() {
    let mut room = room();
    let types = [TraceType::Rtp, TraceType::KeyFrame];
    trace(&mut room.sim, ObjectKind::Producer, room.producer, &types);
    trace(&mut room.sim, ObjectKind::Consumer, room.consumer, &types);
    room.media(0);
    room.media(1);
    let told = traces(&mut room.sim);
    let kinds: Vec<_> = told
        .iter()
        .map(|trace| (trace.kind, trace.direction, trace.info.trace_type()))
        .collect();
    let of = |trace| {
        [
            (ObjectKind::Producer, TraceDirection::In, trace),
            (ObjectKind::Consumer, TraceDirection::Out, trace),
        ]
    };
    assert_eq!(
        kinds,
        [of(TraceType::KeyFrame), of(TraceType::Rtp)].concat()
    );
    assert_eq!(told[0].unix_ms / 1_000, 1_700_001_000);
    let [TraceInfo::KeyFrame(came), TraceInfo::KeyFrame(left)] = [told[0].info, told[1].info]
    else {
        panic!("{told:?}");
    };
    assert_eq!((came.ssrc, came.payload_type), (MEDIA_SSRC, PT));
    assert_eq!((left.ssrc, left.payload_type), (0x3000_0002, OUT_PT));
    assert_eq!(came.wide_sequence_number, Some(7));
    assert!(came.is_key_frame && !came.is_rtx);
    assert_eq!((came.payload_size, left.payload_size), (205, 205));
    // Header, and one word of extensions with their head.
    assert_eq!(came.size, 12 + 8 + 205);
    let sent = room.sim.take_sent_to(addr(2));
    let left_on_the_wire = &room.receiver.open(sent).0[0];
    assert_eq!(left.sequence_number, left_on_the_wire.sequence);
    assert_eq!(left.timestamp, left_on_the_wire.timestamp);
}

#[test]
fn requests_are_told_of_where_they_come_in_and_go_out() {
    let mut room = room();
    let all = |kind| TraceTypes::of(kind).iter().collect::<Vec<_>>();
    let wanted = |kind| -> Vec<TraceType> {
        let types = all(kind).into_iter();
        types
            .filter(|it| !matches!(it, TraceType::Rtp | TraceType::KeyFrame))
            .collect()
    };
    let (producer, consumer) = (ObjectKind::Producer, ObjectKind::Consumer);
    trace(&mut room.sim, producer, room.producer, &wanted(producer));
    trace(&mut room.sim, consumer, room.consumer, &wanted(consumer));
    room.media(0);
    room.sim.advance_ms(2_000);
    traces(&mut room.sim);

    let ssrc = 0x3000_0002;
    room.rtcp_of_receiver(|writer| writer.nack(9, ssrc, [3, 4].into_iter()));
    let told: Vec<_> = traces(&mut room.sim).iter().map(|it| it.info).collect();
    assert_eq!(told, [TraceInfo::Nack { ssrc, packets: 2 }]);

    room.rtcp_of_receiver(|writer| writer.pli(9, ssrc));
    let told = traces(&mut room.sim);
    let seen: Vec<_> = told.iter().map(|it| (it.direction, it.info)).collect();
    let asked = TraceInfo::Pli { ssrc: MEDIA_SSRC };
    assert_eq!(
        seen,
        [
            (TraceDirection::In, TraceInfo::Pli { ssrc }),
            (TraceDirection::Out, asked)
        ]
    );

    room.sim.advance_ms(2_000);
    traces(&mut room.sim);
    room.rtcp_of_receiver(|writer| writer.fir(9, ssrc, 1));
    assert_eq!(traces(&mut room.sim)[0].info, TraceInfo::Fir { ssrc });

    // A hole is asked for.
    room.media(1);
    room.media(3);
    room.sim.advance_ms(100);
    let told = traces(&mut room.sim);
    let lost = TraceInfo::Nack {
        ssrc: MEDIA_SSRC,
        packets: 1,
    };
    let nack = told.iter().find(|trace| trace.info == lost);
    assert_eq!(
        nack.map(|it| (it.kind, it.direction)),
        Some((producer, TraceDirection::Out))
    );

    room.rtcp_of_sender(|writer| writer.sender_report(MEDIA_SSRC, 5 << 32, 6, 7, 8, &[]));
    let report = TracedReport {
        ssrc: MEDIA_SSRC,
        ntp: 5 << 32,
        rtp: 6,
        packets: 7,
        octets: 8,
    };
    let told = traces(&mut room.sim);
    assert_eq!(told.last().map(|it| it.info), Some(TraceInfo::Sr(report)));
}

#[test]
fn a_busy_stream_does_not_flood() {
    let mut room = room();
    let types = [TraceType::Rtp];
    trace(&mut room.sim, ObjectKind::Producer, room.producer, &types);
    (0..1_200).for_each(|sequence| room.media(sequence));
    let told = traces(&mut room.sim);
    let dropped: u32 = told.iter().map(|trace| trace.dropped).sum();
    assert!((200..300).contains(&told.len()), "{}", told.len());
    assert!(dropped > 800, "{dropped}");
    let counted = room.sim.counter(0, "traces_dropped");
    assert!(counted >= u64::from(dropped));
    assert_eq!(counted + told.len() as u64, 1_200);

    trace(&mut room.sim, ObjectKind::Producer, room.producer, &[]);
    room.media(1_200);
    assert!(traces(&mut room.sim).is_empty());
}

#[test]
fn estimates_and_probes_of_a_path_are_told() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig {
        rate_bps: 6_000_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    let transport = call.receivers[0].transport;
    let types = [TraceType::Bwe, TraceType::Probation];
    trace(&mut call.sim, ObjectKind::Transport, transport, &types);
    call.run_ms(6_000);
    let told = traces(&mut call.sim);
    let target_bps = call.target_bps(0);
    let mut estimates = told.iter().filter_map(|trace| match trace.info {
        TraceInfo::Bwe(estimate) => Some(estimate),
        _ => None,
    });
    let last = estimates.next_back().expect("an estimate");
    assert_eq!(last.start_bps, 600_000);
    assert!(last.by_transport_cc);
    assert!(last.desired_bps > 1_000_000, "{last:?}");
    assert!(last.max_padding_bps >= last.desired_bps, "{last:?}");
    let difference = last.available_bps.abs_diff(target_bps);
    assert!(difference * 10 < target_bps, "{last:?} {target_bps}");
    let probes: Vec<_> = told
        .iter()
        .filter_map(|trace| match trace.info {
            TraceInfo::Probation(packet) => Some(packet),
            _ => None,
        })
        .collect();
    assert!(!probes.is_empty());
    let is_empty_rtx = |it: &&weirgate_wire::TracedPacket| {
        it.payload_type == OUT_RTX_PT && it.payload_size == 0 && it.wide_sequence_number.is_some()
    };
    assert_eq!(probes.iter().find(|it| !is_empty_rtx(it)), None);
}
