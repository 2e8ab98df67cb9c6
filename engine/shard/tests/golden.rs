//! A call is the same for the same seed, step by step.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;

/// What two receivers get, second by second, while a link drops and comes back.
fn record(seed: u64) -> String {
    let mut call = Call::new(&RATES_BPS);
    for rate_bps in [3_000_000, 900_000] {
        let link = call.link(LinkConfig {
            rate_bps,
            loss_permille: 10,
            seed,
            ..LinkConfig::default()
        });
        call.receiver(link);
    }
    let mut text = String::new();
    for second in 0..30 {
        call.links[0].config.rate_bps = if (10..20).contains(&second) {
            500_000
        } else {
            3_000_000
        };
        let from_us = call.now_us();
        call.run_ms(1_000);
        let until_us = call.now_us();
        text += &format!("{second:2}");
        for index in 0..2 {
            let target_kbps = call.target_bps(index) / 1_000;
            let reason = call.consumer_stats(index).layer_reason;
            let receiver = &call.receivers[index];
            let shown = receiver.between(from_us, until_us);
            let layer = shown.last().map_or(-1, |shown| i16::from(shown.stream));
            let frames = shown.len();
            text +=
                &format!(" | {target_kbps:5} kbit/s, layer {layer}, {frames} frames, {reason:?}");
        }
        text.push('\n');
    }
    let requests: Vec<u32> = call
        .camera
        .streams
        .iter()
        .map(|stream| stream.requests)
        .collect();
    text += &format!("key frames asked for: {requests:?}\n");
    text
}

#[test]
fn the_same_seed_gives_the_same_call() {
    let text = record(7);
    assert_eq!(text, record(7));
    assert_ne!(text, record(8));
    insta::assert_snapshot!(text);
}
