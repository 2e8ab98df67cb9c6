//! `rtpCapabilities`: what a router or an endpoint can send and receive.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::{CodecParameters, null_as_default};

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

impl From<MediaKind> for weirgate_wire::MediaKind {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

impl From<weirgate_wire::MediaKind> for MediaKind {
    fn from(kind: weirgate_wire::MediaKind) -> Self {
        match kind {
            weirgate_wire::MediaKind::Audio => Self::Audio,
            weirgate_wire::MediaKind::Video => Self::Video,
        }
    }
}

impl MediaKind {
    /// The name in JSON and in front of a MIME type's slash.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    /// The kind a MIME type such as `video/VP8` belongs to.
    pub fn of_mime_type(mime_type: &str) -> Option<Self> {
        let (kind, subtype) = mime_type.split_once('/')?;
        if subtype.is_empty() {
            return None;
        }
        [Self::Audio, Self::Video]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(kind))
    }
}

/// Codecs and header extensions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpCapabilities {
    /// Media codecs, and an RTX one for each that has retransmission.
    #[serde(default, deserialize_with = "null_as_default")]
    pub codecs: Vec<RtpCodecCapability>,
    /// Header extensions, one entry per kind.
    #[serde(default, deserialize_with = "null_as_default")]
    pub header_extensions: Vec<RtpHeaderExtension>,
}

/// One codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpCodecCapability {
    /// What `mimeType` says; anything else given here is set right.
    #[serde(default = "audio")]
    pub kind: MediaKind,
    /// Such as `audio/opus` or `video/rtx`; letter case is of no matter.
    pub mime_type: String,
    /// Payload type, 0–127.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_payload_type: Option<u8>,
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

/// A placeholder until validation reads the MIME type.
fn audio() -> MediaKind {
    MediaKind::Audio
}

/// One RTCP feedback message type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RtcpFeedback {
    /// Such as `nack`, `ccm`, `goog-remb`, `transport-cc`.
    #[serde(rename = "type")]
    pub name: String,
    /// Such as `pli` or `fir`; empty for none.
    #[serde(default, deserialize_with = "null_as_default")]
    pub parameter: String,
}

impl RtcpFeedback {
    pub(crate) fn new(name: &str, parameter: &str) -> Self {
        Self {
            name: name.to_owned(),
            parameter: parameter.to_owned(),
        }
    }

    pub(crate) fn is(&self, name: &str, parameter: &str) -> bool {
        self.name == name && self.parameter == parameter
    }
}

/// One RTP header extension (RFC 8285) for one kind of media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpHeaderExtension {
    /// Media it is for.
    pub kind: MediaKind,
    /// What it is.
    pub uri: String,
    /// Its id, from 1.
    pub preferred_id: u8,
    /// Encrypted header extensions (RFC 6904); no browser has them.
    #[serde(default, deserialize_with = "null_as_default")]
    pub preferred_encrypt: bool,
    /// Seen from the owner of the capabilities.
    #[serde(default, deserialize_with = "null_as_default")]
    pub direction: RtpHeaderExtensionDirection,
}

/// Whether an extension is sent, received or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RtpHeaderExtensionDirection {
    /// Both.
    #[default]
    Sendrecv,
    /// Only sent.
    Sendonly,
    /// Only received.
    Recvonly,
    /// Neither.
    Inactive,
}

impl RtpHeaderExtensionDirection {
    pub(crate) fn can_send(self) -> bool {
        matches!(self, Self::Sendrecv | Self::Sendonly)
    }
}
