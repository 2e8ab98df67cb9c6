//! Bad requests: each gets the contract's error, and the server goes on.

use serde_json::{Value, json};
use uuid::Uuid;
use weirgate_wire::{RefusalKind, Request};

use crate::support::{
    http::send,
    media::{Call, dtls_parameters, id, vp8},
    server::{Control, Host},
};

/// Posts and checks that the field is at fault.
#[track_caller]
fn at_fault(
    control: &Control,
    path: &str,
    body: Value,
    field: &str,
) -> impl Future<Output = ()> + use<> {
    let address = control.address;
    let (path, field, shown) = (path.to_owned(), field.to_owned(), body.to_string());
    async move {
        let headers = [("Content-Type", "application/json")];
        let answer = send(address, "POST", &path, &headers, shown.as_bytes()).await;
        let found = answer.error(400, "bad_request");
        assert_eq!(
            found.as_deref(),
            Some(field.as_str()),
            "{path} {shown}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn what_is_no_json() {
    let host = Host::new();
    let control = host.control(&[]).await;
    for body in [
        "{", "[]", "7", "\"text\"", "{} {}", "{\"a\"", "\u{0}", "nul",
    ] {
        control
            .post_bytes("/v1/routers", body.as_bytes())
            .await
            .error(400, "bad_request");
    }
    control
        .post_bytes("/v1/routers", b"\xff\xfe")
        .await
        .error(400, "bad_request");
    let deep = "[".repeat(100_000);
    let body = format!("{{\"appData\":{{\"a\":{deep}");
    control
        .post_bytes("/v1/routers", body.as_bytes())
        .await
        .error(400, "bad_request");
    control.post("/v1/routers", json!({})).await.ok(201);
}

#[tokio::test]
async fn what_is_too_long_or_not_said_to_be_json() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let long = json!({ "appData": { "a": "x".repeat(1 << 20) } });
    control
        .post("/v1/routers", long)
        .await
        .error(413, "bad_request");
    let fits = json!({ "appData": { "a": "x".repeat(200 << 10) } });
    control.post("/v1/routers", fits).await.ok(201);
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [("Content-Type", content_type)];
        send(control.address, "POST", "/v1/routers", &headers, b"{}")
            .await
            .error(415, "bad_request");
    }
    let headers = [("Content-Type", "application/json; charset=utf-8")];
    send(control.address, "POST", "/v1/routers", &headers, b"{}")
        .await
        .ok(201);
}

#[tokio::test]
async fn unknown_routes_methods_and_ids() {
    let host = Host::new();
    let control = host.control(&[]).await;
    control.get("/v1").await.error(404, "not_found");
    control.get("/v1/nothing").await.error(404, "not_found");
    control.get("/v2/routers").await.error(404, "not_found");
    let put = send(control.address, "PUT", "/v1/routers", &[], b"").await;
    put.error(405, "bad_request");
    for path in ["/whip/room", "/whep/room/peer"] {
        let whip = send(control.address, "POST", path, &[], b"v=0").await;
        whip.error(501, "unsupported");
    }
    assert!(put.header("allow").is_some());
    for unknown in [
        Uuid::new_v4().to_string(),
        "nonsense".to_owned(),
        "%00".to_owned(),
        "%ff".to_owned(),
    ] {
        for kind in ["routers", "transports", "producers", "consumers"] {
            let path = format!("/v1/{kind}/{unknown}");
            control.get(&path).await.error(404, "not_found");
            control.delete(&path).await.error(404, "not_found");
        }
        for kind in ["transports", "producers", "consumers"] {
            let path = format!("/v1/{kind}/{unknown}/stats");
            control.get(&path).await.error(404, "not_found");
        }
        control
            .get(&format!("/v1/rooms/{unknown}"))
            .await
            .error(404, "not_found");
        let peer = format!("/v1/rooms/{unknown}/peers/x");
        control.delete(&peer).await.error(404, "not_found");
    }
}

