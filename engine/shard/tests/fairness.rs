//! Receivers behind one queue share it.

mod sim;

use sim::call::Call;
use sim::link::LinkConfig;

const SECOND: u64 = 1_000_000;

/// What the first has of both, in percent, where the second comes that much later.
fn share(rates_bps: &[u64], later_ms: u64) -> u64 {
    let mut call = Call::new(rates_bps);
    let link = call.link(LinkConfig {
        rate_bps: 2_000_000,
        queue_us: 100_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    call.run_ms(later_ms);
    call.receiver(link);
    call.run_ms(60_000);
    let media = |index: usize| call.receivers[index].media_bps(20 * SECOND, 60 * SECOND);
    let total = media(0) + media(1);
    assert!(total > 700_000, "{later_ms}: {total}");
    media(0) * 100 / total
}

#[test]
fn two_receivers_behind_one_queue_share_it() {
    let layers: [&[u64]; 2] = [
        &[100_000, 300_000, 600_000, 900_000],
        &[120_000, 450_000, 1_500_000],
    ];
    for rates_bps in layers {
        let shares = [3_000, 5_000, 6_000, 7_300].map(|later_ms| share(rates_bps, later_ms));
        let mean = shares.iter().sum::<u64>() / shares.len() as u64;
        assert!((40..=60).contains(&mean), "{shares:?}");
        // Layers are few: one step is much of what there is.
        let fits = |share: &u64| (30..=70).contains(share);
        assert!(shares.iter().all(fits), "{shares:?}");
    }
}
