//! A consumer: what of a producer its endpoint can receive, and how.

use serde::{Deserialize, Serialize};
use weirgate_wire::{ExtensionKind, Layers};

use crate::{
    OrtcError, ProducerType, RtcpFeedback, RtpCapabilities, RtpCodecParameters,
    RtpEncodingParameters, RtpParameters, RtxParameters, ScalabilityMode,
    matching::{Codec, is_compatible},
};

/// The SSRC that mediasoup-client keeps for probes.
const PROBATOR_SSRC: u32 = 1234;

/// Choices of whoever consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// Every encoding of the producer on its own, instead of one that is chosen.
    pub pipe: bool,
    /// Retransmission where the endpoint has it; mediasoup's default is video only.
    pub enable_rtx: bool,
}

/// `preferredLayers` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredLayers {
    /// From 0, lowest first.
    pub spatial_layer: u8,
    /// From 0, lowest first; the highest where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal_layer: Option<u8>,
}

/// Whether an endpoint with (validated) `capabilities` can receive what a producer offers.
pub fn can_consume(consumable: &RtpParameters, capabilities: &RtpCapabilities) -> bool {
    matching_codecs(consumable, capabilities, true)
        .first()
        .is_some_and(|codec| !codec.is_rtx())
}

/// What an endpoint with (validated) `capabilities` receives of a producer: codecs and extensions
/// both have, in the router's numbers, and one stream with SSRCs from `random`. MID is the
/// caller's to set.
///
/// # Errors
/// [`OrtcError::Unsupported`] where no codec fits.
pub fn consumer_rtp_parameters(
    consumable: &RtpParameters,
    capabilities: &RtpCapabilities,
    options: ConsumerOptions,
    random: &mut dyn FnMut() -> u32,
) -> Result<RtpParameters, OrtcError> {
    let mut codecs = matching_codecs(consumable, capabilities, options.enable_rtx);
    let media: Vec<u8> = codecs
        .iter()
        .filter(|codec| !codec.is_rtx())
        .map(|codec| codec.payload_type)
        .collect();
    codecs.retain(|codec| !codec.is_rtx() || codec.apt().is_some_and(|apt| media.contains(&apt)));
    if codecs.first().is_none_or(Codec::is_rtx) {
        return Err(OrtcError::unsupported(
            "rtpCapabilities.codecs",
            "no codec of the producer can be received",
        ));
    }
    let mut header_extensions = consumable.header_extensions.clone();
    header_extensions.retain(|sent| {
        capabilities
            .header_extensions
            .iter()
            .any(|known| known.preferred_id == sent.id && known.uri == sent.uri)
    });
    let has = |kind: ExtensionKind| header_extensions.iter().any(|sent| sent.uri == kind.uri());
    let bandwidth_feedback = if has(ExtensionKind::TransportWideCc) {
        Some("transport-cc")
    } else if has(ExtensionKind::AbsSendTime) {
        Some("goog-remb")
    } else {
        None
    };
    for codec in &mut codecs {
        codec
            .rtcp_feedback
            .retain(|feedback| is_kept(feedback, bandwidth_feedback, options.enable_rtx));
    }
    let has_rtx = codecs.iter().any(Codec::is_rtx);
    let mut ssrcs = Ssrcs {
        random,
        used: vec![0, PROBATOR_SSRC],
    };
    let encodings = match options.pipe {
        true => pipe_encodings(consumable, has_rtx, &mut ssrcs),
        false => vec![single_encoding(consumable, has_rtx, &mut ssrcs)],
    };
    Ok(RtpParameters {
        mid: None,
        msid: consumable.msid.clone(),
        codecs,
        header_extensions,
        encodings,
        rtcp: consumable.rtcp.clone(),
    })
}

