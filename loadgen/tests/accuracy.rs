//! What the load generator measures, held against a delay and a loss that are known: its clients are
//! behind a link that delays, behind a firewall that drops and counts, or behind a proxy that harms
//! single packets.
//!
//! A busy machine makes packets late, never early. So lower bounds hold always, and upper ones for
//! the best of several tries; losses are compared with what was dropped in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/link.rs"]
mod link;
#[path = "support/proxy.rs"]
mod proxy;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use weirgate_loadgen::api::{Api, PlainOptions, Router, SrtpParameters};
use weirgate_loadgen::clock::now_ns;
use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::latency::LatencySink;
use weirgate_loadgen::leg::{Leg, Protection, Route, bind};
use weirgate_loadgen::plain_client::{PlainClient, PlainSetup};
use weirgate_loadgen::receiver::{Receiver, ReceiverConfig};
use weirgate_loadgen::rtp_parameters::{SendOptions, receiving, sending};
use weirgate_loadgen::sender::{
    Generator, SenderFeedback, Shape, Stream, StreamConfig, VideoShape,
};
use weirgate_loadgen::srtp_leg::{SrtpKey, SrtpSuite};

use proxy::{Fate, LATE, carry};

use link::{Link, PROGRAM, is_missing, output};

const TRIES: usize = 5;
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
    // The link also loses RTCP and probes, and what is not media does not count as lost.
    assert!(lost <= known, "{lost} and {known} of {expected}");
    // Four standard errors.
    let share = lost as f64 / expected as f64;
    let error = (0.03 * 0.97 / expected as f64).sqrt();
    assert!((share - 0.03).abs() <= 4.0 * error, "{share}");
}

/// A receiver on a plain transport whose packets come through a proxy.
struct Proxied {
    leg: Leg,
    media: Arc<Mutex<Receiver>>,
    ssrc: u32,
    latency: LatencySink,
}

async fn receive_through_proxy(
    api: &Api,
    router: &Router,
    producer: &str,
    sent: &StreamConfig,
    fate: fn(u64) -> Fate,
) -> Proxied {
    let suite = SrtpSuite::AeadAes128Gcm;
    let localhost = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let between = UdpSocket::bind(localhost).await.unwrap();
    let options = PlainOptions {
        listen_ip: localhost.ip(),
        rtcp_mux: true,
        comedia: false,
        enable_srtp: true,
        srtp_crypto_suite: Some(suite),
    };
    let transport = api
        .create_plain_transport(&router.id, &options)
        .await
        .unwrap();
    let server = transport.tuple.local(localhost.ip()).unwrap();
    let proxy = between.local_addr().unwrap();
    let send = SrtpKey::random(suite).unwrap();
    let body = json!({
        "ip": proxy.ip(),
        "port": proxy.port(),
        "srtpParameters": SrtpParameters::from(&send),
    });
    let receive = transport.srtp_parameters.unwrap().key().unwrap();
    let media = Arc::new(Mutex::new(Receiver::new(ReceiverConfig::default())));
    let socket = bind(localhost).unwrap();
    let to = socket.local_addr().unwrap();
    let protection = Protection::Srtp { send, receive };
    let route = Route::muxed(proxy);
    let leg = Leg::start(socket, None, route, &protection, None, Arc::clone(&media)).unwrap();
    tokio::spawn(carry(between, server.port(), to, fate));
    api.connect_plain(&transport.id, &body).await.unwrap();
    let consumer = api
        .consume(
            &transport.id,
            producer,
            &router.rtp_capabilities,
            &json!({"paused": true}),
        )
        .await
        .unwrap();
    let latency = weirgate_loadgen::latency::sink();
    let flow = receiving(
        &consumer.rtp_parameters,
        sent,
        now_ns(),
        Arc::clone(&latency),
    )
    .unwrap();
    let ssrc = flow.ssrc;
    media.lock().unwrap().add(flow);
    let path = format!("/v1/consumers/{}/resume", consumer.id);
    let () = api.post(&path, &json!({})).await.unwrap();
    Proxied {
        leg,
        media,
        ssrc,
        latency,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harm_between_server_and_receiver_is_reported_exactly() {
    let server = Server::start(&ServerOptions::new("auto", "0-1"))
        .await
        .unwrap();
    let api = server.api();
    let router = api.create_router().await.unwrap();
    let feedback = Arc::new(Mutex::new(SenderFeedback::new()));
    let setup = PlainSetup::new(Ipv4Addr::LOCALHOST.into(), Some(SrtpSuite::AeadAes128Gcm));
    let sender = PlainClient::connect(api, &router.id, setup, Arc::clone(&feedback))
        .await
        .unwrap();
    let options = SendOptions {
        stream: 0,
        mid: "0",
        webrtc: false,
        shape: Shape::Video(VideoShape::of_bitrate(1_000_000)),
    };
    let (parameters, config) = sending(&router.rtp_capabilities, &options).unwrap();
    let producer = api.produce(&sender.id, "video", &parameters).await.unwrap();
    let harmed =
        receive_through_proxy(api, &router, &producer.id, &config, |number| match number {
            30 | 31 | 90 => Fate::Drop,
            45 | 145 => Fate::Double,
            54 | 154 | 254 | 255 => Fate::Flip,
            67 | 167 => Fate::Swap,
            100 => Fate::Late,
            _ => Fate::Pass,
        })
        .await;

    let stream = Stream::new(config, Arc::clone(sender.leg.outbound()));
    feedback.lock().unwrap().add(Arc::clone(&stream));
    let generator = Generator::start().unwrap();
    generator.add(Arc::clone(&stream));
    while stream.packets() < 300 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    generator.stop().unwrap();
    let sent = stream.totals();
    // Seven do not come: three dropped, four not authentic.
    let flow = || {
        harmed
            .media
            .lock()
            .unwrap()
            .flow(harmed.ssrc)
            .unwrap()
            .clone()
    };
    for _ in 0..200 {
        if flow().lost(sent.packets) == 7 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let flow = flow();
    assert_eq!(flow.lost(sent.packets), 7, "{flow:?} of {sent:?}");
    assert_eq!(flow.unique, sent.packets - 7, "{flow:?}");
    assert_eq!(
        (flow.duplicates, flow.reordered, flow.corrupt),
        (2, 3, 0),
        "{flow:?}"
    );
    assert_eq!((flow.renumbered, flow.wrong_timestamps), (0, 0), "{flow:?}");
    let counters = harmed.leg.outbound().counters();
    assert_eq!(counters.not_authentic.load(Ordering::Relaxed), 4);
    let longest = harmed.latency.lock().unwrap().all().max();
    assert!(longest >= LATE.as_nanos() as u64, "{longest} ns");
    harmed.leg.close().await;
    sender.leg.close().await;
    api.close_router(&router.id).await.unwrap();
}
