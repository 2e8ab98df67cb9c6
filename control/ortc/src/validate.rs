//! Checks what came from clients, and fills in what they may leave out. The limits keep one
//! request small; no client comes near them.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    MediaKind, OrtcError, RtcpFeedback, RtpCapabilities, RtpCodecCapability, RtpCodecParameters,
    RtpEncodingParameters, RtpParameters, json::CodecParameters, matching::Codec,
};

pub(crate) const MAX_CODECS: usize = 128;
const MAX_HEADER_EXTENSIONS: usize = 128;
const MAX_ENCODINGS: usize = 16;
const MAX_FEEDBACK: usize = 32;
const MAX_PARAMETERS: usize = 64;
const MAX_TEXT_BYTES: usize = 256;

/// What a one-byte header extension holds (RFC 8285 section 4.2).
const MAX_MID_BYTES: usize = 16;
const MAX_RID_BYTES: usize = 16;
const MAX_PAYLOAD_TYPE: u8 = 127;

/// Reads and validates `rtpCapabilities`.
///
/// # Errors
/// Names the field, such as `rtpCapabilities.codecs[0].clockRate`.
pub fn parse_rtp_capabilities(value: &Value) -> Result<RtpCapabilities, OrtcError> {
    let mut capabilities = parse(value, "rtpCapabilities")?;
    validate_rtp_capabilities(&mut capabilities)?;
    Ok(capabilities)
}

/// Reads and validates `rtpParameters`.
///
/// # Errors
/// Names the field, such as `rtpParameters.codecs[0].mimeType`.
pub fn parse_rtp_parameters(value: &Value) -> Result<RtpParameters, OrtcError> {
    let mut parameters = parse(value, "rtpParameters")?;
    validate_rtp_parameters(&mut parameters)?;
    Ok(parameters)
}

/// Checks capabilities, and sets `kind` and `channels` of codecs right.
///
/// # Errors
/// Names the field, such as `rtpCapabilities.codecs[0].mimeType`.
pub fn validate_rtp_capabilities(capabilities: &mut RtpCapabilities) -> Result<(), OrtcError> {
    let root = "rtpCapabilities";
    limit(
        capabilities.codecs.len(),
        MAX_CODECS,
        &format!("{root}.codecs"),
    )?;
    for (index, codec) in capabilities.codecs.iter_mut().enumerate() {
        validate_codec_capability(codec, &format!("{root}.codecs[{index}]"))?;
    }
    let extensions = &capabilities.header_extensions;
    let field = format!("{root}.headerExtensions");
    limit(extensions.len(), MAX_HEADER_EXTENSIONS, &field)?;
    for (index, extension) in extensions.iter().enumerate() {
        let field = format!("{field}[{index}]");
        text(&extension.uri, &format!("{field}.uri"))?;
        extension_id(extension.preferred_id, &format!("{field}.preferredId"))?;
    }
    Ok(())
}

/// Checks parameters of a producer, and sets `channels` of codecs and `dtx` of encodings.
///
/// # Errors
/// Names the field, such as `rtpParameters.encodings[1].ssrc`.
pub fn validate_rtp_parameters(parameters: &mut RtpParameters) -> Result<(), OrtcError> {
    let root = "rtpParameters";
    if let Some(mid) = &parameters.mid {
        let is_fit = (1..=MAX_MID_BYTES).contains(&mid.len());
        ensure(is_fit, &format!("{root}.mid"), "must have 1 to 16 bytes")?;
    }
    if let Some(msid) = &parameters.msid {
        limit(msid.len(), MAX_TEXT_BYTES, &format!("{root}.msid"))?;
    }
    if let Some(cname) = &parameters.rtcp.cname {
        limit(
            cname.len(),
            MAX_TEXT_BYTES - 1,
            &format!("{root}.rtcp.cname"),
        )?;
    }
    validate_codecs(&mut parameters.codecs, &format!("{root}.codecs"))?;
    validate_header_extensions(parameters, &format!("{root}.headerExtensions"))?;
    validate_encodings(parameters, &format!("{root}.encodings"))
}

