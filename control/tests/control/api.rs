//! Every call of the API that goes well.

use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::Uuid;
use weirgate_wire::{Layers, ObjectKind, Request, SnapshotBody};

use crate::support::{
    http::send,
    media::{Call, dtls_parameters, id, opus, simulcast},
    server::Host,
};

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_router_comes_and_goes() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let made = control
        .post("/v1/routers", json!({ "appData": { "a": 1 } }))
        .await
        .ok(201);
    let codecs = made["rtpCapabilities"]["codecs"].as_array().unwrap();
    for wanted in [
        "audio/opus",
        "video/VP8",
        "video/VP9",
        "video/H264",
        "video/AV1",
    ] {
        assert!(
            codecs.iter().any(|codec| codec["mimeType"] == wanted),
            "{wanted}"
        );
    }
    let path = format!("/v1/routers/{}", id(&made));
    let dump = control.get(&path).await.ok(200);
    assert_eq!(dump["id"], made["id"]);
    assert_eq!(dump["appData"], json!({ "a": 1 }));
    assert_eq!(dump["transportIds"], json!([]));
    assert_eq!(control.get("/v1/routers").await.ok(200), json!([dump]));
    assert_eq!(host.engine.objects().len(), 1);
    control.delete(&path).await.ok(204);
    control.get(&path).await.error(404, "not_found");
    assert!(host.engine.objects().is_empty());
}

#[tokio::test]
async fn a_router_takes_its_own_codecs() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let codecs = json!([{ "kind": "video", "mimeType": "video/VP8", "clockRate": 90000 }]);
    let made = control
        .post("/v1/routers", json!({ "mediaCodecs": codecs }))
        .await
        .ok(201);
    let codecs = made["rtpCapabilities"]["codecs"].as_array().unwrap();
    let names: Vec<_> = codecs.iter().map(|codec| &codec["mimeType"]).collect();
    assert_eq!(names, ["video/VP8", "video/rtx"]);
}

#[tokio::test]
async fn a_webrtc_transport_has_what_a_client_needs() {
    let host = Host::new();
    let flags = ["--ice-server", "turn:turn.example:3478,user,pass"];
    let control = host.control(&flags).await;
    let router = id(&control.post("/v1/routers", json!({})).await.ok(201));
    let path = format!("/v1/routers/{router}/transports");
    let body = json!({
        "type": "webrtc", "enableUdp": true, "enableTcp": true, "preferUdp": true,
        "initialAvailableOutgoingBitrate": 1_000_000, "iceConsentTimeout": 0, "enableSctp": false,
        "appData": {},
    });
    let made = control.post(&path, body).await.ok(201);
    let candidate = json!({
        "foundation": "1", "priority": 2_130_706_431u32, "ip": "127.0.0.1", "address": "127.0.0.1",
        "protocol": "udp", "port": 10000, "type": "host",
    });
    assert_eq!(made["iceCandidates"], json!([candidate]));
    assert_eq!(made["iceParameters"]["iceLite"], true);
    assert_eq!(made["dtlsParameters"]["role"], "auto");
    let fingerprints = made["dtlsParameters"]["fingerprints"].as_array().unwrap();
    assert!(fingerprints.iter().any(|it| it["algorithm"] == "sha-256"));
    assert_eq!(
        made["iceServers"],
        json!([{ "urls": "turn:turn.example:3478", "username": "user", "credential": "pass" }])
    );
    let transport = format!("/v1/transports/{}", id(&made));
    let dump = control.get(&transport).await.ok(200);
    assert_eq!(dump["type"], "webrtc");
    assert_eq!(dump["iceParameters"], made["iceParameters"]);
    assert_eq!(dump["iceState"], "new");
    assert_eq!(dump["dtlsState"], "new");
    let timeout = host
        .engine
        .requests()
        .into_iter()
        .find_map(|request| match request {
            Request::CreateWebRtcTransport {
                ice_consent_timeout_s,
                ..
            } => Some(ice_consent_timeout_s),
            _ => None,
        });
    assert_eq!(timeout, Some(0));

    let connect = format!("{transport}/connect");
    let body = json!({ "dtlsParameters": dtls_parameters("server") });
    let answer = control.post(&connect, body.clone()).await.ok(200);
    assert_eq!(answer, json!({ "dtlsLocalRole": "client" }));
    control.post(&connect, body).await.error(409, "conflict");
    let restarted = control
        .post_bytes(&format!("{transport}/restart-ice"), b"")
        .await
        .ok(200);
    assert_ne!(restarted["iceParameters"], made["iceParameters"]);
    let stats = control.get(&format!("{transport}/stats")).await.ok(200);
    assert_eq!(stats[0]["type"], "webrtc-transport");
    assert_eq!(stats[0]["bytesSent"], 4711);
    assert_eq!(stats[0]["dtlsState"], "connecting");
    control.delete(&transport).await.ok(204);
    control.get(&transport).await.error(404, "not_found");
}

