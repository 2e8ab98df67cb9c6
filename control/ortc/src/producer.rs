//! A producer: how its numbers map to the router's, and what consumers can take of it.

use serde::{Deserialize, Serialize};
use weirgate_wire::ExtensionKind;

use crate::{
    MediaKind, OrtcError, RtcpParameters, RtpCapabilities, RtpCodecCapability, RtpCodecParameters,
    RtpEncodingParameters, RtpHeaderExtensionParameters, RtpParameters, ScalabilityMode,
    h264::{self, Answer},
    matching::{Codec, is_compatible},
};

/// How a producer's stream is made up; a consumer has its producer's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProducerType {
    /// One stream without layers.
    Simple,
    /// Several streams.
    Simulcast,
    /// One stream with layers inside, be they only temporal ones.
    Svc,
}

impl From<ProducerType> for weirgate_wire::ConsumerType {
    fn from(kind: ProducerType) -> Self {
        match kind {
            ProducerType::Simple => Self::Simple,
            ProducerType::Simulcast => Self::Simulcast,
            ProducerType::Svc => Self::Svc,
        }
    }
}

/// Which of the router's payload types stands for each of a producer's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpMapping {
    /// Media and RTX codecs, in the producer's order, media first.
    pub codecs: Vec<CodecMapping>,
}

/// One payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodecMapping {
    /// On the producer's leg.
    pub payload_type: u8,
    /// In the router's capabilities.
    pub mapped_payload_type: u8,
}

impl RtpMapping {
    /// The router's payload type for a producer's.
    pub fn mapped(&self, payload_type: u8) -> Option<u8> {
        self.codecs
            .iter()
            .find(|entry| entry.payload_type == payload_type)
            .map(|entry| entry.mapped_payload_type)
    }
}

/// Gives a validated producer an encoding where it has none, and its CNAME: every producer of a
/// transport has the same, so that receivers play them in step (RFC 7022). `transport_cname` is
/// that of the transport's earlier producers; without one it is the producer's own, or `generated`.
pub fn complete_producer_rtp_parameters(
    parameters: &mut RtpParameters,
    transport_cname: Option<&str>,
    generated: &str,
) {
    if parameters.encodings.is_empty() {
        parameters.encodings.push(RtpEncodingParameters {
            dtx: Some(false),
            ..RtpEncodingParameters::default()
        });
    }
    let own = parameters.rtcp.cname.take().filter(|own| !own.is_empty());
    let cname = transport_cname.map(str::to_owned).or(own);
    parameters.rtcp.cname = Some(cname.unwrap_or_else(|| generated.to_owned()));
}

/// Finds the router's payload type for each codec of a validated producer.
///
/// # Errors
/// [`OrtcError::Unsupported`] where the router has no such codec, or no RTX for it.
pub fn producer_rtp_mapping(
    parameters: &RtpParameters,
    router: &RtpCapabilities,
) -> Result<RtpMapping, OrtcError> {
    let mut mapping = RtpMapping::default();
    let numbered = || parameters.codecs.iter().enumerate();
    for (index, codec) in numbered().filter(|(_, codec)| !codec.is_rtx()) {
        let unsupported = || {
            OrtcError::unsupported(
                format!("rtpParameters.codecs[{index}]"),
                format!(
                    "unsupported codec [mimeType:{}, payloadType:{}]",
                    codec.mime_type, codec.payload_type
                ),
            )
        };
        let is_of_blocks = |other: &RtpCodecParameters| !other.is_rtx() && !other.is_red();
        if codec.is_red() && !parameters.codecs.iter().any(is_of_blocks) {
            let field = format!("rtpParameters.codecs[{index}]");
            let message = "audio/red must have the codec of its blocks beside it";
            return Err(OrtcError::unsupported(field, message));
        }
        let mapped = router
            .codecs
            .iter()
            .find(|offered| is_compatible(codec, *offered))
            .and_then(|offered| offered.preferred_payload_type)
            .ok_or_else(unsupported)?;
        mapping.codecs.push(CodecMapping {
            payload_type: codec.payload_type,
            mapped_payload_type: mapped,
        });
    }
    for (index, codec) in numbered().filter(|(_, codec)| codec.is_rtx()) {
        let field = format!("rtpParameters.codecs[{index}].parameters.apt");
        let media = codec
            .apt()
            .and_then(|apt| mapping.mapped(apt))
            .ok_or_else(|| OrtcError::invalid(&field, "no media codec has this payload type"))?;
        let mapped = router_rtx(router, media)
            .and_then(|rtx| rtx.preferred_payload_type)
            .ok_or_else(|| {
                let message = format!("the router has no RTX for its payload type {media}");
                OrtcError::unsupported(&field, message)
            })?;
        mapping.codecs.push(CodecMapping {
            payload_type: codec.payload_type,
            mapped_payload_type: mapped,
        });
    }
    Ok(mapping)
}