/// The layers a consumer wants at most, cut to those there are; the highest where nothing is
/// wished, `None` where its producer has no layers. `consumer` are its own RTP parameters.
pub fn preferred_layers(
    consumer_type: ProducerType,
    consumer: &RtpParameters,
    wished: Option<PreferredLayers>,
) -> Option<Layers> {
    if consumer_type == ProducerType::Simple {
        return None;
    }
    let encoding = consumer.encodings.first();
    let mode = ScalabilityMode::parse(encoding.and_then(|e| e.scalability_mode.as_deref()));
    let highest = Layers {
        spatial: mode.spatial_layers - 1,
        temporal: mode.temporal_layers - 1,
    };
    Some(wished.map_or(highest, |wished| {
        Layers {
            spatial: wished.spatial_layer.min(highest.spatial),
            temporal: wished
                .temporal_layer
                .map_or(highest.temporal, |temporal| temporal.min(highest.temporal)),
        }
    }))
}

/// The producer's codecs that the endpoint has too, with the endpoint's feedback.
fn matching_codecs(
    consumable: &RtpParameters,
    capabilities: &RtpCapabilities,
    enable_rtx: bool,
) -> Vec<RtpCodecParameters> {
    let codecs = consumable.codecs.iter();
    let mut matching: Vec<_> = codecs
        .filter(|codec| enable_rtx || !codec.is_rtx())
        .filter_map(|codec| {
            let known = capabilities
                .codecs
                .iter()
                .find(|known| is_compatible(*known, codec))?;
            Some(RtpCodecParameters {
                rtcp_feedback: known.rtcp_feedback.clone(),
                ..codec.clone()
            })
        })
        .collect();
    if matching
        .iter()
        .all(|codec| codec.is_red() || codec.is_rtx())
    {
        matching.retain(|codec| !codec.is_red());
    }
    matching
}

/// One way of bandwidth feedback at a time, and NACK only where something answers it.
fn is_kept(feedback: &RtcpFeedback, bandwidth_feedback: Option<&str>, enable_rtx: bool) -> bool {
    match feedback.name.as_str() {
        "transport-cc" | "goog-remb" => bandwidth_feedback == Some(&feedback.name),
        "nack" => enable_rtx || !feedback.parameter.is_empty(),
        _ => true,
    }
}

fn single_encoding(
    consumable: &RtpParameters,
    has_rtx: bool,
    ssrcs: &mut Ssrcs<'_>,
) -> RtpEncodingParameters {
    let encodings = &consumable.encodings;
    let mut modes = encodings
        .iter()
        .filter_map(|e| e.scalability_mode.as_deref());
    let mode = modes.next().map(str::to_owned);
    let scalability_mode = match encodings.len() {
        0 | 1 => mode,
        // Simulcast looks like spatial layers from the consumer's side.
        streams => {
            let temporal_layers = ScalabilityMode::parse(mode.as_deref()).temporal_layers;
            Some(format!("L{streams}T{temporal_layers}"))
        }
    };
    RtpEncodingParameters {
        ssrc: Some(ssrcs.next()),
        rtx: has_rtx.then(|| RtxParameters { ssrc: ssrcs.next() }),
        scalability_mode,
        max_bitrate: encodings.iter().filter_map(|e| e.max_bitrate).max(),
        ..RtpEncodingParameters::default()
    }
}

fn pipe_encodings(
    consumable: &RtpParameters,
    has_rtx: bool,
    ssrcs: &mut Ssrcs<'_>,
) -> Vec<RtpEncodingParameters> {
    let encodings = consumable.encodings.iter();
    encodings
        .map(|encoding| RtpEncodingParameters {
            ssrc: Some(ssrcs.next()),
            rtx: has_rtx.then(|| RtxParameters { ssrc: ssrcs.next() }),
            ..encoding.clone()
        })
        .collect()
}

/// Random SSRCs that differ from each other and from reserved ones.
struct Ssrcs<'a> {
    random: &'a mut dyn FnMut() -> u32,
    used: Vec<u32>,
}

impl Ssrcs<'_> {
    fn next(&mut self) -> u32 {
        let mut ssrc = (self.random)();
        while self.used.contains(&ssrc) {
            ssrc = ssrc.wrapping_add(1);
        }
        self.used.push(ssrc);
        ssrc
    }
}