#[tokio::test]
async fn unknown_fields_are_refused_by_name() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let transports = format!("/v1/routers/{}/transports", call.router);
    let sending = format!("/v1/transports/{}", call.sending);
    let receiving = format!("/v1/transports/{}", call.receiving);
    let producer = format!("/v1/producers/{}", call.producer);
    let consumer = format!("/v1/consumers/{}", call.consumer);
    let with_foo = |mut body: Value| {
        body["foo"] = json!(1);
        body
    };
    let produce = json!({ "kind": "video", "rtpParameters": vp8(2000) });
    let consume = json!({ "producerId": call.producer, "rtpCapabilities": call.capabilities });
    for (path, body) in [
        ("/v1/routers".to_owned(), json!({})),
        (transports.clone(), json!({ "type": "webrtc" })),
        (transports.clone(), json!({ "type": "plain" })),
        (
            format!("{sending}/connect"),
            json!({ "dtlsParameters": dtls_parameters("auto") }),
        ),
        (format!("{sending}/restart-ice"), json!({})),
        (
            format!("{sending}/max-incoming-bitrate"),
            json!({ "bitrate": 0 }),
        ),
        (format!("{sending}/producers"), produce),
        (format!("{receiving}/consumers"), consume),
        (format!("{producer}/pause"), json!({})),
        (format!("{producer}/resume"), json!({})),
        (format!("{consumer}/pause"), json!({})),
        (format!("{consumer}/resume"), json!({})),
        (format!("{consumer}/request-key-frame"), json!({})),
        (
            format!("{consumer}/preferred-layers"),
            json!({ "spatialLayer": 0 }),
        ),
        (format!("{consumer}/priority"), json!({ "priority": 1 })),
    ] {
        at_fault(&control, &path, with_foo(body), "foo").await;
    }
    let body = json!({ "type": "plain", "listenInfo": { "ip": "127.0.0.1", "foo": 1 } });
    at_fault(&control, &transports, body, "listenInfo.foo").await;
}

#[tokio::test]
async fn unknown_fields_of_clients_are_ignored() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let mut parameters = vp8(3000);
    parameters["foo"] = json!(1);
    parameters["codecs"][0]["foo"] = json!(1);
    parameters["encodings"][0]["foo"] = json!({});
    let path = format!("/v1/transports/{}/producers", call.sending);
    let body = json!({ "kind": "video", "rtpParameters": parameters });
    control.post(&path, body).await.ok(201);
    let mut capabilities = call.capabilities.clone();
    capabilities["foo"] = json!(1);
    capabilities["codecs"][0]["foo"] = json!(1);
    let path = format!("/v1/transports/{}/consumers", call.receiving);
    let body = json!({ "producerId": call.producer, "rtpCapabilities": capabilities });
    control.post(&path, body).await.ok(201);
    let mut dtls = dtls_parameters("client");
    dtls["foo"] = json!(1);
    dtls["fingerprints"][0]["foo"] = json!(1);
    let path = format!("/v1/transports/{}/connect", call.sending);
    control
        .post(&path, json!({ "dtlsParameters": dtls }))
        .await
        .ok(200);
}

#[tokio::test]
async fn options_that_are_not_built_are_refused_by_name() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let transports = format!("/v1/routers/{}/transports", call.router);
    let sctp = [
        ("enableSctp", json!(true)),
        ("maxSendMessageSize", json!(1)),
        ("maxReceiveMessageSize", json!(1)),
        ("sctpSendBufferSize", json!(1)),
        ("sctpPerStreamSendQueueLimit", json!(1)),
        ("sctpMaxReceiverWindowBufferSize", json!(1)),
        ("sctpDefaultStreamBufferedAmountLowThreshold", json!(1)),
    ];
    let webrtc = [
        (
            "listenInfos",
            json!([{ "protocol": "udp", "ip": "127.0.0.1" }]),
        ),
        ("listenIps", json!(["127.0.0.1"])),
        ("port", json!(5000)),
        ("webRtcServer", json!({})),
    ];
    let mut cases: Vec<(String, Value, String)> = Vec::new();
    let mut case = |path: &str, mut body: Value, field: &str, value: &Value| {
        body[field] = value.clone();
        cases.push((path.to_owned(), body, field.to_owned()));
    };
    for (field, value) in sctp.iter().chain(&webrtc) {
        case(&transports, json!({ "type": "webrtc" }), field, value);
    }
    for (field, value) in &sctp {
        case(&transports, json!({ "type": "plain" }), field, value);
    }
    let path = format!("/v1/transports/{}/producers", call.sending);
    let produce = json!({ "kind": "video", "rtpParameters": vp8(2000) });
    case(
        &path,
        produce,
        "enableMediasoupPacketIdHeaderExtension",
        &json!(true),
    );
    let path = format!("/v1/transports/{}/consumers", call.receiving);
    let consume = json!({ "producerId": call.producer, "rtpCapabilities": call.capabilities });
    case(&path, consume, "pipe", &json!(true));
    case(
        &transports,
        json!({ "type": "webrtc", "enableUdp": false }),
        "enableTcp",
        &json!(true),
    );
    case(&transports, json!({}), "type", &json!("pipe"));
    case(&transports, json!({}), "type", &json!("direct"));
    for (path, body, field) in cases {
        let found = control.post(&path, body).await.error(501, "unsupported");
        assert_eq!(found, Some(field));
    }
    for (inside, value) in [
        ("portRange", json!({ "min": 1, "max": 2 })),
        ("flags", json!({ "ipv6Only": true })),
        ("sendBufferSize", json!(1)),
        ("recvBufferSize", json!(1)),
        ("protocol", json!("tcp")),
    ] {
        let mut info = json!({ "ip": "127.0.0.1" });
        info[inside] = value;
        let body = json!({ "type": "plain", "listenInfo": info });
        let found = control
            .post(&transports, body)
            .await
            .error(501, "unsupported");
        assert_eq!(found, Some(format!("listenInfo.{inside}")));
    }
    let codecs = json!([{ "kind": "video", "mimeType": "video/H266", "clockRate": 90000 }]);
    let body = json!({ "mediaCodecs": codecs });
    let found = control
        .post("/v1/routers", body)
        .await
        .error(501, "unsupported");
    assert_eq!(found.as_deref(), Some("mediaCodecs[0]"));
}

