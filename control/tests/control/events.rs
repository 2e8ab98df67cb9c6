//! `/v1/events`.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};
use weirgate_wire::{AudioLevel, Event, IceState, Layers, Tuple, VideoOrientation};

use crate::support::{
    PATIENCE,
    media::{Call, simulcast},
    server::{Control, Host},
};

/// Reads a WebSocket until an event of that name.
async fn find(
    stream: &mut (impl StreamExt<Item = Result<Message, impl std::fmt::Debug>> + Unpin),
    name: &str,
) -> Value {
    loop {
        let message = timeout(PATIENCE, stream.next()).await.expect(name);
        if let Some(Ok(Message::Text(text))) = message {
            let event: Value = serde_json::from_str(&text).unwrap();
            assert!(event["data"].is_object(), "{event}");
            if event["event"] == name {
                return event;
            }
        }
    }
}

fn url(control: &Control, query: &str) -> String {
    format!("ws://{}/v1/events{query}", control.address)
}

#[tokio::test]
async fn everything_that_happens_is_told() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let (mut events, _) = connect_async(url(&control, "")).await.unwrap();
    let call = Call::new(&control).await;
    let made = find(&mut events, "worker.newrouter").await;
    assert_eq!(made["routerId"], call.router);
    assert!(made["seq"].is_u64() && made["time"].is_u64());
    let made = find(&mut events, "transport.newconsumer").await;
    assert_eq!(made["consumerId"], call.consumer);

    let [transport, producer, consumer] =
        [&call.sending, &call.producer, &call.consumer].map(|id| id.parse().unwrap());
    let tuple = Tuple {
        local: "127.0.0.1:1".parse().unwrap(),
        remote: "127.0.0.1:2".parse().unwrap(),
    };
    host.engine.say(Event::Ice {
        transport,
        state: IceState::Completed,
        tuple: Some(tuple),
    });
    let selected = find(&mut events, "transport.iceselectedtuplechange").await;
    assert_eq!(selected["data"]["iceSelectedTuple"]["remotePort"], 2);
    let ice = find(&mut events, "transport.icestatechange").await;
    assert_eq!(ice["data"], json!({ "iceState": "completed" }));
    host.engine.say(Event::ProducerScore {
        producer,
        scores: vec![(1000, None, 7)],
    });
    let score = find(&mut events, "producer.score").await;
    let wanted = json!([{ "encodingIdx": 0, "ssrc": 1000, "score": 7 }]);
    assert_eq!(score["data"]["score"], wanted);
    let path = format!("/v1/producers/{}", call.producer);
    let streams = &control.get(&path).await.ok(200)["rtpStreams"];
    assert_eq!(streams.as_array().map(Vec::len), Some(1));
    assert_eq!(streams[0]["score"], 7);
    let params = &streams[0]["params"];
    assert_eq!(
        (&params["ssrc"], &params["encodingIdx"]),
        (&json!(1000), &json!(0))
    );
    host.engine.say(Event::ProducerOrientation {
        producer,
        orientation: VideoOrientation {
            camera: true,
            flip: false,
            rotation: 270,
        },
    });
    let turned = find(&mut events, "producer.videoorientationchange").await;
    assert_eq!(turned["producerId"], *call.producer);
    let wanted = json!({ "camera": true, "flip": false, "rotation": 270 });
    assert_eq!(turned["data"], wanted);
    host.engine.say(Event::ConsumerScore {
        consumer,
        score: 9,
        producer_score: 8,
    });
    let score = find(&mut events, "consumer.score").await;
    let wanted = json!({ "score": 9, "producerScore": 8, "producerScores": [7] });
    assert_eq!(score["data"]["score"], wanted);
    host.engine.say(Event::ConsumerLayers {
        consumer,
        layers: Some(Layers {
            spatial: 1,
            temporal: 0,
        }),
    });
    let layers = find(&mut events, "consumer.layerschange").await;
    let wanted = json!({ "spatialLayer": 1, "temporalLayer": 0 });
    assert_eq!(layers["data"]["layers"], wanted);
    host.engine.say(Event::AudioLevels(vec![AudioLevel {
        producer,
        dbov: -20,
        peak_dbov: -20,
    }]));

    control
        .delete(&format!("/v1/producers/{}", call.producer))
        .await
        .ok(204);
    let closed = find(&mut events, "consumer.producerclose").await;
    assert_eq!(closed["consumerId"], call.consumer);
    let closed = find(&mut events, "producer.close").await;
    assert_eq!(closed["producerId"], call.producer);
    control
        .delete(&format!("/v1/routers/{}", call.router))
        .await
        .ok(204);
    let closed = find(&mut events, "transport.routerclose").await;
    assert_eq!(closed["routerId"], call.router);
    find(&mut events, "router.close").await;
}