#[tokio::test]
async fn the_client_decides_the_dtls_role() {
    let host = Host::new();
    let control = host.control(&[]).await;
    for (theirs, ours) in [
        ("client", "server"),
        ("auto", "server"),
        ("server", "client"),
    ] {
        let router = id(&control.post("/v1/routers", json!({})).await.ok(201));
        let path = format!("/v1/routers/{router}/transports");
        let made = control
            .post(&path, json!({ "type": "webrtc" }))
            .await
            .ok(201);
        let path = format!("/v1/transports/{}/connect", id(&made));
        let body = json!({ "dtlsParameters": dtls_parameters(theirs) });
        let answer = control.post(&path, body).await.ok(200);
        assert_eq!(answer["dtlsLocalRole"], ours);
    }
}

#[tokio::test]
async fn limits_of_a_transport() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let path = |name| format!("/v1/transports/{}/{name}-bitrate", call.sending);
    for (name, bitrate) in [
        ("max-incoming", 1_500_000),
        ("max-outgoing", 900_000),
        ("min-outgoing", 100_000),
    ] {
        let body = json!({ "bitrate": bitrate });
        control.post(&path(name), body).await.ok(204);
    }
    let limits = host
        .engine
        .requests()
        .into_iter()
        .rev()
        .find_map(|it| match it {
            Request::SetBitrates {
                max_incoming,
                max_outgoing,
                min_outgoing,
                ..
            } => Some((max_incoming, max_outgoing, min_outgoing)),
            _ => None,
        });
    assert_eq!(limits, Some((1_500_000, 900_000, 100_000)));
    let stats = control
        .get(&format!("/v1/transports/{}/stats", call.sending))
        .await
        .ok(200);
    assert_eq!(stats[0]["maxOutgoingBitrate"], 900_000);
    for (name, bitrate) in [
        ("max-outgoing", 50_000),
        ("max-outgoing", 10),
        ("min-outgoing", 950_000),
    ] {
        let body = json!({ "bitrate": bitrate });
        let field = control
            .post(&path(name), body)
            .await
            .error(400, "bad_request");
        assert_eq!(field.as_deref(), Some("bitrate"));
    }
    control
        .post(&path("max-outgoing"), json!({ "bitrate": 0 }))
        .await
        .ok(204);
}

#[tokio::test]
async fn the_engine_is_told_what_an_estimate_begins_with() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let router = id(&control.post("/v1/routers", json!({})).await.ok(201));
    let path = format!("/v1/routers/{router}/transports");
    for (options, begins) in [
        (json!({ "type": "webrtc" }), 600_000),
        (
            json!({ "type": "webrtc", "initialAvailableOutgoingBitrate": 2_500_000 }),
            2_500_000,
        ),
    ] {
        let made = id(&control.post(&path, options).await.ok(201));
        let requests = host.engine.requests();
        let told = requests.iter().find_map(|it| match it {
            Request::CreateWebRtcTransport {
                id,
                initial_outgoing_bps,
                ..
            } if id.to_string() == made => Some(*initial_outgoing_bps),
            _ => None,
        });
        assert_eq!(told, Some(begins));
    }
}

