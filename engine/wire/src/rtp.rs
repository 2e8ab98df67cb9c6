//! Producers and consumers as the engine needs them: numbers instead of ORTC's JSON.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MediaKind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// What the engine must know of a codec's payload: how a key frame looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// The AV1 RTP payload format of AOMedia.
    Av1,
    /// Forwarded as it is: no key frames are looked for.
    Other,
    /// RFC 2198: blocks of the other codecs of its producer, each with the payload type of its leg.
    Red,
}

/// The RTP header extensions the engine reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum ExtensionKind {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`
    RepairedRid,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    AbsSendTime,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    TransportWideCc,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464)
    AudioLevel,
    /// `urn:3gpp:video-orientation`
    VideoOrientation,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`
    DependencyDescriptor,
    /// `urn:ietf:params:rtp-hdrext:toffset` (RFC 5450)
    TimeOffset,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`
    AbsCaptureTime,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`
    PlayoutDelay,
}

impl ExtensionKind {
    /// How many kinds there are.
    pub const COUNT: usize = 11;

    /// Every kind, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AbsSendTime,
        Self::TransportWideCc,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::DependencyDescriptor,
        Self::TimeOffset,
        Self::AbsCaptureTime,
        Self::PlayoutDelay,
    ];

    /// The URI of SDP's `extmap` and ORTC's `headerExtensions`.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::TransportWideCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::TimeOffset => "urn:ietf:params:rtp-hdrext:toffset",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        }
    }

    /// The kind with that URI.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }
}

/// What the video orientation extension says of a picture (3GPP TS 26.114, section 7.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoOrientation {
    /// It is of the back camera, or of a source that is none of the device's own cameras.
    pub camera: bool,
    /// It is mirrored.
    pub flip: bool,
    /// By how many degrees it is to be turned clockwise for display: 0, 90, 180 or 270.
    pub rotation: u16,
}

impl VideoOrientation {
    /// Reads the extension's data.
    pub const fn from_byte(byte: u8) -> Self {
        Self {
            camera: byte & 0b1000 != 0,
            flip: byte & 0b100 != 0,
            rotation: (byte & 0b11) as u16 * 90,
        }
    }
}

/// The extension ids of one leg; an id of 0 means that the leg has not negotiated the kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionIds([u8; ExtensionKind::COUNT]);

impl ExtensionIds {
    /// The id of `kind`, if negotiated.
    pub const fn get(&self, kind: ExtensionKind) -> Option<u8> {
        match self.0[kind as usize] {
            0 => None,
            id => Some(id),
        }
    }

    /// Sets the id (1–14 for the one-byte form, up to 255 for the two-byte form; 0 removes).
    pub const fn set(&mut self, kind: ExtensionKind, id: u8) {
        self.0[kind as usize] = id;
    }

    /// The kind that has `id` on this leg.
    pub fn kind_of(&self, id: u8) -> Option<ExtensionKind> {
        if id == 0 {
            return None;
        }
        let index = self.0.iter().position(|&known| known == id)?;
        Some(ExtensionKind::ALL[index])
    }
}

/// RTCP feedback that was negotiated for a codec of a leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// `nack` (RFC 4585 generic NACK).
    pub nack: bool,
    /// `nack pli`.
    pub pli: bool,
    /// `ccm fir`.
    pub fir: bool,
    /// `goog-remb`.
    pub remb: bool,
    /// `transport-cc`.
    pub transport_cc: bool,
}

/// One media codec a producer may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerCodec {
    /// Payload type on the producer's leg.
    pub payload_type: u8,
    /// Payload type of its RTX, if negotiated.
    pub rtx_payload_type: Option<u8>,
    /// What the payload is.
    pub codec: Codec,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// Feedback the producer's endpoint takes.
    pub feedback: Feedback,
}

/// One RTP stream (layer) of a producer. Found by `ssrc`, else by `rid`, else it is whatever
/// comes with the producer's MID or payload type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerEncoding {
    /// SSRC, if signaled.
    pub ssrc: Option<u32>,
    /// RTX SSRC, if signaled.
    pub rtx_ssrc: Option<u32>,
    /// RID (RFC 8851), if signaled; at most 16 bytes.
    pub rid: Option<String>,
    /// Spatial layers in this stream (more than 1 only for SVC).
    pub spatial_layers: u8,
    /// Temporal layers in this stream.
    pub temporal_layers: u8,
}

/// A producer as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerConfig {
    /// The producer's id.
    pub id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// MID its packets carry, if signaled.
    pub mid: Option<String>,
    /// CNAME from its RTCP parameters (RFC 7022), copied into consumers' SDES.
    pub cname: String,
    /// At least one.
    pub codecs: Vec<ProducerCodec>,
    /// At least one; for simulcast lowest quality first, as mediasoup orders them.
    pub encodings: Vec<ProducerEncoding>,
    /// Ids on the producer's leg.
    pub extensions: ExtensionIds,
    /// Starts paused.
    pub paused: bool,
    /// Least time between two key frame requests, in ms; 0 for the engine's default.
    pub key_frame_request_delay_ms: u32,
}

/// How a consumer's stream comes about; mediasoup's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumerType {
    /// One stream, forwarded.
    Simple,
    /// One of several streams at a time, spliced into one.
    Simulcast,
    /// One stream with layers inside.
    Svc,
}

/// Which payload types a producer's codec takes on a consumer's leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerCodec {
    /// On the producer's leg.
    pub producer_payload_type: u8,
    /// On the consumer's leg.
    pub payload_type: u8,
    /// RTX on the consumer's leg.
    pub rtx_payload_type: Option<u8>,
}

/// Spatial and temporal layer, counted from 0 (lowest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Layers {
    /// Index of the simulcast stream, or spatial layer inside an SVC stream.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
}

/// A consumer as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerConfig {
    /// The consumer's id.
    pub id: Uuid,
    /// The producer it takes from.
    pub producer: Uuid,
    /// How its stream comes about.
    pub consumer_type: ConsumerType,
    /// Its own SSRC.
    pub ssrc: u32,
    /// Its own RTX SSRC, where RTX was negotiated.
    pub rtx_ssrc: Option<u32>,
    /// MID written into its packets, where the extension was negotiated.
    pub mid: String,
    /// Codecs of the producer that this consumer can receive.
    pub codecs: Vec<ConsumerCodec>,
    /// Ids on the consumer's leg.
    pub extensions: ExtensionIds,
    /// Feedback negotiated with the consumer's endpoint.
    pub feedback: Feedback,
    /// Starts paused.
    pub paused: bool,
    /// Layers wanted at most; `None` for the best there is.
    pub preferred_layers: Option<Layers>,
    /// 1–255; more is served first.
    pub priority: u8,
    /// Opus packets that say no more than that there is silence are left out.
    pub ignore_dtx: bool,
}
