//! Losses are repaired, no more than the bound is spent on it, and pictures go on meanwhile.

mod sim;

use sim::PLAYOUT_DELAY_ID;
use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;
use weirgate_wire::ExtensionKind;

const SECOND: u64 = 1_000_000;
const DELAY_US: u64 = 50_000;
/// What a receiver's buffer has beside the delay of the link.
const BUFFER_US: u64 = 20_000;
/// Losses are seen, and pictures held back, by then.
const SETTLED_US: u64 = 8 * SECOND;

/// Adds a receiver behind a link that loses packets each way, at 100 ms round trip.
fn lossy(mut call: Call, loss_permille: u64, seed: u64) -> Call {
    let link = call.link(LinkConfig {
        rate_bps: 5_000_000,
        delay_us: DELAY_US,
        loss_permille,
        seed,
        ..LinkConfig::default()
    });
    call.receiver_with(link, |consumer| {
        let ids = &mut consumer.extensions;
        ids.set(ExtensionKind::PlayoutDelay, PLAYOUT_DELAY_ID);
    });
    call.back_us = DELAY_US;
    call.back_loss_permille = loss_permille;
    call
}

#[test]
fn losses_are_repaired_within_the_bound_and_pictures_go_on() {
    for (loss_permille, frozen_max_permille) in [(20, 30), (50, 30), (100, 50)] {
        for seed in 1..=3 {
            for call in [Call::new(&RATES_BPS), Call::natural(&RATES_BPS, seed)] {
                let mut call = lossy(call, loss_permille, seed);
                call.run_ms(60_000);
                let receiver = &call.receivers[0];
                let (media, rtx) = (receiver.media_bytes, receiver.rtx_bytes);
                let (from_us, until_us) = (SETTLED_US, 60 * SECOND);
                let frozen_us = receiver.frozen_us(from_us, until_us, DELAY_US + BUFFER_US);
                let frozen_permille = frozen_us * 1_000 / (until_us - from_us);
                let case = format!("{loss_permille} lost, {seed}");
                assert!(rtx * 100 <= media * 15, "{case}: {rtx} of {media}");
                assert!(
                    frozen_permille <= frozen_max_permille,
                    "{case}: {frozen_permille} frozen"
                );
            }
        }
    }
}

#[test]
fn pictures_are_held_back_while_packets_are_lost_and_no_longer() {
    let mut call = lossy(Call::new(&RATES_BPS), 0, 1);
    call.run_ms(10_000);
    assert_eq!(call.receivers[0].least_hold_us, 0);
    call.links[0].config.loss_permille = 50;
    call.run_ms(10_000);
    let held_us = call.receivers[0].least_hold_us;
    // Two round trips and a little.
    assert!((200_000..350_000).contains(&held_us), "{held_us}");
    call.links[0].config.loss_permille = 0;
    call.run_ms(10_000);
    assert_eq!(call.receivers[0].least_hold_us, held_us, "it may come back");
    call.run_ms(10_000);
    assert_eq!(call.receivers[0].least_hold_us, 0);
}

#[test]
fn a_sender_that_tells_how_long_to_hold_pictures_back_decides() {
    let mut call = lossy(Call::new(&RATES_BPS), 50, 1);
    // 100 ms to 10 s.
    call.camera.playout_delay = Some([0x00, 0xa3, 0xe8]);
    call.run_ms(20_000);
    assert_eq!(call.receivers[0].least_hold_us, 100_000);
}