#[tokio::test]
async fn plain_transports_with_all_their_options() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let router = id(&control.post("/v1/routers", json!({})).await.ok(201));
    let path = format!("/v1/routers/{router}/transports");

    let made = control
        .post(&path, json!({ "type": "plain" }))
        .await
        .ok(201);
    assert_eq!(made["tuple"]["localAddress"], "127.0.0.1");
    assert_eq!(made["tuple"]["protocol"], "udp");
    assert!(made.get("rtcpTuple").is_none() && made.get("srtpParameters").is_none());
    let connect = format!("/v1/transports/{}/connect", id(&made));
    let body = json!({ "ip": "127.0.0.1", "port": 5004 });
    let answer = control.post(&connect, body.clone()).await.ok(200);
    assert_eq!(answer["tuple"]["remotePort"], 5004);
    control.post(&connect, body).await.error(409, "conflict");

    let body = json!({
        "type": "plain", "rtcpMux": false, "enableSrtp": true,
        "srtpCryptoSuite": "AEAD_AES_256_GCM",
        "listenInfo": { "protocol": "udp", "ip": "127.0.0.1", "announcedAddress": "sfu.example", "port": 30_000 },
        "rtcpListenInfo": { "ip": "127.0.0.1", "port": 30_001 },
    });
    let made = control.post(&path, body).await.ok(201);
    assert_eq!(made["tuple"]["localAddress"], "sfu.example");
    assert_eq!(made["tuple"]["localPort"], 30_000);
    assert_eq!(made["rtcpTuple"]["localPort"], 30_001);
    assert_eq!(made["srtpParameters"]["cryptoSuite"], "AEAD_AES_256_GCM");
    let key = made["srtpParameters"]["keyBase64"].as_str().unwrap();
    assert_eq!(key.len(), 60, "44 bytes as base64");
    let connect = format!("/v1/transports/{}/connect", id(&made));
    let body = json!({
        "ip": "127.0.0.1", "port": 5004, "rtcpPort": 5005, "srtpParameters": made["srtpParameters"],
    });
    let answer = control.post(&connect, body).await.ok(200);
    assert_eq!(answer["rtcpTuple"]["remotePort"], 5005);

    let body =
        json!({ "type": "plain", "listenIp": "127.0.0.1", "comedia": true, "enableSrtp": true });
    let made = control.post(&path, body).await.ok(201);
    let connect = format!("/v1/transports/{}/connect", id(&made));
    let body = json!({ "srtpParameters": made["srtpParameters"] });
    control.post(&connect, body).await.ok(200);
    let body = json!({
        "type": "plain", "listenIp": { "ip": "127.0.0.1", "announcedIp": "192.0.2.7" },
    });
    let announced = control.post(&path, body).await.ok(201);
    assert_eq!(announced["tuple"]["localAddress"], "192.0.2.7");
    let transport = format!("/v1/transports/{}", id(&made));
    let dump = control.get(&transport).await.ok(200);
    assert_eq!(
        (&dump["type"], &dump["comedia"]),
        (&json!("plain"), &json!(true))
    );
    let stats = control.get(&format!("{transport}/stats")).await.ok(200);
    assert_eq!(stats[0]["type"], "plain-rtp-transport");
}

#[tokio::test]
async fn producers_pause_resume_and_close() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let path = format!("/v1/transports/{}/producers", call.sending);
    let own_id = Uuid::new_v4().to_string();
    let body = json!({
        "id": own_id, "kind": "audio", "rtpParameters": opus(7), "paused": true,
        "keyFrameRequestDelay": 500, "appData": { "source": "mic" },
    });
    let made = control.post(&path, body.clone()).await.ok(201);
    assert_eq!(made["id"], own_id);
    assert_eq!(
        (&made["kind"], &made["type"]),
        (&json!("audio"), &json!("simple"))
    );
    assert_eq!(made["paused"], true);
    assert_eq!(
        &made["rtpParameters"]["rtcp"]["cname"],
        cname(
            &control
                .get(&format!("/v1/producers/{}", call.producer))
                .await
                .ok(200)
        ),
        "all producers of a transport share a CNAME"
    );
    control.post(&path, body).await.error(409, "conflict");

    let producer = format!("/v1/producers/{own_id}");
    control
        .post_bytes(&format!("{producer}/resume"), b"")
        .await
        .ok(204);
    assert_eq!(control.get(&producer).await.ok(200)["paused"], false);
    control
        .post_bytes(&format!("{producer}/pause"), b"{}")
        .await
        .ok(204);
    let dump = control.get(&producer).await.ok(200);
    assert_eq!(dump["paused"], true);
    assert_eq!(dump["appData"], json!({ "source": "mic" }));
    let stats = control.get(&format!("{producer}/stats")).await.ok(200);
    assert_eq!(stats[0]["type"], "inbound-rtp");
    assert_eq!(stats[0]["mimeType"], "audio/opus");
    assert_eq!(stats[0]["packetCount"], 17);
    control.delete(&producer).await.ok(204);
    control.get(&producer).await.error(404, "not_found");
}

