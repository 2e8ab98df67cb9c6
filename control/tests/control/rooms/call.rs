//! A call as it should go, and what is told of it.

use serde_json::json;
use weirgate_wire::{AudioLevel, Event, Layers, SnapshotBody};

use super::{join, produce, transport};
use crate::support::{
    media::{dtls_parameters, id, opus, simulcast, vp8},
    server::Host,
    signaling::Client,
};

#[tokio::test]
async fn a_call_from_join_to_leave() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    assert_eq!(joined["peerId"], ann.id);
    assert_eq!(
        (&joined["resumed"], &joined["peers"]),
        (&json!(false), &json!([]))
    );
    assert!(joined.get("own").is_none() && joined.get("iceServers").is_none());
    let sending = transport(&mut ann, "send").await;
    let connect = json!({ "transportId": sending, "dtlsParameters": dtls_parameters("client") });
    assert_eq!(ann.ok("connectTransport", connect).await, json!({}));
    let camera = produce(&mut ann, &sending, "video", vp8(100)).await;

    let (mut bob, joined) = join(&control, "Bob").await;
    let listed = json!([{
        "id": ann.id, "displayName": "Ann",
        "producers": [{
            "id": camera, "kind": "video", "paused": false, "appData": { "source": "video" },
        }],
    }]);
    assert_eq!(joined["peers"], listed);
    let capabilities = joined["routerRtpCapabilities"].clone();
    let told = ann.event("peerJoined").await;
    assert_eq!(told, json!({ "peerId": bob.id, "displayName": "Bob" }));

    let receiving = transport(&mut bob, "recv").await;
    let consume = json!({
        "transportId": receiving, "producerId": camera, "rtpCapabilities": capabilities,
    });
    let consumer = bob.ok("consume", consume).await;
    assert_eq!(consumer["producerId"], camera);
    assert_eq!(
        (&consumer["kind"], &consumer["type"]),
        (&json!("video"), &json!("simple"))
    );
    assert_eq!(consumer["producerPaused"], false);
    let Some(SnapshotBody::Consumer { config, .. }) = host
        .engine
        .object(id(&consumer).parse().unwrap())
        .map(|it| it.body)
    else {
        panic!("the engine has no consumer");
    };
    assert!(config.paused, "consumers start paused");
    let of_consumer = json!({ "consumerId": id(&consumer) });
    for name in ["resumeConsumer", "pauseConsumer", "requestKeyFrame"] {
        assert_eq!(bob.ok(name, of_consumer.clone()).await, json!({}), "{name}");
    }
    let layers = json!({ "consumerId": id(&consumer), "spatialLayer": 0 });
    bob.ok("setPreferredLayers", layers).await;
    let priority = json!({ "consumerId": id(&consumer), "priority": 5 });
    bob.ok("setConsumerPriority", priority).await;
    let restarted = bob
        .ok("restartIce", json!({ "transportId": receiving }))
        .await;
    assert!(restarted["iceParameters"]["usernameFragment"].is_string());

    let of_producer = json!({ "producerId": camera });
    ann.ok("pauseProducer", of_producer.clone()).await;
    assert_eq!(bob.event("producerPaused").await, of_producer);
    ann.ok("resumeProducer", of_producer.clone()).await;
    assert_eq!(bob.event("producerResumed").await, of_producer);
    let microphone = produce(&mut ann, &sending, "audio", opus(200)).await;
    let told = bob.event("newProducer").await;
    let wanted = json!({
        "producerId": microphone, "peerId": ann.id, "kind": "audio", "paused": false,
        "appData": { "source": "audio" },
    });
    assert_eq!(told, wanted);
    ann.ok("closeProducer", of_producer).await;
    assert_eq!(bob.event("consumerClosed").await, of_consumer);
    let closed = json!({ "producerId": camera, "peerId": ann.id });
    assert_eq!(bob.event("producerClosed").await, closed);
    assert_eq!(
        ann.events_so_far().await,
        [""; 0],
        "nobody is told of their own doings"
    );

    ann.ok("leave", json!({})).await;
    assert_eq!(bob.event("peerLeft").await, json!({ "peerId": ann.id }));
    bob.ok("closeTransport", json!({ "transportId": receiving }))
        .await;
    bob.ok("leave", json!({})).await;
    assert!(
        host.engine.objects().is_empty(),
        "the last one takes the router along"
    );
    assert!(
        !host
            .engine
            .notes()
            .keys()
            .any(|key| key.starts_with("peer/"))
    );
    assert_eq!(control.get("/v1/rooms").await.ok(200), json!([]));
}

