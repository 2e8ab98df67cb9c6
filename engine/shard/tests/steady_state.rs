//! Nothing is allocated while calls go on: not for packets, nor for what time brings. What is told to
//! control is made anew, as it goes away.

mod sim;

use allocation_counter::measure;
use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;
use sim::*;
use weirgate_wire::{ConsumerType, Event};

/// Of the warm-up, and of what is looked at.
const SECONDS: u64 = 30;

fn count(inside: &mut dyn FnMut()) -> u64 {
    measure(inside).count_total
}

/// Lists and names in what control was told.
fn told(events: &[Event]) -> u64 {
    let lists = events.iter().map(|event| match event {
        Event::AudioLevels(_) => 1,
        Event::ProducerScore { scores, .. } => {
            let names = scores.iter().filter(|(_, rid, _)| rid.is_some());
            1 + names.count() as u64
        }
        _ => 0,
    });
    lists.sum()
}

/// A camera with three streams of temporal layers, and somebody who talks; receivers behind links good,
/// slow and lossy, and plain ones. Media, repairs, probes, feedback, reports, checks, switches.
#[test]
fn a_call_of_every_kind_of_receiver_allocates_nothing() {
    let mut call = Call::new(&RATES_BPS);
    call.talk();
    let good = call.link(LinkConfig::default());
    let lossy = call.link(LinkConfig {
        loss_permille: 20,
        ..LinkConfig::default()
    });
    let slow = call.link(LinkConfig {
        rate_bps: 500_000,
        ..LinkConfig::default()
    });
    for link in [good, lossy, slow] {
        call.receiver(link);
        call.receiver(link);
    }
    for number in [50, 51] {
        let secure = (number == 51).then(|| key(number as u8));
        let transport = call.sim.plain(0, number, addr(number as u16), secure);
        let mut consumer = video_consumer(number, &call.producer);
        consumer.consumer_type = ConsumerType::Simulcast;
        call.sim.consumer(0, transport, consumer);
    }
    let run = |call: &mut Call| {
        for second in 0..SECONDS {
            // Layers come and go with it.
            call.links[good].config.rate_bps = if second % 10 < 5 { 700_000 } else { 6_000_000 };
            call.run_ms(1_000);
        }
    };
    // Until queues are as long as they get.
    run(&mut call);
    run(&mut call);
    run(&mut call);
    let counters = [
        "rtp_packets_sent",
        "packets_retransmitted",
        "probe_packets_sent",
        "rtcp_received",
        "rtcp_sent",
    ];
    let before = counters.map(|name| call.sim.counter(0, name));
    call.sim.allocations = 0;
    call.sim.count = count;
    call.sim.events.clear();
    run(&mut call);
    let allocations = call.sim.allocations - told(&call.sim.events);
    let after = counters.map(|name| call.sim.counter(0, name));
    let done: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    let switches = call.sim.events.iter();
    let switches = switches.filter(|event| matches!(event, Event::ConsumerLayers { .. }));
    assert!(switches.count() >= 4);
    let least = [15_000, 50, 50, 500, 100];
    assert!(
        done.iter().zip(least).all(|(&done, least)| done > least),
        "{done:?}"
    );
    assert_eq!(allocations, 0);
}

/// A producer on one shard, consumers on two.
#[test]
fn what_crosses_to_another_shard_allocates_nothing() {
    let mut sim = Sim::new(2);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    let source = sim.producer(0, send, producer.clone());
    sim.relay(0, 1, source, &producer);
    for shard in 0..2 {
        for number in 2..5 {
            let number = 10 * shard as u32 + number;
            let remote = addr(number as u16);
            let transport = sim.plain(shard, number, remote, Some(key(number as u8)));
            sim.consumer(shard, transport, video_consumer(number, &producer));
        }
    }
    let send = |sim: &mut Sim, sequences: std::ops::Range<u16>| {
        for sequence in sequences {
            let packet = vp8(sequence, u32::from(sequence) * 3_000, sequence == 0);
            sim.deliver(0, plain_path(1, addr(1)), &sender.seal(&packet));
            sim.advance_ms(3);
        }
    };
    send(&mut sim, 0..2_500);
    sim.allocations = 0;
    sim.count = count;
    sim.events.clear();
    let crossed = sim.crossed;
    send(&mut sim, 2_500..5_000);
    assert!(sim.crossed - crossed >= 2_500);
    assert_eq!(sim.allocations, told(&sim.events));
}
