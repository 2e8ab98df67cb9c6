//! What a router offers.

use crate::{
    MediaKind, OrtcError, RtpCapabilities, RtpCodecCapability,
    json::CodecParameters,
    matching::is_same_family,
    supported::{parameters, supported_rtp_capabilities},
    validate::{MAX_CODECS, validate_codec_capability},
};

/// Payload types for dynamic use (RFC 3551 section 6), in the order they are given out.
fn dynamic_payload_types() -> impl Iterator<Item = u8> {
    (100..=127).chain(96..=99)
}

/// The codecs of a router that is made without `mediaCodecs`.
pub fn default_media_codecs() -> Vec<RtpCodecCapability> {
    let h264 = |profile_level_id: &str| {
        parameters([
            ("level-asymmetry-allowed", 1.into()),
            ("packetization-mode", 1.into()),
            ("profile-level-id", profile_level_id.into()),
        ])
    };
    let mut opus = media_codec(
        "audio/opus",
        MediaKind::Audio,
        48_000,
        CodecParameters::new(),
    );
    opus.channels = Some(2);
    let video = [
        ("video/VP8", CodecParameters::new()),
        ("video/VP9", parameters([("profile-id", 0.into())])),
        ("video/VP9", parameters([("profile-id", 2.into())])),
        ("video/H264", h264("42e01f")),
        ("video/H264", h264("4d0032")),
        ("video/AV1", CodecParameters::new()),
    ];
    let video = video
        .into_iter()
        .map(|(name, fmtp)| media_codec(name, MediaKind::Video, 90_000, fmtp));
    std::iter::once(opus).chain(video).collect()
}

/// The capabilities of a router with `media_codecs`: each with a payload type and the feedback
/// this server has for it, and an RTX codec after each video codec.
///
/// # Errors
/// Where a codec is malformed or unknown, or payload types clash or run out.
pub fn generate_router_rtp_capabilities(
    media_codecs: &[RtpCodecCapability],
) -> Result<RtpCapabilities, OrtcError> {
    if media_codecs.len() > MAX_CODECS {
        return Err(OrtcError::invalid("mediaCodecs", "too many codecs"));
    }
    let supported = supported_rtp_capabilities();
    let mut payload_types = PayloadTypes(dynamic_payload_types().collect());
    let mut codecs: Vec<RtpCodecCapability> = Vec::new();
    for (index, media_codec) in media_codecs.iter().enumerate() {
        let field = format!("mediaCodecs[{index}]");
        let mut media_codec = media_codec.clone();
        validate_codec_capability(&mut media_codec, &field)?;
        let known = supported
            .codecs
            .iter()
            .find(|codec| is_same_family(&media_codec, *codec))
            .ok_or_else(|| {
                let message = format!("media codec {} is not supported", media_codec.mime_type);
                OrtcError::unsupported(&field, message)
            })?;
        let mut codec = known.clone();
        let wanted = media_codec
            .preferred_payload_type
            .or(known.preferred_payload_type);
        let payload_type = payload_types.take(wanted, &field)?;
        if codecs
            .iter()
            .any(|other| other.preferred_payload_type == Some(payload_type))
        {
            let field = format!("{field}.preferredPayloadType");
            return Err(OrtcError::invalid(field, "payload type is taken already"));
        }
        codec.preferred_payload_type = Some(payload_type);
        codec.parameters.extend(media_codec.parameters);
        let rtx = match codec.kind {
            MediaKind::Audio => None,
            MediaKind::Video => Some(rtx_codec(
                &codec,
                payload_type,
                payload_types.take(None, &field)?,
            )),
        };
        codecs.push(codec);
        codecs.extend(rtx);
    }
    Ok(RtpCapabilities {
        codecs,
        header_extensions: supported.header_extensions,
    })
}

/// Those not given out yet.
struct PayloadTypes(Vec<u8>);

