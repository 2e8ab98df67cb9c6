//! ORTC's RTP capabilities and parameters, as far as a client of our own needs them; what it does
//! not know it hands on untouched.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::latency::LatencySink;
use crate::marker::PayloadFormat;
use crate::random;
use crate::receiver::FlowConfig;
use crate::sender::{Shape, StreamConfig};

const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const ABS_SEND_TIME_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

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
pub struct Encoding {
    /// SSRC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
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
    /// Its traffic.
    pub shape: Shape,
}

/// Parameters and stream of a new producer of a codec the router has.
pub fn sending(
    router: &RtpCapabilities,
    options: &SendOptions<'_>,
) -> Result<(RtpParameters, StreamConfig)> {
    let (kind, mime, format) = match options.shape {
        Shape::Audio(_) => ("audio", "audio/opus", PayloadFormat::Opus),
        Shape::Video(_) => ("video", "video/VP8", PayloadFormat::Vp8),
    };
    let codec = router
        .codecs
        .iter()
        .find(|codec| codec.mime_type.eq_ignore_ascii_case(mime))
        .with_context(|| format!("the router has no {mime}"))?;
    let payload_type = codec
        .preferred_payload_type
        .context("codec without payload type")?;
    let ssrc = random::ssrc()?;
    let mut codecs = vec![parameters_of(codec, payload_type)];
    let rtx_codec = router
        .codecs
        .iter()
        .find(|candidate| is_rtx_of(candidate, payload_type));
    let mut rtx = None;
    if let Some(found) = rtx_codec.filter(|_| options.webrtc)
        && let Some(rtx_payload_type) = found.preferred_payload_type
    {
        codecs.push(parameters_of(found, rtx_payload_type));
        rtx = Some((rtx_payload_type, random::ssrc()?));
    }
    let uris = [MID_URI, ABS_SEND_TIME_URI, TRANSPORT_CC_URI];
    let header_extensions: Vec<ExtensionParameters> = router
        .header_extensions
        .iter()
        .filter(|known| options.webrtc && known.kind == kind && uris.contains(&known.uri.as_str()))
        .map(|known| ExtensionParameters {
            uri: known.uri.clone(),
            id: known.preferred_id,
        })
        .collect();
    let id_of = |uri| id_of(&header_extensions, uri);
    let config = StreamConfig {
        stream: options.stream,
        ssrc,
        payload_type,
        clock_rate: codec.clock_rate,
        format,
        shape: options.shape,
        mid: id_of(MID_URI).map(|id| (id, options.mid.to_owned())),
        transport_cc_id: id_of(TRANSPORT_CC_URI),
        abs_send_time_id: id_of(ABS_SEND_TIME_URI),
        rtx,
        first_sequence: u16::from_be_bytes(random::bytes()?) & 0x7fff,
        withhold_every: 0,
    };
    let parameters = RtpParameters {
        mid: Some(options.mid.to_owned()),
        codecs,
        header_extensions,
        encodings: vec![Encoding {
            ssrc: Some(ssrc),
            rtx: rtx.map(|(_, ssrc)| RtxEncoding { ssrc }),
        }],
        rtcp: json!({"cname": "weirgate-loadgen"}),
    };
    Ok((parameters, config))
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
        stream: sent.stream,
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
