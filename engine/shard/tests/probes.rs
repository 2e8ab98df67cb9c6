//! Probes: padding of a consumer's RTX, or the stream of mid `probator`.

mod sim;

use sim::OUT_RTX_PT;
use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;
use weirgate_wire::{ObjectKind, Stats};

const PROBATOR_PT: u8 = 127;

fn probed(has_rtx: bool) -> Call {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig {
        rate_bps: 6_000_000,
        ..LinkConfig::default()
    });
    call.receiver_with(link, |consumer| {
        if !has_rtx {
            consumer.rtx_ssrc = None;
            consumer.codecs[0].rtx_payload_type = None;
        }
    });
    call.run_ms(6_000);
    call
}

#[test]
fn where_rtx_is_negotiated_probes_are_its_padding() {
    let mut call = probed(true);
    let receiver = &call.receivers[0];
    assert!(receiver.probe_bytes > 10_000);
    assert_eq!(receiver.duplicates, 0, "no packet comes twice");
    assert!(receiver.streams.contains_key(&OUT_RTX_PT));
    assert!(!receiver.streams.contains_key(&PROBATOR_PT));
    let (probe_bytes, id) = (receiver.probe_bytes, receiver.transport);
    let Stats::Transport(stats) = call.sim.stats(0, ObjectKind::Transport, id) else {
        panic!("no stats");
    };
    // The receiver counts their tags, too.
    assert!(stats.probation_bytes_sent >= probe_bytes * 9 / 10);
    assert_eq!(stats.rtx_bytes_sent, 0);
}

#[test]
fn elsewhere_they_are_the_probators() {
    let call = probed(false);
    let receiver = &call.receivers[0];
    assert_eq!(receiver.streams.get(&PROBATOR_PT), Some(&1234));
    assert!(receiver.probe_bytes > 10_000);
    assert_eq!(receiver.shown.last().unwrap().stream, 2);
}
