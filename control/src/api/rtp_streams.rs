//! The RTP streams of producers and consumers in their dumps, as mediasoup's `RtpStreamDump`.

use serde::Serialize;
use utoipa::ToSchema;
use weirgate_ortc::{
    RtcpFeedback, RtpCodecParameters, RtpEncodingParameters, RtpParameters, ScalabilityMode,
};

use crate::model::{Consumer, Producer};

/// One RTP stream.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpStreamDump {
    /// How it was negotiated.
    pub params: RtpStreamParameters,
    /// 0 (dead) to 10.
    pub score: u8,
    /// Its retransmissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx_stream: Option<RtxStreamDump>,
}

/// mediasoup's `RtpStreamParametersDump`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "mediasoup's fields")]
pub struct RtpStreamParameters {
    /// Index of its encoding.
    pub encoding_idx: usize,
    /// SSRC.
    pub ssrc: u32,
    /// Of its media codec.
    pub payload_type: u8,
    /// Such as `video/VP8`.
    pub mime_type: String,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// RID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// CNAME.
    pub cname: String,
    /// SSRC of its retransmissions, as far as signaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx_ssrc: Option<u32>,
    /// Of its retransmissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx_payload_type: Option<u8>,
    /// Negotiated.
    pub use_nack: bool,
    /// Negotiated.
    pub use_pli: bool,
    /// Negotiated.
    pub use_fir: bool,
    /// Of opus.
    pub use_in_band_fec: bool,
    /// Of opus.
    pub use_dtx: bool,
    /// Inside this stream.
    pub spatial_layers: u8,
    /// Inside this stream.
    pub temporal_layers: u8,
}

/// Retransmissions of a stream.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RtxStreamDump {
    /// How it was negotiated.
    pub params: RtxStreamParameters,
}

/// mediasoup's `RtxStreamParameters`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtxStreamParameters {
    /// SSRC.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// Such as `video/rtx`.
    pub mime_type: String,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// RID of the stream it repairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rrid: Option<String>,
    /// CNAME.
    pub cname: String,
}

/// Streams of a producer of which something has come.
pub(super) fn of_producer(producer: &Producer) -> Vec<RtpStreamDump> {
    let parameters = &producer.record.rtp_parameters;
    let known = producer.scores.iter().filter_map(|known| {
        let encoding = parameters.encodings.get(known.encoding_idx)?;
        stream(
            parameters,
            encoding,
            known.encoding_idx,
            known.ssrc,
            known.score,
        )
    });
    known.collect()
}

/// The one stream of a consumer.
pub(super) fn of_consumer(consumer: &Consumer) -> Option<RtpStreamDump> {
    let parameters = &consumer.record.rtp_parameters;
    let encoding = parameters.encodings.first()?;
    stream(
        parameters,
        encoding,
        0,
        consumer.config.ssrc,
        consumer.score,
    )
}

fn stream(
    parameters: &RtpParameters,
    encoding: &RtpEncodingParameters,
    encoding_idx: usize,
    ssrc: u32,
    score: u8,
) -> Option<RtpStreamDump> {
    let codec = match encoding.codec_payload_type {
        Some(payload_type) => {
            let mut codecs = parameters.codecs.iter();
            codecs.find(|codec| codec.payload_type == payload_type)
        }
        None => parameters.codecs.first(),
    }?;
    let rtx_codec = parameters
        .codecs
        .iter()
        .find(|other| integer(other, "apt") == Some(codec.payload_type.into()));
    let cname = parameters.rtcp.cname.clone().unwrap_or_default();
    let mode = ScalabilityMode::parse(encoding.scalability_mode.as_deref());
    let is_on = |name| integer(codec, name) == Some(1);
    let feedback = |kind: &str, parameter: &str| {
        let is_it = |it: &RtcpFeedback| it.name == kind && it.parameter == parameter;
        codec.rtcp_feedback.iter().any(is_it)
    };
    let rtx_stream = encoding.rtx.zip(rtx_codec).map(|(rtx, codec)| {
        let params = RtxStreamParameters {
            ssrc: rtx.ssrc,
            payload_type: codec.payload_type,
            mime_type: codec.mime_type.clone(),
            clock_rate: codec.clock_rate,
            rrid: encoding.rid.clone(),
            cname: cname.clone(),
        };
        RtxStreamDump { params }
    });
    let params = RtpStreamParameters {
        encoding_idx,
        ssrc,
        payload_type: codec.payload_type,
        mime_type: codec.mime_type.clone(),
        clock_rate: codec.clock_rate,
        rid: encoding.rid.clone(),
        rtx_ssrc: encoding.rtx.map(|rtx| rtx.ssrc),
        rtx_payload_type: rtx_codec.map(|codec| codec.payload_type),
        use_nack: feedback("nack", ""),
        use_pli: feedback("nack", "pli"),
        use_fir: feedback("ccm", "fir"),
        use_in_band_fec: is_on("useinbandfec"),
        use_dtx: is_on("usedtx") || encoding.dtx == Some(true),
        spatial_layers: mode.spatial_layers,
        temporal_layers: mode.temporal_layers,
        cname,
    };
    Some(RtpStreamDump {
        params,
        score,
        rtx_stream,
    })
}

fn integer(codec: &RtpCodecParameters, name: &str) -> Option<i64> {
    codec.parameters.get(name)?.as_integer()
}