#[tokio::test]
async fn missing_ill_typed_and_out_of_range_fields() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let transports = format!("/v1/routers/{}/transports", call.router);
    for (body, field) in [
        (json!({}), "type"),
        (json!({ "type": 7 }), "type"),
        (json!({ "type": "udp" }), "type"),
        (json!({ "type": "webrtc", "enableUdp": "yes" }), "enableUdp"),
        (json!({ "type": "webrtc", "enableUdp": false }), "enableUdp"),
        (
            json!({ "type": "webrtc", "iceConsentTimeout": -1 }),
            "iceConsentTimeout",
        ),
        (
            json!({ "type": "webrtc", "iceConsentTimeout": 256 }),
            "iceConsentTimeout",
        ),
        (
            json!({ "type": "webrtc", "initialAvailableOutgoingBitrate": 1e10 }),
            "initialAvailableOutgoingBitrate",
        ),
        (json!({ "type": "webrtc", "appData": [] }), "appData"),
        (
            json!({ "type": "plain", "listenIp": "nowhere" }),
            "listenIp",
        ),
        (
            json!({ "type": "plain", "listenIp": { "ip": "nowhere" } }),
            "listenIp",
        ),
        (
            json!({ "type": "plain", "listenIp": { "ip": "::1", "more": 1 } }),
            "listenIp.more",
        ),
        (json!({ "type": "plain", "listenIp": {} }), "listenIp.ip"),
        (json!({ "type": "plain", "listenIp": 7 }), "listenIp"),
        (
            json!({ "type": "plain", "listenInfo": {} }),
            "listenInfo.ip",
        ),
        (
            json!({ "type": "plain", "listenInfo": { "ip": "x" } }),
            "listenInfo.ip",
        ),
        (
            json!({ "type": "plain", "listenInfo": { "ip": "::1", "port": 65536 } }),
            "listenInfo.port",
        ),
        (
            json!({ "type": "plain", "listenInfo": { "ip": "::1", "protocol": "quic" } }),
            "listenInfo.protocol",
        ),
        (
            json!({ "type": "plain", "listenInfo": { "ip": "::1" }, "port": 1 }),
            "listenInfo",
        ),
        (
            json!({ "type": "plain", "rtcpListenInfo": { "ip": "::1" } }),
            "rtcpListenInfo",
        ),
        (
            json!({ "type": "plain", "srtpCryptoSuite": "NULL" }),
            "srtpCryptoSuite",
        ),
    ] {
        at_fault(&control, &transports, body, field).await;
    }
    let path = format!("/v1/transports/{}/max-incoming-bitrate", call.sending);
    for body in [
        json!({}),
        json!({ "bitrate": -1 }),
        json!({ "bitrate": 1u64 << 32 }),
    ] {
        at_fault(&control, &path, body, "bitrate").await;
    }
    let consumer = format!("/v1/consumers/{}", call.consumer);
    for priority in [json!(0), json!(256), json!(-1), json!("high"), json!(1.5)] {
        let path = format!("{consumer}/priority");
        at_fault(&control, &path, json!({ "priority": priority }), "priority").await;
    }
    for (body, field) in [
        (json!({}), "spatialLayer"),
        (json!({ "spatialLayer": -1 }), "spatialLayer"),
        (
            json!({ "spatialLayer": 0, "temporalLayer": "x" }),
            "temporalLayer",
        ),
    ] {
        let path = format!("{consumer}/preferred-layers");
        at_fault(&control, &path, body, field).await;
    }
}

