//! How fast the target finds what a link carries, and stays there.

use crate::sim::{Flow, LinkConfig, MS, MediaConfig, MediaFlow, Network, SECOND, Source};

const SEEDS: [u64; 3] = [1, 2, 3];

fn network(rate_bps: u64, seed: u64) -> (Network, MediaFlow) {
    let network = Network::new(LinkConfig {
        rate_bps,
        seed,
        ..LinkConfig::default()
    });
    let media = MediaConfig {
        seed,
        source: Source::Encoder {
            max_bps: 10_000_000,
        },
        ..MediaConfig::default()
    };
    let flow = MediaFlow::new(network.now_us, media);
    (network, flow)
}

#[test]
fn a_megabit_is_found_within_five_seconds_and_its_queue_stays_short() {
    for seed in SEEDS {
        let (mut network, mut flow) = network(1_000_000, seed);
        let start_us = network.now_us;
        network.run(30 * SECOND, &mut [&mut flow]);
        let found_bps = flow.delivered_bps(start_us + 3 * SECOND, start_us + 5 * SECOND);
        assert!(found_bps >= 850_000, "{found_bps}");
        let later_us = start_us + 5 * SECOND;
        let kept_bps = flow.delivered_bps(later_us, network.now_us);
        assert!(kept_bps >= 850_000, "{kept_bps}");
        let wait_us = network.link.longest_wait_us(later_us, network.now_us);
        assert!(wait_us < 150 * MS, "{wait_us}");
    }
}

#[test]
fn slow_and_fast_links_are_found_from_the_same_start() {
    for (rate_bps, least_percent) in [(100_000, 80), (300_000, 80), (8_000_000, 80)] {
        let (mut network, mut flow) = network(rate_bps, 1);
        network.run(20 * SECOND, &mut [&mut flow]);
        let bps = flow.delivered_bps(network.now_us - 10 * SECOND, network.now_us);
        assert!(bps * 100 >= rate_bps * least_percent, "{bps} of {rate_bps}");
    }
}

#[test]
fn a_drop_is_followed_within_two_seconds_and_its_queue_is_gone_in_five() {
    for seed in SEEDS {
        let (mut network, mut flow) = network(3_000_000, seed);
        network.run(15 * SECOND, &mut [&mut flow]);
        network.link.config.rate_bps = 500_000;
        let drop_us = network.now_us;
        network.run(15 * SECOND, &mut [&mut flow]);
        let target_bps = flow.target_bps(drop_us + 1_900 * MS, drop_us + 2_100 * MS);
        assert!(target_bps < 500_000, "{target_bps}");
        let wait_us = network
            .link
            .longest_wait_us(drop_us + 5 * SECOND, network.now_us);
        assert!(wait_us < 150 * MS, "{wait_us}");
        let bps = flow.delivered_bps(drop_us + 2 * SECOND, network.now_us);
        assert!(bps > 400_000, "{bps}");
    }
}

#[test]
fn what_comes_back_is_found_within_ten_seconds() {
    for seed in SEEDS {
        let (mut network, mut flow) = network(3_000_000, seed);
        network.run(10 * SECOND, &mut [&mut flow]);
        network.link.config.rate_bps = 500_000;
        // At another point of the saw tooth for each.
        network.run((10 + seed) * SECOND, &mut [&mut flow]);
        network.link.config.rate_bps = 3_000_000;
        network.run(12 * SECOND, &mut [&mut flow]);
        let bps = flow.delivered_bps(network.now_us - 2 * SECOND, network.now_us);
        assert!(bps > 2_400_000, "{bps}");
    }
}

#[test]
fn a_jittery_link_is_used_all_the_same() {
    for seed in SEEDS {
        let mut network = Network::new(LinkConfig {
            rate_bps: 2_000_000,
            jitter_us: 30 * MS,
            seed,
            ..LinkConfig::default()
        });
        let mut flow = MediaFlow::new(network.now_us, MediaConfig::default());
        network.run(20 * SECOND, &mut [&mut flow]);
        let bps = flow.delivered_bps(network.now_us - 15 * SECOND, network.now_us);
        assert!(bps > 1_600_000, "{bps}");
    }
}

#[test]
fn a_link_that_dies_and_comes_back_is_used_again() {
    let (mut network, mut flow) = network(2_000_000, 1);
    network.run(10 * SECOND, &mut [&mut flow]);
    network.link.config.loss = 1.0;
    network.run(8 * SECOND, &mut [&mut flow]);
    let target_bps = flow.send_side.target_bps();
    assert!(target_bps < 500_000, "{target_bps}");
    network.link.config.loss = 0.0;
    network.run(12 * SECOND, &mut [&mut flow]);
    let bps = flow.delivered_bps(network.now_us - 2 * SECOND, network.now_us);
    assert!(bps > 1_600_000, "{bps}");
}

#[test]
fn a_source_with_little_to_send_is_not_limited_and_costs_little() {
    let (mut network, _) = network(2_000_000, 1);
    let media = MediaConfig {
        source: Source::Encoder { max_bps: 300_000 },
        ..MediaConfig::default()
    };
    let mut flow = MediaFlow::new(network.now_us, media);
    network.run(30 * SECOND, &mut [&mut flow as &mut dyn Flow]);
    let bps = flow.delivered_bps(network.now_us - 20 * SECOND, network.now_us);
    assert!((280_000..320_000).contains(&bps), "{bps}");
    assert!(flow.send_side.target_bps() > 330_000);
    assert_eq!(flow.padding_bytes, 0, "nothing more is wanted");
}
