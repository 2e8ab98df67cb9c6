//! A shard that can not keep up sheds video and no audio, and is back soon after.

mod sim;

use std::time::Duration;

use sim::call::Call;
use sim::link::LinkConfig;

const SECOND: u64 = 1_000_000;
const RECEIVERS: usize = 60;

/// Turns whose time grows with what is sent, at so many microseconds by packet.
fn run(call: &mut Call, cost_us: u64, turns: u64) {
    for _ in 0..turns {
        let mut packets = 0;
        for _ in 0..20 {
            call.step_seen(&mut |sent| packets += sent.len() as u64);
        }
        let busy = Duration::from_micros((packets * cost_us).min(60_000));
        let now = call.sim.now;
        // The driver would have slept for the rest of the 20 ms, if there is any.
        let slept = Duration::from_millis(20).saturating_sub(busy);
        call.sim.shards[0].turn_took(now, Duration::from_millis(20) - slept);
    }
}

#[test]
fn video_of_chosen_receivers_is_shed_and_comes_back() {
    let mut call = Call::new(&[300_000]);
    call.talk();
    for _ in 0..RECEIVERS {
        let link = call.link(LinkConfig::default());
        call.receiver(link);
    }
    run(&mut call, 1, 250);
    assert_eq!(call.sim.counter(0, "packets_shed"), 0);
    let from_us = call.now_us();
    // About 2,000 video and 3,000 audio packets a second: three times of what there is time for.
    run(&mut call, 600, 250);
    let until_us = call.now_us();
    assert!(call.sim.counter(0, "packets_shed") > 0);
    for receiver in &call.receivers {
        let audio = receiver
            .audio_us
            .iter()
            .filter(|at_us| (from_us..until_us).contains(at_us))
            .count() as u64;
        assert!(audio >= (until_us - from_us) / 20_000 - 5, "{audio}");
        assert_eq!(receiver.given_up, 0, "a pause, no loss");
    }
    let flowing = |call: &Call, from_us, until_us| {
        call.receivers
            .iter()
            .filter(|receiver| receiver.between(from_us, until_us).len() > 10)
            .count()
    };
    let kept = flowing(&call, until_us - SECOND, until_us);
    assert!(kept < RECEIVERS, "{kept}");
    run(&mut call, 1, 100);
    let now_us = call.now_us();
    assert_eq!(flowing(&call, now_us - SECOND / 2, now_us), RECEIVERS);
}
