//! The Socket.IO protocol itself.

use serde_json::json;

use crate::support::{http::send, server::Host, signaling::Client};

#[tokio::test]
async fn a_message_without_acknowledgement_does_its_work() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let mut client = Client::connect(&control).await;
    client.emit("join", json!({ "roomId": "r" })).await;
    client.emit("nonsense", json!({})).await;
    client.emit("produce", json!(7)).await;
    // In the order sent: the room is joined when the next request is looked at.
    client
        .ok("createTransport", json!({ "direction": "send" }))
        .await;
}

#[tokio::test]
async fn a_request_without_payload() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let mut client = Client::connect(&control).await;
    client.ok("join", json!({ "roomId": "r" })).await;
    assert_eq!(client.request_with("leave", &[]).await, json!({}));
    let answer = client.request_with("join", &[]).await;
    assert_eq!(answer["error"]["field"], "roomId");
}

#[tokio::test]
async fn broken_packets_harm_nobody_else() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let mut good = Client::connect(&control).await;
    good.ok("join", json!({ "roomId": "r" })).await;
    for packet in [
        "42",
        "42[",
        "42[7]",
        "42[]",
        "4",
        "9",
        "42{\"a\":1}",
        "420[\"join\"",
        "451-[]",
        "",
    ] {
        let mut bad = Client::connect(&control).await;
        bad.write(packet.to_owned()).await;
    }
    let mut bad = Client::connect(&control).await;
    bad.write(format!(
        "42[\"join\",{{\"roomId\":\"{}\"}}]",
        "x".repeat(1 << 20)
    ))
    .await;
    bad.closed().await;
    good.ok("createTransport", json!({ "direction": "send" }))
        .await;
}

#[tokio::test]
async fn long_polling_works_too() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let answer = send(control.address, "GET", path, &[], b"").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.starts_with("0{"), "{}", answer.text);
}

#[tokio::test]
async fn requests_take_effect_in_the_order_sent() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let mut client = Client::connect(&control).await;
    for _ in 0..50 {
        client.emit("join", json!({ "roomId": "r" })).await;
        client
            .emit("createTransport", json!({ "direction": "send" }))
            .await;
        client.emit("leave", json!({})).await;
    }
    client.ok("join", json!({ "roomId": "r" })).await;
    client.ok("leave", json!({})).await;
    assert!(host.engine.objects().is_empty());
}

#[tokio::test]
async fn a_flood_is_held_off() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let mut client = Client::connect(&control).await;
    // All at once: they come faster than they may, or faster than they are handled.
    let answers = client.flood("leave", 8000).await;
    let refused = answers.filter(|answer| answer["error"]["code"] == "over_capacity");
    assert!(refused.count() > 0);
    let mut other = Client::connect(&control).await;
    other.ok("join", json!({ "roomId": "r" })).await;
}
