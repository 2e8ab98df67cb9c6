//! Losses are repaired, and no more than the bound is spent on it.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;

const SECOND: u64 = 1_000_000;

#[test]
fn losses_are_repaired_within_the_bound() {
    for loss_permille in [20, 50, 100] {
        let mut call = Call::new(&RATES_BPS);
        let link = call.link(LinkConfig {
            rate_bps: 5_000_000,
            delay_us: 50_000,
            loss_permille,
            ..LinkConfig::default()
        });
        call.receiver(link);
        call.run_ms(60_000);
        let receiver = &call.receivers[0];
        let (media, rtx) = (receiver.media_bytes, receiver.rtx_bytes);
        assert!(rtx * 100 <= media * 15, "{loss_permille}: {rtx} of {media}");
        let frozen_us = receiver.frozen_us(5 * SECOND, 60 * SECOND, 250_000);
        assert!(
            loss_permille > 50 || frozen_us * 100 < 55 * SECOND * 3,
            "{loss_permille}: {frozen_us}"
        );
    }
}
