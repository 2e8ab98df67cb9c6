//! From ORTC's JSON to the numbers the engine forwards by.

use uuid::Uuid;
use weirgate_wire::{
    Codec as WireCodec, ConsumerCodec, ConsumerConfig, ExtensionIds, ExtensionKind, Feedback,
    Layers, ProducerCodec, ProducerConfig, ProducerEncoding,
};

use crate::{
    MediaKind, OrtcError, ProducerType, RtcpFeedback, RtpCodecParameters,
    RtpHeaderExtensionParameters, RtpMapping, RtpParameters, ScalabilityMode, matching::Codec,
    producer_type,
};

/// What makes a producer.
#[derive(Debug, Clone, Copy)]
pub struct ProducerArgs<'a> {
    /// Its id.
    pub id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// Validated and completed.
    pub rtp_parameters: &'a RtpParameters,
    /// Starts paused.
    pub paused: bool,
    /// Least time between two key frame requests, in ms; 0 for the engine's default.
    pub key_frame_request_delay_ms: u32,
}

/// The engine's view of a producer.
///
/// # Errors
/// Where a codec is not of the producer's kind, or as [`producer_type`].
pub fn producer_config(args: ProducerArgs<'_>) -> Result<ProducerConfig, OrtcError> {
    let parameters = args.rtp_parameters;
    for (index, codec) in parameters.codecs.iter().enumerate() {
        if MediaKind::of_mime_type(&codec.mime_type) != Some(args.kind) {
            let message = format!("is not of the producer's kind {}", args.kind.name());
            let field = format!("rtpParameters.codecs[{index}].mimeType");
            return Err(OrtcError::invalid(field, message));
        }
    }
    producer_type(parameters)?;
    let media = parameters.codecs.iter().filter(|codec| !codec.is_rtx());
    Ok(ProducerConfig {
        id: args.id,
        kind: args.kind.into(),
        mid: parameters.mid.clone(),
        cname: parameters.rtcp.cname.clone().unwrap_or_default(),
        codecs: media
            .map(|codec| ProducerCodec {
                payload_type: codec.payload_type,
                rtx_payload_type: rtx_payload_type(&parameters.codecs, codec.payload_type),
                codec: wire_codec(codec),
                clock_rate: codec.clock_rate,
                feedback: feedback(&codec.rtcp_feedback),
            })
            .collect(),
        encodings: producer_encodings(parameters),
        extensions: extension_ids(&parameters.header_extensions),
        paused: args.paused,
        key_frame_request_delay_ms: args.key_frame_request_delay_ms,
    })
}

/// What makes a consumer.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerArgs<'a> {
    /// Its id.
    pub id: Uuid,
    /// The producer it takes from.
    pub producer_id: Uuid,
    /// The producer's type.
    pub consumer_type: ProducerType,
    /// [`crate::consumer_rtp_parameters`]'s.
    pub rtp_parameters: &'a RtpParameters,
    /// The producer's own.
    pub producer_rtp_parameters: &'a RtpParameters,
    /// The producer's.
    pub mapping: &'a RtpMapping,
    /// MID written into its packets.
    pub mid: &'a str,
    /// Starts paused.
    pub paused: bool,
    /// [`crate::preferred_layers`]'s.
    pub preferred_layers: Option<Layers>,
    /// 1–255; more is served first.
    pub priority: u8,
    /// Opus packets of silence are left out.
    pub ignore_dtx: bool,
}

