//! What calls are made of: producers, consumers and packets.

use uuid::Uuid;
use weirgate_wire::{
    Codec, ConsumerCodec, ConsumerConfig, ConsumerType, ExtensionIds, ExtensionKind, Feedback,
    MediaKind, ProducerCodec, ProducerConfig, ProducerEncoding,
};

pub const PT: u8 = 96;
pub const RTX_PT: u8 = 97;
pub const OUT_PT: u8 = 101;
pub const OUT_RTX_PT: u8 = 102;
/// Where a scenario negotiates that extension.
pub const PLAYOUT_DELAY_ID: u8 = 11;
pub const AUDIO_PT: u8 = 111;
pub const MEDIA_SSRC: u32 = 0x1111_1111;
pub const RTX_SSRC: u32 = 0x2222_2222;

pub fn extensions() -> ExtensionIds {
    let mut ids = ExtensionIds::default();
    ids.set(ExtensionKind::Mid, 1);
    ids.set(ExtensionKind::AbsSendTime, 4);
    ids.set(ExtensionKind::TransportWideCc, 5);
    ids.set(ExtensionKind::AudioLevel, 10);
    ids
}

pub const ALL_FEEDBACK: Feedback = Feedback {
    nack: true,
    pli: true,
    fir: true,
    remb: true,
    transport_cc: true,
};

pub fn video_producer(number: u128) -> ProducerConfig {
    ProducerConfig {
        id: Uuid::from_u128(0xC000_0000 + number),
        kind: MediaKind::Video,
        mid: Some(format!("{number}")),
        cname: "cname".to_owned(),
        codecs: vec![ProducerCodec {
            payload_type: PT,
            rtx_payload_type: Some(RTX_PT),
            codec: Codec::Vp8,
            clock_rate: 90_000,
            feedback: ALL_FEEDBACK,
        }],
        encodings: vec![ProducerEncoding {
            ssrc: Some(MEDIA_SSRC),
            rtx_ssrc: Some(RTX_SSRC),
            rid: None,
            spatial_layers: 1,
            temporal_layers: 1,
        }],
        extensions: extensions(),
        paused: false,
        key_frame_request_delay_ms: 0,
    }
}

pub fn video_consumer(number: u32, producer: &ProducerConfig) -> ConsumerConfig {
    ConsumerConfig {
        id: Uuid::from_u128(0xD000_0000 + u128::from(number)),
        producer: producer.id,
        consumer_type: ConsumerType::Simple,
        ssrc: 0x3000_0000 + number,
        rtx_ssrc: Some(0x4000_0000 + number),
        mid: format!("{number}"),
        codecs: vec![ConsumerCodec {
            producer_payload_type: PT,
            payload_type: OUT_PT,
            rtx_payload_type: Some(OUT_RTX_PT),
        }],
        extensions: extensions(),
        feedback: ALL_FEEDBACK,
        paused: false,
        preferred_layers: None,
        priority: 1,
        ignore_dtx: false,
    }
}

pub fn audio_producer(number: u128, ssrc: u32) -> ProducerConfig {
    let mut producer = video_producer(number);
    producer.kind = MediaKind::Audio;
    producer.codecs = vec![ProducerCodec {
        payload_type: AUDIO_PT,
        rtx_payload_type: None,
        codec: Codec::Opus,
        clock_rate: 48_000,
        feedback: Feedback::default(),
    }];
    producer.encodings[0].ssrc = Some(ssrc);
    producer.encodings[0].rtx_ssrc = None;
    producer
}

pub fn audio_consumer(number: u32, producer: &ProducerConfig) -> ConsumerConfig {
    let mut consumer = video_consumer(number, producer);
    consumer.rtx_ssrc = None;
    consumer.feedback = Feedback::default();
    consumer.extensions.set(ExtensionKind::TransportWideCc, 0);
    consumer.codecs = vec![ConsumerCodec {
        producer_payload_type: AUDIO_PT,
        payload_type: AUDIO_PT,
        rtx_payload_type: None,
    }];
    consumer
}

/// A VP8 packet: `key` begins a key frame.
pub fn vp8(sequence: u16, timestamp: u32, key: bool) -> Vec<u8> {
    rtp(
        PT,
        sequence,
        timestamp,
        MEDIA_SSRC,
        None,
        &vp8_payload(key, sequence),
    )
}

pub fn vp8_payload(key: bool, fill: u16) -> Vec<u8> {
    // Descriptor with S set and partition 0, then a frame header with P clear for a key frame.
    let mut payload = vec![0x10, u8::from(!key), 0x9d, 0x01, 0x2a];
    payload.extend(std::iter::repeat_n(fill.to_be_bytes(), 100).flatten());
    payload
}

/// An RTP packet, with a transport-wide sequence number where given.
pub fn rtp(
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    transport_sequence: Option<u16>,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    if let Some(transport_sequence) = transport_sequence {
        bytes[0] |= 0x10;
        bytes.extend([0xbe, 0xde, 0, 1, 0x51]);
        bytes.extend(transport_sequence.to_be_bytes());
        bytes.push(0);
    }
    bytes.extend(payload);
    bytes
}
