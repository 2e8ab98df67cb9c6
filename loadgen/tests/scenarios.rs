//! Every scenario by name, over both kinds of signaling, against the real engine and control.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::outcome::{Ending, Outcome};
use weirgate_loadgen::scenario::{
    Cast, Interrupt, Scenario, SignalingKind, Silent, Traffic, Transport,
};
use weirgate_loadgen::sender::{AudioShape, Shape, VideoShape};
use weirgate_loadgen::verdict;

/// Little enough for what a path is taken to carry before anything is known of it.
const VIDEO_BPS: u64 = 100_000;

async fn server() -> Server {
    Server::start(&ServerOptions::new("auto", "0-1"))
        .await
        .unwrap()
}

fn both() -> Traffic {
    Traffic::of(vec![
        Shape::Video(VideoShape::of_bitrate(VIDEO_BPS)),
        Shape::Audio(AudioShape::default()),
    ])
}

fn scenario(cast: Cast, traffic: Traffic) -> Scenario {
    let mut scenario = Scenario::new(cast, Transport::WebRtc(None), traffic);
    scenario.duration = Duration::from_secs(3);
    scenario
}

async fn play(server: &Server, scenario: &Scenario) -> Outcome {
    let api = server.api();
    let mut outcome = scenario
        .run(api, &Interrupt::default(), &Silent)
        .await
        .unwrap();
    verdict::judge(&mut outcome);
    assert_eq!(
        outcome.failures,
        Vec::<String>::new(),
        "{:?}\n{outcome:#?}",
        scenario.cast
    );
    assert_eq!(outcome.ending, Ending::Completed);
    let totals = &outcome.totals;
    // Whoever stays for a second only may leave before the first key frame on a busy machine.
    let silent = if matches!(scenario.cast, Cast::Churn { .. }) {
        0
    } else {
        totals.silent_flows
    };
    assert_eq!(
        (silent, totals.lost, totals.wrong_timestamps),
        (0, 0, 0),
        "{:?} {totals:#?}",
        scenario.cast
    );
    let routers: Vec<serde_json::Value> = api.get("/v1/routers").await.unwrap();
    assert!(routers.is_empty(), "{:?}: {routers:?}", scenario.cast);
    outcome
}

/// The casts, and how many flows each has with video and audio.
fn casts() -> [(Cast, u64); 4] {
    [
        (Cast::Meeting { participants: 3 }, 3 * 2 * 2),
        (Cast::Livestream { receivers: 4 }, 4 * 2),
        (
            Cast::Rooms {
                rooms: 2,
                participants: 2,
                viewers: 1,
            },
            2 * (2 + 2) * 2,
        ),
        (Cast::Pairs { pairs: 3 }, 3 * 2 * 2),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_gets_all_of_the_others_over_the_api() {
    let server = server().await;
    for (cast, flows) in casts() {
        let outcome = play(&server, &scenario(cast, both())).await;
        assert_eq!(outcome.totals.flows, flows, "{cast:?}");
        assert!(outcome.by_kind["video"].latency.is_some(), "{cast:?}");
        assert!(outcome.by_kind["audio"].latency.is_some(), "{cast:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_gets_all_of_the_others_over_socket_io() {
    let server = server().await;
    for (cast, flows) in casts() {
        let mut scenario = scenario(cast, both());
        scenario.signaling = SignalingKind::Socketio;
        let outcome = play(&server, &scenario).await;
        assert_eq!(outcome.totals.flows, flows, "{cast:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn speakers_pause_and_are_heard_by_all() {
    let server = server().await;
    let shape = AudioShape {
        dtx: true,
        ..AudioShape::default()
    };
    let cast = Cast::Audio {
        speakers: 2,
        listeners: 5,
    };
    let outcome = play(
        &server,
        &scenario(cast, Traffic::of(vec![Shape::Audio(shape)])),
    )
    .await;
    assert_eq!(outcome.totals.flows, 2 * 5 + 2);
    let seconds: f64 = outcome.timeline.iter().map(|second| second.length_s).sum();
    let all_spoken = 2.0 * 50.0 * seconds;
    assert!((outcome.sent.packets as f64) < all_spoken, "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_come_and_go_while_others_watch() {
    let server = server().await;
    let cast = Cast::Churn {
        watchers: 3,
        joins_per_second: 5.0,
        stay: Duration::from_secs(1),
    };
    let outcome = play(&server, &scenario(cast, both())).await;
    let participants = &outcome.participants;
    assert!(participants.left >= 5, "{participants:?}");
    assert!(
        participants.joined >= 4 + participants.left,
        "{participants:?}"
    );
    assert!(outcome.join.first_key_frame.unwrap().count >= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_switched_without_a_hole() {
    let server = server().await;
    let traffic = Traffic {
        shapes: vec![Shape::Video(VideoShape::of_bitrate(400_000))],
        simulcast: true,
    };
    let mut scenario = scenario(Cast::Livestream { receivers: 3 }, traffic);
    scenario.switch_layers = Some(Duration::from_secs(1));
    scenario.duration = Duration::from_secs(6);
    let outcome = play(&server, &scenario).await;
    let totals = &outcome.totals;
    assert_eq!((totals.flows, outcome.sent.streams), (3, 3));
    assert!(totals.layer_switches >= 6, "{totals:#?}");
    assert_eq!(
        (totals.renumbered, totals.wrong_headers),
        (0, 0),
        "{totals:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_adds_up() {
    let server = server().await;
    let mut scenario = scenario(Cast::Livestream { receivers: 4 }, both());
    scenario.ramp = Some(10.0);
    scenario.remb_bps = Some(2_000_000);
    scenario.nack = true;
    let outcome = play(&server, &scenario).await;
    let totals = &outcome.totals;
    let kinds = outcome.by_kind.values();
    let received: u64 = kinds.map(|kind| kind.tally.received).sum();
    assert_eq!(received, totals.received);
    let by_second: u64 = outcome
        .timeline
        .iter()
        .map(|second| second.received_packets)
        .sum();
    assert_eq!(by_second, totals.received);
    let measured = outcome.timeline.iter().filter(|second| second.measured);
    let seconds: f64 = measured.map(|second| second.length_s).sum();
    assert!((seconds - outcome.seconds).abs() < 1.5, "{seconds}");
    let datagrams: u64 = outcome
        .trains
        .iter()
        .map(|trains| u64::from(trains.length) * trains.count)
        .sum();
    assert!(
        datagrams >= outcome.latency.unwrap().count,
        "{:?}",
        outcome.trains
    );
    // Five joins at ten per second take the time of four.
    assert!(outcome.timeline[0].participants < 5 || outcome.join.joined.unwrap().count == 5);
    assert!(outcome.feedback.transport_cc_by_receivers > 0);
    assert!(outcome.feedback.key_frame_requests > 0);
    let cpu = outcome.cpu.unwrap();
    assert!(
        cpu.us_per_packet > 0.0 && cpu.processes.len() == 1,
        "{cpu:?}"
    );
    assert!(
        cpu.processes[0].name.starts_with("weirgate-engine"),
        "{cpu:?}"
    );
}
