//! Servers that refuse, die or stall, and people who stop a run: told as what it is, in bounded
//! time, and with the figures so far.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use weirgate_loadgen::api::Api;
use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::outcome::{Ending, Outcome};
use weirgate_loadgen::scenario::{Cast, Interrupt, Scenario, Silent, Traffic, Transport};
use weirgate_loadgen::sender::{AudioShape, Shape};

/// However a run ends, it ends by then.
const LIMIT: Duration = Duration::from_secs(45);

async fn server() -> Server {
    Server::start(&ServerOptions::new("auto", "0"))
        .await
        .unwrap()
}

fn scenario() -> Scenario {
    let cast = Cast::Livestream { receivers: 3 };
    let traffic = Traffic::of(vec![Shape::Audio(AudioShape::default())]);
    let mut scenario = Scenario::new(cast, Transport::WebRtc(None), traffic);
    scenario.duration = Duration::from_secs(120);
    scenario
}

async fn run(api: &Api, scenario: Scenario, interrupt: Interrupt) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let run = scenario.run(api, &interrupt, &Silent);
    let ended = tokio::time::timeout(LIMIT, run).await;
    let result = ended.unwrap_or_else(|_| panic!("still running after {LIMIT:?}"));
    println!("ended after {:?}", begin.elapsed());
    result
}

/// Plays until three seconds into the run a signal is sent, and on until it ends by itself.
async fn run_with_signal(signal: &str, of: fn(&Server) -> u32) -> Outcome {
    let server = server().await;
    let api = server.api().clone();
    let playing = tokio::spawn(async move { run(&api, scenario(), Interrupt::default()).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pid = of(&server).to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(sent.success());
    playing.await.unwrap().unwrap()
}

fn assert_server_failed(outcome: &Outcome, word: &str) {
    let Ending::ServerFailed(why) = &outcome.ending else {
        panic!("{:?}", outcome.ending);
    };
    assert!(why.contains(word), "{why}");
    assert!(outcome.totals.received > 100, "{:#?}", outcome.totals);
    assert!(outcome.seconds > 1.0, "{}", outcome.seconds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_control_is_told_by_the_question_it_did_not_answer() {
    let outcome = run_with_signal("-KILL", |server| server.control_pid().unwrap()).await;
    assert_server_failed(&outcome, "/livez");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_control_is_told_by_the_question_it_did_not_answer() {
    let outcome = run_with_signal("-STOP", |server| server.control_pid().unwrap()).await;
    assert_server_failed(&outcome, "/livez");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_is_told_by_the_silence() {
    let outcome = run_with_signal("-KILL", Server::engine_pid).await;
    assert_server_failed(&outcome, "no packet came");
    assert!(outcome.totals.lost > 100, "{:#?}", outcome.totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_engine_is_told_by_the_silence() {
    let outcome = run_with_signal("-STOP", Server::engine_pid).await;
    assert_server_failed(&outcome, "no packet came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_has_its_figures_so_far() {
    let server = server().await;
    let interrupt = Interrupt::default();
    let later = interrupt.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        later.set();
    });
    let outcome = run(server.api(), scenario(), interrupt).await.unwrap();
    assert_eq!(outcome.ending, Ending::Interrupted);
    assert!(outcome.totals.received > 100);
    assert_eq!(outcome.totals.lost, 0);
    let routers: Vec<serde_json::Value> = server.api().get("/v1/routers").await.unwrap();
    assert!(routers.is_empty(), "{routers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_program_with_its_figures_written() {
    let server = server().await;
    for signal in ["-INT", "-TERM"] {
        let name = format!("weirgate-endings-{}.json", std::process::id());
        let json = std::env::temp_dir().join(name);
        let mut program = Command::new(env!("CARGO_BIN_EXE_weirgate-loadgen"))
            .args(["--server", server.api().base(), "--quiet", "--json"])
            .arg(&json)
            .args(["livestream", "--receivers", "2", "--audio"])
            .args(["--duration", "120s"])
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let pid = program.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let begin = Instant::now();
        while program.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < LIMIT, "still there after {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let outcome: Outcome = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        std::fs::remove_file(&json).unwrap();
        assert_eq!(outcome.ending, Ending::Interrupted);
        assert!(outcome.totals.received > 50, "{:#?}", outcome.totals);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_an_error_with_its_address() {
    // Nobody listens on a port that was just let go.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let api = Api::new(&format!("http://{port}"), None).unwrap();
    let error = run(&api, scenario(), Interrupt::default())
        .await
        .unwrap_err();
    assert!(
        format!("{error:#}").contains(&port.to_string()),
        "{error:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_the_request_and_the_answer() {
    let mut options = ServerOptions::new("auto", "0");
    options.api_token = Some("the-right-one".to_owned());
    let server = Server::start(&options).await.unwrap();
    let base = server.api().base();
    let wrong = Api::new(base, Some("another-one".to_owned())).unwrap();
    let error = run(&wrong, scenario(), Interrupt::default())
        .await
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("/v1/routers") && text.contains("401"),
        "{text}"
    );
    let mut short = scenario();
    short.duration = Duration::from_secs(1);
    let outcome = run(server.api(), short, Interrupt::default())
        .await
        .unwrap();
    assert_eq!(outcome.ending, Ending::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_connections_and_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = Api::new(&format!("http://{}", silent.local_addr().unwrap()), None).unwrap();
    let error = run(&api, scenario(), Interrupt::default())
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("/v1/routers"), "{error:#}");
}