/// Checks one codec of `rtpCapabilities` or `mediaCodecs`.
pub(crate) fn validate_codec_capability(
    codec: &mut RtpCodecCapability,
    field: &str,
) -> Result<(), OrtcError> {
    if let Some(payload_type) = codec.preferred_payload_type {
        let field = format!("{field}.preferredPayloadType");
        ensure(payload_type <= MAX_PAYLOAD_TYPE, &field, "must be 0 to 127")?;
    }
    codec.kind = validate_codec(codec, &codec.rtcp_feedback, field)?;
    codec.channels = channels(codec.kind, codec.channels);
    Ok(())
}

fn validate_codecs(codecs: &mut [RtpCodecParameters], field: &str) -> Result<(), OrtcError> {
    ensure(!codecs.is_empty(), field, "must have a codec")?;
    limit(codecs.len(), MAX_CODECS, field)?;
    let mut payload_types = HashSet::new();
    for (index, codec) in codecs.iter_mut().enumerate() {
        let field = format!("{field}[{index}]");
        let kind = validate_codec(codec, &codec.rtcp_feedback, &field)?;
        codec.channels = channels(kind, codec.channels);
        let field = format!("{field}.payloadType");
        ensure(
            codec.payload_type <= MAX_PAYLOAD_TYPE,
            &field,
            "must be 0 to 127",
        )?;
        ensure(
            payload_types.insert(codec.payload_type),
            &field,
            "is there twice",
        )?;
    }
    let is_all_rtx = codecs.iter().all(Codec::is_rtx);
    ensure(!is_all_rtx, field, "must have a media codec")?;
    for (index, codec) in codecs
        .iter()
        .enumerate()
        .filter(|(_, codec)| codec.is_rtx())
    {
        let field = format!("{field}[{index}].parameters.apt");
        let repaired = codecs
            .iter()
            .find(|media| Some(media.payload_type) == codec.apt());
        let is_media = repaired.is_some_and(|media| !media.is_rtx());
        ensure(
            is_media,
            &field,
            "must be the payload type of a media codec",
        )?;
    }
    Ok(())
}

/// What capabilities and parameters have in common; gives the media kind.
fn validate_codec(
    codec: &dyn Codec,
    rtcp_feedback: &[RtcpFeedback],
    field: &str,
) -> Result<MediaKind, OrtcError> {
    let mime_field = format!("{field}.mimeType");
    let mime_type = codec.mime_type();
    text(mime_type, &mime_field)?;
    let is_plain = mime_type.bytes().all(|byte| byte.is_ascii_graphic());
    let kind = MediaKind::of_mime_type(mime_type)
        .filter(|_| is_plain)
        .ok_or_else(|| OrtcError::invalid(mime_field, "must be audio/NAME or video/NAME"))?;
    ensure(
        codec.clock_rate() > 0,
        &format!("{field}.clockRate"),
        "must not be 0",
    )?;
    validate_parameters(codec.parameters(), &format!("{field}.parameters"))?;
    if let Some(apt) = codec.parameters().get("apt") {
        let field = format!("{field}.parameters.apt");
        let is_payload_type = codec.apt().is_some_and(|apt| apt <= MAX_PAYLOAD_TYPE);
        let is_number = matches!(apt, crate::ParameterValue::Number(_));
        ensure(
            is_number && is_payload_type,
            &field,
            "must be a payload type, 0 to 127",
        )?;
    }
    let field = format!("{field}.rtcpFeedback");
    limit(rtcp_feedback.len(), MAX_FEEDBACK, &field)?;
    for (index, feedback) in rtcp_feedback.iter().enumerate() {
        text(&feedback.name, &format!("{field}[{index}].type"))?;
        let field = format!("{field}[{index}].parameter");
        limit(feedback.parameter.len(), MAX_TEXT_BYTES, &field)?;
    }
    Ok(kind)
}

fn channels(kind: MediaKind, given: Option<u8>) -> Option<u8> {
    match kind {
        MediaKind::Audio => Some(given.unwrap_or(1)),
        MediaKind::Video => None,
    }
}

fn validate_parameters(parameters: &CodecParameters, field: &str) -> Result<(), OrtcError> {
    limit(parameters.len(), MAX_PARAMETERS, field)?;
    for (name, value) in parameters {
        limit(name.len(), MAX_TEXT_BYTES, field)?;
        if let crate::ParameterValue::Text(text) = value {
            limit(text.len(), MAX_TEXT_BYTES, &format!("{field}.{name}"))?;
        }
    }
    Ok(())
}

