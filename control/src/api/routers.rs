//! Routers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::{RtpCapabilities, RtpCodecCapability};

use super::AppData;

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

/// A new router.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterAnswer {
    /// Its id.
    pub id: Uuid,
    /// What clients load their device with.
    pub rtp_capabilities: RtpCapabilities,
}
