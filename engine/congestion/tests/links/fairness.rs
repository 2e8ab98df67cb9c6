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

/// What the first of two has of both, in percent, where the second comes that much later.
fn share(queue_us: u64, seed: u64, later_us: u64) -> u64 {
    let mut network = Network::new(shared(queue_us, seed));
    let mut first = media(&network, seed);
    network.run(later_us, &mut [&mut first]);
    let mut second = media(&network, seed + 100);
    network.run(60 * SECOND, &mut [&mut first, &mut second]);
    let from_us = network.now_us - 30 * SECOND;
    let first_bps = first.delivered_bps(from_us, network.now_us);
    let both_bps = first_bps + second.delivered_bps(from_us, network.now_us);
    assert!(both_bps > 1_700_000, "{both_bps}");
    first_bps * 100 / both_bps
}

#[test]
fn two_of_ours_share_a_link() {
    let mut shares = Vec::new();
    for seed in 1..=4 {
        for queue_us in [100 * MS, 300 * MS] {
            shares.push(share(queue_us, seed, 0));
            shares.push(share(queue_us, seed, 8 * SECOND));
        }
    }
    let count = shares.len() as u64;
    let first = shares.iter().sum::<u64>() / count;
    let larger = shares
        .iter()
        .map(|&share| share.max(100 - share))
        .sum::<u64>()
        / count;
    assert!((45..=55).contains(&first), "{first}: {shares:?}");
    assert!(larger <= 60, "{larger}: {shares:?}");
    assert!(
        shares.iter().all(|share| (33..=67).contains(share)),
        "{shares:?}"
    );
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