fn validate_header_extensions(parameters: &RtpParameters, field: &str) -> Result<(), OrtcError> {
    let extensions = &parameters.header_extensions;
    limit(extensions.len(), MAX_HEADER_EXTENSIONS, field)?;
    let mut ids = HashSet::new();
    for (index, extension) in extensions.iter().enumerate() {
        let field = format!("{field}[{index}]");
        text(&extension.uri, &format!("{field}.uri"))?;
        validate_parameters(&extension.parameters, &format!("{field}.parameters"))?;
        let field = format!("{field}.id");
        extension_id(extension.id, &field)?;
        ensure(ids.insert(extension.id), &field, "is there twice")?;
    }
    Ok(())
}

fn validate_encodings(parameters: &mut RtpParameters, field: &str) -> Result<(), OrtcError> {
    limit(parameters.encodings.len(), MAX_ENCODINGS, field)?;
    let is_simulcast = parameters.encodings.len() > 1;
    let mut ssrcs = HashSet::new();
    let mut rids = HashSet::new();
    for (index, encoding) in parameters.encodings.iter_mut().enumerate() {
        let field = format!("{field}[{index}]");
        for (ssrc, name) in [
            (encoding.ssrc, "ssrc"),
            (encoding.rtx.map(|rtx| rtx.ssrc), "rtx.ssrc"),
        ] {
            let Some(ssrc) = ssrc else { continue };
            let field = format!("{field}.{name}");
            ensure(ssrc != 0, &field, "must not be 0")?;
            ensure(ssrcs.insert(ssrc), &field, "is there twice")?;
        }
        if let Some(rid) = &encoding.rid {
            let field = format!("{field}.rid");
            ensure(
                is_rid(rid),
                &field,
                "must be 1 to 16 letters, digits, - or _",
            )?;
            ensure(rids.insert(rid.clone()), &field, "is there twice")?;
        }
        let is_found = encoding.ssrc.is_some() || encoding.rid.is_some();
        ensure(
            is_found || !is_simulcast,
            &field,
            "must have ssrc or rid beside others",
        )?;
        validate_encoding_codec(encoding, &parameters.codecs, &field)?;
        if let Some(mode) = &encoding.scalability_mode {
            limit(
                mode.len(),
                MAX_TEXT_BYTES,
                &format!("{field}.scalabilityMode"),
            )?;
        }
        encoding.dtx.get_or_insert(false);
    }
    Ok(())
}

fn validate_encoding_codec(
    encoding: &RtpEncodingParameters,
    codecs: &[RtpCodecParameters],
    field: &str,
) -> Result<(), OrtcError> {
    let Some(payload_type) = encoding.codec_payload_type else {
        return Ok(());
    };
    let mut media = codecs.iter().filter(|codec| !codec.is_rtx());
    let is_known = media.any(|codec| codec.payload_type == payload_type);
    let field = format!("{field}.codecPayloadType");
    ensure(
        is_known,
        &field,
        "must be the payload type of a media codec",
    )
}

/// RFC 8851 section 10, with `-` and `_` as RFC 8852 allows them.
fn is_rid(rid: &str) -> bool {
    (1..=MAX_RID_BYTES).contains(&rid.len())
        && rid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn extension_id(id: u8, field: &str) -> Result<(), OrtcError> {
    ensure(id != 0, field, "must be 1 to 255")
}

fn text(text: &str, field: &str) -> Result<(), OrtcError> {
    ensure(!text.is_empty(), field, "must not be empty")?;
    limit(text.len(), MAX_TEXT_BYTES, field)
}

fn limit(len: usize, max: usize, field: &str) -> Result<(), OrtcError> {
    if len <= max {
        return Ok(());
    }
    Err(OrtcError::invalid(
        field,
        format!("must be at most {max} long"),
    ))
}

fn ensure(condition: bool, field: &str, message: &str) -> Result<(), OrtcError> {
    match condition {
        true => Ok(()),
        false => Err(OrtcError::invalid(field, message)),
    }
}

fn parse<T: DeserializeOwned>(value: &Value, root: &str) -> Result<T, OrtcError> {
    ensure(value.is_object(), root, "must be an object")?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = match path.as_str() {
            "." => root.to_owned(),
            path if path.starts_with('[') => format!("{root}{path}"),
            path => format!("{root}.{path}"),
        };
        OrtcError::invalid(field, error.inner().to_string())
    })
}
