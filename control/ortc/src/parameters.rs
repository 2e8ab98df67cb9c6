//! `rtpParameters`: what a producer sends, or a consumer receives.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    RtcpFeedback,
    json::{CodecParameters, null_as_default, whole_bitrate},
};

/// Everything one needs to read the packets of a producer or consumer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpParameters {
    /// MID its packets carry (RFC 9143), at most 16 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mid: Option<String>,
    /// Media stream and track id (RFC 8830), handed on to consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msid: Option<String>,
    /// Media codecs, each with its RTX codec where it has one.
    pub codecs: Vec<RtpCodecParameters>,
    /// Header extensions in the packets.
    #[serde(default, deserialize_with = "null_as_default")]
    pub header_extensions: Vec<RtpHeaderExtensionParameters>,
    /// RTP streams; several are simulcast, lowest quality first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub encodings: Vec<RtpEncodingParameters>,
    /// RTCP.
    #[serde(default, deserialize_with = "null_as_default")]
    pub rtcp: RtcpParameters,
}

/// One codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpCodecParameters {
    /// Such as `video/VP8`; letter case is of no matter.
    pub mime_type: String,
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// Audio channels, 1 where left out; video has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// As in SDP's `fmtp`; an RTX codec has `apt`.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(value_type = std::collections::BTreeMap<String, crate::ParameterValue>)]
    pub parameters: CodecParameters,
    /// RTCP feedback (RFC 4585, RFC 5104).
    #[serde(default, deserialize_with = "null_as_default")]
    pub rtcp_feedback: Vec<RtcpFeedback>,
}

/// One header extension (RFC 8285).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpHeaderExtensionParameters {
    /// What it is.
    pub uri: String,
    /// Its id, from 1.
    pub id: u8,
    /// Encrypted (RFC 6904).
    #[serde(default, deserialize_with = "null_as_default")]
    pub encrypt: bool,
    /// Its own parameters; hardly any has some.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(value_type = std::collections::BTreeMap<String, crate::ParameterValue>)]
    pub parameters: CodecParameters,
}

/// One RTP stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpEncodingParameters {
    /// SSRC, if signaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
    /// RID (RFC 8851), at most 16 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// Its media codec; the first one where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec_payload_type: Option<u8>,
    /// Its retransmission stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtx: Option<RtxParameters>,
    /// Discontinuous transmission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtx: Option<bool>,
    /// Such as `L1T3` or `L3T3_KEY` (W3C scalable video coding).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalability_mode: Option<String>,
    /// bit/s. What a browser cuts off, as of a third of something, is cut off.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "whole_bitrate"
    )]
    pub max_bitrate: Option<u64>,
}

/// Retransmission stream of an encoding (RFC 4588).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RtxParameters {
    /// SSRC.
    pub ssrc: u32,
}

/// RTCP of a producer or consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtcpParameters {
    /// Canonical name (RFC 7022).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname: Option<String>,
    /// Reduced-size RTCP (RFC 5506), true where left out.
    #[serde(default = "yes")]
    pub reduced_size: bool,
    /// RTP and RTCP on one port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mux: Option<bool>,
}

fn yes() -> bool {
    true
}

impl Default for RtcpParameters {
    fn default() -> Self {
        Self {
            cname: None,
            reduced_size: true,
            mux: None,
        }
    }
}