fn cname(dump: &Value) -> &Value {
    &dump["rtpParameters"]["rtcp"]["cname"]
}

#[tokio::test]
async fn consumers_and_what_can_be_asked_of_them() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::with(&control, simulcast(&["l", "m", "h"])).await;
    let consumer = format!("/v1/consumers/{}", call.consumer);
    let dump = control.get(&consumer).await.ok(200);
    assert_eq!(dump["type"], "simulcast");
    assert_eq!(
        dump["preferredLayers"],
        json!({ "spatialLayer": 2, "temporalLayer": 2 })
    );
    assert_eq!(
        (&dump["priority"], &dump["paused"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(dump["layerReason"], "preferred");
    let layers = [
        ("preferredSpatialLayer", 2),
        ("preferredTemporalLayer", 2),
        ("targetSpatialLayer", 1),
        ("targetTemporalLayer", 0),
        ("currentSpatialLayer", -1),
        ("currentTemporalLayer", -1),
    ];
    for (name, wanted) in layers {
        assert_eq!(dump[name], wanted, "{name}");
    }
    let stream = &dump["rtpStream"];
    let encoding = &dump["rtpParameters"]["encodings"][0];
    assert_eq!(stream["params"]["ssrc"], encoding["ssrc"]);
    assert_eq!(stream["params"]["spatialLayers"], 3);
    assert_eq!(stream["params"]["usePli"], true);
    assert_eq!(
        stream["rtxStream"]["params"]["ssrc"],
        encoding["rtx"]["ssrc"]
    );
    assert_eq!(stream["rtxStream"]["params"]["mimeType"], "video/rtx");

    for action in ["pause", "resume", "request-key-frame"] {
        let path = format!("{consumer}/{action}");
        control.post_bytes(&path, b"").await.ok(204);
    }
    let path = format!("{consumer}/preferred-layers");
    for (wanted, given) in [
        (
            json!({ "spatialLayer": 1 }),
            json!({ "spatialLayer": 1, "temporalLayer": 2 }),
        ),
        (
            json!({ "spatialLayer": 0, "temporalLayer": 1 }),
            json!({ "spatialLayer": 0, "temporalLayer": 1 }),
        ),
        (
            json!({ "spatialLayer": 9, "temporalLayer": 9 }),
            json!({ "spatialLayer": 2, "temporalLayer": 2 }),
        ),
    ] {
        assert_eq!(control.post(&path, wanted).await.ok(200), given);
    }
    let answer = control
        .post(&format!("{consumer}/priority"), json!({ "priority": 200 }))
        .await
        .ok(200);
    assert_eq!(answer, json!({ "priority": 200 }));
    let Some(SnapshotBody::Consumer { config, .. }) = host
        .engine
        .object(uuid(&call.consumer))
        .map(|object| object.body)
    else {
        panic!("the engine has no consumer");
    };
    assert_eq!(config.priority, 200);
    let top = Layers {
        spatial: 2,
        temporal: 2,
    };
    assert_eq!(config.preferred_layers, Some(top));
    let stats = control.get(&format!("{consumer}/stats")).await.ok(200);
    assert_eq!(stats[0]["type"], "outbound-rtp");
    control.delete(&consumer).await.ok(204);
    control.get(&consumer).await.error(404, "not_found");
}

#[tokio::test]
async fn a_simple_consumer_has_no_layers() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let path = format!("/v1/consumers/{}/preferred-layers", call.consumer);
    let answer = control
        .post(&path, json!({ "spatialLayer": 1 }))
        .await
        .ok(200);
    assert_eq!(answer, Value::Null);
}

#[tokio::test]
async fn a_consumers_options() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::with(&control, simulcast(&["l", "h"])).await;
    let path = format!("/v1/transports/{}/consumers", call.receiving);
    let body = json!({
        "producerId": call.producer, "rtpCapabilities": call.capabilities, "paused": true,
        "mid": "own-mid", "preferredLayers": { "spatialLayer": 0 }, "enableRtx": false,
        "ignoreDtx": true, "pipe": false, "appData": { "b": 2 },
    });
    let made = control.post(&path, body).await.ok(201);
    assert_eq!(made["paused"], true);
    assert_eq!(made["producerPaused"], false);
    assert_eq!(made["rtpParameters"]["mid"], "own-mid");
    assert_eq!(
        made["preferredLayers"],
        json!({ "spatialLayer": 0, "temporalLayer": 2 })
    );
    let codecs = made["rtpParameters"]["codecs"].as_array().unwrap();
    assert!(codecs.iter().all(|codec| codec["mimeType"] != "video/rtx"));
    assert!(made["score"]["score"].is_u64());
    let known = host.engine.object(id(&made).parse().unwrap()).unwrap();
    assert!(matches!(
        known.body,
        SnapshotBody::Consumer { config, .. } if config.ignore_dtx
    ));
}

