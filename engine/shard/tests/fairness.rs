//! Receivers behind one queue share it, with each other and with a TCP flow.

mod sim;

use sim::call::Call;
use sim::link::LinkConfig;
use sim::tcp::Kind;

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

/// What a browser's three sizes take.
const BROWSER_BPS: [u64; 3] = [185_000, 525_000, 1_970_000];

/// What a receiver and a download get of 2 Mbit/s, in bit/s.
fn beside_tcp(kind: Kind, queue_ms: u64, delay_ms: u64, seed: u64) -> [u64; 2] {
    let mut call = Call::natural(&BROWSER_BPS, seed);
    let link = call.link(LinkConfig {
        rate_bps: 2_000_000,
        delay_us: delay_ms * 1_000,
        queue_us: queue_ms * 1_000,
        seed,
        ..LinkConfig::default()
    });
    call.back_us = delay_ms * 1_000;
    call.receiver(link);
    call.run_ms(5_000 + 700 * seed);
    let flow = call.flow(link, kind);
    call.run_ms(45_000);
    let (from_us, until_us) = (call.now_us() - 30 * SECOND, call.now_us());
    let media_bps = call.receivers[0].media_bps(from_us, until_us);
    [media_bps, call.flows[flow].bps(from_us, until_us)]
}

#[test]
fn a_receiver_and_a_tcp_flow_have_a_fifth_each_at_least() {
    for queue_ms in [50, 100] {
        for delay_ms in [10, 50] {
            for seed in 1..=4 {
                let rates = beside_tcp(Kind::Cubic, queue_ms, delay_ms, seed);
                let is_fair = rates.iter().all(|&bps| bps >= 400_000);
                assert!(is_fair, "{queue_ms} {delay_ms} {seed}: {rates:?}");
            }
        }
    }
}

#[test]
fn beside_tcp_that_heeds_no_loss_a_receiver_has_a_fifth_in_the_mean() {
    for delay_ms in [10, 25, 50] {
        let rates: Vec<_> = (1..=8)
            .map(|seed| beside_tcp(Kind::Bbr, 100, delay_ms, seed))
            .collect();
        for of in [0, 1] {
            let mean_bps = rates.iter().map(|rates| rates[of]).sum::<u64>() / rates.len() as u64;
            assert!(mean_bps >= 400_000, "{delay_ms}: {rates:?}");
        }
        let has_some = |rates: &[u64; 2]| rates.iter().all(|&bps| bps >= 200_000);
        assert!(rates.iter().all(has_some), "{delay_ms}: {rates:?}");
    }
}

#[test]
fn a_long_queue_that_tcp_keeps_full_leaves_a_fifth() {
    for kind in [Kind::Cubic, Kind::Bbr] {
        let mut media_bps = Vec::new();
        for delay_ms in [10, 25, 50] {
            for seed in [1, 2, 3] {
                media_bps.push(beside_tcp(kind, 300, delay_ms, seed)[0]);
            }
        }
        let mean_bps = media_bps.iter().sum::<u64>() / media_bps.len() as u64;
        assert!(mean_bps >= 400_000, "{kind:?}: {media_bps:?}");
    }
}
