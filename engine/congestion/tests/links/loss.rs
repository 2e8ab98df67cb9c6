//! Losses that come from the link, and those that come from too much.

use crate::sim::{LinkConfig, MS, MediaConfig, MediaFlow, Network, SECOND};

fn delivered_share(link: LinkConfig, back_us: u64) -> f64 {
    let mut network = Network::new(link);
    let media = MediaConfig {
        back_us,
        seed: link.seed,
        ..MediaConfig::default()
    };
    let mut flow = MediaFlow::new(network.now_us, media);
    network.run(40 * SECOND, &mut [&mut flow]);
    let bps = flow.delivered_bps(network.now_us - 30 * SECOND, network.now_us);
    bps as f64 / link.rate_bps as f64
}

#[test]
fn random_loss_leaves_most_of_the_link() {
    for (loss, least) in [(0.02, 0.8), (0.05, 0.7), (0.1, 0.45)] {
        for seed in [1, 2, 3] {
            let link = LinkConfig {
                rate_bps: 2_000_000,
                delay_us: 50 * MS,
                loss,
                seed,
                ..LinkConfig::default()
            };
            let share = delivered_share(link, 50 * MS);
            assert!(share >= least, "{share} at {loss}");
        }
    }
}

#[test]
fn a_queue_too_short_to_show_delay_is_not_overrun_for_long() {
    let mut network = Network::new(LinkConfig {
        queue_us: 40 * MS,
        ..LinkConfig::default()
    });
    let mut flow = MediaFlow::new(network.now_us, MediaConfig::default());
    network.run(40 * SECOND, &mut [&mut flow]);
    let from_us = network.now_us - 30 * SECOND;
    let sent_bps = flow.sent_bps(from_us, network.now_us);
    let delivered_bps = flow.delivered_bps(from_us, network.now_us);
    assert!(delivered_bps >= 850_000, "{delivered_bps}");
    assert!(sent_bps < 1_100_000, "{sent_bps}");
}
