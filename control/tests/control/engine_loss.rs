//! An engine that dies takes everything along; control says so and goes on with the next one.

use serde_json::json;

use crate::support::{
    eventually, fake_engine::FakeEngine, media::Call, server::Host, signaling::Client,
};

#[tokio::test]
async fn nothing_is_left_of_the_old_engine() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let mut ann = Client::connect(&control).await;
    let joined = ann.ok("join", json!({ "roomId": "r" })).await;
    let made = ann
        .ok("createTransport", json!({ "direction": "send" }))
        .await;

    let socket = host.socket();
    let Host { dir, engine } = host;
    engine.kill().await;
    eventually("not ready", async || {
        (control.get("/readyz").await.status == 503).then_some(())
    })
    .await;
    control
        .get("/readyz")
        .await
        .error(503, "engine_unavailable");
    assert_eq!(control.get("/livez").await.status, 200);
    control
        .post("/v1/routers", json!({}))
        .await
        .error(503, "engine_unavailable");
    control
        .get("/v1/engine")
        .await
        .error(503, "engine_unavailable");
    let figures = control.get("/metrics").await;
    assert!(figures.text.contains("weirgate_engine_up 0.0"));
    let (code, _) = ann
        .refused("createTransport", json!({ "direction": "recv" }))
        .await;
    assert_eq!(code, "engine_unavailable");

    let engine = FakeEngine::start(&socket, 2);
    let closed = ann.event("transportClosed").await;
    assert_eq!(closed["transportId"], made["id"]);
    ann.closed().await;
    eventually("ready", async || {
        (control.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    control
        .get(&format!("/v1/routers/{}", call.router))
        .await
        .error(404, "not_found");
    assert_eq!(control.get("/v1/rooms").await.ok(200), json!([]));
    let figures = control.get("/metrics").await;
    assert!(figures.text.contains("weirgate_engine_restarts_total 1.0"));

    let mut ann = Client::connect(&control).await;
    let join = json!({ "roomId": "r", "resumeToken": joined["resumeToken"] });
    let again = ann.ok("join", join).await;
    assert_eq!(again["resumed"], false);
    ann.ok("createTransport", json!({ "direction": "send" }))
        .await;
    assert_eq!(engine.objects().len(), 2);
    drop(dir);
}

#[tokio::test]
async fn event_numbers_are_reserved_with_the_new_engine() {
    let host = Host::new();
    let control = host.control(&[]).await;
    Call::new(&control).await;
    let latest = control.service.events.latest();
    let socket = host.socket();
    let Host { dir, engine } = host;
    engine.kill().await;
    let engine = FakeEngine::start(&socket, 2);
    let reserved = eventually("the note", async || {
        engine.notes().get("control/events").cloned()
    })
    .await;
    let reserved = u64::from_be_bytes(reserved.try_into().unwrap());
    assert!(reserved > latest);
    drop((dir, control));
}
