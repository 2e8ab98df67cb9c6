//! Coming back: after a lost connection, after a new control.

use serde_json::json;
use weirgate_wire::Event;

use super::{join, produce, transport};
use crate::support::{
    eventually,
    media::{id, simulcast, vp8},
    server::Host,
    signaling::Client,
};

#[tokio::test]
async fn a_lost_connection_is_resumed() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let (mut bob, _) = join(&control, "Bob").await;
    let sending = transport(&mut ann, "send").await;
    let camera = produce(&mut ann, &sending, "video", vp8(100)).await;
    let peer = ann.id.clone();
    drop(ann);
    let mut ann = Client::connect(&control).await;
    let join = json!({ "roomId": "r", "resumeToken": joined["resumeToken"] });
    let again = ann.ok("join", join).await;
    assert_eq!(
        (&again["resumed"], &again["peerId"]),
        (&json!(true), &json!(peer))
    );
    assert_eq!(again["resumeToken"], joined["resumeToken"]);
    assert_eq!(again["own"]["sendTransport"]["id"], sending);
    assert_eq!(again["own"]["producers"][&camera]["paused"], false);
    assert_eq!(again["peers"][0]["displayName"], "Bob");
    ann.ok("pauseProducer", json!({ "producerId": camera }))
        .await;
    bob.event("producerPaused").await;
    assert!(!bob.events_so_far().await.contains(&"peerLeft".to_owned()));
}

#[tokio::test]
async fn what_is_wanted_of_a_producer_is_told_again() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let sending = transport(&mut ann, "send").await;
    let camera = produce(&mut ann, &sending, "video", simulcast(&["l", "h"])).await;
    for spatial in [None, Some(0)] {
        host.engine.say(Event::ProducerWanted {
            producer: camera.parse().unwrap(),
            spatial,
        });
        let told = json!({ "producerId": camera, "spatialLayer": spatial });
        assert_eq!(ann.event("producerWanted").await, told);
    }
    let resume = json!({ "roomId": "r", "resumeToken": joined["resumeToken"] });
    let again = json!({ "producerId": camera, "spatialLayer": 0 });
    drop(ann);
    let mut ann = Client::connect(&control).await;
    ann.ok("join", resume.clone()).await;
    assert_eq!(ann.event("producerWanted").await, again);
    control.kill().await;

    // The engine tells a new control what it knows, before or after the peer is back.
    let control = host.control(&[]).await;
    let mut ann = Client::connect(&control).await;
    ann.ok("join", resume).await;
    host.engine.say(Event::ProducerWanted {
        producer: camera.parse().unwrap(),
        spatial: Some(0),
    });
    assert_eq!(ann.event("producerWanted").await, again);
}

#[tokio::test]
async fn a_new_control_gives_peers_their_places_back() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let (mut bob, bob_joined) = join(&control, "Bob").await;
    let sending = transport(&mut ann, "send").await;
    let camera = produce(&mut ann, &sending, "video", simulcast(&["l", "h"])).await;
    let receiving = transport(&mut bob, "recv").await;
    let capabilities = &joined["routerRtpCapabilities"];
    let consume = json!({
        "transportId": receiving, "producerId": camera, "rtpCapabilities": capabilities,
    });
    let consumer = id(&bob.ok("consume", consume).await);
    bob.ok("resumeConsumer", json!({ "consumerId": consumer }))
        .await;
    let before = control.get("/v1/rooms/r").await.ok(200);
    let (ann_id, bob_id) = (ann.id.clone(), bob.id.clone());
    control.kill().await;

    let control = host.control(&[]).await;
    assert_eq!(control.get("/v1/rooms/r").await.ok(200), before);
    // Somebody new comes before the others are back.
    let (mut eve, eve_joined) = join(&control, "Eve").await;
    assert_eq!(eve_joined["peers"].as_array().map(Vec::len), Some(2));
    let mut ann = Client::connect(&control).await;
    let resume = json!({ "roomId": "r", "resumeToken": joined["resumeToken"] });
    let again = ann.ok("join", resume).await;
    assert_eq!(
        (&again["resumed"], &again["peerId"]),
        (&json!(true), &json!(ann_id))
    );
    let mut bob = Client::connect(&control).await;
    let resume = json!({ "roomId": "r", "resumeToken": bob_joined["resumeToken"] });
    let again = bob.ok("join", resume).await;
    assert_eq!(
        (&again["resumed"], &again["peerId"]),
        (&json!(true), &json!(bob_id))
    );
    let own = &again["own"];
    assert_eq!(own["recvTransports"]["*"]["id"], receiving);
    assert_eq!(own["consumers"][&consumer]["producerId"], camera);
    assert_eq!(own["consumers"][&consumer]["paused"], false);
    ann.ok("closeProducer", json!({ "producerId": camera }))
        .await;
    let closed = json!({ "consumerId": consumer });
    assert_eq!(bob.event("consumerClosed").await, closed);
    eve.event("producerClosed").await;
}

#[tokio::test]
async fn who_does_not_come_back_has_left() {
    let host = Host::new();
    let control = host.control(&["--resume-time", "1"]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let (mut bob, _) = join(&control, "Bob").await;
    let sending = transport(&mut ann, "send").await;
    produce(&mut ann, &sending, "video", vp8(100)).await;
    let peer = ann.id.clone();
    drop(ann);
    bob.event("producerClosed").await;
    assert_eq!(bob.event("peerLeft").await, json!({ "peerId": peer }));
    let mut ann = Client::connect(&control).await;
    let join = json!({ "roomId": "r", "resumeToken": joined["resumeToken"] });
    assert_eq!(ann.ok("join", join).await["resumed"], false);

    // Nor do peers that a new control never saw.
    control.kill().await;
    let control = host.control(&["--resume-time", "1"]).await;
    eventually("an empty server", async || {
        host.engine.objects().is_empty().then_some(())
    })
    .await;
    assert_eq!(control.get("/v1/rooms").await.ok(200), json!([]));
}

#[tokio::test]
async fn a_second_connection_takes_the_place_over() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut ann, joined) = join(&control, "Ann").await;
    let mut second = Client::connect(&control).await;
    let join = json!({ "roomId": "r", "resumeToken": joined["resumeToken"] });
    assert_eq!(second.ok("join", join).await["resumed"], true);
    ann.closed().await;
    transport(&mut second, "send").await;
}