#[tokio::test]
async fn closing_takes_along_what_hangs_on_it() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    control
        .delete(&format!("/v1/producers/{}", call.producer))
        .await
        .ok(204);
    control
        .get(&format!("/v1/consumers/{}", call.consumer))
        .await
        .error(404, "not_found");

    let call = Call::new(&control).await;
    control
        .delete(&format!("/v1/transports/{}", call.sending))
        .await
        .ok(204);
    control
        .get(&format!("/v1/producers/{}", call.producer))
        .await
        .error(404, "not_found");
    control
        .get(&format!("/v1/consumers/{}", call.consumer))
        .await
        .error(404, "not_found");
    let router = control
        .get(&format!("/v1/routers/{}", call.router))
        .await
        .ok(200);
    assert_eq!(router["transportIds"], json!([call.receiving]));
    assert_eq!(router["mapProducerIdConsumerIds"], json!([]));

    let call = Call::new(&control).await;
    let closes = |engine: &crate::support::fake_engine::FakeEngine| {
        let requests = engine.requests().into_iter();
        requests
            .filter(|it| matches!(it, Request::Close { .. }))
            .count()
    };
    let before = closes(&host.engine);
    control
        .delete(&format!("/v1/routers/{}", call.router))
        .await
        .ok(204);
    for path in [
        format!("/v1/transports/{}", call.sending),
        format!("/v1/transports/{}", call.receiving),
        format!("/v1/producers/{}", call.producer),
        format!("/v1/consumers/{}", call.consumer),
    ] {
        control.get(&path).await.error(404, "not_found");
    }
    assert_eq!(
        closes(&host.engine),
        before + 1,
        "the engine cascades by itself"
    );
    let last = host.engine.requests().pop();
    let router = uuid(&call.router);
    let wanted = Request::Close {
        kind: ObjectKind::Router,
        id: router,
    };
    assert_eq!(last, Some(wanted));
}

#[tokio::test]
async fn mids_of_a_transport_are_counted() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let path = format!("/v1/transports/{}/consumers", call.receiving);
    let body = json!({ "producerId": call.producer, "rtpCapabilities": call.capabilities });
    let mut ssrcs = std::collections::HashSet::new();
    for wanted in 1..150 {
        let made = control.post(&path, body.clone()).await.ok(201);
        assert_eq!(made["rtpParameters"]["mid"], wanted.to_string());
        let ssrc = made["rtpParameters"]["encodings"][0]["ssrc"].as_u64();
        assert!(ssrcs.insert(ssrc));
    }
}

