//! What ten thousand idle WebRTC transports take, in engine and control together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::sync::{Arc, Mutex};

use serde_json::json;
use weirgate_loadgen::api::Api;
use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::receiver::{Receiver, ReceiverConfig};
use weirgate_loadgen::webrtc_client::{WebRtcClient, WebRtcSetup};

const IDLE: usize = 10_000;
/// Of those that ICE and DTLS have connected; each takes two open files here.
const CONNECTED: usize = 300;
const AT_ONCE: usize = 16;
const MAX_BYTES: u64 = 1 << 30;

/// Proportional set size: what would be free without the process.
fn pss_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB").trim();
    kib.parse::<u64>().unwrap() * 1024
}

fn both(server: &Server) -> u64 {
    pss_bytes(server.engine_pid()) + pss_bytes(server.control_pid().unwrap())
}

async fn create(api: &Api, router: &str, count: usize) {
    let tasks = (0..AT_ONCE).map(|first| {
        let (api, router) = (api.clone(), router.to_owned());
        tokio::spawn(async move {
            for _ in (first..count).step_by(AT_ONCE) {
                api.create_webrtc_transport(&router, &json!({}))
                    .await
                    .unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn connect(api: &Api, router: &str, count: usize) -> Vec<WebRtcClient> {
    let tasks = (0..AT_ONCE).map(|first| {
        let (api, router) = (api.clone(), router.to_owned());
        tokio::spawn(async move {
            let mut clients = Vec::new();
            for _ in (first..count).step_by(AT_ONCE) {
                let receiver = Receiver::new(ReceiverConfig::default());
                let media = Arc::new(Mutex::new(receiver));
                let setup = WebRtcSetup::new().unwrap();
                let client = WebRtcClient::connect(&api, &router, &setup, media).await;
                clients.push(client.unwrap());
            }
            clients
        })
    });
    let mut clients = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        clients.extend(task.await.unwrap());
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_webrtc_transports_take_less_than_a_gibibyte() {
    let server = Server::start(&ServerOptions::new("auto", "0"))
        .await
        .unwrap();
    let api = server.api();
    let router = api.create_router().await.unwrap().id;
    // What the first ones take is not the others'.
    create(api, &router, 50).await;
    drop(connect(api, &router, 20).await);

    let before = both(&server);
    let clients = connect(api, &router, CONNECTED).await;
    let per_connected = both(&server).saturating_sub(before) / CONNECTED as u64;
    println!("{per_connected} bytes per connected transport");
    assert!(
        per_connected * IDLE as u64 <= MAX_BYTES,
        "{per_connected} bytes per connected transport"
    );

    create(api, &router, IDLE - CONNECTED).await;
    let (engine, control) = (
        pss_bytes(server.engine_pid()),
        pss_bytes(server.control_pid().unwrap()),
    );
    println!("{IDLE} transports: engine {engine} bytes, control {control} bytes");
    let all = both(&server);
    assert!(all <= MAX_BYTES, "{all} bytes");
    let per_transport = (all - before) / IDLE as u64;
    println!("{per_transport} bytes per transport on average");
    for client in clients {
        client.close().await;
    }
}
