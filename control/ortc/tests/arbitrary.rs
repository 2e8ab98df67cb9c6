//! No JSON makes this crate panic, and what it accepts it carries through.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use support::{WITH_RTX, WITHOUT_RTX, chrome, chrome_native, consume, opus, produce, video};
use uuid::Uuid;
use weirgate_ortc::{
    ConsumerArgs, MediaKind, ProducerArgs, RtpCodecCapability, can_consume, consumer_config,
    generate_router_rtp_capabilities, parse_rtp_capabilities, preferred_layers, producer_config,
    producer_type,
};

/// Any JSON, with the names and texts that matter here more often than by chance.
fn arbitrary_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("audio/opus".to_owned()),
        Just("video/VP8".to_owned()),
        Just("video/rtx".to_owned()),
        Just("video/H264".to_owned()),
        Just("L3T3_KEY".to_owned()),
        Just("42e01f".to_owned()),
        "\\PC{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u8..130).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let name = prop_oneof![
            prop::sample::select(vec![
                "codecs",
                "headerExtensions",
                "encodings",
                "rtcp",
                "mimeType",
                "payloadType",
                "preferredPayloadType",
                "clockRate",
                "channels",
                "parameters",
                "rtcpFeedback",
                "type",
                "kind",
                "uri",
                "id",
                "preferredId",
                "ssrc",
                "rid",
                "rtx",
                "apt",
                "mid",
                "scalabilityMode",
                "codecPayloadType",
                "profile-level-id",
                "packetization-mode",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,6}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Changes one place of good JSON, found by walking along `path`.
fn damage(json: &mut Value, path: &[usize], change: Value) {
    let Some((&step, rest)) = path.split_first() else {
        *json = change;
        return;
    };
    let inner = match json {
        Value::Array(items) if !items.is_empty() => {
            let index = step % items.len();
            items.get_mut(index)
        }
        Value::Object(map) if !map.is_empty() => {
            let index = step % map.len();
            map.values_mut().nth(index)
        }
        _ => None,
    };
    match inner {
        Some(inner) => damage(inner, rest, change),
        None => *json = change,
    }
}

/// The whole way of a producer and its consumers.
fn carry_through(json: &Value, kind: MediaKind) {
    let Ok(producer) = produce(kind, json) else {
        return;
    };
    let config = producer_config(ProducerArgs {
        id: Uuid::nil(),
        kind,
        rtp_parameters: &producer.rtp_parameters,
        paused: false,
        key_frame_request_delay_ms: 0,
    });
    let kind_of_layers = producer_type(&producer.rtp_parameters);
    if let Ok(config) = &config {
        assert!(!config.codecs.is_empty() && !config.encodings.is_empty());
    }
    for options in [WITH_RTX, WITHOUT_RTX] {
        let consumed = consume(&producer, &chrome(), options);
        let is_consumable = can_consume(&producer.consumable, &chrome());
        let (Ok(parameters), Ok(consumer_type)) = (consumed, &kind_of_layers) else {
            continue;
        };
        assert!(is_consumable);
        let layers = preferred_layers(*consumer_type, &parameters, None);
        consumer_config(ConsumerArgs {
            id: Uuid::nil(),
            producer_id: Uuid::nil(),
            consumer_type: *consumer_type,
            rtp_parameters: &parameters,
            producer_rtp_parameters: &producer.rtp_parameters,
            mapping: &producer.mapping,
            mid: "0",
            paused: false,
            preferred_layers: layers,
            priority: 1,
            ignore_dtx: false,
        })
        .unwrap();
    }
}

fn any_capabilities(json: &Value) {
    let Ok(capabilities) = parse_rtp_capabilities(json) else {
        return;
    };
    let again = serde_json::to_value(&capabilities).unwrap();
    assert_eq!(parse_rtp_capabilities(&again).unwrap(), capabilities);
    let video = produce(MediaKind::Video, &video("video/VP8", json!({}), json!([]))).unwrap();
    let audio = produce(MediaKind::Audio, &opus()).unwrap();
    for producer in [video, audio] {
        let _ = consume(&producer, &capabilities, WITH_RTX);
    }
}

proptest! {
    #[test]
    fn arbitrary_parameters(json in arbitrary_json()) {
        carry_through(&json, MediaKind::Video);
        carry_through(&json, MediaKind::Audio);
    }

    #[test]
    fn arbitrary_capabilities(json in arbitrary_json()) {
        any_capabilities(&json);
    }

    #[test]
    fn damaged_parameters(
        path in prop::collection::vec(any::<usize>(), 0..6),
        change in arbitrary_json(),
        is_audio: bool,
    ) {
        let (mut json, kind) = match is_audio {
            true => (opus(), MediaKind::Audio),
            false => {
                let encodings = support::simulcast();
                (video("video/VP8", json!({}), encodings), MediaKind::Video)
            }
        };
        damage(&mut json, &path, change);
        carry_through(&json, kind);
    }

    #[test]
    fn damaged_capabilities(
        path in prop::collection::vec(any::<usize>(), 0..6),
        change in arbitrary_json(),
    ) {
        let mut json = chrome_native();
        damage(&mut json, &path, change);
        any_capabilities(&json);
    }

    #[test]
    fn arbitrary_media_codecs(json in prop::collection::vec(arbitrary_json(), 0..5)) {
        let codecs: Vec<RtpCodecCapability> =
            json.into_iter().filter_map(|json| serde_json::from_value(json).ok()).collect();
        let _ = generate_router_rtp_capabilities(&codecs);
    }
}