#[tokio::test]
async fn the_engine_its_figures_and_the_probes() {
    let host = Host::new();
    let control = host.control(&[]).await;
    Call::new(&control).await;
    let engine = control.get("/v1/engine").await.ok(200);
    assert_eq!(engine["io"], "fake");
    assert_eq!(engine["plainPorts"], json!({ "min": 20000, "max": 21000 }));
    assert_eq!(engine["shards"].as_array().map(Vec::len), Some(2));
    for path in ["/livez", "/readyz"] {
        assert_eq!(control.get(path).await.status, 200);
    }
    let figures = control.get("/metrics").await;
    assert_eq!(figures.status, 200);
    for line in [
        "weirgate_routers 1.0",
        "weirgate_transports{type=\"webrtc\"} 2.0",
        "weirgate_engine_up 1.0",
        "# TYPE weirgate_engine_rtp_packets_received_total counter",
        "weirgate_engine_rtp_packets_received_total{shard=\"0\"} 1.0",
        "weirgate_engine_rtp_packets_received_total{shard=\"1\"} 2.0",
        "weirgate_engine_transports{shard=\"1\"} 2.0",
        "# TYPE weirgate_engine_train_datagrams histogram",
        "weirgate_engine_train_datagrams_bucket{le=\"2.0\",shard=\"1\"} 2",
        "weirgate_engine_train_datagrams_bucket{le=\"+Inf\",shard=\"1\"} 6",
        "weirgate_engine_train_datagrams_sum{shard=\"1\"} 18.0",
        "weirgate_engine_train_datagrams_count{shard=\"1\"} 6",
    ] {
        assert!(
            figures.text.lines().any(|it| it == line),
            "{line} in {}",
            figures.text
        );
    }
    assert!(
        !figures.text.contains(&Uuid::nil().to_string()[..8]),
        "no ids in labels"
    );
    let content_type = figures.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("text/plain; version=0.0.4"));
    let accept = [("Accept", "application/openmetrics-text; version=1.0.0")];
    let open = send(control.address, "GET", "/metrics", &accept, b"").await;
    let content_type = open.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("application/openmetrics-text"));
    assert!(open.text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_description_lists_every_route() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let description = control.get("/openapi.json").await.ok(200);
    let paths = description["paths"].as_object().unwrap();
    let mut count = 0;
    for (path, methods) in [
        ("/v1/routers", "get post"),
        ("/v1/routers/{id}", "get delete"),
        ("/v1/routers/{id}/transports", "post"),
        ("/v1/transports/{id}", "get delete"),
        ("/v1/transports/{id}/stats", "get"),
        ("/v1/transports/{id}/connect", "post"),
        ("/v1/transports/{id}/restart-ice", "post"),
        ("/v1/transports/{id}/max-incoming-bitrate", "post"),
        ("/v1/transports/{id}/max-outgoing-bitrate", "post"),
        ("/v1/transports/{id}/min-outgoing-bitrate", "post"),
        ("/v1/transports/{id}/enable-trace-event", "post"),
        ("/v1/producers/{id}/enable-trace-event", "post"),
        ("/v1/consumers/{id}/enable-trace-event", "post"),
        ("/v1/transports/{id}/producers", "post"),
        ("/v1/transports/{id}/consumers", "post"),
        ("/v1/producers/{id}", "get delete"),
        ("/v1/producers/{id}/stats", "get"),
        ("/v1/producers/{id}/pause", "post"),
        ("/v1/producers/{id}/resume", "post"),
        ("/v1/consumers/{id}", "get delete"),
        ("/v1/consumers/{id}/stats", "get"),
        ("/v1/consumers/{id}/pause", "post"),
        ("/v1/consumers/{id}/resume", "post"),
        ("/v1/consumers/{id}/request-key-frame", "post"),
        ("/v1/consumers/{id}/preferred-layers", "post"),
        ("/v1/consumers/{id}/priority", "post"),
        ("/v1/routers/{id}/rtp-observers", "post"),
        ("/v1/rtp-observers/{id}", "get delete"),
        ("/v1/rtp-observers/{id}/add-producer", "post"),
        ("/v1/rtp-observers/{id}/remove-producer", "post"),
        ("/v1/rtp-observers/{id}/pause", "post"),
        ("/v1/rtp-observers/{id}/resume", "post"),
        ("/v1/rooms", "get"),
        ("/v1/rooms/{room}", "get"),
        ("/v1/rooms/{room}/peers/{peer}", "delete"),
        ("/v1/events", "get"),
        ("/v1/engine", "get"),
        ("/livez", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    ] {
        let described = paths
            .get(path)
            .unwrap_or_else(|| panic!("{path} is missing"));
        for method in methods.split(' ') {
            assert!(described.get(method).is_some(), "{method} {path}");
            // What is described is there: no other answer than for a missing object.
            let real = path
                .replace("{id}", "x")
                .replace("{room}", "x")
                .replace("{peer}", "x");
            let method = method.to_uppercase();
            let answer = send(control.address, &method, &real, &[], b"").await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.text.contains("nothing at"), "{method} {path}");
            count += 1;
        }
    }
    let described: usize = paths.values().map(|it| it.as_object().unwrap().len()).sum();
    assert_eq!(described, count, "a route that this test does not know");
    let operations = paths
        .values()
        .flat_map(|it| it.as_object().unwrap().values());
    let ids: HashSet<&str> = operations
        .map(|it| it["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), count, "each operation has an id of its own");
    let schemas = description["components"]["schemas"].as_object().unwrap();
    for schema in [
        "RtpParameters",
        "RtpCapabilities",
        "ErrorBody",
        "WebRtcTransportOptions",
    ] {
        assert!(schemas.contains_key(schema), "{schema}");
    }
}
