//! The engine as a process: its start, its refusals, its socket, its end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by them"
)]

mod support;

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use support::{Engine, free_port, run_to_end};
use uuid::Uuid;
use weirgate_wire::{
    Answer, ObjectKind, PROTOCOL_VERSION, RefusalKind, Request, SnapshotBody, Stats, ToControl,
    ToEngine,
};

#[test]
fn control_is_welcome_and_each_engine_has_an_epoch_of_its_own() {
    let mut engine = Engine::start(&["--io", "mmsg"]);
    let first = engine.control().epoch;
    assert_eq!(engine.control().epoch, first, "the same engine");
    engine.child.kill().unwrap();
    engine.wait();
    assert!(engine.socket().exists(), "killed engines leave it");
    engine.start_again(&["--io", "mmsg"]);
    assert_ne!(engine.control().epoch, first);
}

#[test]
fn the_socket_is_for_its_owner_alone() {
    let engine = Engine::start(&[]);
    let mode = engine.socket().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn another_version_is_refused_with_both_numbers() {
    let engine = Engine::start(&[]);
    let mut control = engine.connect();
    control.hello(PROTOCOL_VERSION + 1);
    let Some(ToControl::Refused { reason }) = control.next() else {
        panic!("not refused");
    };
    for version in [PROTOCOL_VERSION, PROTOCOL_VERSION + 1] {
        assert!(reason.contains(&format!("version {version}")), "{reason}");
    }
    assert_eq!(control.next(), None);
}

#[test]
fn what_is_no_hello_is_refused_and_the_engine_lives_on() {
    let engine = Engine::start(&[]);
    let mut control = engine.connect();
    control.send(&ToEngine::Request {
        id: 1,
        body: Request::Shutdown,
    });
    assert!(matches!(control.next(), Some(ToControl::Refused { .. })));
    let mut control = engine.connect();
    control.send_bytes(&[0xff; 16]);
    assert!(matches!(control.next(), Some(ToControl::Refused { .. })));

    let mut control = engine.control();
    control.send_bytes(&[0, 0, 0, 2, 0xff, 0xff]);
    assert_eq!(
        control.next(),
        None,
        "a malformed message ends the connection"
    );
    engine.control();
}

#[test]
fn a_second_control_is_refused_while_the_first_is_there() {
    let engine = Engine::start(&[]);
    let first = engine.control();
    let mut second = engine.connect();
    second.hello(PROTOCOL_VERSION);
    let Some(ToControl::Refused { reason }) = second.next() else {
        panic!("not refused");
    };
    assert!(reason.contains("another control"), "{reason}");
    assert_eq!(second.next(), None);
    drop(first);
    engine.control();
}

#[test]
fn a_second_engine_on_the_same_socket_or_media_port_is_refused_by_name() {
    let engine = Engine::start(&[]);
    let socket = engine.socket();
    let socket = socket.to_str().unwrap();
    let other_port = format!("127.0.0.1:{}", free_port());
    let same_port = format!("127.0.0.1:{}", engine.port);
    let folder = tempfile::tempdir().unwrap();
    let other_socket = folder.path().join("engine.sock");
    let other_socket = other_socket.to_str().unwrap();
    for (arguments, name, advice) in [
        (
            ["--socket", socket, "--media-listen", &other_port],
            socket.to_owned(),
            "--socket",
        ),
        (
            ["--socket", other_socket, "--media-listen", &same_port],
            format!("port {}", engine.port),
            "--media-listen",
        ),
    ] {
        let (code, stderr) = run_to_end(&arguments);
        assert_eq!(code, Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for part in ["another weirgate-engine", &name, advice] {
            assert!(stderr.contains(part), "{stderr}");
        }
    }
    assert!(!std::path::Path::new(other_socket).exists());
    engine.control();
}

#[test]
fn a_media_port_of_another_program_is_named() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let (code, stderr) = run_to_end(&[
        "--socket",
        socket.to_str().unwrap(),
        "--media-listen",
        &address.to_string(),
    ]);
    assert_eq!(code, Some(1));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&address.port().to_string()), "{stderr}");
    assert!(stderr.contains("--media-listen"), "{stderr}");
}

/// Control ends so too.
#[test]
fn a_socket_folder_that_can_not_be_made_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let socket = folder.path().join("file/engine.sock");
    let socket = socket.to_str().unwrap();
    let (code, stderr) = run_to_end(&["--socket", socket]);
    assert_eq!(code, Some(2));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("--socket"), "{stderr}");
}

