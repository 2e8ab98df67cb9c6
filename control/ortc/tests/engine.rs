//! What the engine gets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::json;
use support::{
    Producer, WITH_RTX, WITHOUT_RTX, chrome, consume, opus, opus_in_red, produce, produce_at,
    red_router, simulcast, video,
};
use uuid::Uuid;
use weirgate_ortc::{
    ConsumerArgs, MediaKind, OrtcError, ProducerArgs, ProducerType, RtpParameters, consumer_config,
    producer_config,
};
use weirgate_wire::{
    Codec, ConsumerCodec, ConsumerConfig, ConsumerType, ExtensionKind, Feedback, ProducerConfig,
};

fn producer_of(producer: &Producer) -> Result<ProducerConfig, OrtcError> {
    producer_config(ProducerArgs {
        id: Uuid::from_u128(1),
        kind: producer.kind,
        rtp_parameters: &producer.rtp_parameters,
        paused: false,
        key_frame_request_delay_ms: 500,
    })
}

fn consumer_of(
    producer: &Producer,
    rtp_parameters: &RtpParameters,
) -> Result<ConsumerConfig, OrtcError> {
    consumer_config(ConsumerArgs {
        id: Uuid::from_u128(2),
        producer_id: Uuid::from_u128(1),
        consumer_type: ProducerType::Simulcast,
        rtp_parameters,
        producer_rtp_parameters: &producer.rtp_parameters,
        mapping: &producer.mapping,
        mid: "3",
        paused: true,
        preferred_layers: None,
        priority: 1,
        ignore_dtx: false,
    })
}

#[test]
fn a_simulcast_producer_in_numbers() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), simulcast()),
    )
    .unwrap();
    let config = producer_of(&producer).unwrap();
    assert_eq!(config.mid.as_deref(), Some("1"));
    assert_eq!(config.cname, "chrome");
    assert_eq!(config.codecs.len(), 1);
    let codec = &config.codecs[0];
    assert_eq!((codec.payload_type, codec.rtx_payload_type), (96, Some(97)));
    assert_eq!((codec.codec, codec.clock_rate), (Codec::Vp8, 90_000));
    let all = Feedback {
        nack: true,
        pli: true,
        fir: true,
        remb: true,
        transport_cc: true,
    };
    assert_eq!(codec.feedback, all);
    let rids: Vec<_> = config
        .encodings
        .iter()
        .map(|encoding| {
            (
                encoding.rid.as_deref(),
                encoding.spatial_layers,
                encoding.temporal_layers,
            )
        })
        .collect();
    assert_eq!(
        rids,
        [(Some("r0"), 1, 3), (Some("r1"), 1, 3), (Some("r2"), 1, 3)]
    );
    for (kind, id) in [
        (ExtensionKind::Mid, Some(4)),
        (ExtensionKind::Rid, Some(10)),
        (ExtensionKind::TransportWideCc, Some(3)),
        (ExtensionKind::TimeOffset, Some(14)),
        (ExtensionKind::PlayoutDelay, None),
    ] {
        assert_eq!(config.extensions.get(kind), id, "{kind:?}");
    }
}

#[test]
fn every_codec_is_known_to_the_engine() {
    for (name, codec) in [
        ("video/vp8", Codec::Vp8),
        ("video/VP9", Codec::Vp9),
        ("video/AV1", Codec::Av1),
    ] {
        let producer = produce(MediaKind::Video, &video(name, json!({}), json!([]))).unwrap();
        assert_eq!(producer_of(&producer).unwrap().codecs[0].codec, codec);
    }
    let audio = producer_of(&produce(MediaKind::Audio, &opus()).unwrap()).unwrap();
    assert_eq!(audio.codecs[0].codec, Codec::Opus);
    assert_eq!(audio.codecs[0].rtx_payload_type, None);
    assert_eq!(audio.encodings[0].ssrc, Some(1111));
}

#[test]
fn a_producer_has_codecs_of_its_kind_only() {
    let mut producer = produce(MediaKind::Audio, &opus()).unwrap();
    producer.kind = MediaKind::Video;
    let error = producer_of(&producer).unwrap_err();
    assert_eq!(error.field(), "rtpParameters.codecs[0].mimeType");
}

#[test]
fn a_consumer_in_numbers() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), simulcast()),
    )
    .unwrap();
    let parameters = consume(&producer, &chrome(), WITH_RTX).unwrap();
    let config = consumer_of(&producer, &parameters).unwrap();
    assert_eq!(config.consumer_type, ConsumerType::Simulcast);
    assert_eq!((config.ssrc, config.rtx_ssrc), (5001, Some(5002)));
    assert_eq!(config.mid, "3");
    let codec = ConsumerCodec {
        producer_payload_type: 96,
        payload_type: 101,
        rtx_payload_type: Some(102),
    };
    assert_eq!(config.codecs, [codec]);
    assert!(config.feedback.transport_cc && !config.feedback.remb);
    assert_eq!(config.extensions.get(ExtensionKind::Mid), Some(1));
    assert_eq!(config.extensions.get(ExtensionKind::AbsSendTime), Some(4));
    assert_eq!(config.extensions.get(ExtensionKind::Rid), None);

    let plain = consume(&producer, &chrome(), WITHOUT_RTX).unwrap();
    let config = consumer_of(&producer, &plain).unwrap();
    assert_eq!(config.rtx_ssrc, None);
    assert_eq!(config.codecs[0].rtx_payload_type, None);
    assert!(!config.feedback.nack);
}

#[test]
fn red_in_numbers() {
    let router = red_router();
    let producer = produce_at(&router, MediaKind::Audio, &opus_in_red()).unwrap();
    let codecs = producer_of(&producer).unwrap().codecs;
    let codecs: Vec<_> = codecs
        .iter()
        .map(|it| (it.payload_type, it.codec))
        .collect();
    assert_eq!(codecs, [(63, Codec::Red), (111, Codec::Opus)]);
    let types = |capabilities| -> Vec<_> {
        let parameters = consume(&producer, capabilities, WITHOUT_RTX).unwrap();
        let codecs = consumer_of(&producer, &parameters).unwrap().codecs;
        let codecs = codecs.iter();
        codecs
            .map(|it| (it.producer_payload_type, it.payload_type))
            .collect()
    };
    assert_eq!(types(&router), [(63, 113), (111, 100)]);
    assert_eq!(types(&chrome()), [(111, 100)]);
}

#[test]
fn a_consumer_needs_an_ssrc_and_a_codec() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), json!([{"ssrc": 1}])),
    )
    .unwrap();
    let mut parameters = consume(&producer, &chrome(), WITH_RTX).unwrap();
    parameters.codecs.remove(0);
    assert!(consumer_of(&producer, &parameters).is_err());
    let mut parameters = consume(&producer, &chrome(), WITH_RTX).unwrap();
    parameters.encodings.clear();
    assert!(consumer_of(&producer, &parameters).is_err());
}
