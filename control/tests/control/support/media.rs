//! What clients send of RTP, as JSON.

use serde_json::{Value, json};

use super::server::Control;

pub(crate) fn opus(ssrc: u32) -> Value {
    json!({
        "mid": ssrc.to_string(),
        "codecs": [{
            "mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
            "parameters": { "useinbandfec": 1 },
            "rtcpFeedback": [{ "type": "transport-cc" }],
        }],
        "headerExtensions": [{ "uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4 }],
        "encodings": [{ "ssrc": ssrc }],
        "rtcp": { "cname": "a-cname" },
    })
}

pub(crate) fn vp8(ssrc: u32) -> Value {
    let mut parameters = simulcast(&[]);
    parameters["mid"] = json!(ssrc.to_string());
    parameters["encodings"] = json!([{ "ssrc": ssrc, "rtx": { "ssrc": ssrc + 1 } }]);
    parameters
}

/// VP8 with a stream per RID.
pub(crate) fn simulcast(rids: &[&str]) -> Value {
    let encodings: Vec<_> = rids
        .iter()
        .map(|rid| json!({ "rid": rid, "scalabilityMode": "L1T3" }))
        .collect();
    json!({
        "mid": "v",
        "codecs": [
            {
                "mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000,
                "rtcpFeedback": [
                    { "type": "nack" }, { "type": "nack", "parameter": "pli" },
                    { "type": "transport-cc" },
                ],
            },
            {
                "mimeType": "video/rtx", "payloadType": 97, "clockRate": 90000,
                "parameters": { "apt": 96 },
            },
        ],
        "headerExtensions": [
            { "uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4 },
            { "uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": 10 },
        ],
        "encodings": encodings,
    })
}

pub(crate) fn dtls_parameters(role: &str) -> Value {
    let value = vec!["AB"; 32].join(":");
    json!({ "role": role, "fingerprints": [{ "algorithm": "sha-256", "value": value }] })
}

/// Ids of a router with a sending and a receiving transport, one producer and one consumer.
pub(crate) struct Call {
    pub(crate) router: String,
    pub(crate) capabilities: Value,
    pub(crate) sending: String,
    pub(crate) receiving: String,
    pub(crate) producer: String,
    pub(crate) consumer: String,
}

pub(crate) fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

impl Call {
    /// Made through the HTTP API with this video.
    pub(crate) async fn with(control: &Control, rtp_parameters: Value) -> Self {
        let router = control.post("/v1/routers", json!({})).await.ok(201);
        let transports = format!("/v1/routers/{}/transports", id(&router));
        let webrtc = json!({ "type": "webrtc" });
        let sending = id(&control.post(&transports, webrtc.clone()).await.ok(201));
        let receiving = id(&control.post(&transports, webrtc).await.ok(201));
        let body = json!({ "kind": "video", "rtpParameters": rtp_parameters });
        let path = format!("/v1/transports/{sending}/producers");
        let producer = id(&control.post(&path, body).await.ok(201));
        let capabilities = router["rtpCapabilities"].clone();
        let body = json!({ "producerId": producer, "rtpCapabilities": capabilities });
        let path = format!("/v1/transports/{receiving}/consumers");
        let consumer = id(&control.post(&path, body).await.ok(201));
        Self {
            router: id(&router),
            capabilities,
            sending,
            receiving,
            producer,
            consumer,
        }
    }

    pub(crate) async fn new(control: &Control) -> Self {
        Self::with(control, vp8(1000)).await
    }
}
