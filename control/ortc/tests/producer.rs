//! Producers: validation, mapping, types, and what consumers could take of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{opus, produce, router, simulcast, video};
use weirgate_ortc::{
    CodecMapping, MediaKind, OrtcError, ProducerType, complete_producer_rtp_parameters,
    parse_rtp_parameters, producer_rtp_mapping, producer_type,
};

fn type_of(json: &Value) -> Result<ProducerType, OrtcError> {
    produce(MediaKind::Video, json).and_then(|producer| producer_type(&producer.rtp_parameters))
}

#[test]
fn payload_types_map_to_the_routers() {
    for (mime_type, fmtp, media, rtx) in [
        ("video/VP8", json!({}), 101, 102),
        ("video/VP9", json!({}), 103, 104),
        ("video/VP9", json!({"profile-id": 2}), 105, 106),
        (
            "video/h264",
            json!({"packetization-mode": 1, "profile-level-id": "42c01e"}),
            107,
            108,
        ),
        (
            "video/H264",
            json!({"packetization-mode": 1, "profile-level-id": "4d0028"}),
            109,
            110,
        ),
        ("video/AV1", json!({}), 111, 112),
    ] {
        let producer = produce(MediaKind::Video, &video(mime_type, fmtp, json!([]))).unwrap();
        let expected =
            [(96, media), (97, rtx)].map(|(payload_type, mapped_payload_type)| CodecMapping {
                payload_type,
                mapped_payload_type,
            });
        assert_eq!(producer.mapping.codecs, expected);
        let payload_types = producer
            .consumable
            .codecs
            .iter()
            .map(|codec| codec.payload_type);
        assert_eq!(payload_types.collect::<Vec<_>>(), [media, rtx]);
    }
}

#[test]
fn the_h264_level_is_settled_in_what_consumers_get() {
    let level = |asymmetry: u8, profile: &str| {
        let fmtp = json!({
            "packetization-mode": 1, "level-asymmetry-allowed": asymmetry,
            "profile-level-id": profile,
        });
        let producer = produce(MediaKind::Video, &video("video/H264", fmtp, json!([]))).unwrap();
        producer.consumable.codecs[0].parameters["profile-level-id"].to_string()
    };
    assert_eq!(level(1, "42c034"), "42e034");
    assert_eq!(level(0, "42c034"), "42e01f");
    assert_eq!(level(0, "42c015"), "42e015");
}

#[test]
fn consumable_parameters_are_as_before() {
    let audio = produce(MediaKind::Audio, &opus()).unwrap();
    insta::assert_json_snapshot!("consumable_opus", audio.consumable);
    let vp8 = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), simulcast()),
    )
    .unwrap();
    insta::assert_json_snapshot!("consumable_vp8_simulcast", vp8.consumable);
}

#[test]
fn capture_time_is_offered_only_where_it_is_sent() {
    let uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
    let has = |json: &Value| {
        let producer = produce(MediaKind::Audio, json).unwrap();
        let extensions = producer.consumable.header_extensions;
        extensions.iter().any(|extension| extension.uri == uri)
    };
    let mut json = opus();
    assert!(!has(&json));
    let extensions = json["headerExtensions"].as_array_mut().unwrap();
    extensions.push(json!({"uri": uri, "id": 9}));
    assert!(has(&json));
}

#[test]
fn unknown_codecs_are_unsupported() {
    for (json, field) in [
        (
            video("video/H265", json!({}), json!([])),
            "rtpParameters.codecs[0]",
        ),
        (
            video("video/VP9", json!({"profile-id": 1}), json!([])),
            "rtpParameters.codecs[0]",
        ),
        (
            video(
                "video/H264",
                json!({"packetization-mode": 0, "profile-level-id": "42e01f"}),
                json!([]),
            ),
            "rtpParameters.codecs[0]",
        ),
        (
            video(
                "video/H264",
                json!({"packetization-mode": 1, "profile-level-id": "64001f"}),
                json!([]),
            ),
            "rtpParameters.codecs[0]",
        ),
    ] {
        let error = produce(MediaKind::Video, &json).map(|_| ()).unwrap_err();
        assert!(matches!(error, OrtcError::Unsupported { .. }));
        assert_eq!(error.field(), field);
        assert!(error.message().contains("payloadType:96"), "{error}");
    }
}

#[test]
fn rtx_needs_the_routers_rtx() {
    let mut router = router();
    router.codecs.retain(|codec| codec.mime_type != "video/rtx");
    let parameters = parse_rtp_parameters(&video("video/VP8", json!({}), json!([]))).unwrap();
    let error = producer_rtp_mapping(&parameters, &router).unwrap_err();
    assert_eq!(error.field(), "rtpParameters.codecs[1].parameters.apt");
}

