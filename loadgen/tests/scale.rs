//! One sender and 999 receivers as real WebRTC clients, from one core.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::outcome::{Ending, Outcome};

const RECEIVERS: usize = 999;
const SECONDS: f64 = 60.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_on_one_core_stay_for_a_minute() {
    let server = Server::start(&ServerOptions::new("auto", "0"))
        .await
        .unwrap();
    for pid in [server.engine_pid(), server.control_pid().unwrap()] {
        pin("0", pid);
    }
    let json = std::env::temp_dir().join(format!("weirgate-scale-{}.json", std::process::id()));
    let output = Command::new("taskset")
        .args(["-c", "1", env!("CARGO_BIN_EXE_weirgate-loadgen")])
        .args(["--server", server.api().base(), "--quiet", "--json"])
        .arg(&json)
        .args(["livestream", "--video", "300k", "--duration", "60s"])
        .args(["--receivers", &RECEIVERS.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{text}{errors}");
    let figures = std::fs::read(&json).unwrap();
    std::fs::remove_file(&json).unwrap();
    let outcome: Outcome = serde_json::from_slice(&figures).unwrap();

    assert_eq!(outcome.ending, Ending::Completed, "{text}");
    assert_eq!(outcome.participants.joined, RECEIVERS + 1, "{text}");
    assert_eq!(outcome.failures, Vec::<String>::new(), "{text}");
    assert!(outcome.seconds >= SECONDS, "{text}");
    let left = outcome.timeline.iter().filter(|second| second.measured);
    assert!(
        left.map(|second| second.participants)
            .all(|there| there == RECEIVERS as u64 + 1),
        "{text}"
    );
    assert_eq!(outcome.refused.not_authentic, 0, "{text}");
    assert_eq!(outcome.totals.silent_flows, 0, "{text}");
    assert_eq!(outcome.own.cores, 1, "{text}");
    assert_eq!(outcome.inconclusive, Vec::<String>::new(), "{text}");
    assert!(output.status.success(), "{text}");
}

/// All threads of a process.
fn pin(core: &str, pid: u32) {
    let pinned = Command::new("taskset")
        .args(["-a", "-c", "-p", core, &pid.to_string()])
        .output()
        .unwrap();
    assert!(pinned.status.success(), "{pinned:?}");
}