#[tokio::test]
async fn the_room_as_the_api_shows_it() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let (mut bob, _) = join(&control, "Bob").await;
    let sending = transport(&mut ann, "send").await;
    let camera = produce(&mut ann, &sending, "video", vp8(100)).await;
    let payload = json!({ "direction": "recv", "forPeer": ann.id });
    let receiving = id(&bob.ok("createTransport", payload).await);
    let any = transport(&mut bob, "recv").await;
    let consume = json!({
        "transportId": receiving, "producerId": camera,
        "rtpCapabilities": joined["routerRtpCapabilities"],
    });
    let consumer = id(&bob.ok("consume", consume).await);
    let view = control.get("/v1/rooms/r").await.ok(200);
    let wanted = json!({
        "id": "r", "routerId": view["routerId"],
        "peers": {
            &ann.id: {
                "id": ann.id, "displayName": "Ann",
                "sendTransport": { "id": sending }, "recvTransports": {},
                "producers": { &camera: { "id": camera, "kind": "video" } }, "consumers": {},
            },
            &bob.id: {
                "id": bob.id, "displayName": "Bob",
                "sendTransport": null,
                "recvTransports": { &ann.id: { "id": receiving }, "*": { "id": any } },
                "producers": {},
                "consumers": {
                    &consumer: { "id": consumer, "kind": "video", "producerId": camera },
                },
            },
        },
    });
    assert_eq!(view, wanted);
    assert_eq!(control.get("/v1/rooms").await.ok(200), json!([wanted]));
    let router = view["routerId"].as_str().unwrap();
    let dump = control.get(&format!("/v1/routers/{router}")).await.ok(200);
    assert_eq!(dump["roomId"], "r");
}

#[tokio::test]
async fn first_peers_at_the_same_time_make_one_room() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let joins = (0..20).map(|number| {
        let control = &control;
        async move { join(control, &number.to_string()).await }
    });
    let joined = futures_util::future::join_all(joins).await;
    let room = control.get("/v1/rooms/r").await.ok(200);
    assert_eq!(
        room["peers"].as_object().map(serde_json::Map::len),
        Some(joined.len())
    );
    assert_eq!(host.engine.objects().len(), 1);
}

#[tokio::test]
async fn a_kicked_peer_is_told_and_gone() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let (mut bob, _) = join(&control, "Bob").await;
    transport(&mut ann, "send").await;
    let path = format!("/v1/rooms/r/peers/{}", ann.id);
    control.delete(&path).await.ok(204);
    control.delete(&path).await.error(404, "not_found");
    assert!(ann.event("kicked").await["reason"].is_string());
    ann.closed().await;
    bob.event("peerLeft").await;
    let mut again = Client::connect(&control).await;
    let join = json!({ "roomId": "r", "resumeToken": joined["resumeToken"] });
    assert_eq!(again.ok("join", join).await["resumed"], false);
}

