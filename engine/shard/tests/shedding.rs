//! A shard that can not keep up sheds video and no audio, and is back soon after.

mod sim;

use std::time::Duration;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;

const SECOND: u64 = 1_000_000;
const RECEIVERS: usize = 60;

/// So many milliseconds in turns, each of which takes in what came during the one before and takes
/// so many microseconds by packet; packets sent.
fn run(call: &mut Call, cost_us: u64, ms: u64) -> u64 {
    let mut all = 0;
    let end_us = call.now_us() + ms * 1_000;
    let mut busy_us = 0;
    while call.now_us() < end_us {
        call.sim.begin_turn();
        call.run_ms((busy_us / 1_000).max(1));
        let now = call.sim.now;
        call.sim.shards[0].turn_took(now, Duration::from_micros(busy_us), 0.0);
        call.sim.end_turn();
        let packets = call.sim.sent.len() as u64;
        busy_us = packets * cost_us;
        all += packets;
    }
    all
}

#[test]
fn video_of_chosen_receivers_is_shed_and_comes_back() {
    let mut call = Call::new(&[1_500_000]);
    call.talk();
    for _ in 0..RECEIVERS {
        let link = call.link(LinkConfig::default());
        call.receiver(link);
    }
    run(&mut call, 1, 4_000);
    let all = run(&mut call, 1, 1_000);
    assert_eq!(call.sim.counter(0, "packets_shed"), 0);
    let from_us = call.now_us();
    // Twice what there is time for, of which audio is a fourth.
    let cost_us = 2_000_000 / all;
    let worked_us = run(&mut call, cost_us, 5_000) * cost_us;
    assert!(
        worked_us > 4_700_000,
        "all of the time is used: {worked_us}"
    );
    let until_us = call.now_us();
    assert!(call.sim.counter(0, "packets_shed") > 0);
    for receiver in &call.receivers {
        let audio = receiver
            .audio_us
            .iter()
            .filter(|at_us| (from_us..until_us).contains(at_us))
            .count() as u64;
        // The last of it is on its way.
        assert!(audio >= (until_us - from_us) / 20_000 - 10, "{audio}");
        assert_eq!(receiver.given_up, 0, "a pause, no loss");
    }
    let flowing = |call: &Call, from_us, until_us| {
        call.receivers
            .iter()
            .filter(|receiver| receiver.between(from_us, until_us).len() > 10)
            .count()
    };
    let kept = flowing(&call, until_us - SECOND, until_us);
    assert!((1..RECEIVERS).contains(&kept), "{kept}");
    run(&mut call, 1, 2_000);
    let now_us = call.now_us();
    assert_eq!(flowing(&call, now_us - SECOND / 2, now_us), RECEIVERS);
}

/// Of three layers the upper ones go first: everybody goes on to see something.
#[test]
fn upper_layers_go_before_receivers() {
    const FEW: usize = 12;
    let mut call = Call::new(&RATES_BPS);
    for _ in 0..FEW {
        let link = call.link(LinkConfig::default());
        call.receiver(link);
    }
    run(&mut call, 1, 8_000);
    let all = run(&mut call, 1, 2_000) / 2;
    // Twice what there is time for.
    let cost_us = 2_000_000 / all;
    run(&mut call, cost_us, 2_000);
    let from_us = call.now_us();
    let kept = run(&mut call, cost_us, 5_000) / 5;
    let until_us = call.now_us();
    assert!(kept < all * 6 / 10, "{kept} of {all}");
    for receiver in &call.receivers {
        let frames = receiver.between(from_us, until_us).len();
        assert!(frames > 75, "{frames} in 5 s");
    }
    // What the paths carry has to be found out again.
    run(&mut call, 1, 10_000);
    let back = run(&mut call, 1, 2_000) / 2;
    assert!(back > all * 9 / 10, "{back} of {all}");
}
