//! One sender, fifty receivers, the real engine and control: nothing lost, every packet
//! authentic, on both back ends, on one shard and on two.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::outcome::{Ending, Outcome};
use weirgate_loadgen::scenario::{Cast, Interrupt, Scenario, Silent, Traffic, Transport};
use weirgate_loadgen::sender::{AudioShape, Shape, VideoShape};
use weirgate_loadgen::srtp_leg::SrtpSuite;
use weirgate_loadgen::verdict;

const RECEIVERS: usize = 50;

async fn play(server: &Server, transport: Transport) -> Outcome {
    let shapes = vec![
        // Small, as the client's own SRTP is not optimised in a debug build.
        Shape::Video(VideoShape::of_bitrate(200_000)),
        Shape::Audio(AudioShape::default()),
    ];
    let cast = Cast::Livestream {
        receivers: RECEIVERS,
    };
    let mut scenario = Scenario::new(cast, transport, Traffic::of(shapes));
    scenario.duration = Duration::from_secs(2);
    let mut outcome = scenario
        .run(server.api(), &Interrupt::default(), &Silent)
        .await
        .unwrap();
    verdict::judge(&mut outcome);
    outcome
}

fn assert_perfect(outcome: &Outcome) {
    let text = format!("{outcome:#?}");
    assert_eq!(outcome.failures, Vec::<String>::new(), "{text}");
    assert_eq!(outcome.ending, Ending::Completed, "{text}");
    assert_eq!(outcome.participants.joined, RECEIVERS + 1, "{text}");
    let tally = &outcome.totals;
    assert_eq!(tally.flows, 2 * RECEIVERS as u64, "{text}");
    assert_eq!(
        (
            tally.silent_flows,
            tally.lost,
            tally.duplicates,
            tally.corrupt
        ),
        (0, 0, 0, 0),
        "{text}"
    );
    assert_eq!(
        (
            tally.renumbered,
            tally.wrong_timestamps,
            tally.wrong_headers
        ),
        (0, 0, 0),
        "{text}"
    );
    assert_eq!(outcome.refused.not_authentic, 0, "{text}");
    assert!(tally.received > 100 * RECEIVERS as u64, "{text}");
}

async fn all_transports(io: &str, cores: &str) {
    let mut server = Server::start(&ServerOptions::new(io, cores)).await.unwrap();
    let suites = SrtpSuite::ALL.map(Some);
    let plain = suites.into_iter().chain([None]).map(Transport::Plain);
    for transport in plain.chain(suites.map(Transport::WebRtc)) {
        let outcome = play(&server, transport).await;
        assert_perfect(&outcome);
        // Nobody paces what leaves by a plain transport.
        let tells_arrivals = outcome.feedback.transport_cc_by_receivers > 0;
        assert_eq!(tells_arrivals, matches!(transport, Transport::WebRtc(_)));
        server.check_alive().unwrap();
    }
    let routers: Vec<serde_json::Value> = server.api().get("/v1/routers").await.unwrap();
    assert!(routers.is_empty(), "{routers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mmsg_on_one_shard() {
    all_transports("mmsg", "0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mmsg_on_two_shards() {
    all_transports("mmsg", "0-1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uring_on_one_shard() {
    all_transports("uring", "0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uring_on_two_shards() {
    all_transports("uring", "0-1").await;
}
