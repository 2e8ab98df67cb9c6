//! Trace events: asked for, told, kept over a restart.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};
use uuid::Uuid;
use weirgate_wire::{
    Event, ObjectKind, Request, Trace, TraceDirection, TraceInfo, TraceType, TracedEstimate,
    TracedPacket, TracedReport,
};

use crate::support::{
    PATIENCE,
    media::{Call, simulcast},
    server::{Control, Host},
};

async fn enable(control: &Control, object: &str, types: Value) {
    let path = format!("/v1/{object}/enable-trace-event");
    control.post(&path, json!({ "types": types })).await.ok(204);
}

async fn traced(control: &Control, object: &str) -> Value {
    control.get(&format!("/v1/{object}")).await.ok(200)["traceEventTypes"].clone()
}

fn trace(kind: ObjectKind, id: &str, direction: TraceDirection, info: TraceInfo) -> Trace {
    Trace {
        kind,
        id: id.parse().unwrap(),
        unix_ms: 1_234,
        direction,
        info,
        dropped: 0,
    }
}

const PACKET: TracedPacket = TracedPacket {
    payload_type: 96,
    sequence_number: 65_535,
    timestamp: 9_000,
    marker: true,
    ssrc: 1_000,
    is_key_frame: true,
    size: 1_100,
    payload_size: 1_080,
    spatial_layer: 2,
    temporal_layer: 1,
    wide_sequence_number: Some(7),
    is_rtx: false,
    encoding: 1,
};

#[tokio::test]
async fn what_is_asked_for_is_shown_and_outlives_control() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let objects = [
        (
            format!("transports/{}", call.sending),
            json!(["probation", "bwe"]),
        ),
        (
            format!("producers/{}", call.producer),
            json!(["rtp", "keyframe", "nack", "pli", "fir", "sr"]),
        ),
        (
            format!("consumers/{}", call.consumer),
            json!(["rtp", "keyframe", "nack", "pli", "fir"]),
        ),
    ];
    for (object, types) in &objects {
        assert_eq!(traced(&control, object).await, json!([]));
        enable(&control, object, types.clone()).await;
        assert_eq!(traced(&control, object).await, *types);
    }
    control.kill().await;
    let control = host.control(&[]).await;
    for (object, types) in &objects {
        assert_eq!(traced(&control, object).await, *types);
        enable(&control, object, json!([])).await;
        assert_eq!(traced(&control, object).await, json!([]));
    }
    let producer = &objects[1].0;
    enable(&control, producer, json!(["sr"])).await;
    let path = format!("/v1/{producer}/enable-trace-event");
    control.post(&path, json!({})).await.ok(204);
    assert_eq!(traced(&control, producer).await, json!([]), "none is none");
}

#[tokio::test]
async fn unknown_types_and_objects_are_refused_by_name() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    for (object, bad) in [
        (format!("transports/{}", call.sending), "rtp"),
        (format!("producers/{}", call.producer), "bwe"),
        (format!("consumers/{}", call.consumer), "sr"),
    ] {
        let path = format!("/v1/{object}/enable-trace-event");
        let body = json!({ "types": [bad] });
        let answer = control.post(&path, body).await;
        assert_eq!(answer.error(400, "bad_request").unwrap(), "types[0]");
        assert!(answer.text.contains(bad), "{}", answer.text);
        let answer = control.post(&path, json!({ "type": [] })).await;
        assert!(answer.error(400, "bad_request").is_some());
    }
    let set = |request: &Request| matches!(request, Request::SetTrace { .. });
    assert!(!host.engine.requests().iter().any(set));
    let path = format!("/v1/producers/{}/enable-trace-event", Uuid::new_v4());
    let answer = control.post(&path, json!({ "types": ["sr"] })).await;
    answer.error(404, "not_found");
}

