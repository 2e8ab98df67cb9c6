//! ORTC's RTP capabilities and parameters, as far as a client of our own needs them; what it does
//! not know it hands on untouched.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::latency::LatencySink;
use crate::marker::PayloadFormat;
use crate::random;
use crate::receiver::FlowConfig;
use crate::sender::{LayerName, Shape, StreamConfig, VideoShape};

const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const ABS_SEND_TIME_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// Part of the bitrate of each layer, and of its lines, the smallest layer first: as libwebrtc
/// shares out 720p, 150, 500 and 2500 kbit/s.
const LAYERS: [(f64, u16); 3] = [(0.06, 4), (0.2, 2), (1.0, 1)];

/// What a router or a client can do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RtpCapabilities {
    /// Codecs.
    #[serde(default)]
    pub codecs: Vec<CodecCapability>,
    /// Header extensions.
    #[serde(default)]
    pub header_extensions: Vec<ExtensionCapability>,
}

impl RtpCapabilities {
    /// Leaves out transport-wide sequence numbers, which programs that take plain RTP tell nobody about.
    pub fn leave_out_transport_cc(&mut self) {
        let extensions = &mut self.header_extensions;
        extensions.retain(|known| known.uri != TRANSPORT_CC_URI);
    }
}

/// One codec of capabilities.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodecCapability {
    /// `audio` or `video`.
    pub kind: String,
    /// Such as `video/VP8`.
    pub mime_type: String,
    /// Payload type the router would use.
    pub preferred_payload_type: Option<u8>,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// Format parameters.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// RTCP feedback.
    #[serde(default)]
    pub rtcp_feedback: Vec<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One header extension of capabilities.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionCapability {
    /// `audio` or `video`.
    pub kind: String,
    /// URI.
    pub uri: String,
    /// Id the router uses.
    pub preferred_id: u8,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a stream is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RtpParameters {
    /// MID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mid: Option<String>,
    /// Codecs, the media's first.
    pub codecs: Vec<CodecParameters>,
    /// Header extensions.
    #[serde(default)]
    pub header_extensions: Vec<ExtensionParameters>,
    /// Streams.
    #[serde(default)]
    pub encodings: Vec<Encoding>,
    /// CNAME and such.
    #[serde(default)]
    pub rtcp: Value,
}

/// One codec of parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodecParameters {
    /// Such as `video/VP8`.
    pub mime_type: String,
    /// Payload type.
    pub payload_type: u8,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// Format parameters.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// RTCP feedback.
    #[serde(default)]
    pub rtcp_feedback: Vec<Value>,
    /// Channels of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
}

impl CodecParameters {
    fn is_rtx(&self) -> bool {
        self.mime_type.to_ascii_lowercase().ends_with("/rtx")
    }
}

/// One header extension of parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExtensionParameters {
    /// URI.
    pub uri: String,
    /// Id.
    pub id: u8,
}

/// One stream of parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encoding {
    /// SSRC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
    /// Name of the layer, with simulcast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// Such as `L1T1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalability_mode: Option<String>,
    /// Of the layer, in bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<u64>,
    /// Retransmissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtx: Option<RtxEncoding>,
}

/// SSRC of retransmissions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RtxEncoding {
    /// SSRC.
    pub ssrc: u32,
}

/// What a sender wants of its parameters.
#[derive(Debug, Clone)]
pub struct SendOptions<'a> {
    /// Number of the stream in the payload markers.
    pub stream: u32,
    /// MID.
    pub mid: &'a str,
    /// Header extensions and RTX as a WebRTC client has them; bare RTP otherwise.
    pub webrtc: bool,
    /// Its traffic, of the largest layer with simulcast.
    pub shape: Shape,
}

/// Parameters and stream of a new producer of a codec the router has.
pub fn sending(
    router: &RtpCapabilities,
    options: &SendOptions<'_>,
) -> Result<(RtpParameters, StreamConfig)> {
    let base = Base::new(router, options)?;
    let config = base.stream(options, options.stream, options.shape)?;
    let encoding = Encoding {
        ssrc: Some(config.ssrc),
        rtx: config.rtx.map(|(_, ssrc)| RtxEncoding { ssrc }),
        ..Encoding::default()
    };
    Ok((base.parameters(options, vec![encoding]), config))
}

/// Parameters and streams of a new producer with three layers of video, the smallest first. The
/// server learns their SSRCs from the RIDs in their packets, as from browsers. Their numbers follow
/// each other from that of `options`.
pub fn sending_layers(
    router: &RtpCapabilities,
    options: &SendOptions<'_>,
    video: VideoShape,
) -> Result<(RtpParameters, Vec<StreamConfig>)> {
    let base = Base::new(router, options)?;
    let id = base
        .id_of(RID_URI)
        .context("the router has no RID extension")?;
    let (mut encodings, mut configs) = (Vec::new(), Vec::new());
    for (index, (share, divisor)) in (0..).zip(LAYERS) {
        let rid = format!("r{index}");
        let shape = VideoShape {
            bitrate_bps: (video.bitrate_bps as f64 * share) as u64,
            height: video.height / divisor,
            ..video
        };
        let mut config = base.stream(options, options.stream + index, Shape::Video(shape))?;
        config.rid = Some(LayerName {
            rid: rid.clone(),
            id,
            repaired_id: base.id_of(REPAIRED_RID_URI),
        });
        configs.push(config);
        encodings.push(Encoding {
            rid: Some(rid),
            scalability_mode: Some("L1T1".to_owned()),
            max_bitrate: Some(shape.bitrate_bps),
            ..Encoding::default()
        });
    }
    Ok((base.parameters(options, encodings), configs))
}