#[tokio::test]
async fn scores_keep_to_their_encodings() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::with(&control, simulcast(&["lo", "hi"])).await;
    let (mut events, _) = connect_async(url(&control, "")).await.unwrap();
    // Nothing has come of the first yet.
    host.engine.say(Event::ProducerScore {
        producer: call.producer.parse().unwrap(),
        scores: vec![(0, Some("lo".to_owned()), 0), (7, Some("hi".to_owned()), 9)],
    });
    let told = find(&mut events, "producer.score").await;
    let wanted = json!([{ "encodingIdx": 1, "ssrc": 7, "rid": "hi", "score": 9 }]);
    assert_eq!(told["data"]["score"], wanted);
    let consumer = control
        .get(&format!("/v1/consumers/{}", call.consumer))
        .await
        .ok(200);
    assert_eq!(consumer["score"]["producerScores"], json!([0, 9]));
}

#[tokio::test]
async fn a_listener_goes_on_where_it_was() {
    let host = Host::new();
    let control = host.control(&[]).await;
    Call::new(&control).await;
    let (mut first, _) = connect_async(url(&control, "?since=0")).await.unwrap();
    let seq = find(&mut first, "router.newtransport").await["seq"]
        .as_u64()
        .unwrap();
    drop(first);
    let query = format!("?since={seq}");
    let (mut second, _) = connect_async(url(&control, &query)).await.unwrap();
    let Some(Ok(Message::Text(text))) = second.next().await else {
        panic!("no event");
    };
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["seq"], seq + 1);
}

#[tokio::test]
async fn numbers_go_on_after_a_restart() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let (mut events, _) = connect_async(url(&control, "?since=0")).await.unwrap();
    let before = find(&mut events, "transport.newconsumer").await["seq"]
        .as_u64()
        .unwrap();
    control.kill().await;
    let control = host.control(&[]).await;
    let query = format!("?since={before}");
    let (mut events, _) = connect_async(url(&control, &query)).await.unwrap();
    control
        .delete(&format!("/v1/routers/{}", call.router))
        .await
        .ok(204);
    let lost = find(&mut events, "events.lost").await;
    assert_eq!(lost["data"]["from"], before + 1);
    let after = find(&mut events, "router.close").await["seq"]
        .as_u64()
        .unwrap();
    assert!(after > lost["data"]["to"].as_u64().unwrap());
}

#[tokio::test]
async fn as_server_sent_events() {
    let host = Host::new();
    let control = host.control(&[]).await;
    Call::new(&control).await;
    let stream = TcpStream::connect(control.address).await.unwrap();
    let mut stream = BufReader::new(stream);
    let head = format!(
        "GET /v1/events?since=0 HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
        control.address
    );
    stream.get_mut().write_all(head.as_bytes()).await.unwrap();
    let mut lines = stream.lines();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let line = timeout(PATIENCE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        if line.starts_with("id: ")
            || line.starts_with("data: ")
            || line.starts_with("content-type")
        {
            seen.push(line);
        }
    }
    assert!(seen[0].contains("text/event-stream"), "{seen:?}");
    assert!(seen.iter().any(|line| line == "id: 1"), "{seen:?}");
    let data = seen
        .iter()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!(event["event"], "worker.newrouter");
}

#[tokio::test]
async fn what_is_neither() {
    let host = Host::new();
    let control = host.control(&[]).await;
    control.get("/v1/events").await.error(400, "bad_request");
    let field = control
        .get("/v1/events?since=x")
        .await
        .error(400, "bad_request");
    assert_eq!(field.as_deref(), Some("since"));
    let field = control.get("/v1/events?since=1&since=2").await;
    assert_eq!(field.error(400, "bad_request").as_deref(), Some("since"));
}