/// What consumers can take of a producer, in the router's numbers. `mapping` must be
/// [`producer_rtp_mapping`]'s for the same arguments; a codec that is not in it is left out.
pub fn consumable_rtp_parameters(
    kind: MediaKind,
    parameters: &RtpParameters,
    router: &RtpCapabilities,
    mapping: &RtpMapping,
) -> RtpParameters {
    let mut codecs = Vec::new();
    for codec in parameters.codecs.iter().filter(|codec| !codec.is_rtx()) {
        let Some((offered, payload_type)) = router_codec(router, mapping, codec) else {
            continue;
        };
        codecs.push(RtpCodecParameters {
            mime_type: offered.mime_type.clone(),
            payload_type,
            clock_rate: offered.clock_rate,
            channels: offered.channels,
            parameters: fmtp(codec, offered),
            rtcp_feedback: offered.rtcp_feedback.clone(),
        });
        if let Some(rtx) = router_rtx(router, payload_type) {
            codecs.extend(
                rtx.preferred_payload_type
                    .map(|payload_type| RtpCodecParameters {
                        mime_type: rtx.mime_type.clone(),
                        payload_type,
                        clock_rate: rtx.clock_rate,
                        channels: None,
                        parameters: rtx.parameters.clone(),
                        rtcp_feedback: rtx.rtcp_feedback.clone(),
                    }),
            );
        }
    }
    RtpParameters {
        mid: None,
        msid: parameters.msid.clone(),
        codecs,
        header_extensions: consumable_extensions(kind, parameters, router),
        // Streams are found anew on the consumer's leg: only their layers and rates matter.
        encodings: parameters
            .encodings
            .iter()
            .map(|encoding| RtpEncodingParameters {
                dtx: encoding.dtx,
                scalability_mode: encoding.scalability_mode.clone(),
                max_bitrate: encoding.max_bitrate,
                ..RtpEncodingParameters::default()
            })
            .collect(),
        rtcp: RtcpParameters {
            cname: parameters.rtcp.cname.clone(),
            reduced_size: true,
            mux: None,
        },
    }
}

/// The type of a validated and completed producer.
///
/// # Errors
/// Where its codec has no such layers here: streams (simulcast) are for VP8 and H264, layers in a
/// stream for every video codec, and both at once for none.
pub fn producer_type(parameters: &RtpParameters) -> Result<ProducerType, OrtcError> {
    let layers = |encoding: &RtpEncodingParameters| {
        ScalabilityMode::parse(encoding.scalability_mode.as_deref())
    };
    let refuse = |index: usize, message: String| {
        let field = format!("rtpParameters.encodings[{index}].scalabilityMode");
        Err(OrtcError::unsupported(field, message))
    };
    let codec_of = |encoding: &RtpEncodingParameters| {
        let wanted = encoding.codec_payload_type;
        parameters.codecs.iter().find(|codec| {
            !codec.is_rtx() && wanted.is_none_or(|wanted| wanted == codec.payload_type)
        })
    };
    let is_any = |codec: Option<&RtpCodecParameters>, names: &[&str]| {
        codec.is_some_and(|codec| names.iter().any(|name| codec.is(name)))
    };
    match parameters.encodings.as_slice() {
        [] => Ok(ProducerType::Simple),
        [single] => {
            let mode = layers(single);
            if mode.spatial_layers == 1 && mode.temporal_layers == 1 {
                return Ok(ProducerType::Simple);
            }
            let layered = ["video/VP8", "video/VP9", "video/H264", "video/AV1"];
            match is_any(codec_of(single), &layered) {
                true => Ok(ProducerType::Svc),
                false => refuse(0, "this codec has no layers".to_owned()),
            }
        }
        several => {
            for (index, encoding) in several.iter().enumerate() {
                if layers(encoding).spatial_layers > 1 {
                    let message = "simulcast streams cannot have spatial layers";
                    return refuse(index, message.to_owned());
                }
                if !is_any(codec_of(encoding), &["video/VP8", "video/H264"]) {
                    return Err(OrtcError::unsupported(
                        "rtpParameters.encodings",
                        "simulcast is for VP8 and H264; use layers in one stream instead",
                    ));
                }
            }
            Ok(ProducerType::Simulcast)
        }
    }
}

fn router_codec<'a>(
    router: &'a RtpCapabilities,
    mapping: &RtpMapping,
    codec: &RtpCodecParameters,
) -> Option<(&'a RtpCodecCapability, u8)> {
    let payload_type = mapping.mapped(codec.payload_type)?;
    let offered = router
        .codecs
        .iter()
        .find(|offered| offered.preferred_payload_type == Some(payload_type))?;
    Some((offered, payload_type))
}

fn router_rtx(router: &RtpCapabilities, media_payload_type: u8) -> Option<&RtpCodecCapability> {
    router
        .codecs
        .iter()
        .find(|offered| offered.is_rtx() && offered.apt() == Some(media_payload_type))
}

/// The producer's own parameters, with the H.264 profile and level that were agreed on. Those of RED
/// are payload types of the producer's leg, which are of no use to others.
fn fmtp(codec: &RtpCodecParameters, offered: &RtpCodecCapability) -> crate::CodecParameters {
    if codec.is_red() {
        return crate::CodecParameters::new();
    }
    let mut parameters = codec.parameters.clone();
    if codec.is("video/H264")
        && let Answer::Named(answer) = h264::answer(&codec.parameters, &offered.parameters)
    {
        parameters.insert("profile-level-id".to_owned(), answer.as_str().into());
    }
    parameters
}

fn consumable_extensions(
    kind: MediaKind,
    parameters: &RtpParameters,
    router: &RtpCapabilities,
) -> Vec<RtpHeaderExtensionParameters> {
    let is_sent = |uri: &str| {
        parameters
            .header_extensions
            .iter()
            .any(|sent| sent.uri == uri)
    };
    router
        .header_extensions
        .iter()
        .filter(|offered| offered.kind == kind && offered.direction.can_send())
        // Only the sender knows when it captured, so without it there is nothing to announce.
        .filter(|offered| {
            offered.uri != ExtensionKind::AbsCaptureTime.uri() || is_sent(&offered.uri)
        })
        .map(|offered| RtpHeaderExtensionParameters {
            uri: offered.uri.clone(),
            id: offered.preferred_id,
            encrypt: offered.preferred_encrypt,
            parameters: crate::CodecParameters::new(),
        })
        .collect()
}
