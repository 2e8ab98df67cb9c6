//! What the load generator measures, held against a delay and a loss that are known: its clients are
//! behind a link that delays, or behind a firewall that drops and counts.
//!
//! A busy machine makes packets late, never early. So lower bounds hold always, and upper ones for
//! the best of several tries; losses are compared with what was dropped in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/link.rs"]
mod support;

use serde_json::Value;
use weirgate_loadgen::harness::{Server, ServerOptions};

use support::{Link, PROGRAM, is_missing, output};

const TRIES: usize = 3;
const TOKEN: &str = "accuracy-secret";
const RECEIVERS: &str = "6";
/// One way each, so that one that is forgotten shows.
const UP_MS: f64 = 7.0;
const DOWN_MS: f64 = 16.0;
/// What may be between delay and latency.
const TOLERANCE_MS: f64 = 0.5;
/// Part of the packets.
const LOSS_TOLERANCE: f64 = 0.001;

/// A server at the near end of a link.
async fn server(link: &Link) -> Server {
    let mut options = ServerOptions::new("auto", "0-1");
    options.address = link.near;
    options.api_token = Some(TOKEN.to_owned());
    Server::start(&options).await.unwrap()
}

/// A live stream with sender and receivers at the far end; gives its figures.
fn livestream(link: &Link, server: &Server, transport: &str, flags: &[&str]) -> Value {
    let file = std::env::temp_dir().join(format!("{}-{transport}.json", link.namespace));
    let mut command = link.on_far_end(PROGRAM);
    command.env("WEIRGATE_API_TOKEN", TOKEN);
    command.args(["--server", server.api().base(), "--quiet"]);
    command.arg("--json").arg(&file);
    command.args(["livestream", "--receivers", RECEIVERS]);
    command.args(["--transport", transport]);
    if transport == "plain" {
        command.args(["--plain-ip", &link.near.to_string()]);
    }
    command.args(flags);
    // It fails where it was held up, which only makes latencies longer.
    let printed = command.output().unwrap();
    let said = String::from_utf8_lossy(&printed.stderr);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{command:?}: {said}"));
    std::fs::remove_file(&file).unwrap();
    let outcome: Value = serde_json::from_str(&text).unwrap();
    // The sender is one more.
    assert_eq!(outcome["participants"]["joined"], 7, "{said}{text}");
    outcome
}

fn p50(outcome: &Value, kind: &str) -> f64 {
    let value = &outcome["byKind"][kind]["latency"]["p50"];
    value.as_f64().unwrap_or_else(|| panic!("{outcome}"))
}

/// `(lost, expected)`.
fn loss(outcome: &Value) -> (u64, u64) {
    let number = |name: &str| outcome["totals"][name].as_u64().unwrap();
    (number("lost"), number("expected"))
}

async fn latency_is_the_delay(transport: &str) {
    if is_missing() {
        return;
    }
    let mut link = Link::start(&["--commands"]);
    let server = server(&link).await;
    let media = ["--video", "200k", "--audio", "--duration", "4s"];
    let mut found = Vec::new();
    for _ in 0..TRIES {
        link.command("delay=0");
        link.event("changed");
        let near = livestream(&link, &server, transport, &media);
        link.command(&format!("up:delay={UP_MS}ms"));
        link.event("changed");
        link.command(&format!("down:delay={DOWN_MS}ms"));
        link.event("changed");
        let far = livestream(&link, &server, transport, &media);
        let mut off = Vec::new();
        for kind in ["video", "audio"] {
            let (near, far) = (p50(&near, kind), p50(&far, kind));
            // Histograms keep three digits.
            let least = (UP_MS + DOWN_MS) * 0.999;
            assert!(far >= least, "{kind}: {far} ms are too few");
            off.push(far - near - (UP_MS + DOWN_MS));
            eprintln!("{transport} {kind}: {near:.3} ms without delay, {far:.3} ms with");
        }
        let is_exact = off.iter().all(|off| off.abs() <= TOLERANCE_MS);
        found.push(off);
        if is_exact {
            return;
        }
    }
    let figures = link.stop();
    panic!("{transport}: ms beside the delay, video and audio: {found:?}; {figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_latency_is_the_delay() {
    latency_is_the_delay("plain").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webrtc_latency_is_the_delay() {
    latency_is_the_delay("webrtc").await;
}

/// Drops every fiftieth of the large packets that come to the far end, which are all video.
const FIREWALL: &str = "
table inet accuracy {
    chain arriving {
        type filter hook input priority 0;
        meta l4proto udp meta length > 400 counter
        meta l4proto udp meta length > 400 numgen inc mod 50 == 7 counter drop
    }
}";

/// `(dropped, of how many)` by the firewall.
fn dropped(link: &Link) -> (u64, u64) {
    let text = output(link.on_far_end("nft").args(["-j", "list", "ruleset"]));
    let rules: Value = serde_json::from_str(&text).unwrap();
    let counts: Vec<u64> = rules["nftables"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|object| object["rule"]["expr"].as_array())
        .flatten()
        .filter_map(|expression| expression["counter"]["packets"].as_u64())
        .collect();
    assert_eq!(counts.len(), 2, "{text}");
    (counts[1], counts[0])
}

async fn loss_is_what_was_dropped(transport: &str) {
    if is_missing() {
        return;
    }
    let link = Link::start(&[]);
    let server = server(&link).await;
    output(link.on_far_end("nft").arg(FIREWALL));
    let media = ["--video", "400k", "--duration", "8s"];
    let outcome = livestream(&link, &server, transport, &media);
    let (lost, expected) = loss(&outcome);
    let (dropped, passed_by) = dropped(&link);
    eprintln!("{transport}: {lost} of {expected} lost, {dropped} of {passed_by} dropped");
    assert!(expected > 2_000, "{outcome}");
    assert!(dropped > 40, "{dropped} of {passed_by}");
    let reported = lost as f64 / expected as f64;
    let known = dropped as f64 / passed_by as f64;
    assert!((known - 0.02).abs() < LOSS_TOLERANCE, "{known}");
    assert!(
        (reported - known).abs() <= LOSS_TOLERANCE,
        "{reported} reported, {known} dropped: {outcome}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_loss_is_what_was_dropped() {
    loss_is_what_was_dropped("plain").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webrtc_loss_is_what_was_dropped() {
    loss_is_what_was_dropped("webrtc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_loss_of_the_link_is_reported_as_it_was() {
    if is_missing() {
        return;
    }
    let link = Link::start(&["--seed", "5", "--spare-tcp", "--down", "loss=3%,delay=2ms"]);
    let server = server(&link).await;
    let media = ["--video", "400k", "--duration", "8s"];
    let outcome = livestream(&link, &server, "plain", &media);
    let figures = link.stop();
    let (lost, expected) = loss(&outcome);
    let known = figures["down"]["lost"].as_u64().unwrap();
    eprintln!("{lost} of {expected} lost, {known} by the link");
    // The link also loses RTCP, one in some hundred packets.
    let off = (lost as f64 - known as f64) / expected as f64;
    assert!(
        off.abs() <= LOSS_TOLERANCE,
        "{lost} and {known} of {expected}"
    );
    // Four standard errors.
    let share = lost as f64 / expected as f64;
    let error = (0.03 * 0.97 / expected as f64).sqrt();
    assert!((share - 0.03).abs() <= 4.0 * error, "{share}");
}