#[tokio::test]
async fn traces_have_mediasoups_shape() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::with(&control, simulcast(&["lo", "hi"])).await;
    let url = format!("ws://{}/v1/events", control.address);
    let (mut events, _) = connect_async(url).await.unwrap();
    let packet = |rid: Value, rrid: Value, mid: Value| {
        json!({
            "payloadType": 96, "sequenceNumber": 65_535, "timestamp": 9_000, "marker": true,
            "ssrc": 1_000, "isKeyFrame": true, "size": 1_100, "payloadSize": 1_080,
            "spatialLayer": 2, "temporalLayer": 1, "wideSequenceNumber": 7,
            "mid": mid, "rid": rid, "rrid": rrid,
        })
    };
    let (inward, outward) = (TraceDirection::In, TraceDirection::Out);
    let producer = |direction, info| trace(ObjectKind::Producer, &call.producer, direction, info);
    let consumer = |direction, info| trace(ObjectKind::Consumer, &call.consumer, direction, info);
    let transport = |info| trace(ObjectKind::Transport, &call.sending, outward, info);
    let rtx = TracedPacket {
        is_rtx: true,
        ..PACKET
    };
    let report = TracedReport {
        ssrc: 1,
        ntp: (2 << 32) | 3,
        rtp: 4,
        packets: 5,
        octets: 6,
    };
    let estimate = TracedEstimate {
        desired_bps: 1,
        effective_desired_bps: 2,
        min_bps: 3,
        max_bps: 4,
        start_bps: 5,
        max_padding_bps: 6,
        available_bps: 7,
        by_transport_cc: true,
    };
    let none = Value::Null;
    let cases = [
        (
            producer(inward, TraceInfo::KeyFrame(PACKET)),
            json!({
                "rtpPacket": packet(json!("hi"), none.clone(), json!("v")), "isRtx": false
            }),
        ),
        (
            producer(inward, TraceInfo::Rtp(rtx)),
            json!({ "rtpPacket": packet(none.clone(), json!("hi"), json!("v")), "isRtx": true }),
        ),
        (
            producer(inward, TraceInfo::Sr(report)),
            json!({
                "ssrc": 1, "ntpSec": 2, "ntpFrac": 3, "rtpTs": 4, "packetCount": 5, "octetCount": 6
            }),
        ),
        (
            producer(outward, TraceInfo::Pli { ssrc: 9 }),
            json!({ "ssrc": 9 }),
        ),
        (
            consumer(outward, TraceInfo::Rtp(PACKET)),
            json!({ "rtpPacket": packet(none.clone(), none.clone(), json!("0")), "isRtx": false }),
        ),
        (
            consumer(
                inward,
                TraceInfo::Nack {
                    ssrc: 9,
                    packets: 3,
                },
            ),
            json!({ "ssrc": 9, "packetCount": 3 }),
        ),
        (
            consumer(inward, TraceInfo::Fir { ssrc: 9 }),
            json!({ "ssrc": 9 }),
        ),
        (
            transport(TraceInfo::Bwe(estimate)),
            json!({
                "bweType": "transport-cc", "desiredBitrate": 1, "effectiveDesiredBitrate": 2,
                "minBitrate": 3, "maxBitrate": 4, "startBitrate": 5, "maxPaddingBitrate": 6,
                "availableBitrate": 7,
            }),
        ),
        (
            transport(TraceInfo::Probation(PACKET)),
            json!({
                "rtpPacket": packet(none.clone(), none.clone(), none.clone()), "isRtx": false
            }),
        ),
    ];
    for (mut trace, info) in cases {
        trace.dropped = u32::from(trace.info.trace_type() == TraceType::Bwe);
        host.engine.say(Event::Trace(trace));
        let event = next_trace(&mut events).await;
        let (name, field, id) = match trace.kind {
            ObjectKind::Producer => ("producer.trace", "producerId", &call.producer),
            ObjectKind::Consumer => ("consumer.trace", "consumerId", &call.consumer),
            _ => ("transport.trace", "transportId", &call.sending),
        };
        assert_eq!(event["event"], name);
        assert_eq!(event[field], *id);
        let data = &event["data"];
        assert_eq!(data["type"], trace.info.trace_type().name());
        let direction = match trace.direction {
            TraceDirection::In => "in",
            TraceDirection::Out => "out",
        };
        assert_eq!(data["direction"], direction);
        assert_eq!(data["timestamp"], 1_234);
        assert_eq!(data["info"], info);
        assert_eq!(
            data["dropped"].as_u64().unwrap_or(0),
            u64::from(trace.dropped)
        );
    }
}

async fn next_trace(
    events: &mut (impl StreamExt<Item = Result<Message, impl std::fmt::Debug>> + Unpin),
) -> Value {
    loop {
        let message = timeout(PATIENCE, events.next()).await.expect("a trace");
        if let Some(Ok(Message::Text(text))) = message {
            let event: Value = serde_json::from_str(&text).unwrap();
            if event["event"].as_str().unwrap().ends_with(".trace") {
                return event;
            }
        }
    }
}
