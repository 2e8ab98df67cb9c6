//! Routers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::{RtpCapabilities, RtpCodecCapability};

use super::{AppData, parse};
use crate::error::ApiError;

/// mediasoup's `RouterOptions`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouterOptions {
    /// Codecs of the router; none given: opus, VP8, VP9, H264 and AV1. Beside those mediasoup has,
    /// `audio/red` (RFC 2198; 48000, 2 channels) may be asked for: producers that send it name the
    /// codec of its blocks too, and consumers without RED get the newest block of each packet.
    pub media_codecs: Option<Vec<RtpCodecCapability>>,
    /// The caller's.
    #[schema(value_type = Option<Object>)]
    pub app_data: Option<AppData>,
}

/// Fields of mediasoup's `RouterRtpCodecCapability`.
const CODEC_FIELDS: [&str; 7] = [
    "kind",
    "mimeType",
    "preferredPayloadType",
    "clockRate",
    "channels",
    "parameters",
    "rtcpFeedback",
];

impl RouterOptions {
    /// Reads a request's body. Codecs are the operator's here, so what is unknown in them is refused;
    /// as those of clients, which have the same type, they may have more.
    ///
    /// # Errors
    /// `bad_request` that names the field.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Codecs {
            media_codecs: Option<Vec<Map<String, Value>>>,
        }

        let options = parse(body)?;
        let codecs: Codecs = parse(body)?;
        for (index, codec) in codecs.media_codecs.iter().flatten().enumerate() {
            let unknown = codec.keys().find(|key| !CODEC_FIELDS.contains(&&***key));
            if let Some(name) = unknown {
                let field = format!("mediaCodecs[{index}].{name}");
                let message = format!("unknown field, expected one of {}", CODEC_FIELDS.join(", "));
                return Err(ApiError::bad_field(field, message));
            }
        }
        Ok(options)
    }
}

/// A new router.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterAnswer {
    /// Its id.
    pub id: Uuid,
    /// What clients load their device with.
    pub rtp_capabilities: RtpCapabilities,
}