#[tokio::test]
async fn bad_rtp_parameters_and_capabilities() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let produce = format!("/v1/transports/{}/producers", call.sending);
    let changed = |pointer: &str, value: Value| {
        let mut body = json!({ "kind": "video", "rtpParameters": vp8(2000) });
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (body, field) in [
        (json!({ "rtpParameters": vp8(2000) }), "kind"),
        (json!({ "kind": "video" }), "rtpParameters"),
        (changed("/kind", json!("text")), "kind"),
        (
            changed("/rtpParameters/codecs", json!(7)),
            "rtpParameters.codecs",
        ),
        (
            changed("/rtpParameters/codecs/0/payloadType", json!(300)),
            "rtpParameters.codecs[0].payloadType",
        ),
        (
            changed("/rtpParameters/codecs/0/payloadType", json!(128)),
            "rtpParameters.codecs[0].payloadType",
        ),
        (
            changed("/rtpParameters/codecs/0/mimeType", json!("video/H266")),
            "rtpParameters.codecs[0]",
        ),
        (
            changed("/rtpParameters/encodings/0/ssrc", json!(-1)),
            "rtpParameters.encodings[0].ssrc",
        ),
    ] {
        at_fault(&control, &produce, body, field).await;
    }
    let mut body = changed("/kind", json!("video"));
    body["id"] = json!("no-uuid");
    at_fault(&control, &produce, body, "id").await;

    let consume = format!("/v1/transports/{}/consumers", call.receiving);
    let capabilities = &call.capabilities;
    let audio_only = json!({ "codecs": [capabilities["codecs"][0]], "headerExtensions": [] });
    for (body, field) in [
        (json!({ "rtpCapabilities": capabilities }), "producerId"),
        (json!({ "producerId": call.producer }), "rtpCapabilities"),
        (
            json!({ "producerId": "x", "rtpCapabilities": capabilities }),
            "producerId",
        ),
        (
            json!({ "producerId": call.producer, "rtpCapabilities": { "codecs": [{}] } }),
            "rtpCapabilities.codecs[0].mimeType",
        ),
        (
            json!({ "producerId": call.producer, "rtpCapabilities": audio_only }),
            "rtpCapabilities.codecs",
        ),
        (
            json!({ "producerId": call.producer, "rtpCapabilities": capabilities, "mid": "" }),
            "mid",
        ),
    ] {
        at_fault(&control, &consume, body, field).await;
    }
    let body = json!({ "producerId": Uuid::new_v4(), "rtpCapabilities": capabilities });
    control.post(&consume, body).await.error(404, "not_found");
    let other = Call::new(&control).await;
    let body = json!({ "producerId": other.producer, "rtpCapabilities": capabilities });
    at_fault(&control, &consume, body, "producerId").await;
}

