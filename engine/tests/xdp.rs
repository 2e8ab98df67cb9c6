//! `--io xdp` where there is nothing for it: whole calls over AF_XDP are in `loadgen/tests/xdp.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use support::{free_port, run_to_end};

#[test]
fn loopback_is_refused_with_the_reason_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let media = format!("127.0.0.1:{}", free_port());
    let arguments = ["--io", "xdp", "--media-listen", &media, "--socket"];
    let arguments = [&arguments[..], &[socket.to_str().unwrap()]].concat();
    let (code, said) = run_to_end(&arguments);
    assert_eq!(code, Some(2), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("the I/O back end `xdp` can not be had: "),
        "{said}"
    );
    assert!(last.contains("--io auto"), "{said}");
    // Which comes first depends on who runs this, and where.
    let reasons = ["no Ethernet interface", "CAP_BPF", "eBPF", "forbids it"];
    assert!(reasons.iter().any(|reason| last.contains(reason)), "{said}");
}

#[test]
fn an_interface_that_is_none_is_named() {
    let media = format!("127.0.0.1:{}", free_port());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let socket = socket.to_str().unwrap();
    let (code, said) = run_to_end(&[
        "--io",
        "xdp",
        "--xdp-interfaces",
        "no-such-one",
        "--media-listen",
        &media,
        "--socket",
        socket,
    ]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("there is no interface `no-such-one`"),
        "{said}"
    );
}
