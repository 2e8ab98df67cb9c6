//! The program as it is called: what it prints, writes and ends with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use weirgate_loadgen::harness::{Server, ServerOptions};

const RUN: [&str; 7] = [
    "--quiet",
    "livestream",
    "--receivers",
    "2",
    "--audio",
    "--duration",
    "1s",
];

async fn loadgen(server: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weirgate-loadgen"));
    command.args(["--server", server]).args(arguments);
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().unwrap()
}

async fn server() -> Server {
    Server::start(&ServerOptions::new("auto", "0"))
        .await
        .unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A busy machine may make any run inconclusive.
fn code_of(verdict: &Value) -> i32 {
    match verdict.as_str().unwrap() {
        "passed" => 0,
        "failed" => 1,
        "inconclusive" => 3,
        other => panic!("{other}"),
    }
}

struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Self {
        let name = format!("weirgate-loadgen-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn read(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_run_is_printed_and_written() {
    let server = server().await;
    let (json, page) = (
        TemporaryFile::new("run.json"),
        TemporaryFile::new("run.html"),
    );
    let written = ["--json", json.path(), "--report", page.path()];
    let output = loadgen(server.api().base(), &[&written[..], &RUN].concat()).await;
    let outcome: Value = serde_json::from_str(&json.read()).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(code_of(&outcome["verdict"])),
        "{text}"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(text.starts_with("livestream over webrtc"), "{text}");
    assert!(
        outcome["totals"]["received"].as_u64().unwrap() >= 2 * 40,
        "{text}"
    );
    assert!(outcome["latency"]["p99"].as_f64().unwrap() > 0.0, "{text}");
    assert!(
        page.read()
            .contains(r#"aria-label="Latency by percentile""#)
    );
}

#[tokio::test]
async fn a_broken_bound_is_named_and_ends_with_1() {
    let server = server().await;
    let bound = ["--json", "-", "--max-p99", "1us"];
    let output = loadgen(server.api().base(), &[&bound[..], &RUN].concat()).await;
    let outcome = parsed(&output);
    let failures = outcome["failures"].to_string();
    assert!(failures.contains("p99 of audio"), "{failures}");
    assert_ne!(outcome["verdict"], "passed");
    assert_eq!(output.status.code(), Some(code_of(&outcome["verdict"])));
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_with_2_and_says_so() {
    // Nobody listens on the discard port.
    let output = loadgen("http://127.0.0.1:9", &RUN).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("127.0.0.1:9"), "{said}");
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_capacity_is_looked_for_up_to_what_is_allowed() {
    let server = server().await;
    let search = [
        "--find-capacity",
        "--start-load",
        "1",
        "--max-load",
        "3",
        "--max-p99",
        "10s",
        "--max-loss",
        "100%",
        "--repeats",
        "1",
        "--json",
        "-",
    ];
    let output = loadgen(server.api().base(), &[&search[..], &RUN].concat()).await;
    let found = parsed(&output);
    assert_eq!(found["unit"], "receivers");
    let is_clean = found["found"]["limit"] == "max";
    assert_eq!(
        output.status.code(),
        Some(if is_clean { 0 } else { 3 }),
        "{found:#}"
    );
    if is_clean {
        assert_eq!(found["found"]["clean"], 3);
        let loads = |of: &str| -> Vec<u64> {
            let all = found[of].as_array().unwrap().iter();
            all.map(|one| one["load"].as_u64().unwrap()).collect()
        };
        assert_eq!(loads("trials"), [1, 2, 3, 3]);
        assert_eq!(loads("levels"), [1, 2, 3]);
        assert!(
            found["packetsPerSecond"].as_f64().unwrap() > 100.0,
            "{found:#}"
        );
    }
}