/// The engine's view of a consumer.
///
/// # Errors
/// Where the parameters have no SSRC or no codec of the producer.
pub fn consumer_config(args: ConsumerArgs<'_>) -> Result<ConsumerConfig, OrtcError> {
    let parameters = args.rtp_parameters;
    let encoding = parameters.encodings.first();
    let ssrc = encoding
        .and_then(|encoding| encoding.ssrc)
        .ok_or_else(|| OrtcError::invalid("rtpParameters.encodings[0].ssrc", "is missing"))?;
    let codecs = consumer_codecs(&args);
    if codecs.is_empty() {
        let message = "has no codec of the producer";
        return Err(OrtcError::invalid("rtpParameters.codecs", message));
    }
    let first_media = parameters.codecs.iter().find(|codec| !codec.is_rtx());
    Ok(ConsumerConfig {
        id: args.id,
        producer: args.producer_id,
        consumer_type: args.consumer_type.into(),
        ssrc,
        rtx_ssrc: encoding
            .and_then(|encoding| encoding.rtx)
            .map(|rtx| rtx.ssrc),
        mid: args.mid.to_owned(),
        codecs,
        extensions: extension_ids(&parameters.header_extensions),
        feedback: first_media
            .map_or_else(Feedback::default, |codec| feedback(&codec.rtcp_feedback)),
        paused: args.paused,
        preferred_layers: args.preferred_layers,
        priority: args.priority,
        ignore_dtx: args.ignore_dtx,
    })
}

/// The producer's media codecs that the consumer has.
fn consumer_codecs(args: &ConsumerArgs<'_>) -> Vec<ConsumerCodec> {
    let ours = &args.rtp_parameters.codecs;
    let theirs = args.producer_rtp_parameters.codecs.iter();
    theirs
        .filter(|codec| !codec.is_rtx())
        .filter_map(|codec| {
            let payload_type = args.mapping.mapped(codec.payload_type)?;
            ours.iter()
                .find(|ours| !ours.is_rtx() && ours.payload_type == payload_type)?;
            Some(ConsumerCodec {
                producer_payload_type: codec.payload_type,
                payload_type,
                rtx_payload_type: rtx_payload_type(ours, payload_type),
            })
        })
        .collect()
}

fn producer_encodings(parameters: &RtpParameters) -> Vec<ProducerEncoding> {
    let encodings = parameters.encodings.iter();
    encodings
        .map(|encoding| {
            let mode = ScalabilityMode::parse(encoding.scalability_mode.as_deref());
            ProducerEncoding {
                ssrc: encoding.ssrc,
                rtx_ssrc: encoding.rtx.map(|rtx| rtx.ssrc),
                rid: encoding.rid.clone(),
                spatial_layers: mode.spatial_layers,
                temporal_layers: mode.temporal_layers,
            }
        })
        .collect()
}

fn rtx_payload_type(codecs: &[RtpCodecParameters], media_payload_type: u8) -> Option<u8> {
    codecs
        .iter()
        .find(|codec| codec.is_rtx() && codec.apt() == Some(media_payload_type))
        .map(|codec| codec.payload_type)
}

fn wire_codec(codec: &RtpCodecParameters) -> WireCodec {
    [
        ("audio/opus", WireCodec::Opus),
        ("audio/multiopus", WireCodec::Opus),
        ("audio/red", WireCodec::Red),
        ("video/VP8", WireCodec::Vp8),
        ("video/VP9", WireCodec::Vp9),
        ("video/H264", WireCodec::H264),
        ("video/AV1", WireCodec::Av1),
    ]
    .into_iter()
    .find(|(name, _)| codec.is(name))
    .map_or(WireCodec::Other, |(_, known)| known)
}

fn feedback(list: &[RtcpFeedback]) -> Feedback {
    let has = |name, parameter| list.iter().any(|feedback| feedback.is(name, parameter));
    Feedback {
        nack: has("nack", ""),
        pli: has("nack", "pli"),
        fir: has("ccm", "fir"),
        remb: has("goog-remb", ""),
        transport_cc: has("transport-cc", ""),
    }
}

/// Ids of the extensions the engine reads or writes; others pass it by.
fn extension_ids(extensions: &[RtpHeaderExtensionParameters]) -> ExtensionIds {
    let mut ids = ExtensionIds::default();
    for extension in extensions.iter().filter(|extension| !extension.encrypt) {
        if let Some(kind) = ExtensionKind::from_uri(&extension.uri) {
            ids.set(kind, extension.id);
        }
    }
    ids
}
