//! mediasoup-client takes what we hand out. Needs node and the page's node modules, or others
//! named by WEIRGATE_NODE_MODULES; skipped with a printed reason where they are missing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use support::{Producer, WITH_RTX, WITHOUT_RTX, chrome_native, consume, produce, router};
use weirgate_ortc::{
    MediaKind, RtpCapabilities, can_consume, generate_router_rtp_capabilities,
    parse_rtp_capabilities,
};

/// A device of mediasoup-client in a node process.
struct Device {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Device {
    /// `None` where node or mediasoup-client is missing.
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules = std::env::var_os("WEIRGATE_NODE_MODULES")
            .map_or_else(|| root.join("../page"), PathBuf::from);
        let spawned = Command::new("node")
            .arg(root.join("tests/mediasoup_client/client.cjs"))
            .arg(modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = match spawned {
            Ok(process) => process,
            Err(error) => {
                eprintln!("skipped: node does not start: {error}");
                return None;
            }
        };
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut device = Self {
            process,
            stdin,
            stdout,
        };
        if device.ask(&json!({"command": "none"})).is_none() {
            let code = device.process.wait().unwrap().code();
            assert_eq!(code, Some(77), "node failed");
            eprintln!("skipped: no mediasoup-client; run `npm ci` in control/page");
            return None;
        }
        Some(device)
    }

    fn ask(&mut self, command: &Value) -> Option<Value> {
        let stdin = self.stdin.as_mut().unwrap();
        // A process that has ended is found out by reading.
        let _ = writeln!(stdin, "{command}");
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// The answer to a command that must not fail.
    #[track_caller]
    fn done(&mut self, command: &Value) -> Value {
        let answer = self.ask(command).expect("node answers");
        assert_eq!(answer.get("error"), None, "{command}");
        answer
    }

    fn load(&mut self, router: &RtpCapabilities) -> Value {
        let answer = self.done(&json!({
            "command": "load",
            "routerRtpCapabilities": router,
            "nativeRtpCapabilities": chrome_native(),
        }));
        answer["rtpCapabilities"].clone()
    }

    fn produce(
        &mut self,
        kind: MediaKind,
        codec: &str,
        profile: Value,
        encodings: Value,
    ) -> Producer {
        let answer = self.done(&json!({
            "command": "produce", "kind": kind, "mimeType": codec, "profile": profile,
            "encodings": encodings,
        }));
        produce(kind, &answer["rtpParameters"]).unwrap()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Ends its loop.
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn a_device_produces_and_consumes_every_codec() {
    let Some(mut device) = Device::start() else {
        return;
    };
    let json = device.load(&router());
    let capabilities = parse_rtp_capabilities(&json).unwrap();
    for (kind, codec, profile, encodings) in [
        (MediaKind::Audio, "audio/opus", Value::Null, Value::Null),
        (MediaKind::Video, "video/VP8", Value::Null, Value::Null),
        (
            MediaKind::Video,
            "video/VP8",
            Value::Null,
            support::simulcast(),
        ),
        (
            MediaKind::Video,
            "video/VP9",
            json!(0),
            json!([{"scalabilityMode": "L3T3_KEY"}]),
        ),
        (MediaKind::Video, "video/VP9", json!(2), Value::Null),
        (MediaKind::Video, "video/H264", json!("42e01f"), Value::Null),
        (
            MediaKind::Video,
            "video/H264",
            json!("4d001f"),
            support::simulcast(),
        ),
        (
            MediaKind::Video,
            "video/AV1",
            Value::Null,
            json!([{"scalabilityMode": "L1T2"}]),
        ),
    ] {
        let producer = device.produce(kind, codec, profile, encodings);
        assert!(can_consume(&producer.consumable, &capabilities), "{codec}");
        for options in [WITH_RTX, WITHOUT_RTX] {
            let mut parameters = consume(&producer, &capabilities, options).unwrap();
            parameters.mid = Some("7".to_owned());
            assert_eq!(parameters.codecs[0].mime_type, codec);
            let answer = device.done(&json!({
                "command": "consume", "id": format!("{codec} {options:?}"), "producerId": "p",
                "kind": kind, "rtpParameters": parameters,
            }));
            assert_eq!(answer["kind"], json!(kind));
            // The one thing the client fills in.
            parameters.encodings[0].dtx = Some(false);
            let expected = serde_json::to_value(&parameters).unwrap();
            assert_eq!(answer["rtpParameters"], expected);
        }
    }
}

#[test]
fn a_device_loads_and_consumes_red() {
    let Some(mut device) = Device::start() else {
        return;
    };
    let router = support::red_router();
    let capabilities = parse_rtp_capabilities(&device.load(&router)).unwrap();
    let has_red = |codec: &weirgate_ortc::RtpCodecCapability| codec.mime_type == "audio/red";
    assert!(capabilities.codecs.iter().any(has_red));
    let opus = device.produce(MediaKind::Audio, "audio/opus", Value::Null, Value::Null);
    assert!(can_consume(&opus.consumable, &capabilities));

    // The client's producers have one codec; RED comes from others.
    let json = support::opus_in_red();
    let producer = support::produce_at(&router, MediaKind::Audio, &json).unwrap();
    let mut parameters = consume(&producer, &capabilities, WITHOUT_RTX).unwrap();
    parameters.mid = Some("7".to_owned());
    let answer = device.done(&json!({
        "command": "consume", "id": "red", "producerId": "p", "kind": "audio",
        "rtpParameters": parameters,
    }));
    assert_eq!(
        answer["rtpParameters"]["codecs"][0]["mimeType"],
        "audio/red"
    );
    assert_eq!(
        answer["rtpParameters"]["codecs"][1]["mimeType"],
        "audio/opus"
    );
}

#[test]
fn the_fixture_is_what_the_client_says() {
    let Some(mut device) = Device::start() else {
        return;
    };
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/chrome_recv.json"
    );
    let said = device.load(&router());
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&said).unwrap()).unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(said, kept);
}

#[test]
fn a_device_refuses_what_its_router_does_not_have() {
    let Some(mut device) = Device::start() else {
        return;
    };
    let opus_only = &weirgate_ortc::default_media_codecs()[..1];
    let json = device.load(&generate_router_rtp_capabilities(opus_only).unwrap());
    let capabilities = parse_rtp_capabilities(&json).unwrap();
    let vp8 = support::video("video/VP8", json!({}), json!([{"ssrc": 1}]));
    let producer = produce(MediaKind::Video, &vp8).unwrap();
    assert!(!can_consume(&producer.consumable, &capabilities));
    assert!(consume(&producer, &capabilities, WITH_RTX).is_err());
}
