//! In the steady state nothing is allocated per packet.

mod sim;

use allocation_counter::measure;
use std::time::Duration;

use sim::*;
use weirgate_shard::{CommandBody, Datagram, TxBatch};

#[test]
fn forwarding_to_many_receivers_allocates_nothing() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    for number in 2..52u32 {
        let transport = sim.plain(0, number, addr(number as u16), Some(key(number as u8)));
        sim.consumer(0, transport, video_consumer(number, &producer));
    }
    let mut packets: Vec<Vec<u8>> = (0..6000u16)
        .map(|sequence| sender.seal(&vp8(sequence, u32::from(sequence) * 3000, sequence == 0)))
        .collect();
    let mut batch = TxBatch::new(1 << 20);
    let now = sim.now;
    let shard = &mut sim.shards[0];
    let mut forwarded = 0;
    let mut forward = |packets: &mut [Vec<u8>]| {
        for bytes in packets {
            let mut datagram = [Datagram {
                path: plain_path(1, addr(1)),
                bytes,
                waited: Duration::ZERO,
            }];
            shard.handle_datagrams(now, &mut datagram);
            while shard.poll_transmit(now, &mut batch) {
                forwarded += batch
                    .trains()
                    .iter()
                    .map(|train| usize::from(train.segments))
                    .sum::<usize>();
                batch.clear();
            }
        }
    };
    // Long enough for the record of packets in flight to have its full size: no feedback comes.
    let (warm_up, steady) = packets.split_at_mut(3000);
    forward(warm_up);
    let allocations = measure(|| forward(steady));
    assert_eq!(allocations.count_total, 0);
    assert_eq!(forwarded, 50 * 6000);
}

/// Receivers that are paced, with an estimate: time passes, frames come, and what waits leaves.
#[test]
fn neither_does_pacing() {
    const FRAMES: u16 = 400;
    const PACKETS: u16 = 9;
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    for number in 2..22u32 {
        let (id, ice) = sim.webrtc(0, number);
        let consent = check(&ice, &CheckOptions::default());
        sim.deliver(0, media_path(addr(number as u16)), &consent);
        let keys = key(number as u8);
        let (send, receive) = (keys.clone(), keys);
        sim.command(0, CommandBody::SetSrtpKeys { id, send, receive });
        // Few enough that frames do not leave at once.
        sim.command(
            0,
            CommandBody::SetBitrates {
                id,
                max_incoming: 0,
                max_outgoing: 1_000_000,
                min_outgoing: 1_000_000,
            },
        );
        sim.consumer(0, id, video_consumer(number, &producer));
    }
    let packet = |sequence: u16| {
        let timestamp = u32::from(sequence / PACKETS) * 3_000;
        sender.seal(&vp8(sequence, timestamp, sequence == 0))
    };
    let mut batch = TxBatch::new(1 << 20);
    let mut allocations = 0;
    let mut sent = 0;
    for frame in 0..FRAMES {
        let mut packets: Vec<Vec<u8>> = (0..PACKETS).map(|n| packet(frame * PACKETS + n)).collect();
        for step in 0..33 {
            sim.advance(Duration::from_millis(1));
            let now = sim.now;
            let shard = &mut sim.shards[0];
            let mut turn = || {
                if step == 0 {
                    for bytes in &mut packets {
                        let path = plain_path(1, addr(1));
                        shard.handle_datagrams(
                            now,
                            &mut [Datagram {
                                path,
                                bytes,
                                waited: Duration::ZERO,
                            }],
                        );
                    }
                }
                while shard.poll_transmit(now, &mut batch) {
                    let trains = batch.trains().iter();
                    sent += trains.map(|train| u64::from(train.segments)).sum::<u64>();
                    batch.clear();
                }
            };
            if frame < FRAMES / 2 {
                turn();
            } else {
                allocations += measure(turn).count_total;
            }
        }
    }
    assert!(sent > 0);
    assert_eq!(allocations, 0);
}