#[tokio::test]
async fn what_the_api_does_in_a_room_is_told() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, _) = join(&control, "Ann").await;
    let sending = transport(&mut ann, "send").await;
    let camera = produce(&mut ann, &sending, "video", vp8(100)).await;
    let room = control.get("/v1/rooms/r").await.ok(200);
    let router = room["routerId"].as_str().unwrap();
    let path = format!("/v1/routers/{router}/transports");
    let plain = id(&control
        .post(&path, json!({ "type": "plain" }))
        .await
        .ok(201));
    let path = format!("/v1/transports/{plain}/producers");
    let body = json!({ "kind": "audio", "rtpParameters": opus(7), "appData": { "a": 1 } });
    let producer = id(&control.post(&path, body).await.ok(201));
    let told = ann.event("newProducer").await;
    let wanted = json!({
        "producerId": producer, "peerId": null, "kind": "audio", "paused": false,
        "appData": { "a": 1 },
    });
    assert_eq!(told, wanted);
    let (_bob, joined) = join(&control, "Bob").await;
    let peers = joined["peers"].as_array().unwrap();
    let api = peers.iter().find(|peer| peer["id"] == "api").unwrap();
    assert_eq!(api["producers"][0]["id"], producer);
    control
        .post_bytes(&format!("/v1/producers/{producer}/pause"), b"")
        .await
        .ok(204);
    ann.event("producerPaused").await;
    control
        .delete(&format!("/v1/producers/{producer}"))
        .await
        .ok(204);
    let closed = json!({ "producerId": producer, "peerId": null });
    assert_eq!(ann.event("producerClosed").await, closed);

    control
        .delete(&format!("/v1/producers/{camera}"))
        .await
        .ok(204);
    assert_eq!(ann.event("producerClosed").await["producerId"], camera);
    control
        .delete(&format!("/v1/transports/{sending}"))
        .await
        .ok(204);
    assert_eq!(
        ann.event("transportClosed").await,
        json!({ "transportId": sending })
    );
    control
        .delete(&format!("/v1/routers/{router}"))
        .await
        .ok(204);
    ann.event("kicked").await;
    control.get("/v1/rooms/r").await.error(404, "not_found");
    ann.ok("join", json!({ "roomId": "r2" })).await;
}

#[tokio::test]
async fn scores_layers_and_speakers() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let sending = transport(&mut ann, "send").await;
    let camera = produce(&mut ann, &sending, "video", simulcast(&["l", "h"])).await;
    let microphone = produce(&mut ann, &sending, "audio", opus(200)).await;
    let (mut bob, _) = join(&control, "Bob").await;
    let receiving = transport(&mut bob, "recv").await;
    let capabilities = &joined["routerRtpCapabilities"];
    let consume = json!({
        "transportId": receiving, "producerId": camera, "rtpCapabilities": capabilities,
    });
    let consumer = id(&bob.ok("consume", consume).await);
    host.engine.say(Event::ConsumerLayers {
        consumer: consumer.parse().unwrap(),
        layers: Some(Layers {
            spatial: 1,
            temporal: 2,
        }),
    });
    let layers = json!({ "spatialLayer": 1, "temporalLayer": 2 });
    let wanted = json!({ "consumerId": consumer, "layers": layers });
    assert_eq!(bob.event("layersChanged").await, wanted);
    host.engine.say(Event::ProducerScore {
        producer: camera.parse().unwrap(),
        scores: vec![(1, Some("l".to_owned()), 10), (2, Some("h".to_owned()), 5)],
    });
    let told = ann.event("scoreChanged").await;
    assert_eq!(
        (&told["producerId"], &told["score"][1]["rid"]),
        (&json!(camera), &json!("h"))
    );
    host.engine.say(Event::ConsumerScore {
        consumer: consumer.parse().unwrap(),
        score: 8,
        producer_score: 5,
    });
    let told = bob.event("scoreChanged").await;
    assert_eq!(told["consumerId"], consumer);
    assert_eq!(told["score"]["producerScores"], json!([10, 5]));

    let speaking = async {
        loop {
            host.engine.say(Event::AudioLevels(vec![AudioLevel {
                producer: microphone.parse().unwrap(),
                dbov: -20,
                peak_dbov: -20,
            }]));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let told = tokio::select! {
        told = bob.event("activeSpeaker") => told,
        () = speaking => unreachable!(),
    };
    assert_eq!(told, json!({ "peerId": ann.id }));
    ann.ok("pauseProducer", json!({ "producerId": microphone }))
        .await;
    assert_eq!(bob.event("activeSpeaker").await, json!({ "peerId": null }));
}

#[tokio::test]
async fn ice_servers_are_handed_out() {
    let host = Host::new();
    let control = host
        .control(&["--ice-server", "stun:stun.example:3478"])
        .await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let wanted = json!([{ "urls": "stun:stun.example:3478" }]);
    assert_eq!(joined["iceServers"], wanted);
    let made = ann
        .ok("createTransport", json!({ "direction": "send" }))
        .await;
    assert_eq!(made["iceServers"], wanted);
}
