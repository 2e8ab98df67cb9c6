//! The start: a first picture soon, the best one within seconds.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;

const SECOND: u64 = 1_000_000;

#[test]
fn the_top_layer_is_reached_within_five_seconds() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig {
        rate_bps: 10_000_000,
        delay_us: 15_000,
        ..LinkConfig::default()
    });
    call.run_ms(2_000);
    call.receiver(link);
    call.run_ms(5_000);
    let shown = &call.receivers[0].shown;
    let first_us = shown.first().expect("a frame").at_us - 2 * SECOND;
    assert!(first_us < 500_000, "{first_us}");
    assert_eq!(shown.last().map(|shown| shown.stream), Some(2));
}