#[test]
fn bad_settings_end_with_2_and_one_line_that_names_them() {
    for (arguments, parts) in [
        (
            ["--io", "dpdk"],
            ["--io", "dpdk", "auto, uring, mmsg or xdp"],
        ),
        (["--cores", "9999"], ["--cores", "9999", "CPUs"]),
        (["--plain-ports", "9-8"], ["--plain-ports", "9-8", "MIN"]),
        (
            ["--media-listen", "here"],
            ["--media-listen", "here", "ADDR"],
        ),
        (["--log-format", "xml"], ["--log-format", "xml", "json"]),
        (
            ["--config", "/nowhere.toml"],
            ["--config", "/nowhere", "TOML"],
        ),
    ] {
        let (code, stderr) = run_to_end(&arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{stderr}");
        }
    }
    let (code, stderr) = run_to_end(&["--sped", "9"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--sped"), "{stderr}");
}

/// A documentation address (RFC 5737): starting again does not help.
#[test]
fn an_address_that_the_host_has_not_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let socket = socket.to_str().unwrap();
    let (code, stderr) = run_to_end(&["--socket", socket, "--media-listen", "203.0.113.1:5"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("203.0.113.1 is not an address of this host"));
    assert!(stderr.contains("--media-listen"), "{stderr}");
}

#[test]
fn a_bad_variable_is_named_and_a_flag_wins_over_it() {
    let run = |arguments: &[&str]| {
        let mut command = support::command(arguments);
        let output = command.env("WEIRGATE_IO", "dpdk").output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("WEIRGATE_IO"), "{stderr}");
    let (_, stderr) = run(&["--io", "mmsg", "--cores", "x"]);
    assert!(stderr.contains("--cores"), "{stderr}");
}

#[test]
fn help_names_every_variable() {
    let output = support::command(["--help"]).output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for name in [
        "SOCKET",
        "MEDIA_LISTEN",
        "PLAIN_PORTS",
        "CORES",
        "IO",
        "LOG_FORMAT",
        "CONFIG",
    ] {
        assert!(help.contains(&format!("WEIRGATE_{name}")), "{name}");
    }
}

#[test]
fn a_new_control_finds_everything_the_dead_one_made() {
    let engine = Engine::start(&["--cores", "0,0"]);
    let mut control = engine.control();
    let router = control.create_router();
    let (transport, _, port) = control.create_plain(router, true);
    let note = Request::PutNote {
        key: "room".to_owned(),
        blob: b"note".to_vec(),
    };
    control.ok(note);
    drop(control);

    let mut control = engine.control();
    control.ok(Request::Snapshot);
    let told = std::mem::take(&mut control.told);
    let objects: Vec<_> = told
        .iter()
        .filter_map(|message| match message {
            ToControl::Object(object) => Some((object.id, object.blob.as_slice())),
            _ => None,
        })
        .collect();
    assert_eq!(
        objects,
        [(router, b"router".as_slice()), (transport, b"plain")]
    );
    assert!(told.iter().any(|message| matches!(
        message,
        ToControl::Object(object) if matches!(
            object.body,
            SnapshotBody::PlainTransport { local, .. } if local.port() == port
        )
    )));
    assert_eq!(
        told.last(),
        Some(&ToControl::Note {
            key: "room".to_owned(),
            blob: b"note".to_vec()
        })
    );
    let stats = control.ok(Request::GetStats {
        kind: ObjectKind::Transport,
        id: transport,
    });
    assert!(matches!(stats, Answer::Stats(Stats::Transport(_))));
}

#[test]
fn ports_of_plain_transports_are_exclusive_and_free_again_after_the_close() {
    let port = free_port();
    let range = format!("{port}-{port}");
    let engine = Engine::start(&["--plain-ports", &range]);
    let mut control = engine.control();
    let router = control.create_router();
    let (transport, _, got) = control.create_plain(router, true);
    assert_eq!(got, port);
    let ip = "127.0.0.1".parse().unwrap();
    let again = |port| Request::CreatePlainTransport {
        id: Uuid::new_v4(),
        router,
        listen_ip: ip,
        port,
        rtcp_listen_ip: ip,
        rtcp_port: None,
        rtcp_mux: true,
        comedia: true,
        srtp: None,
        blob: Vec::new(),
    };
    let full = control.request(again(None)).unwrap_err();
    assert_eq!(full.kind, RefusalKind::OverCapacity);
    let taken = control.request(again(Some(port))).unwrap_err();
    assert_eq!(taken.kind, RefusalKind::Conflict);
    control.ok(Request::Close {
        kind: ObjectKind::Transport,
        id: transport,
    });
    control.ok(again(Some(port)));
}

#[test]
fn info_and_counters_are_there() {
    let engine = Engine::start(&["--cores", "0,0", "--io", "mmsg"]);
    let mut control = engine.control();
    let Answer::Info(info) = control.ok(Request::GetInfo) else {
        panic!("no info");
    };
    assert_eq!(info.pid, engine.child.id());
    assert_eq!((info.io.as_str(), info.shards.len()), ("mmsg", 2));
    assert_eq!(info.media_listen[0].port(), engine.port);
    let Answer::Counters(counters) = control.ok(Request::GetCounters) else {
        panic!("no counters");
    };
    assert_eq!(counters.len(), 3, "two shards and the hub");
    let names: Vec<_> = counters[0].counters.iter().map(|(name, _)| name).collect();
    assert!(names.iter().any(|name| *name == "rtp_packets_received"));
    assert!(names.iter().any(|name| *name == "io_datagrams_received"));
}

#[test]
fn signals_and_control_end_it_gracefully() {
    for way in ["TERM", "INT", "control"] {
        let mut engine = Engine::start(&[]);
        let mut control = engine.control();
        control.create_router();
        match way {
            "control" => assert_eq!(control.ok(Request::Shutdown), Answer::Done),
            signal => engine.signal(signal),
        }
        assert_eq!(engine.wait().code(), Some(0), "{way}");
        assert!(!engine.socket().exists(), "{way}");
        assert_eq!(control.next(), None);
    }
}

#[test]
fn it_has_a_session_of_its_own() {
    let engine = Engine::start(&[]);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", engine.child.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let session = fields.split(' ').nth(3).unwrap();
    assert_eq!(session, engine.child.id().to_string());
}

/// More log lines than a pipe holds.
fn make_it_log(engine: &Engine) {
    for _ in 0..1_000 {
        let mut control = engine.connect();
        control.hello(PROTOCOL_VERSION + 1);
        while control.next().is_some() {}
    }
}

#[test]
fn a_log_nobody_reads_neither_kills_nor_blocks_it() {
    let mut gone = Engine::start_logging_to(Stdio::piped(), &[]);
    drop(gone.child.stderr.take());
    let stuck = Engine::start_logging_to(Stdio::piped(), &["--log-format", "json"]);
    for engine in [&gone, &stuck] {
        make_it_log(engine);
        engine.control().create_router();
    }
}
