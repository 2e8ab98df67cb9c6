//! In the steady state nothing is allocated per packet.

mod sim;

use allocation_counter::measure;
use sim::*;
use weirgate_shard::{Datagram, TxBatch};

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
