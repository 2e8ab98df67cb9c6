//! One sender, receivers on two shards: everything arrives, authentic, renumbered for its leg, and
//! crosses once.

mod sim;

use sim::*;

#[test]
fn every_receiver_gets_every_packet_in_its_own_numbers() {
    let mut sim = Sim::new(2);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    let source = sim.producer(0, send, producer.clone());
    sim.relay(0, 1, source, &producer);
    let mut receivers = Vec::new();
    for number in 2..10u32 {
        let shard = usize::from(number % 2 == 0);
        let peer = Peer::new(addr(number as u16), &key(number as u8));
        let transport = sim.plain(shard, number, peer.remote, Some(key(number as u8)));
        sim.consumer(shard, transport, video_consumer(number, &producer));
        receivers.push((number, peer));
    }
    sim.crossed = 0;
    for sequence in 0..200u16 {
        let packet = vp8(1000 + sequence, u32::from(sequence) * 3000, sequence == 0);
        sim.deliver(0, plain_path(1, sender.remote), &sender.seal(&packet));
    }
    assert_eq!(sim.crossed, 200);
    for (number, mut peer) in receivers {
        let (media, _) = {
            let sent = sim.take_sent_to(peer.remote);
            peer.open(sent)
        };
        assert_eq!(media.len(), 200);
        let first = media[0].sequence;
        assert!(first < 0x8000);
        for (index, packet) in media.iter().enumerate() {
            assert_eq!(packet.sequence, first.wrapping_add(index as u16));
            assert_eq!(packet.ssrc, 0x3000_0000 + number);
            assert_eq!(packet.payload_type, OUT_PT);
            assert_eq!(packet.mid.as_deref(), Some(number.to_string().as_str()));
            assert_eq!(packet.transport_sequence, Some(1 + index as u16));
            assert_eq!(packet.timestamp, index as u32 * 3000);
            assert_eq!(packet.payload, vp8_payload(index == 0, 1000 + index as u16));
        }
    }
}

#[test]
fn a_receiver_begins_at_a_key_frame_and_goes_on_after_a_pause_without_a_hole() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    let mut peer = Peer::new(addr(2), &key(2));
    let transport = sim.plain(0, 2, peer.remote, Some(key(2)));
    let consumer = video_consumer(2, &producer);
    sim.consumer(0, transport, consumer.clone());
    let deliver = |sim: &mut Sim, sequence: u16, key: bool| {
        let packet = vp8(sequence, u32::from(sequence) * 3000, key);
        sim.deliver(0, plain_path(1, addr(1)), &sender.seal(&packet));
    };
    let pause = |sim: &mut Sim, paused| {
        let kind = weirgate_wire::ObjectKind::Consumer;
        sim.command(
            0,
            weirgate_shard::CommandBody::SetPaused {
                kind,
                id: consumer.id,
                paused,
            },
        );
    };
    for sequence in 0..5 {
        deliver(&mut sim, sequence, false);
    }
    for sequence in 5..10 {
        deliver(&mut sim, sequence, sequence == 5);
    }
    pause(&mut sim, true);
    for sequence in 10..15 {
        deliver(&mut sim, sequence, false);
    }
    pause(&mut sim, false);
    for sequence in 15..20 {
        deliver(&mut sim, sequence, sequence == 17);
    }
    let sent = sim.take_sent_to(peer.remote);
    let (media, _) = peer.open(sent);
    let sources: Vec<u32> = media.iter().map(|packet| packet.timestamp / 3000).collect();
    assert_eq!(sources, [5, 6, 7, 8, 9, 17, 18, 19]);
    for pair in media.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
}

#[test]
fn a_restarted_source_goes_on_in_the_receivers_numbers_and_time() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let mut producer = video_producer(1);
    producer.encodings[0].ssrc = None;
    producer.encodings[0].rtx_ssrc = None;
    sim.producer(0, send, producer.clone());
    let mut peer = Peer::new(addr(2), &key(2));
    let transport = sim.plain(0, 2, peer.remote, Some(key(2)));
    sim.consumer(0, transport, video_consumer(2, &producer));
    for (ssrc, base) in [(5u32, 40_000u32), (6, 7)] {
        for index in 0..10u16 {
            let payload = vp8_payload(index == 0, index);
            let timestamp = base.wrapping_add(u32::from(index) * 3000);
            let sequence = (base as u16).wrapping_add(index) & 0x7fff;
            let packet = rtp(PT, sequence, timestamp, ssrc, None, &payload);
            sim.deliver(0, plain_path(1, addr(1)), &sender.seal(&packet));
            sim.advance_ms(33);
        }
    }
    let sent = sim.take_sent_to(peer.remote);
    let (media, _) = peer.open(sent);
    assert_eq!(media.len(), 20);
    for pair in media.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!((2900..3100).contains(&step), "{step}");
    }
}
