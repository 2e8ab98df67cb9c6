//! Flows that share a link.

use crate::sim::{LinkConfig, MS, MediaConfig, MediaFlow, Network, SECOND, TcpFlow};

fn shared(queue_us: u64, seed: u64) -> LinkConfig {
    LinkConfig {
        rate_bps: 2_000_000,
        queue_us,
        seed,
        ..LinkConfig::default()
    }
}

fn media(network: &Network, seed: u64) -> MediaFlow {
    let config = MediaConfig {
        seed,
        ..MediaConfig::default()
    };
    MediaFlow::new(network.now_us, config)
}

#[test]
fn two_of_ours_share_a_link() {
    for (queue_us, seed, head_start_us) in [
        (100 * MS, 1, 0),
        (100 * MS, 2, 8 * SECOND),
        (100 * MS, 3, 0),
        (300 * MS, 4, 8 * SECOND),
    ] {
        let mut network = Network::new(shared(queue_us, seed));
        let mut first = media(&network, seed);
        network.run(head_start_us, &mut [&mut first]);
        let mut second = media(&network, seed + 100);
        network.run(60 * SECOND, &mut [&mut first, &mut second]);
        let from_us = network.now_us - 30 * SECOND;
        let first_bps = first.delivered_bps(from_us, network.now_us);
        let second_bps = second.delivered_bps(from_us, network.now_us);
        let both_bps = first_bps + second_bps;
        assert!(both_bps > 1_700_000, "{both_bps}");
        let more_bps = first_bps.max(second_bps);
        assert!(more_bps * 10 <= both_bps * 6, "{first_bps} {second_bps}");
    }
}

#[test]
fn neither_we_nor_tcp_starve_the_other() {
    for queue_us in [60 * MS, 100 * MS, 200 * MS] {
        for seed in [1, 2] {
            let mut network = Network::new(shared(queue_us, seed));
            let mut ours = media(&network, seed);
            let mut theirs = TcpFlow::new(25 * MS);
            network.run(seed * 5 * SECOND, &mut [&mut ours]);
            network.run(60 * SECOND, &mut [&mut ours, &mut theirs]);
            let from_us = network.now_us - 40 * SECOND;
            let ours_bps = ours.delivered_bps(from_us, network.now_us);
            let theirs_bps = theirs.delivered_bps(from_us, network.now_us);
            assert!(ours_bps > 400_000, "{ours_bps} with {queue_us}");
            assert!(theirs_bps > 400_000, "{theirs_bps} with {queue_us}");
        }
    }
}
