//! Everything a router can be made of.

use weirgate_wire::ExtensionKind;

use crate::{
    MediaKind::{self, Audio, Video},
    RtcpFeedback, RtpCapabilities, RtpCodecCapability, RtpHeaderExtension,
    RtpHeaderExtensionDirection::{self, Recvonly, Sendrecv},
    json::{CodecParameters, ParameterValue},
};

/// Every codec and header extension known, with mediasoup's ids and directions, and `audio/red`
/// (RFC 2198) beside them, which mediasoup has not. Codecs without a payload type get one when a
/// router is made; those with one have it from RFC 3551.
pub fn supported_rtp_capabilities() -> RtpCapabilities {
    RtpCapabilities {
        codecs: audio_codecs().into_iter().chain(video_codecs()).collect(),
        header_extensions: HEADER_EXTENSIONS
            .iter()
            .flat_map(|&(kinds, extension, id, direction)| {
                kinds
                    .iter()
                    .map(move |&kind| header_extension(kind, extension, id, direction))
            })
            .collect(),
    }
}

/// `rid`, `repaired-rid` and the dependency descriptor go no further than the engine; audio takes
/// transport-wide numbers but never sends them.
const HEADER_EXTENSIONS: [(&[MediaKind], ExtensionKind, u8, RtpHeaderExtensionDirection); 12] = [
    (&[Audio, Video], ExtensionKind::Mid, 1, Sendrecv),
    (&[Video], ExtensionKind::Rid, 2, Recvonly),
    (&[Video], ExtensionKind::RepairedRid, 3, Recvonly),
    (&[Audio, Video], ExtensionKind::AbsSendTime, 4, Sendrecv),
    (&[Audio], ExtensionKind::TransportWideCc, 5, Recvonly),
    (&[Video], ExtensionKind::TransportWideCc, 5, Sendrecv),
    (&[Audio], ExtensionKind::AudioLevel, 6, Sendrecv),
    (&[Video], ExtensionKind::DependencyDescriptor, 7, Recvonly),
    (&[Video], ExtensionKind::VideoOrientation, 8, Sendrecv),
    (&[Video], ExtensionKind::TimeOffset, 9, Sendrecv),
    (&[Audio, Video], ExtensionKind::AbsCaptureTime, 10, Sendrecv),
    (&[Audio, Video], ExtensionKind::PlayoutDelay, 11, Sendrecv),
];

fn header_extension(
    kind: MediaKind,
    extension: ExtensionKind,
    id: u8,
    direction: RtpHeaderExtensionDirection,
) -> RtpHeaderExtension {
    RtpHeaderExtension {
        kind,
        uri: extension.uri().to_owned(),
        preferred_id: id,
        preferred_encrypt: false,
        direction,
    }
}

fn audio_codecs() -> Vec<RtpCodecCapability> {
    let opus_feedback = || {
        vec![
            RtcpFeedback::new("nack", ""),
            RtcpFeedback::new("transport-cc", ""),
        ]
    };
    let feedback = || vec![RtcpFeedback::new("transport-cc", "")];
    let mut codecs = vec![audio("audio/opus", None, 48_000, 2, opus_feedback())];
    // Quadraphonic, 5.1 and 7.1, as Chromium names them.
    for (channels, mapping, streams) in [
        (4, "0,1,2,3", 2),
        (6, "0,4,1,2,3,5", 4),
        (8, "0,6,1,2,3,4,5,7", 5),
    ] {
        let coupled_streams = u32::from(channels) - streams;
        codecs.push(RtpCodecCapability {
            parameters: parameters([
                ("channel_mapping", mapping.into()),
                ("num_streams", streams.into()),
                ("coupled_streams", coupled_streams.into()),
            ]),
            ..audio("audio/multiopus", None, 48_000, channels, opus_feedback())
        });
    }
    codecs.push(audio("audio/PCMU", Some(0), 8000, 1, feedback()));
    codecs.push(audio("audio/PCMA", Some(8), 8000, 1, feedback()));
    for (name, rates) in [
        ("audio/ISAC", &[32_000, 16_000][..]),
        ("audio/iLBC", &[8000]),
        ("audio/SILK", &[24_000, 16_000, 12_000, 8000]),
    ] {
        for &rate in rates {
            codecs.push(audio(name, None, rate, 1, feedback()));
        }
    }
    codecs.push(audio("audio/G722", Some(9), 8000, 1, feedback()));
    for rate in [32_000, 16_000, 8000] {
        codecs.push(audio("audio/CN", Some(13), rate, 1, Vec::new()));
    }
    for rate in [48_000, 32_000, 16_000, 8000] {
        codecs.push(audio("audio/telephone-event", None, rate, 1, Vec::new()));
    }
    codecs.push(audio("audio/red", None, 48_000, 2, opus_feedback()));
    codecs
}

fn audio(
    mime_type: &str,
    payload_type: Option<u8>,
    clock_rate: u32,
    channels: u8,
    rtcp_feedback: Vec<RtcpFeedback>,
) -> RtpCodecCapability {
    RtpCodecCapability {
        kind: Audio,
        mime_type: mime_type.to_owned(),
        preferred_payload_type: payload_type,
        clock_rate,
        channels: Some(channels),
        parameters: CodecParameters::new(),
        rtcp_feedback,
    }
}

fn video_codecs() -> [RtpCodecCapability; 4] {
    [
        video("video/VP8", CodecParameters::new()),
        video("video/VP9", CodecParameters::new()),
        video(
            "video/H264",
            parameters([("level-asymmetry-allowed", 1.into())]),
        ),
        video("video/AV1", CodecParameters::new()),
    ]
}

fn video(mime_type: &str, parameters: CodecParameters) -> RtpCodecCapability {
    RtpCodecCapability {
        kind: Video,
        mime_type: mime_type.to_owned(),
        preferred_payload_type: None,
        clock_rate: 90_000,
        channels: None,
        parameters,
        rtcp_feedback: vec![
            RtcpFeedback::new("nack", ""),
            RtcpFeedback::new("nack", "pli"),
            RtcpFeedback::new("ccm", "fir"),
            RtcpFeedback::new("goog-remb", ""),
            RtcpFeedback::new("transport-cc", ""),
        ],
    }
}

pub(crate) fn parameters<const N: usize>(entries: [(&str, ParameterValue); N]) -> CodecParameters {
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
