//! In the steady state nothing is allocated per packet.

use allocation_counter::measure;
use weirgate_congestion::allocator::{Allocation, Demand, Kind, LayerRate, allocate};
use weirgate_congestion::{Config, Pacer, PacketKind, SendSide};

/// Sends `packets`, one a millisecond, with feedback every hundred and an allocation with it.
fn run(send_side: &mut SendSide, pacer: &mut Pacer, packets: std::ops::Range<u64>) {
    let layers = [100_000, 500_000, 1_500_000].map(|bps| LayerRate {
        spatial: 0,
        temporal: 0,
        bps,
    });
    let demands = [Demand {
        priority: 1,
        kind: Kind::Video,
        paused: false,
        layers: &layers,
        preferred: None,
    }; 8];
    let mut allocations = [Allocation::default(); 8];
    for index in packets {
        let now_us = index * 1_000;
        send_side.sent(now_us, index as u16, 1_200, PacketKind::Video);
        pacer.budget(now_us, 1_200);
        pacer.spend(1_200);
        pacer.next_release(now_us, 0);
        if index % 100 == 99 {
            let statuses = (index - 99..=index).map(|sequence| (sequence as u16, Some(4)));
            let reference = (now_us - 99_000) / 64_000;
            send_side.feedback(now_us, statuses, reference as i32);
            send_side.poll(now_us);
            if let Some(probe) = send_side.probe(now_us) {
                pacer.start_probe(now_us, probe);
            }
            pacer.set_target(send_side.target_bps(), send_side.sent_bps(now_us));
            allocate(now_us, send_side.target_bps(), &demands, &mut allocations);
        }
    }
}

#[test]
fn nothing_is_allocated_per_packet() {
    let config = Config {
        initial_bps: 600_000,
        min_bps: 30_000,
        max_bps: 10_000_000,
    };
    let mut send_side = SendSide::new(config, 0);
    let mut pacer = Pacer::new(0, config.initial_bps);
    let first = measure(|| run(&mut send_side, &mut pacer, 0..1_000));
    assert!(
        first.count_total > 0,
        "the history is made with the first packet"
    );
    assert!(first.bytes_max < 16_384, "{}", first.bytes_max);
    let steady = measure(|| run(&mut send_side, &mut pacer, 1_000..20_000));
    assert_eq!(steady.count_total, 0);
}

#[test]
fn what_waits_for_its_first_packet_is_small() {
    let size = size_of::<SendSide>() + size_of::<Pacer>();
    assert!(size < 2_560, "{size}");
}

#[test]
fn packets_that_nothing_is_heard_of_are_remembered_up_to_a_limit() {
    let config = Config {
        initial_bps: 600_000,
        min_bps: 30_000,
        max_bps: 10_000_000,
    };
    let mut send_side = SendSide::new(config, 0);
    let flood = measure(|| {
        for index in 0..100_000 {
            send_side.sent(100 * index, index as u16, 1_200, PacketKind::Video);
        }
    });
    // The largest history, and the one before it while it is copied.
    assert!(flood.bytes_max <= (32 + 16) << 10, "{}", flood.bytes_max);
    assert!(flood.bytes_current <= 32 << 10, "{}", flood.bytes_current);
}