#[test]
fn types_follow_streams_and_layers() {
    let mode = |mode: &str| json!([{"ssrc": 1, "scalabilityMode": mode}]);
    for (codec, encodings, expected) in [
        ("video/VP8", json!([]), ProducerType::Simple),
        ("video/VP8", mode("L1T1"), ProducerType::Simple),
        ("video/VP8", mode("L1T3"), ProducerType::Svc),
        ("video/VP8", simulcast(), ProducerType::Simulcast),
        ("video/VP9", mode("L3T3_KEY"), ProducerType::Svc),
        ("video/AV1", mode("L1T2"), ProducerType::Svc),
        ("video/AV1", mode("S3T3"), ProducerType::Svc),
    ] {
        let json = video(codec, json!({}), encodings);
        assert_eq!(type_of(&json).unwrap(), expected, "{json}");
    }
    assert!(type_of(&video("video/VP9", json!({}), simulcast())).is_err());
    let mut both = simulcast();
    both[1]["scalabilityMode"] = json!("L2T1");
    let error = type_of(&video("video/VP8", json!({}), both)).unwrap_err();
    assert_eq!(error.field(), "rtpParameters.encodings[1].scalabilityMode");
    let mut layered = opus();
    layered["encodings"][0]["scalabilityMode"] = json!("L1T3");
    let audio = produce(MediaKind::Audio, &layered).unwrap();
    assert!(producer_type(&audio.rtp_parameters).is_err());
}

#[test]
fn a_transport_has_one_cname() {
    let parsed = |json: &Value| parse_rtp_parameters(json).unwrap();
    for (own, transport, expected) in [
        (Some("own"), None, "own"),
        (Some("own"), Some("first"), "first"),
        (None, None, "made"),
        (Some(""), None, "made"),
        (None, Some("first"), "first"),
    ] {
        let mut parameters = parsed(&opus());
        parameters.rtcp.cname = own.map(str::to_owned);
        complete_producer_rtp_parameters(&mut parameters, transport, "made");
        assert_eq!(parameters.rtcp.cname.as_deref(), Some(expected));
    }
}

#[test]
fn errors_name_the_field() {
    let codecs = json!([{"mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000}]);
    let with = |name: &str, value: Value| {
        let mut json = json!({"codecs": codecs});
        json[name] = value;
        json
    };
    let rtx = |apt: Value| {
        json!({"codecs": [codecs[0], {"mimeType": "video/rtx", "payloadType": 97,
            "clockRate": 90000, "parameters": apt}]})
    };
    for (json, field) in [
        (json!({}), "rtpParameters"),
        (json!({"codecs": []}), "rtpParameters.codecs"),
        (
            json!({"codecs": [{"mimeType": 5}]}),
            "rtpParameters.codecs[0].mimeType",
        ),
        (
            json!({"codecs": [codecs[0], codecs[0]]}),
            "rtpParameters.codecs[1].payloadType",
        ),
        (rtx(json!({})), "rtpParameters.codecs[1].parameters.apt"),
        (
            rtx(json!({"apt": 97})),
            "rtpParameters.codecs[1].parameters.apt",
        ),
        (
            rtx(json!({"apt": 99})),
            "rtpParameters.codecs[1].parameters.apt",
        ),
        (
            rtx(json!({"apt": 1e300})),
            "rtpParameters.codecs[1].parameters.apt",
        ),
        (with("mid", json!("")), "rtpParameters.mid"),
        (with("mid", json!("12345678901234567")), "rtpParameters.mid"),
        (
            with("rtcp", json!({"cname": 5})),
            "rtpParameters.rtcp.cname",
        ),
        (
            with(
                "headerExtensions",
                json!([{"uri": "a", "id": 1}, {"uri": "b", "id": 1}]),
            ),
            "rtpParameters.headerExtensions[1].id",
        ),
        (
            with("headerExtensions", json!([{"uri": "a", "id": 0}])),
            "rtpParameters.headerExtensions[0].id",
        ),
        (
            with("headerExtensions", json!([{"uri": "", "id": 1}])),
            "rtpParameters.headerExtensions[0].uri",
        ),
        (
            with("encodings", json!([{"ssrc": -1}])),
            "rtpParameters.encodings[0].ssrc",
        ),
        (
            with("encodings", json!([{"ssrc": 0}])),
            "rtpParameters.encodings[0].ssrc",
        ),
        (
            with("encodings", json!([{"ssrc": 7, "rtx": {"ssrc": 7}}])),
            "rtpParameters.encodings[0].rtx.ssrc",
        ),
        (
            with("encodings", json!([{"rtx": {}}])),
            "rtpParameters.encodings[0].rtx",
        ),
        (
            with("encodings", json!([{"rid": "a b"}])),
            "rtpParameters.encodings[0].rid",
        ),
        (
            with("encodings", json!([{"rid": "a"}, {"rid": "a"}])),
            "rtpParameters.encodings[1].rid",
        ),
        (
            with("encodings", json!([{"ssrc": 1}, {}])),
            "rtpParameters.encodings[1]",
        ),
        (
            with("encodings", json!([{"codecPayloadType": 97}])),
            "rtpParameters.encodings[0].codecPayloadType",
        ),
        (
            with("encodings", json!(vec![json!({}); 17])),
            "rtpParameters.encodings",
        ),
    ] {
        let error = parse_rtp_parameters(&json).unwrap_err();
        assert_eq!(error.field(), field, "{json}: {error}");
    }
}
