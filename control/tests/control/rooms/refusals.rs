//! What is refused, and why.

use serde_json::{Value, json};

use super::{join, produce, transport};
use crate::support::{
    media::{id, vp8},
    server::Host,
    signaling::Client,
};

#[tokio::test]
async fn one_transport_each_way() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, _) = join(&control, "Ann").await;
    for payload in [
        json!({ "direction": "send" }),
        json!({ "direction": "recv" }),
        json!({ "direction": "recv", "forPeer": "x" }),
        json!({ "direction": "recv", "forPeer": "y", "sctpCapabilities": {} }),
    ] {
        let first = ann.ok("createTransport", payload.clone()).await;
        let (code, _) = ann.refused("createTransport", payload.clone()).await;
        assert_eq!(code, "conflict");
        ann.ok("closeTransport", json!({ "transportId": first["id"] }))
            .await;
        ann.ok("createTransport", payload).await;
    }
}

#[tokio::test]
async fn transports_have_their_direction_and_their_peer() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let (mut bob, _) = join(&control, "Bob").await;
    let (sending, receiving) = (
        transport(&mut ann, "send").await,
        transport(&mut ann, "recv").await,
    );
    let producer = produce(&mut ann, &sending, "video", vp8(100)).await;
    let capabilities = &joined["routerRtpCapabilities"];
    let bad = ("bad_request".to_owned(), Some("transportId".to_owned()));
    let produce = json!({ "transportId": receiving, "kind": "video", "rtpParameters": vp8(300) });
    assert_eq!(ann.refused("produce", produce).await, bad);
    let consume = |transport: &str| {
        json!({
            "transportId": transport, "producerId": producer, "rtpCapabilities": capabilities,
        })
    };
    assert_eq!(ann.refused("consume", consume(&sending)).await, bad);
    let consumer = id(&ann.ok("consume", consume(&receiving)).await);

    for (name, payload) in [
        ("closeTransport", json!({ "transportId": sending })),
        ("restartIce", json!({ "transportId": sending })),
        ("consume", consume(&receiving)),
        ("pauseProducer", json!({ "producerId": producer })),
        ("closeProducer", json!({ "producerId": producer })),
        ("resumeConsumer", json!({ "consumerId": consumer })),
        ("closeConsumer", json!({ "consumerId": consumer })),
        (
            "setConsumerPriority",
            json!({ "consumerId": consumer, "priority": 2 }),
        ),
    ] {
        let (code, _) = bob.refused(name, payload).await;
        assert_eq!(code, "not_found", "{name} on another's");
    }
    ann.ok("closeConsumer", json!({ "consumerId": consumer }))
        .await;
    let (code, _) = ann
        .refused("closeConsumer", json!({ "consumerId": consumer }))
        .await;
    assert_eq!(code, "not_found");
}

#[tokio::test]
async fn bad_payloads_name_the_field() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let mut client = Client::connect(&control).await;
    for (payload, field) in [
        (json!({}), "roomId"),
        (json!({ "roomId": 7 }), "roomId"),
        (json!({ "roomId": "" }), "roomId"),
        (json!({ "roomId": "x".repeat(129) }), "roomId"),
        (json!({ "roomId": "a\nb" }), "roomId"),
        (
            json!({ "roomId": "r", "displayName": "x".repeat(129) }),
            "displayName",
        ),
        (json!({ "roomId": "r", "resumeToken": {} }), "resumeToken"),
    ] {
        let refused = client.refused("join", payload).await;
        assert_eq!(refused, ("bad_request".to_owned(), Some(field.to_owned())));
    }
    for name in ["createTransport", "leave"] {
        let (code, _) = client.refused(name, json!({ "direction": "send" })).await;
        assert_eq!(code, "conflict", "{name} before join");
    }
    client.ok("join", json!({ "roomId": "r" })).await;
    let (code, _) = client.refused("join", json!({ "roomId": "r" })).await;
    assert_eq!(code, "conflict");
    for (name, payload, field) in [
        ("createTransport", json!({}), "direction"),
        ("createTransport", json!({ "direction": "up" }), "direction"),
        ("connectTransport", json!({}), "transportId"),
        (
            "connectTransport",
            json!({ "transportId": "x" }),
            "transportId",
        ),
        ("produce", json!({}), "transportId"),
        ("consume", json!({}), "transportId"),
        ("pauseProducer", json!({}), "producerId"),
        ("resumeConsumer", json!({ "consumerId": 1 }), "consumerId"),
        ("setPreferredLayers", json!({}), "consumerId"),
        ("setConsumerPriority", json!({}), "consumerId"),
    ] {
        let refused = client.refused(name, payload).await;
        assert_eq!(
            refused,
            ("bad_request".to_owned(), Some(field.to_owned())),
            "{name}"
        );
    }
    for payload in [json!(7), json!("text"), json!([1])] {
        let (code, _) = client.refused("produce", payload).await;
        assert_eq!(code, "bad_request");
    }
    let (code, _) = client.refused("noSuchThing", json!({})).await;
    assert_eq!(code, "bad_request");
}

#[tokio::test]
async fn limits() {
    let host = Host::new();
    let flags = ["--max-rooms", "1", "--max-peers-per-room", "2"];
    let control = host.control(&flags).await;
    let (_ann, _) = join(&control, "Ann").await;
    let (_bob, _) = join(&control, "Bob").await;
    let mut eve = Client::connect(&control).await;
    for room in ["r", "other"] {
        let (code, _) = eve.refused("join", json!({ "roomId": room })).await;
        assert_eq!(code, "over_capacity", "{room}");
    }
}

#[tokio::test]
async fn join_tokens() {
    let host = Host::new();
    let secret = "a secret of some length";
    let control = host.control(&["--join-token-secret", secret]).await;
    let mut client = Client::connect(&control).await;
    for token in [Value::Null, json!("nonsense")] {
        let join = json!({ "roomId": "r", "token": token });
        let refused = client.refused("join", join).await;
        assert_eq!(
            refused,
            ("unauthorized".to_owned(), Some("token".to_owned()))
        );
    }
    let exp = weirgate_control::events::unix_ms() / 1000 + 600;
    let claims = json!({
        "room": "r", "sub": "u", "name": "Ann", "canPublish": false, "exp": exp,
    });
    let token = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &claims,
        &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap();
    let (code, _) = client
        .refused("join", json!({ "roomId": "x", "token": token }))
        .await;
    assert_eq!(code, "unauthorized");
    let join = json!({ "roomId": "r", "displayName": "Eve", "token": token });
    client.ok("join", join).await;
    let view = control.get("/v1/rooms/r").await.ok(200);
    assert_eq!(view["peers"][&client.id]["displayName"], "Ann");
    let (code, _) = client
        .refused("createTransport", json!({ "direction": "send" }))
        .await;
    assert_eq!(code, "unauthorized");
    transport(&mut client, "recv").await;
}
