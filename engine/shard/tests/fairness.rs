//! Receivers behind one queue share it.

mod sim;

use sim::call::Call;
use sim::link::LinkConfig;

const SECOND: u64 = 1_000_000;

#[test]
fn two_receivers_behind_one_queue_share_it() {
    let mut call = Call::new(&[100_000, 300_000, 600_000, 900_000]);
    let link = call.link(LinkConfig {
        rate_bps: 2_000_000,
        queue_us: 100_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    call.run_ms(5_000);
    call.receiver(link);
    call.run_ms(55_000);
    let shares: Vec<u64> = call
        .receivers
        .iter()
        .map(|receiver| receiver.media_bps(20 * SECOND, 60 * SECOND))
        .collect();
    let total: u64 = shares.iter().sum();
    assert!(total > 850_000, "{shares:?}");
    assert!(
        shares.iter().all(|share| share * 100 >= total * 40),
        "{shares:?}"
    );
}