impl PayloadTypes {
    fn take(&mut self, wanted: Option<u8>, field: &str) -> Result<u8, OrtcError> {
        let payload_type = wanted
            .or(self.0.first().copied())
            .ok_or_else(|| OrtcError::invalid(field, "no dynamic payload type is left"))?;
        self.0.retain(|&free| free != payload_type);
        Ok(payload_type)
    }
}

fn rtx_codec(codec: &RtpCodecCapability, apt: u8, payload_type: u8) -> RtpCodecCapability {
    RtpCodecCapability {
        preferred_payload_type: Some(payload_type),
        ..media_codec(
            "video/rtx",
            codec.kind,
            codec.clock_rate,
            parameters([("apt", u32::from(apt).into())]),
        )
    }
}

fn media_codec(
    mime_type: &str,
    kind: MediaKind,
    clock_rate: u32,
    parameters: CodecParameters,
) -> RtpCodecCapability {
    RtpCodecCapability {
        kind,
        mime_type: mime_type.to_owned(),
        preferred_payload_type: None,
        clock_rate,
        channels: None,
        parameters,
        rtcp_feedback: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(json: serde_json::Value) -> RtpCodecCapability {
        serde_json::from_value(json).unwrap()
    }

    fn payload_types(capabilities: &RtpCapabilities) -> Vec<Option<u8>> {
        let codecs = capabilities.codecs.iter();
        codecs.map(|codec| codec.preferred_payload_type).collect()
    }

    #[test]
    fn payload_types_go_on_from_100() {
        let capabilities = generate_router_rtp_capabilities(&default_media_codecs()).unwrap();
        let expected: Vec<_> = (100..=112).map(Some).collect();
        assert_eq!(payload_types(&capabilities), expected);
    }

    #[test]
    fn a_wanted_payload_type_is_kept_and_not_given_twice() {
        let capabilities = generate_router_rtp_capabilities(&[
            codec(
                serde_json::json!({"mimeType": "audio/opus", "clockRate": 48000, "channels": 2,
                "preferredPayloadType": 101}),
            ),
            codec(serde_json::json!({"mimeType": "video/VP8", "clockRate": 90000})),
            codec(serde_json::json!({"mimeType": "audio/pcmu", "clockRate": 8000})),
        ])
        .unwrap();
        assert_eq!(
            payload_types(&capabilities),
            [Some(101), Some(100), Some(102), Some(0)]
        );
        assert_eq!(capabilities.codecs[3].mime_type, "audio/PCMU");
    }

    #[test]
    fn clashing_payload_types_are_refused_by_field() {
        let error = generate_router_rtp_capabilities(&[
            codec(
                serde_json::json!({"mimeType": "video/VP8", "clockRate": 90000,
                "preferredPayloadType": 100}),
            ),
            codec(
                serde_json::json!({"mimeType": "video/VP9", "clockRate": 90000,
                "preferredPayloadType": 101}),
            ),
        ])
        .unwrap_err();
        assert_eq!(error.field(), "mediaCodecs[1].preferredPayloadType");
    }

    #[test]
    fn unknown_codecs_are_unsupported() {
        for json in [
            serde_json::json!({"mimeType": "video/H265", "clockRate": 90000}),
            serde_json::json!({"mimeType": "video/rtx", "clockRate": 90000, "parameters": {"apt": 100}}),
            serde_json::json!({"mimeType": "audio/opus", "clockRate": 48000, "channels": 1}),
        ] {
            let error = generate_router_rtp_capabilities(&[codec(json)]).unwrap_err();
            assert!(matches!(error, OrtcError::Unsupported { .. }), "{error}");
            assert_eq!(error.field(), "mediaCodecs[0]");
        }
    }

    #[test]
    fn payload_types_run_out() {
        let vp8 = codec(serde_json::json!({"mimeType": "video/VP8", "clockRate": 90000}));
        assert!(generate_router_rtp_capabilities(&vec![vp8.clone(); 16]).is_ok());
        let error = generate_router_rtp_capabilities(&vec![vp8; 17]).unwrap_err();
        assert_eq!(error.field(), "mediaCodecs[16]");
    }
}
