//! A link that drops, and comes back, is followed.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;

const SECOND: u64 = 1_000_000;

fn behind(rate_bps: u64) -> LinkConfig {
    LinkConfig {
        rate_bps,
        ..LinkConfig::default()
    }
}

#[test]
fn a_receiver_whose_link_drops_goes_down_and_comes_back() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(behind(3_000_000));
    call.receiver(link);
    call.run_ms(15_000);
    call.links[link].config.rate_bps = 500_000;
    call.run_ms(15_000);
    call.links[link].config.rate_bps = 3_000_000;
    call.run_ms(15_000);
    let receiver = &call.receivers[0];
    let down = receiver.between(17 * SECOND, 30 * SECOND);
    assert!(down.iter().all(|shown| shown.stream < 2), "within 2 s");
    let low = receiver.longest_freeze_us(17 * SECOND, 30 * SECOND);
    assert!(low < SECOND, "{low}");
    let back = receiver.between(40 * SECOND, 45 * SECOND);
    assert!(back.iter().all(|shown| shown.stream == 2), "within 10 s");
    let freeze_us = receiver.longest_freeze_us(15 * SECOND, 17 * SECOND);
    assert!(freeze_us < SECOND, "{freeze_us}");
}
