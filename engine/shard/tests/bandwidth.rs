//! Receivers on unlike links get what theirs carries.

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
fn every_receiver_gets_the_best_layer_that_fits_its_link() {
    let mut call = Call::new(&RATES_BPS);
    let links = [3_000_000, 800_000, 200_000];
    for rate_bps in links {
        let link = call.link(behind(rate_bps));
        call.receiver(link);
    }
    call.run_ms(40_000);
    for (receiver, best) in call.receivers.iter().zip([2u8, 1, 0]) {
        let (from, until) = (15 * SECOND, 40 * SECOND);
        let shown = receiver.between(from, until);
        let of_best = shown.iter().filter(|shown| shown.stream == best).count();
        assert!(
            of_best * 100 >= shown.len() * 95,
            "{best}: {of_best} of {}",
            shown.len()
        );
        let freeze_us = receiver.longest_freeze_us(from, until);
        assert!(freeze_us < SECOND, "{best}: {freeze_us}");
        assert!(receiver.given_up * 100 < receiver.media_packets, "{best}");
    }
}
