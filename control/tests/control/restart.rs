//! A control that dies costs nothing: the next one finds everything with the engine.

use serde_json::json;
use weirgate_wire::Request;

use crate::support::{
    media::{Call, id, opus, simulcast},
    server::{Control, Host},
};

async fn dumps(control: &Control, call: &Call) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for path in [
        format!("/v1/routers/{}", call.router),
        format!("/v1/transports/{}", call.sending),
        format!("/v1/transports/{}", call.receiving),
        format!("/v1/producers/{}", call.producer),
        format!("/v1/consumers/{}", call.consumer),
    ] {
        all.push(control.get(&path).await.ok(200));
    }
    all
}

#[tokio::test]
async fn every_object_is_as_it_was() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::with(&control, simulcast(&["l", "h"])).await;
    let consumer = format!("/v1/consumers/{}", call.consumer);
    control
        .post_bytes(&format!("{consumer}/pause"), b"")
        .await
        .ok(204);
    let layers = json!({ "spatialLayer": 0, "temporalLayer": 1 });
    control
        .post(&format!("{consumer}/preferred-layers"), layers)
        .await
        .ok(200);
    control
        .post(&format!("{consumer}/priority"), json!({ "priority": 9 }))
        .await
        .ok(200);
    control
        .post_bytes(&format!("/v1/producers/{}/pause", call.producer), b"")
        .await
        .ok(204);
    let limit = format!("/v1/transports/{}/max-incoming-bitrate", call.sending);
    control
        .post(&limit, json!({ "bitrate": 123_456 }))
        .await
        .ok(204);
    let plain = json!({ "type": "plain", "enableSrtp": true, "rtcpMux": false });
    let path = format!("/v1/routers/{}/transports", call.router);
    let plain = id(&control.post(&path, plain).await.ok(201));
    let plain_path = format!("/v1/transports/{plain}");
    let plain_before = control.get(&plain_path).await.ok(200);
    let before = dumps(&control, &call).await;
    control.kill().await;

    for _ in 0..3 {
        let control = host.control(&[]).await;
        assert_eq!(dumps(&control, &call).await, before);
        assert_eq!(control.get(&plain_path).await.ok(200), plain_before);
        let stats = control
            .get(&format!("/v1/transports/{}/stats", call.sending))
            .await
            .ok(200);
        assert_eq!(stats[0]["maxIncomingBitrate"], 123_456);
        control.kill().await;
    }
}

#[tokio::test]
async fn the_new_control_goes_on() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let consume = format!("/v1/transports/{}/consumers", call.receiving);
    let body = json!({ "producerId": call.producer, "rtpCapabilities": call.capabilities });
    let second = control.post(&consume, body.clone()).await.ok(201);
    assert_eq!(second["rtpParameters"]["mid"], "1");
    control
        .delete(&format!("/v1/consumers/{}", id(&second)))
        .await
        .ok(204);
    control.kill().await;

    let control = host.control(&[]).await;
    let mid = async |control: &Control| {
        let made = control.post(&consume, body.clone()).await.ok(201);
        let mid: u32 = made["rtpParameters"]["mid"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        mid
    };
    let first = mid(&control).await;
    assert!(first > 1, "MID {first} was in use before");
    let produce = format!("/v1/transports/{}/producers", call.sending);
    let audio = json!({ "kind": "audio", "rtpParameters": opus(77) });
    let made = control.post(&produce, audio).await.ok(201);
    let video = control
        .get(&format!("/v1/producers/{}", call.producer))
        .await
        .ok(200);
    assert_eq!(
        made["rtpParameters"]["rtcp"]["cname"], video["rtpParameters"]["rtcp"]["cname"],
        "the CNAME is the transport's still"
    );
    for _ in 0..70 {
        mid(&control).await;
    }
    let last = mid(&control).await;
    control.kill().await;
    let control = host.control(&[]).await;
    assert!(mid(&control).await > last);
}

#[tokio::test]
async fn what_cannot_be_read_is_closed() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    control
        .service
        .engine
        .request(
            Request::SetBlob {
                kind: weirgate_wire::ObjectKind::Transport,
                id: call.sending.parse().unwrap(),
                blob: b"nonsense".to_vec(),
            },
            |_| Ok(()),
        )
        .await
        .unwrap();
    control.kill().await;
    let control = host.control(&[]).await;
    control
        .get(&format!("/v1/transports/{}", call.sending))
        .await
        .error(404, "not_found");
    control
        .get(&format!("/v1/producers/{}", call.producer))
        .await
        .error(404, "not_found");
    control
        .get(&format!("/v1/transports/{}", call.receiving))
        .await
        .ok(200);
    crate::support::eventually("the close", async || {
        host.engine
            .object(call.sending.parse().unwrap())
            .is_none()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_an_engine_that_a_control_has_started_ends_with_one() {
    let started = "control/started-engine";
    for (note, flags, ends) in [
        (None, &[][..], false),
        (Some(started), &[], true),
        (Some(started), &["--keep-engine"], false),
    ] {
        let host = Host::new();
        if let Some(note) = note {
            host.engine.put_note(note);
        }
        // Also where the one that started it was killed.
        host.control(flags).await.kill().await;
        host.control(flags).await.terminate().await;
        assert_eq!(host.engine.is_shut_down(), ends, "{note:?} {flags:?}");
    }
}
