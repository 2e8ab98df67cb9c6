//! What the driver could not send does not count against the path.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;
use weirgate_wire::{ObjectKind, Stats};

#[test]
fn a_driver_that_fails_now_and_then_does_not_lower_the_estimate() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig {
        rate_bps: 4_000_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    call.run_ms(10_000);
    for _ in 0..100 {
        call.run_ms(90);
        call.sim.is_stuck = true;
        call.run_ms(10);
        call.sim.is_stuck = false;
    }
    assert!(call.sim.counter(0, "datagrams_send_failed") > 100);
    let id = call.receivers[0].transport;
    let Stats::Transport(stats) = call.sim.stats(0, ObjectKind::Transport, id) else {
        panic!("no stats");
    };
    let loss = stats.packet_loss_sent.unwrap();
    assert!(loss < 0.01, "{loss}");
    assert!(call.target_bps(0) > 2_500_000);
    assert_eq!(call.receivers[0].shown.last().unwrap().stream, 2);
}