#[tokio::test]
async fn bad_connects() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let path = format!("/v1/transports/{}/connect", call.sending);
    let dtls = |fingerprints: Value| json!({ "dtlsParameters": { "fingerprints": fingerprints } });
    let sha256 = |value: &str| json!([{ "algorithm": "sha-256", "value": value }]);
    let value = "dtlsParameters.fingerprints[0].value";
    for (body, field) in [
        (json!({}), "dtlsParameters"),
        (
            json!({ "dtlsParameters": {} }),
            "dtlsParameters.fingerprints",
        ),
        (dtls(json!([])), "dtlsParameters.fingerprints"),
        (
            dtls(json!([{}])),
            "dtlsParameters.fingerprints[0].algorithm",
        ),
        (
            dtls(json!([{ "algorithm": "md5", "value": "00" }])),
            "dtlsParameters.fingerprints[0].algorithm",
        ),
        (dtls(sha256("AB:CD")), value),
        (dtls(sha256(&["GG"; 32].join(":"))), value),
        (dtls(sha256(&["+1"; 32].join(":"))), value),
        (dtls(sha256(&"AB".repeat(32))), value),
        (
            json!({ "dtlsParameters": dtls_parameters("both") }),
            "dtlsParameters.role",
        ),
        (
            json!({ "dtlsParameters": dtls_parameters("auto"), "ip": "::1" }),
            "ip",
        ),
    ] {
        at_fault(&control, &path, body, field).await;
    }
    let transports = format!("/v1/routers/{}/transports", call.router);
    let plain = async |options: Value| {
        let mut body = json!({ "type": "plain" });
        body.as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        let made = control.post(&transports, body).await.ok(201);
        format!("/v1/transports/{}/connect", id(&made))
    };
    let v4 = json!({ "ip": "127.0.0.1", "port": 1 });
    let with = |key: &str, value: Value| {
        let mut body = v4.clone();
        body[key] = value;
        body
    };
    let key = |suite: &str, key: &str| json!({ "cryptoSuite": suite, "keyBase64": key });
    let good_key = "A".repeat(40);
    let own = "AES_CM_128_HMAC_SHA1_80";
    for (options, body, field) in [
        (json!({}), json!({}), "ip"),
        (json!({}), json!({ "ip": "127.0.0.1" }), "port"),
        (json!({}), with("port", json!(0)), "port"),
        (json!({}), with("ip", json!("x")), "ip"),
        (json!({}), with("ip", json!("::1")), "ip"),
        (json!({}), with("rtcpPort", json!(2)), "rtcpPort"),
        (json!({ "rtcpMux": false }), v4.clone(), "rtcpPort"),
        (
            json!({}),
            with("srtpParameters", key(own, &good_key)),
            "srtpParameters",
        ),
        (
            json!({}),
            with("dtlsParameters", json!({})),
            "dtlsParameters",
        ),
        (json!({ "comedia": true }), v4.clone(), "ip"),
        (json!({ "enableSrtp": true }), v4.clone(), "srtpParameters"),
        (
            json!({ "enableSrtp": true }),
            with("srtpParameters", key("NULL", &good_key)),
            "srtpParameters.cryptoSuite",
        ),
        (
            json!({ "enableSrtp": true }),
            with("srtpParameters", key("AEAD_AES_128_GCM", &good_key)),
            "srtpParameters.cryptoSuite",
        ),
        (
            json!({ "enableSrtp": true }),
            with("srtpParameters", key(own, "AAAA")),
            "srtpParameters.keyBase64",
        ),
        (
            json!({ "enableSrtp": true }),
            with("srtpParameters", key(own, "?")),
            "srtpParameters.keyBase64",
        ),
    ] {
        let path = plain(options).await;
        at_fault(&control, &path, body, field).await;
    }
    let path = plain(json!({})).await.replace("/connect", "/restart-ice");
    control.post(&path, json!({})).await.error(409, "conflict");
}

#[tokio::test]
async fn what_the_engine_refuses_is_passed_on() {
    let host = Host::new();
    let control = host.control(&[]).await;
    for (kind, status, code) in [
        (RefusalKind::NotFound, 404, "not_found"),
        (RefusalKind::Conflict, 409, "conflict"),
        (RefusalKind::OverCapacity, 503, "over_capacity"),
        (RefusalKind::Invalid, 400, "bad_request"),
    ] {
        host.engine
            .refuse(|it| matches!(it, Request::CreateRouter { .. }), kind);
        control
            .post("/v1/routers", json!({}))
            .await
            .error(status, code);
    }
    assert_eq!(control.get("/v1/routers").await.ok(200), json!([]));
    host.engine.refuse_nothing();
    control.post("/v1/routers", json!({})).await.ok(201);
}

#[tokio::test]
async fn what_the_engine_says_of_an_address_names_the_option() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let router = id(&control.post("/v1/routers", json!({})).await.ok(201));
    let path = format!("/v1/routers/{router}/transports");
    let info = json!({ "ip": "127.0.0.1", "port": 5 });
    for (said, options, conflict, invalid) in [
        ("listen_ip: no", json!({}), "port", "listenIp"),
        (
            "listen_ip: no",
            json!({ "listenInfo": info }),
            "listenInfo.port",
            "listenInfo.ip",
        ),
        (
            "rtcp_listen_ip: no",
            json!({ "rtcpListenInfo": info, "rtcpMux": false }),
            "rtcpListenInfo.port",
            "rtcpListenInfo.ip",
        ),
    ] {
        let mut body = options;
        body["type"] = json!("plain");
        for (kind, status, code, wanted) in [
            (RefusalKind::Conflict, 409, "conflict", conflict),
            (RefusalKind::Invalid, 400, "bad_request", invalid),
        ] {
            let is_plain = |it: &Request| matches!(it, Request::CreatePlainTransport { .. });
            host.engine.refuse_saying(is_plain, kind, said);
            let answer = control.post(&path, body.clone()).await;
            let field = answer.error(status, code);
            assert_eq!(field.as_deref(), Some(wanted), "{body}");
            let message = &answer.json()["error"]["message"];
            assert_eq!(*message, format!("{wanted}: no"));
        }
    }
}
