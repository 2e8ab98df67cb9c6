//! What routers offer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::json;
use support::router;
use weirgate_ortc::{
    RtpHeaderExtensionDirection, parse_rtp_capabilities, supported_rtp_capabilities,
};

#[test]
fn the_default_router_is_as_before() {
    insta::assert_json_snapshot!(router());
}

#[test]
fn everything_supported_is_as_before() {
    let lines: Vec<String> = supported_rtp_capabilities()
        .codecs
        .iter()
        .map(|codec| {
            format!(
                "{} {} {} {:?}",
                codec.mime_type,
                codec.clock_rate,
                codec.channels.unwrap_or(0),
                codec.preferred_payload_type
            )
        })
        .collect();
    insta::assert_json_snapshot!(lines);
}

#[test]
fn a_routers_capabilities_are_valid_capabilities() {
    let json = serde_json::to_value(router()).unwrap();
    assert_eq!(parse_rtp_capabilities(&json).unwrap(), router());
}

#[test]
fn extension_ids_are_unique_per_kind() {
    let extensions = router().header_extensions;
    for (index, one) in extensions.iter().enumerate() {
        assert!(
            (1..=14).contains(&one.preferred_id),
            "fits the one-byte form"
        );
        for other in &extensions[index + 1..] {
            assert!(
                one.kind != other.kind
                    || (one.preferred_id != other.preferred_id && one.uri != other.uri)
            );
            assert_eq!(one.uri == other.uri, one.preferred_id == other.preferred_id);
        }
    }
}

#[test]
fn what_clients_leave_out_is_filled_in() {
    let capabilities = parse_rtp_capabilities(&json!({
        "codecs": [
            {"mimeType": "AUDIO/opus", "clockRate": 48000, "parameters": null, "new": {"a": 1}},
            {"kind": "audio", "mimeType": "video/VP8", "clockRate": 90000, "channels": 2},
        ],
        "headerExtensions": [{"kind": "audio", "uri": "urn:x", "preferredId": 1}],
        "fecMechanisms": [],
    }))
    .unwrap();
    assert_eq!(capabilities.codecs[0].channels, Some(1));
    assert_eq!(capabilities.codecs[1].kind, weirgate_ortc::MediaKind::Video);
    assert_eq!(capabilities.codecs[1].channels, None);
    let extension = &capabilities.header_extensions[0];
    assert_eq!(extension.direction, RtpHeaderExtensionDirection::Sendrecv);
    let empty = parse_rtp_capabilities(&json!({})).unwrap();
    assert!(empty.codecs.is_empty() && empty.header_extensions.is_empty());
}

#[test]
fn errors_name_the_field() {
    for (json, field) in [
        (json!([]), "rtpCapabilities"),
        (json!({"codecs": {}}), "rtpCapabilities.codecs"),
        (
            json!({"codecs": [{"clockRate": 1}]}),
            "rtpCapabilities.codecs[0]",
        ),
        (
            json!({"codecs": [{"mimeType": 1, "clockRate": 1}]}),
            "rtpCapabilities.codecs[0].mimeType",
        ),
        (
            json!({"codecs": [{"mimeType": "video/", "clockRate": 1}]}),
            "rtpCapabilities.codecs[0].mimeType",
        ),
        (
            json!({"codecs": [{"mimeType": "text/x", "clockRate": 1}]}),
            "rtpCapabilities.codecs[0].mimeType",
        ),
        (
            json!({"codecs": [{"mimeType": "video/a\nb", "clockRate": 1}]}),
            "rtpCapabilities.codecs[0].mimeType",
        ),
        (
            json!({"codecs": [{"mimeType": "video/x", "clockRate": 0}]}),
            "rtpCapabilities.codecs[0].clockRate",
        ),
        (
            json!({"codecs": [{"mimeType": "video/x", "clockRate": 1, "preferredPayloadType": 128}]}),
            "rtpCapabilities.codecs[0].preferredPayloadType",
        ),
        (
            json!({"codecs": [{"mimeType": "video/x", "clockRate": 1, "parameters": {"a": true}}]}),
            "rtpCapabilities.codecs[0].parameters.a",
        ),
        (
            json!({"codecs": [{"mimeType": "video/x", "clockRate": 1, "parameters": {"apt": "1"}}]}),
            "rtpCapabilities.codecs[0].parameters.apt",
        ),
        (
            json!({"codecs": [{"mimeType": "video/x", "clockRate": 1, "rtcpFeedback": [{"type": ""}]}]}),
            "rtpCapabilities.codecs[0].rtcpFeedback[0].type",
        ),
        (
            json!({"headerExtensions": [{"kind": "x", "uri": "u", "preferredId": 1}]}),
            "rtpCapabilities.headerExtensions[0].kind",
        ),
        (
            json!({"headerExtensions": [{"kind": "audio", "uri": "u", "preferredId": 0}]}),
            "rtpCapabilities.headerExtensions[0].preferredId",
        ),
    ] {
        let error = parse_rtp_capabilities(&json).unwrap_err();
        assert_eq!(error.field(), field, "{json}: {error}");
    }
}
