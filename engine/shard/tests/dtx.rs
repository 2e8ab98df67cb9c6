//! Silence in opus (DTX): left out where a consumer wants that, without a trace.

mod sim;

use sim::*;
use weirgate_wire::ConsumerConfig;

const SSRC: u32 = 0x5555;
/// Milliseconds from the packet before, and the length of the payload: speech, silence, speech.
const TALK: [(u64, usize); 8] = [
    (0, 80),
    (20, 80),
    (20, 1),
    (400, 1),
    (400, 2),
    (60, 80),
    (20, 3),
    (20, 80),
];

/// Sequence numbers and timestamps from the first on, and lengths, of what a consumer on another
/// shard than its producer gets.
fn received(with: impl Fn(&mut ConsumerConfig)) -> Vec<(u16, u32, usize)> {
    let mut sim = Sim::new(2);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = audio_producer(1, SSRC);
    let source = sim.producer(0, send, producer.clone());
    sim.relay(0, 1, source, &producer);
    let mut peer = Peer::new(addr(2), &key(2));
    let transport = sim.plain(1, 2, peer.remote, Some(key(2)));
    let mut consumer = audio_consumer(2, &producer);
    with(&mut consumer);
    sim.consumer(1, transport, consumer);
    let (mut timestamp, mut media) = (5_000, Vec::new());
    for (sequence, (after_ms, len)) in (10..).zip(TALK) {
        sim.advance_ms(after_ms);
        timestamp += 48 * after_ms as u32;
        let payload = vec![0xf8; len];
        let packet = rtp(AUDIO_PT, sequence, timestamp, SSRC, None, &payload);
        sim.deliver(0, plain_path(1, sender.remote), &sender.seal(&packet));
        media.extend(peer.open(sim.take_sent_to(peer.remote)).0);
    }
    let (first_sequence, first_timestamp) = (media[0].sequence, media[0].timestamp);
    let packets = media.into_iter();
    packets
        .map(|packet| {
            let sequence = packet.sequence.wrapping_sub(first_sequence);
            let timestamp = packet.timestamp.wrapping_sub(first_timestamp);
            (sequence, timestamp, packet.payload.len())
        })
        .collect()
}

#[test]
fn silence_is_forwarded() {
    let lengths = received(|_| ()).into_iter().map(|(.., len)| len);
    assert!(lengths.eq(TALK.map(|(_, len)| len)));
}

#[test]
fn silence_is_left_out_where_that_is_wanted() {
    let units = |ms: u32| ms * 48;
    assert_eq!(
        received(|consumer| consumer.ignore_dtx = true),
        [
            (0, 0, 80),
            (1, units(20), 80),
            (2, units(900), 80),
            (3, units(920), 3),
            (4, units(940), 80),
        ]
    );
}
