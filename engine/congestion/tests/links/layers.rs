//! The whole of it with a source that has layers: what a receiver sees.

use weirgate_congestion::allocator::LayerRate;

use crate::sim::{LinkConfig, MS, MediaConfig, MediaFlow, Network, SECOND, Source};

static CAMERA: [LayerRate; 3] = [layer(0, 140_000), layer(1, 500_000), layer(2, 1_600_000)];

const fn layer(spatial: u8, bps: u64) -> LayerRate {
    LayerRate {
        spatial,
        temporal: 0,
        bps,
    }
}

fn receiver(rate_bps: u64, seed: u64) -> (Network, MediaFlow) {
    let network = Network::new(LinkConfig {
        rate_bps,
        queue_us: 300 * MS,
        seed,
        ..LinkConfig::default()
    });
    let config = MediaConfig {
        source: Source::Layers(&CAMERA),
        seed,
        ..MediaConfig::default()
    };
    let flow = MediaFlow::new(network.now_us, config);
    (network, flow)
}

#[test]
fn every_receiver_has_the_best_layer_that_fits() {
    for (rate_bps, best_bps) in [
        (3_000_000, 1_600_000),
        (800_000, 500_000),
        (200_000, 140_000),
    ] {
        for seed in [1, 2, 3] {
            let (mut network, mut flow) = receiver(rate_bps, seed);
            network.run(60 * SECOND, &mut [&mut flow]);
            let from_us = network.now_us - 45 * SECOND;
            let bps = flow.delivered_bps(from_us, network.now_us);
            assert!(bps * 100 >= best_bps * 95, "{bps} over {rate_bps}");
            let sent_bps = flow.sent_bps(from_us, network.now_us);
            assert!(bps * 100 >= sent_bps * 99, "{bps} of {sent_bps}");
        }
    }
}

#[test]
fn the_top_layer_is_there_within_two_seconds_of_the_start() {
    let (mut network, mut flow) = receiver(3_000_000, 1);
    network.run(3 * SECOND, &mut [&mut flow]);
    let bps = flow.delivered_bps(network.now_us - SECOND, network.now_us);
    assert!(bps > 1_500_000, "{bps}");
}

#[test]
fn layers_go_down_within_two_seconds_and_up_within_ten() {
    for seed in [1, 2, 3] {
        let (mut network, mut flow) = receiver(3_000_000, seed);
        network.run(15 * SECOND, &mut [&mut flow]);
        network.link.config.rate_bps = 500_000;
        network.run(2 * SECOND, &mut [&mut flow]);
        let drop_us = network.now_us;
        network.run((8 + seed) * SECOND, &mut [&mut flow]);
        let low_bps = flow.sent_bps(drop_us, network.now_us);
        assert!(low_bps < 500_000, "{low_bps}");
        network.link.config.rate_bps = 3_000_000;
        network.run(12 * SECOND, &mut [&mut flow]);
        let high_bps = flow.delivered_bps(network.now_us - 2 * SECOND, network.now_us);
        assert!(high_bps > 1_500_000, "{high_bps}");
    }
}

#[test]
fn a_link_too_slow_for_any_layer_is_found_again_when_it_is_not() {
    let (mut network, mut flow) = receiver(60_000, 1);
    network.run(15 * SECOND, &mut [&mut flow]);
    let bps = flow.sent_bps(network.now_us - 5 * SECOND, network.now_us);
    assert!(bps < 60_000, "{bps}");
    network.link.config.rate_bps = 3_000_000;
    network.run(12 * SECOND, &mut [&mut flow]);
    let bps = flow.delivered_bps(network.now_us - SECOND, network.now_us);
    assert!(bps > 1_500_000, "{bps}");
}
