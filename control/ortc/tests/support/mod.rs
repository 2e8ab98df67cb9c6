//! A router, clients and the way a call takes through this crate.
#![allow(dead_code, reason = "not every test file uses everything")]

use serde_json::{Value, json};
use weirgate_ortc::{
    ConsumerOptions, MediaKind, OrtcError, RtpCapabilities, RtpMapping, RtpParameters,
    complete_producer_rtp_parameters, consumable_rtp_parameters, consumer_rtp_parameters,
    default_media_codecs, generate_router_rtp_capabilities, parse_rtp_capabilities,
    parse_rtp_parameters, producer_rtp_mapping,
};

pub(crate) const WITH_RTX: ConsumerOptions = ConsumerOptions {
    pipe: false,
    enable_rtx: true,
};

pub(crate) const WITHOUT_RTX: ConsumerOptions = ConsumerOptions {
    pipe: false,
    enable_rtx: false,
};

pub(crate) fn router() -> RtpCapabilities {
    generate_router_rtp_capabilities(&default_media_codecs()).unwrap()
}

/// What Chromium tells of itself.
pub(crate) fn chrome_native() -> Value {
    serde_json::from_str(include_str!("../fixtures/chrome_native.json")).unwrap()
}

/// What mediasoup-client makes of that and the default router: what it sends with `consume`.
pub(crate) fn chrome() -> RtpCapabilities {
    let json = include_str!("../fixtures/chrome_recv.json");
    parse_rtp_capabilities(&serde_json::from_str(json).unwrap()).unwrap()
}

/// A producer as control makes it.
pub(crate) struct Producer {
    pub(crate) kind: MediaKind,
    pub(crate) rtp_parameters: RtpParameters,
    pub(crate) mapping: RtpMapping,
    pub(crate) consumable: RtpParameters,
}

pub(crate) fn produce(kind: MediaKind, json: &Value) -> Result<Producer, OrtcError> {
    produce_at(&router(), kind, json)
}

pub(crate) fn produce_at(
    router: &RtpCapabilities,
    kind: MediaKind,
    json: &Value,
) -> Result<Producer, OrtcError> {
    let mut rtp_parameters = parse_rtp_parameters(json)?;
    complete_producer_rtp_parameters(&mut rtp_parameters, None, "generated");
    let mapping = producer_rtp_mapping(&rtp_parameters, router)?;
    let consumable = consumable_rtp_parameters(kind, &rtp_parameters, router, &mapping);
    Ok(Producer {
        kind,
        rtp_parameters,
        mapping,
        consumable,
    })
}

pub(crate) fn consume(
    producer: &Producer,
    capabilities: &RtpCapabilities,
    options: ConsumerOptions,
) -> Result<RtpParameters, OrtcError> {
    let mut next = 5000;
    consumer_rtp_parameters(&producer.consumable, capabilities, options, &mut || {
        next += 1;
        next
    })
}

/// Chrome's opus.
pub(crate) fn opus() -> Value {
    json!({
        "mid": "0",
        "msid": "stream track",
        "codecs": [{
            "mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
            "parameters": {"minptime": 10, "useinbandfec": 1},
            "rtcpFeedback": [{"type": "transport-cc"}, {"type": "nack"}],
        }],
        "headerExtensions": [
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4},
            {"uri": "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", "id": 2},
            {"uri": "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "id": 1},
        ],
        "encodings": [{"ssrc": 1111, "dtx": false}],
        "rtcp": {"cname": "chrome", "reducedSize": true},
    })
}

/// A router that was asked for RED too.
pub(crate) fn red_router() -> RtpCapabilities {
    let mut codecs = default_media_codecs();
    let red = json!({"mimeType": "audio/red", "clockRate": 48000, "channels": 2});
    codecs.push(serde_json::from_value(red).unwrap());
    generate_router_rtp_capabilities(&codecs).unwrap()
}

/// Chrome's opus, in RED where it has something to repeat.
pub(crate) fn opus_in_red() -> Value {
    let mut json = opus();
    let red = json!({
        "mimeType": "audio/red", "payloadType": 63, "clockRate": 48000, "channels": 2,
        "parameters": {"111/111": ""}, "rtcpFeedback": [{"type": "transport-cc"}],
    });
    json["codecs"].as_array_mut().unwrap().insert(0, red);
    json
}

/// One of Chrome's video codecs with RTX.
pub(crate) fn video(mime_type: &str, fmtp: Value, encodings: Value) -> Value {
    json!({
        "mid": "1",
        "msid": "stream track",
        "codecs": [
            {
                "mimeType": mime_type, "payloadType": 96, "clockRate": 90000, "parameters": fmtp,
                "rtcpFeedback": [
                    {"type": "goog-remb"}, {"type": "transport-cc"},
                    {"type": "ccm", "parameter": "fir"},
                    {"type": "nack"}, {"type": "nack", "parameter": "pli"},
                ],
            },
            {
                "mimeType": "video/rtx", "payloadType": 97, "clockRate": 90000,
                "parameters": {"apt": 96}, "rtcpFeedback": [],
            },
        ],
        "headerExtensions": [
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4},
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": 10},
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", "id": 11},
            {"uri": "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", "id": 2},
            {"uri": "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
             "id": 3},
            {"uri": "urn:3gpp:video-orientation", "id": 13},
            {"uri": "urn:ietf:params:rtp-hdrext:toffset", "id": 14},
            {"uri": "https://example.org/unknown", "id": 15},
        ],
        "encodings": encodings,
        "rtcp": {"cname": "chrome", "reducedSize": true},
    })
}

/// Three simulcast streams, told apart by RID.
pub(crate) fn simulcast() -> Value {
    json!([
        {"rid": "r0", "scalabilityMode": "L1T3", "maxBitrate": 100_000},
        {"rid": "r1", "scalabilityMode": "L1T3", "maxBitrate": 300_000},
        {"rid": "r2", "scalabilityMode": "L1T3", "maxBitrate": 900_000},
    ])
}
