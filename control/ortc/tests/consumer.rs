//! Consumers of a Chrome-like client.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::json;
use support::{
    WITH_RTX, WITHOUT_RTX, chrome, consume, opus, opus_in_red, produce, produce_at, red_router,
    simulcast, video,
};
use weirgate_ortc::{
    ConsumerOptions, MediaKind, PreferredLayers, ProducerType, RtpCapabilities, RtpParameters,
    can_consume, preferred_layers,
};
use weirgate_wire::{ExtensionKind, Layers};

fn feedback(parameters: &RtpParameters) -> Vec<String> {
    let feedback = parameters.codecs[0].rtcp_feedback.iter();
    feedback
        .map(|one| {
            format!("{} {}", one.name, one.parameter)
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn without(mut capabilities: RtpCapabilities, kinds: &[ExtensionKind]) -> RtpCapabilities {
    let extensions = &mut capabilities.header_extensions;
    extensions.retain(|extension| kinds.iter().all(|kind| extension.uri != kind.uri()));
    capabilities
}

#[test]
fn consumer_parameters_are_as_before() {
    let audio = produce(MediaKind::Audio, &opus()).unwrap();
    insta::assert_json_snapshot!(
        "consumer_opus",
        consume(&audio, &chrome(), WITHOUT_RTX).unwrap()
    );
    for (name, json) in [
        (
            "consumer_vp8_simulcast",
            video("video/VP8", json!({}), simulcast()),
        ),
        (
            "consumer_vp9_svc",
            video(
                "video/VP9",
                json!({"profile-id": 0}),
                json!([{"ssrc": 9, "rtx": {"ssrc": 10},
                "scalabilityMode": "L3T3_KEY"}]),
            ),
        ),
        (
            "consumer_h264",
            video(
                "video/H264",
                json!({"packetization-mode": 1, "level-asymmetry-allowed": 1,
                    "profile-level-id": "42e01f"}),
                json!([{"ssrc": 9}]),
            ),
        ),
    ] {
        let producer = produce(MediaKind::Video, &json).unwrap();
        insta::assert_json_snapshot!(name, consume(&producer, &chrome(), WITH_RTX).unwrap());
    }
}

#[test]
fn what_browsers_must_not_get_is_never_offered() {
    // Even to one that claims everything the router has.
    let everything = support::router();
    for (kind, json, forbidden) in [
        (
            MediaKind::Audio,
            opus(),
            &[ExtensionKind::TransportWideCc][..],
        ),
        (
            MediaKind::Video,
            video("video/AV1", json!({}), json!([{"ssrc": 1}])),
            &[
                ExtensionKind::Rid,
                ExtensionKind::RepairedRid,
                ExtensionKind::DependencyDescriptor,
            ],
        ),
    ] {
        let producer = produce(kind, &json).unwrap();
        let parameters = consume(&producer, &everything, WITH_RTX).unwrap();
        for extension in &parameters.header_extensions {
            assert!(forbidden.iter().all(|kind| kind.uri() != extension.uri));
        }
        assert!(!parameters.header_extensions.is_empty());
    }
}

#[test]
fn bandwidth_feedback_follows_the_extensions() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), json!([{"ssrc": 1}])),
    )
    .unwrap();
    let with = |capabilities: &RtpCapabilities, options| {
        feedback(&consume(&producer, capabilities, options).unwrap())
    };
    let base = ["ccm fir", "nack", "nack pli"];
    let mut full = with(&chrome(), WITH_RTX);
    full.sort();
    assert_eq!(full, [&base[..], &["transport-cc"]].concat());

    let no_twcc = without(chrome(), &[ExtensionKind::TransportWideCc]);
    let mut remb = with(&no_twcc, WITH_RTX);
    remb.sort();
    assert_eq!(remb, ["ccm fir", "goog-remb", "nack", "nack pli"]);

    let neither = without(no_twcc, &[ExtensionKind::AbsSendTime]);
    let mut none = with(&neither, WITH_RTX);
    none.sort();
    assert_eq!(none, base);

    let mut no_rtx = with(&chrome(), WITHOUT_RTX);
    no_rtx.sort();
    assert_eq!(no_rtx, ["ccm fir", "nack pli", "transport-cc"]);
}

#[test]
fn rtx_needs_both_sides() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), json!([{"ssrc": 1}])),
    )
    .unwrap();
    let rtx = |capabilities: &RtpCapabilities, options| {
        let parameters = consume(&producer, capabilities, options).unwrap();
        assert_eq!(
            parameters.codecs.len() == 2,
            parameters.encodings[0].rtx.is_some()
        );
        parameters.encodings[0].rtx.is_some()
    };
    assert!(rtx(&chrome(), WITH_RTX));
    assert!(!rtx(&chrome(), WITHOUT_RTX));
    let mut without_rtx = chrome();
    without_rtx
        .codecs
        .retain(|codec| codec.mime_type != "video/rtx");
    assert!(!rtx(&without_rtx, WITH_RTX));
}

