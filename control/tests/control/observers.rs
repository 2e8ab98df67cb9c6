//! RTP observers over the API.

use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};
use weirgate_wire::{AudioLevel, Event};

use crate::support::{
    PATIENCE,
    media::{Call, id, opus},
    server::{Control, Host},
};

/// A call with a microphone, and its producer.
async fn talking(control: &Control) -> (Call, String) {
    let call = Call::new(control).await;
    let body = json!({ "kind": "audio", "rtpParameters": opus(50) });
    let path = format!("/v1/transports/{}/producers", call.sending);
    let microphone = id(&control.post(&path, body).await.ok(201));
    (call, microphone)
}

async fn make(control: &Control, router: &str, options: Value) -> String {
    let path = format!("/v1/routers/{router}/rtp-observers");
    id(&control.post(&path, options).await.ok(201))
}

async fn observe(control: &Control, observer: &str, producer: &str) {
    let path = format!("/v1/rtp-observers/{observer}/add-producer");
    let body = json!({ "producerId": producer });
    control.post(&path, body).await.ok(204);
}

#[tokio::test]
async fn they_come_change_outlive_control_and_go() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (call, microphone) = talking(&control).await;
    let options = json!({
        "type": "audiolevel", "maxEntries": 3, "threshold": -50, "interval": 10,
        "appData": { "a": 1 },
    });
    let observer = make(&control, &call.router, options).await;
    observe(&control, &observer, &microphone).await;
    let path = format!("/v1/rtp-observers/{observer}");
    control
        .post(&format!("{path}/pause"), json!({}))
        .await
        .ok(204);
    let dump = control.get(&path).await.ok(200);
    let wanted = json!({
        "id": observer, "routerId": call.router, "type": "audiolevel", "paused": true,
        "producerIds": [microphone], "maxEntries": 3, "threshold": -50, "interval": 250,
        "appData": { "a": 1 },
    });
    assert_eq!(dump, wanted);

    control.kill().await;
    let control = host.control(&[]).await;
    assert_eq!(control.get(&path).await.ok(200), wanted);
    let router = format!("/v1/routers/{}", call.router);
    let dump = control.get(&router).await.ok(200);
    assert_eq!(dump["rtpObserverIds"], json!([observer]));
    let listening = json!([{ "key": microphone, "values": [observer] }]);
    assert_eq!(dump["mapProducerIdObserverIds"], listening);

    control
        .post(&format!("{path}/resume"), json!({}))
        .await
        .ok(204);
    control
        .delete(&format!("/v1/producers/{microphone}"))
        .await
        .ok(204);
    let dump = control.get(&path).await.ok(200);
    assert_eq!(
        (&dump["paused"], &dump["producerIds"]),
        (&json!(false), &json!([]))
    );
    let other = make(&control, &call.router, json!({ "type": "activespeaker" })).await;
    control.delete(&path).await.ok(204);
    control.get(&path).await.error(404, "not_found");
    control.delete(&router).await.ok(204);
    let path = format!("/v1/rtp-observers/{other}");
    control.get(&path).await.error(404, "not_found");
    let notes = host.engine.notes();
    assert!(!notes.keys().any(|key| key.starts_with("observer/")));
}

#[tokio::test]
async fn bad_options_and_producers_are_refused_by_name() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (call, microphone) = talking(&control).await;
    let path = format!("/v1/routers/{}/rtp-observers", call.router);
    for (options, field) in [
        (json!({ "type": "loudness" }), "type"),
        (
            json!({ "type": "audiolevel", "maxEntries": 0 }),
            "maxEntries",
        ),
        (json!({ "type": "audiolevel", "threshold": 5 }), "threshold"),
        (
            json!({ "type": "activespeaker", "threshold": -5 }),
            "threshold",
        ),
    ] {
        let refused = control.post(&path, options).await;
        assert_eq!(refused.error(400, "bad_request").as_deref(), Some(field));
    }
    let observer = make(&control, &call.router, json!({ "type": "activespeaker" })).await;
    let path = format!("/v1/rtp-observers/{observer}/add-producer");
    let camera = json!({ "producerId": call.producer });
    let refused = control.post(&path, camera).await;
    assert_eq!(
        refused.error(400, "bad_request").as_deref(),
        Some("producerId")
    );
    observe(&control, &observer, &microphone).await;
    let again = json!({ "producerId": microphone });
    control.post(&path, again).await.error(409, "conflict");
}

#[tokio::test]
async fn what_they_hear_is_told() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (call, microphone) = talking(&control).await;
    let url = format!("ws://{}/v1/events", control.address);
    let (mut events, _) = connect_async(url).await.unwrap();
    for options in [
        json!({ "type": "audiolevel", "interval": 250 }),
        json!({ "type": "activespeaker", "interval": 100 }),
    ] {
        let observer = make(&control, &call.router, options).await;
        observe(&control, &observer, &microphone).await;
    }
    let level = |dbov| {
        Event::AudioLevels(vec![AudioLevel {
            producer: microphone.parse().unwrap(),
            dbov,
            peak_dbov: dbov,
        }])
    };
    let talk = async {
        loop {
            host.engine.say(level(-30));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let heard = async {
        let mut told = Vec::new();
        while told.len() < 2 {
            let Some(Ok(Message::Text(text))) = events.next().await else {
                continue;
            };
            let event: Value = serde_json::from_str(&text).unwrap();
            let name = event["event"].as_str().unwrap().to_owned();
            let is_new = !told.iter().any(|(known, _)| *known == name);
            if name.contains("observer.") && is_new {
                assert!(event["rtpObserverId"].is_string());
                assert_eq!(event["routerId"], call.router);
                told.push((name, event["data"].clone()));
            }
        }
        told
    };
    let mut told = tokio::select! {
        told = timeout(PATIENCE, heard) => told.expect("both observers"),
        () = talk => unreachable!(),
    };
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let volumes = json!({ "volumes": [{ "producerId": microphone, "volume": -30 }] });
    assert_eq!(
        told,
        [
            (
                "activespeakerobserver.dominantspeaker".to_owned(),
                json!({ "producerId": microphone })
            ),
            ("audiolevelobserver.volumes".to_owned(), volumes),
        ]
    );
}