/// What all streams of a producer share.
struct Base {
    format: PayloadFormat,
    clock_rate: u32,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    codecs: Vec<CodecParameters>,
    header_extensions: Vec<ExtensionParameters>,
}

impl Base {
    fn new(router: &RtpCapabilities, options: &SendOptions<'_>) -> Result<Self> {
        let kind = options.shape.kind();
        let (mime, format) = match options.shape {
            Shape::Audio(_) => ("audio/opus", PayloadFormat::Opus),
            Shape::Video(_) => ("video/VP8", PayloadFormat::Vp8),
        };
        let mut codecs = router.codecs.iter();
        let codec = codecs
            .find(|codec| codec.mime_type.eq_ignore_ascii_case(mime))
            .with_context(|| format!("the router has no {mime}"))?;
        let payload_type = codec
            .preferred_payload_type
            .context("codec without payload type")?;
        let mut codecs = vec![parameters_of(codec, payload_type)];
        let mut rtx_codecs = router.codecs.iter();
        let rtx_codec = rtx_codecs.find(|candidate| is_rtx_of(candidate, payload_type));
        let mut rtx_payload_type = None;
        if let Some(found) = rtx_codec.filter(|_| options.webrtc)
            && let Some(payload_type) = found.preferred_payload_type
        {
            codecs.push(parameters_of(found, payload_type));
            rtx_payload_type = Some(payload_type);
        }
        let uris = [
            MID_URI,
            ABS_SEND_TIME_URI,
            TRANSPORT_CC_URI,
            RID_URI,
            REPAIRED_RID_URI,
            AUDIO_LEVEL_URI,
        ];
        let is_ours = |known: &&ExtensionCapability| {
            options.webrtc && known.kind == kind && uris.contains(&known.uri.as_str())
        };
        let known = router.header_extensions.iter().filter(is_ours);
        let header_extensions = known.map(|known| ExtensionParameters {
            uri: known.uri.clone(),
            id: known.preferred_id,
        });
        Ok(Self {
            format,
            clock_rate: codec.clock_rate,
            payload_type,
            rtx_payload_type,
            codecs,
            header_extensions: header_extensions.collect(),
        })
    }

    fn id_of(&self, uri: &str) -> Option<u8> {
        id_of(&self.header_extensions, uri)
    }

    fn stream(&self, options: &SendOptions<'_>, number: u32, shape: Shape) -> Result<StreamConfig> {
        let rtx = self.rtx_payload_type.map(|payload_type| {
            let ssrc = random::ssrc()?;
            anyhow::Ok((payload_type, ssrc))
        });
        let mid = self.id_of(MID_URI);
        Ok(StreamConfig {
            stream: number,
            ssrc: random::ssrc()?,
            payload_type: self.payload_type,
            clock_rate: self.clock_rate,
            format: self.format,
            shape,
            mid: mid.map(|id| (id, options.mid.to_owned())),
            rid: None,
            audio_level_id: self.id_of(AUDIO_LEVEL_URI),
            transport_cc_id: self.id_of(TRANSPORT_CC_URI),
            abs_send_time_id: self.id_of(ABS_SEND_TIME_URI),
            rtx: rtx.transpose()?,
            first_sequence: u16::from_be_bytes(random::bytes()?) & 0x7fff,
            withhold_every: 0,
        })
    }

    fn parameters(&self, options: &SendOptions<'_>, encodings: Vec<Encoding>) -> RtpParameters {
        RtpParameters {
            mid: Some(options.mid.to_owned()),
            codecs: self.codecs.clone(),
            header_extensions: self.header_extensions.clone(),
            encodings,
            rtcp: json!({"cname": "weirgate-loadgen"}),
        }
    }
}

/// What a consumer with these parameters must deliver of a stream.
pub fn receiving(
    parameters: &RtpParameters,
    sent: &StreamConfig,
    asked_ns: u64,
    latency: LatencySink,
) -> Result<FlowConfig> {
    let codec = parameters
        .codecs
        .first()
        .context("consumer without codec")?;
    let encoding = parameters
        .encodings
        .first()
        .context("consumer without encoding")?;
    let rtx_codec = parameters.codecs.iter().find(|codec| codec.is_rtx());
    let mid_id = id_of(&parameters.header_extensions, MID_URI);
    Ok(FlowConfig {
        ssrc: encoding.ssrc.context("consumer without SSRC")?,
        payload_type: codec.payload_type,
        clock_rate: codec.clock_rate,
        rtx: rtx_codec
            .zip(encoding.rtx.as_ref())
            .map(|(codec, rtx)| (codec.payload_type, rtx.ssrc)),
        mid: mid_id.zip(parameters.mid.clone()),
        format: sent.format,
        streams: vec![sent.stream],
        transport_cc_id: id_of(&parameters.header_extensions, TRANSPORT_CC_URI),
        asked_ns,
        latency,
    })
}

fn id_of(extensions: &[ExtensionParameters], uri: &str) -> Option<u8> {
    extensions
        .iter()
        .find(|extension| extension.uri == uri)
        .map(|extension| extension.id)
}

fn is_rtx_of(codec: &CodecCapability, payload_type: u8) -> bool {
    codec.mime_type.to_ascii_lowercase().ends_with("/rtx")
        && codec.parameters.get("apt").and_then(Value::as_u64) == Some(u64::from(payload_type))
}

fn parameters_of(codec: &CodecCapability, payload_type: u8) -> CodecParameters {
    CodecParameters {
        mime_type: codec.mime_type.clone(),
        payload_type,
        clock_rate: codec.clock_rate,
        parameters: codec.parameters.clone(),
        rtcp_feedback: codec.rtcp_feedback.clone(),
        channels: codec
            .rest
            .get("channels")
            .and_then(Value::as_u64)
            .map(|count| count as u8),
    }
}