#[test]
fn rtx_alone_is_nothing_to_consume() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), json!([{"ssrc": 1}])),
    )
    .unwrap();
    let mut only_rtx = chrome();
    only_rtx
        .codecs
        .retain(|codec| codec.mime_type == "video/rtx");
    assert!(!can_consume(&producer.consumable, &only_rtx));
    let error = consume(&producer, &only_rtx, WITH_RTX).unwrap_err();
    assert_eq!(error.field(), "rtpCapabilities.codecs");
    assert!(can_consume(&producer.consumable, &chrome()));
}

#[test]
fn the_profile_decides_who_can_consume() {
    let h264 = |profile: &str| {
        let fmtp = json!({"packetization-mode": 1, "profile-level-id": profile});
        produce(
            MediaKind::Video,
            &video("video/H264", fmtp, json!([{"ssrc": 1}])),
        )
        .unwrap()
    };
    let mut baseline_only = chrome();
    baseline_only.codecs.retain(|codec| {
        codec.mime_type != "video/H264" || codec.preferred_payload_type == Some(107)
    });
    assert!(can_consume(&h264("42e034").consumable, &baseline_only));
    assert!(!can_consume(&h264("4d0032").consumable, &baseline_only));
}

#[test]
fn simulcast_looks_like_spatial_layers() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), simulcast()),
    )
    .unwrap();
    let parameters = consume(&producer, &chrome(), WITH_RTX).unwrap();
    let [encoding] = parameters.encodings.as_slice() else {
        panic!("one encoding");
    };
    assert_eq!(encoding.scalability_mode.as_deref(), Some("L3T3"));
    assert_eq!(encoding.max_bitrate, Some(900_000));
    assert_eq!(encoding.rid, None);

    let layers = |wished| preferred_layers(ProducerType::Simulcast, &parameters, wished);
    let wish = |spatial_layer, temporal_layer| {
        Some(PreferredLayers {
            spatial_layer,
            temporal_layer,
        })
    };
    let found = |spatial, temporal| Some(Layers { spatial, temporal });
    assert_eq!(layers(None), found(2, 2));
    assert_eq!(layers(wish(1, None)), found(1, 2));
    assert_eq!(layers(wish(0, Some(1))), found(0, 1));
    assert_eq!(layers(wish(9, Some(9))), found(2, 2));
    assert_eq!(
        preferred_layers(ProducerType::Simple, &parameters, wish(1, None)),
        None
    );
}

#[test]
fn a_pipe_keeps_every_stream() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), simulcast()),
    )
    .unwrap();
    let pipe = ConsumerOptions {
        pipe: true,
        enable_rtx: true,
    };
    let parameters = consume(&producer, &chrome(), pipe).unwrap();
    let mut ssrcs: Vec<u32> = parameters
        .encodings
        .iter()
        .flat_map(|encoding| [encoding.ssrc.unwrap(), encoding.rtx.unwrap().ssrc])
        .collect();
    assert_eq!(ssrcs.len(), 6);
    ssrcs.sort_unstable();
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 6);
    assert_eq!(parameters.encodings[1].max_bitrate, Some(300_000));
}

#[test]
fn reserved_ssrcs_are_never_taken() {
    let producer = produce(
        MediaKind::Video,
        &video("video/VP8", json!({}), json!([{"ssrc": 1}])),
    )
    .unwrap();
    for stuck in [0, 1234, u32::MAX] {
        let parameters = weirgate_ortc::consumer_rtp_parameters(
            &producer.consumable,
            &chrome(),
            WITH_RTX,
            &mut || stuck,
        )
        .unwrap();
        let ssrc = parameters.encodings[0].ssrc.unwrap();
        let rtx = parameters.encodings[0].rtx.unwrap().ssrc;
        assert!(ssrc != rtx && ![ssrc, rtx].contains(&0) && ![ssrc, rtx].contains(&1234));
    }
}

#[test]
fn red_is_for_endpoints_that_have_it_and_never_alone() {
    let error = produce(MediaKind::Audio, &opus_in_red()).err();
    let field = error.map(|error| error.field().to_owned());
    assert_eq!(field.as_deref(), Some("rtpParameters.codecs[0]"));

    let router = red_router();
    let producer = produce_at(&router, MediaKind::Audio, &opus_in_red()).unwrap();
    let names = |capabilities: &RtpCapabilities| -> Vec<String> {
        let parameters = consume(&producer, capabilities, WITHOUT_RTX).unwrap();
        let codecs = parameters.codecs.iter();
        codecs.map(|codec| codec.mime_type.clone()).collect()
    };
    assert_eq!(names(&router), ["audio/red", "audio/opus"]);
    let parameters = consume(&producer, &router, WITHOUT_RTX).unwrap();
    assert!(
        parameters.codecs[0].parameters.is_empty(),
        "they are of the producer's leg"
    );
    assert_eq!(names(&chrome()), ["audio/opus"]);
    let mut red_only = router.clone();
    red_only
        .codecs
        .retain(|codec| codec.mime_type == "audio/red");
    assert!(!can_consume(&producer.consumable, &red_only));

    let mut alone = opus_in_red();
    alone["codecs"].as_array_mut().unwrap().truncate(1);
    let error = produce_at(&router, MediaKind::Audio, &alone).err().unwrap();
    assert_eq!(error.field(), "rtpParameters.codecs[0]");
    assert!(error.to_string().contains("beside it"), "{error}");
}
