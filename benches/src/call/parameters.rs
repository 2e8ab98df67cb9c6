//! RTP parameters of the calls, as a browser negotiates them.

use uuid::Uuid;
use weirgate_wire::{
    Codec, ConsumerCodec, ConsumerConfig, ConsumerType, ExtensionIds, ExtensionKind, Feedback,
    MediaKind, ProducerCodec, ProducerConfig, ProducerEncoding,
};

use super::scenario::{Leg, Scenario};

/// Payload types of media and RTX, on every leg.
pub(super) const PAYLOAD_TYPE: u8 = 96;
const RTX_PAYLOAD_TYPE: u8 = 97;

/// Header extension ids, on every leg.
pub(super) const MID_ID: u8 = 1;
pub(super) const ABS_SEND_TIME_ID: u8 = 4;
pub(super) const TRANSPORT_CC_ID: u8 = 5;
pub(super) const AUDIO_LEVEL_ID: u8 = 10;

/// SSRC of a sender's media.
pub(super) const fn sender_ssrc(sender: usize) -> u32 {
    0x1000_0000 + sender as u32
}

/// SSRC of what a receiver gets of a sender.
pub(super) const fn receiver_ssrc(sender: usize, receiver: usize) -> u32 {
    0x2000_0000 + ((sender as u32) << 12) + receiver as u32
}

pub(super) fn producer(sender: usize, scenario: &Scenario) -> ProducerConfig {
    let kind = scenario.kind;
    let video = kind == MediaKind::Video;
    ProducerConfig {
        id: producer_id(sender),
        kind,
        mid: Some("0".into()),
        cname: "benchmark".into(),
        codecs: vec![ProducerCodec {
            payload_type: PAYLOAD_TYPE,
            rtx_payload_type: video.then_some(RTX_PAYLOAD_TYPE),
            codec: if video { Codec::Vp8 } else { Codec::Opus },
            clock_rate: if video { 90_000 } else { 48_000 },
            feedback: feedback(video, true),
        }],
        encodings: vec![ProducerEncoding {
            ssrc: Some(sender_ssrc(sender)),
            rtx_ssrc: video.then(|| sender_ssrc(sender) + 0x1000),
            rid: None,
            spatial_layers: 1,
            temporal_layers: 1,
        }],
        extensions: extensions(kind, true),
        paused: false,
        key_frame_request_delay_ms: 0,
    }
}

pub(super) fn consumer(sender: usize, receiver: usize, scenario: &Scenario) -> ConsumerConfig {
    let video = scenario.kind == MediaKind::Video;
    // Audio has no transport-wide sequence numbers on its way to a browser, and who receives by a
    // plain transport gives no feedback.
    let transport_cc = video && scenario.leg == Leg::WebRtc;
    let ssrc = receiver_ssrc(sender, receiver);
    ConsumerConfig {
        id: Uuid::from_u128(u128::from(ssrc)),
        producer: producer_id(sender),
        consumer_type: ConsumerType::Simple,
        ssrc,
        rtx_ssrc: video.then_some(ssrc + 0x1000_0000),
        mid: sender.to_string(),
        codecs: vec![ConsumerCodec {
            producer_payload_type: PAYLOAD_TYPE,
            payload_type: PAYLOAD_TYPE,
            rtx_payload_type: video.then_some(RTX_PAYLOAD_TYPE),
        }],
        extensions: extensions(scenario.kind, transport_cc),
        feedback: feedback(video, transport_cc),
        paused: scenario.paused,
        preferred_layers: None,
        priority: 1,
        ignore_dtx: false,
    }
}

fn producer_id(sender: usize) -> Uuid {
    Uuid::from_u128(u128::from(sender_ssrc(sender)))
}

fn extensions(kind: MediaKind, transport_cc: bool) -> ExtensionIds {
    let mut ids = ExtensionIds::default();
    ids.set(ExtensionKind::Mid, MID_ID);
    ids.set(ExtensionKind::AbsSendTime, ABS_SEND_TIME_ID);
    if transport_cc {
        ids.set(ExtensionKind::TransportWideCc, TRANSPORT_CC_ID);
    }
    if kind == MediaKind::Audio {
        ids.set(ExtensionKind::AudioLevel, AUDIO_LEVEL_ID);
    }
    ids
}

const fn feedback(video: bool, transport_cc: bool) -> Feedback {
    Feedback {
        nack: true,
        pli: video,
        fir: video,
        remb: false,
        transport_cc,
    }
}
