//! A consumer can be asked why it has the layer it has.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;
use weirgate_shard::CommandBody;
use weirgate_wire::{LayerReason, Layers, ObjectKind};

const SECOND: u64 = 1_000_000;

fn behind(rate_bps: u64) -> LinkConfig {
    LinkConfig {
        rate_bps,
        ..LinkConfig::default()
    }
}

#[test]
fn every_reason_is_told() {
    let mut call = Call::new(&RATES_BPS);
    let links = [call.link(behind(3_000_000)), call.link(behind(800_000))];
    let receivers = links.map(|link| call.receiver(link));
    let reason = |call: &mut Call, receiver| call.consumer_stats(receiver).layer_reason;
    assert_eq!(reason(&mut call, 0), LayerReason::SourceAbsent);
    call.run_ms(15_000);
    assert_eq!(reason(&mut call, receivers[0]), LayerReason::Preferred);
    assert_eq!(reason(&mut call, receivers[1]), LayerReason::Bandwidth);
    let stats = call.consumer_stats(1);
    let target = Some(Layers {
        spatial: 1,
        temporal: 0,
    });
    assert_eq!(
        (stats.target_layers, stats.current_layers),
        (target, target)
    );

    let id = call.receivers[0].consumer;
    let layers = Some(Layers {
        spatial: 0,
        temporal: 0,
    });
    call.sim
        .command(0, CommandBody::SetPreferredLayers { id, layers });
    assert_eq!(reason(&mut call, 0), LayerReason::AwaitingKeyFrame);
    call.run_ms(500);
    assert_eq!(reason(&mut call, 0), LayerReason::Preferred);
    let layers = None;
    call.sim
        .command(0, CommandBody::SetPreferredLayers { id, layers });
    call.camera.streams[2].active = false;
    call.run_ms(3_000);
    let stats = call.consumer_stats(0);
    assert_eq!(stats.current_layers.map(|layers| layers.spatial), Some(1));
    let (kind, paused) = (ObjectKind::Consumer, true);
    call.sim
        .command(0, CommandBody::SetPaused { kind, id, paused });
    assert_eq!(reason(&mut call, 0), LayerReason::Paused);
}

#[test]
fn a_stream_that_stops_is_left_within_a_second() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(behind(5_000_000));
    call.receiver(link);
    call.run_ms(10_000);
    assert_eq!(call.consumer_stats(0).current_layers.unwrap().spatial, 2);
    call.camera.streams[2].active = false;
    call.run_ms(5_000);
    let receiver = &call.receivers[0];
    let freeze_us = receiver.longest_freeze_us(10 * SECOND, 15 * SECOND);
    assert!(freeze_us < SECOND, "{freeze_us}");
    assert_eq!(receiver.shown.last().unwrap().stream, 1);
}

#[test]
fn where_no_video_fits_audio_goes_on() {
    let mut call = Call::new(&[300_000]);
    call.talk();
    let link = call.link(behind(150_000));
    call.receiver(link);
    call.run_ms(30_000);
    let stats = call.consumer_stats(0);
    assert_eq!(stats.layer_reason, LayerReason::Bandwidth);
    let receiver = &call.receivers[0];
    assert!(receiver.between(15 * SECOND, 30 * SECOND).is_empty());
    let late: Vec<_> = receiver
        .audio_us
        .iter()
        .filter(|&&at_us| at_us > 10 * SECOND)
        .collect();
    assert!(late.len() >= 990, "{} of 1000", late.len());
    let gap_us = late.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap_us < 200_000, "{gap_us}");
}
