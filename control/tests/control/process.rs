//! The program itself: how it says what is wrong.

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
};

fn control(dir: &std::path::Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weirgate-control"))
        .env_clear()
        .env("XDG_RUNTIME_DIR", dir)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// One line that says what to do, and a code that says that it went wrong.
#[track_caller]
fn fails(output: &Output, code: i32, says: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in says {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn a_bad_value() {
    let dir = tempfile::tempdir().unwrap();
    let output = control(dir.path(), &["--io", "fast"]);
    fails(
        &output,
        2,
        &["--io", "\"fast\"", "auto, uring, mmsg or xdp"],
    );
}

#[test]
fn a_negative_number_is_refused_by_the_name_of_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let output = control(dir.path(), &["--max-rooms", "-1"]);
    fails(&output, 2, &["--max-rooms", "\"-1\"", "1 to 1000000"]);
}

/// What only the engine can judge ends control in the same way.
#[test]
fn a_setting_that_the_engine_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let engine = dir.path().join("engine");
    std::fs::write(&engine, "#!/bin/sh\nexit 2\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&engine, executable).unwrap();
    let engine = engine.to_str().unwrap();
    let args = ["--http-listen", "127.0.0.1:0", "--engine-bin", engine];
    let output = control(dir.path(), &args);
    fails(&output, 2, &["the engine ended at once"]);
}

#[test]
fn an_unknown_flag_and_help() {
    let dir = tempfile::tempdir().unwrap();
    let output = control(dir.path(), &["--nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    let output = control(dir.path(), &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("--media-listen"));
}

#[test]
fn open_to_the_world_without_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let output = control(dir.path(), &["--http-listen", "0.0.0.0:0"]);
    fails(&output, 2, &["http-listen", "--api-token"]);
}

#[test]
fn a_taken_http_port() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = control(dir.path(), &["--http-listen", &address]);
    fails(&output, 1, &[&address, "--http-listen"]);
}

#[test]
fn a_missing_engine() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--http-listen",
        "127.0.0.1:0",
        "--engine-bin",
        "/nonexistent/engine",
    ];
    let output = control(dir.path(), &args);
    fails(&output, 2, &["/nonexistent/engine", "--engine-bin"]);
}

#[test]
fn an_engine_that_cannot_be_run() {
    let dir = tempfile::tempdir().unwrap();
    let not_a_program = dir.path().join("engine");
    std::fs::write(&not_a_program, "").unwrap();
    let path = not_a_program.to_str().unwrap();
    let args = ["--http-listen", "127.0.0.1:0", "--engine-bin", path];
    let output = control(dir.path(), &args);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains(path) && text.contains("--engine-bin"),
        "{text}"
    );
}

#[test]
fn a_folder_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let socket = file.join("folder/engine.sock");
    let socket = socket.to_str().unwrap();
    let args = ["--http-listen", "127.0.0.1:0", "--engine-socket", socket];
    let output = control(dir.path(), &args);
    fails(&output, 2, &["file/folder", "--engine-socket"]);
}

#[test]
fn missing_tls_files() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--http-listen",
        "127.0.0.1:0",
        "--tls-cert",
        "/none.pem",
        "--tls-key",
        "/none.key",
    ];
    let output = control(dir.path(), &args);
    fails(&output, 2, &["tls-cert", "/none.pem"]);
}
