//! The floor program end to end, for a moment.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

fn floor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weirgate-floor"));
    command.args(arguments).output().unwrap()
}

#[test]
fn all_ways_deliver_all_packets_in_all_trains_by_both_kinds_of_sockets() {
    for sockets in ["media", "plain"] {
        let output = floor(&[
            "--receivers=5",
            "--train=1,4,9",
            "--groups=2",
            "--pace=90",
            "--duration=0.3",
            "--rounds=1",
            // io_uring is not everywhere.
            "--via=bare,mmsg",
            "--sockets",
            sockets,
            "--json=-",
        ]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let sends = report["send"].as_array().unwrap();
        assert_eq!(sends.len(), 6);
        for send in sends {
            let round = &send["rounds"][0];
            assert_eq!(round["sent"], 5 * 9 * 3, "{send}");
            assert_eq!(round["received"], 5 * 9 * 3, "{send}");
            assert!(send["senderNs"].as_f64().unwrap() > 0.0);
        }
        assert!(report["seal"][0]["ns"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn what_can_not_be_measured_is_refused_by_name() {
    for (argument, told) in [
        ("--train=10", "--train"),
        ("--packet=9000", "--packet"),
        ("--pace=0", "--pace"),
        ("--groups=201", "--groups"),
        ("--suite=ROT13", "AEAD_AES_128_GCM"),
    ] {
        let output = floor(&[argument]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(error.contains(told), "{error}");
    }
}
