//! Consumers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::{MediaKind, RtpCapabilities, RtpParameters};

use super::{AppData, refuse_unbuilt};
use crate::{
    error::ApiError,
    model::{ConsumerLayers, ConsumerScore},
};

/// mediasoup's `ConsumerOptions`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerOptions {
    /// What to take.
    pub producer_id: Uuid,
    /// What the receiving endpoint can.
    pub rtp_capabilities: RtpCapabilities,
    /// Starts paused; default false.
    pub paused: Option<bool>,
    /// MID; default: counted up.
    pub mid: Option<String>,
    /// Layers wanted at most; default: the highest.
    pub preferred_layers: Option<ConsumerLayers>,
    /// Retransmissions; default true for video and false for audio.
    pub enable_rtx: Option<bool>,
    /// The caller's.
    #[schema(value_type = Option<Object>)]
    pub app_data: Option<AppData>,
    /// Opus packets that say no more than that there is silence (DTX) are left out; default false.
    pub ignore_dtx: Option<bool>,
    /// Not built yet.
    #[schema(value_type = Option<bool>)]
    pub pipe: Option<Value>,
}

impl ConsumerOptions {
    /// Refuses what is not built.
    ///
    /// # Errors
    /// `unsupported` or `bad_request`, naming the field.
    pub fn check(&self) -> Result<(), ApiError> {
        refuse_unbuilt(&[("pipe", &self.pipe)])?;
        match self.mid.as_deref() {
            // A one-byte header extension holds no more.
            Some(mid) if mid.is_empty() || mid.len() > 16 => {
                Err(ApiError::bad_field("mid", "must be 1 to 16 bytes long"))
            }
            _ => Ok(()),
        }
    }
}

/// A new consumer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerAnswer {
    /// Its id.
    pub id: Uuid,
    /// What it takes.
    pub producer_id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// mediasoup's type.
    #[serde(rename = "type")]
    pub consumer_type: &'static str,
    /// What its endpoint receives.
    pub rtp_parameters: RtpParameters,
    /// Paused or not.
    pub paused: bool,
    /// Its producer is paused or not.
    pub producer_paused: bool,
    /// As known now.
    pub score: ConsumerScore,
    /// Layers in force, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_layers: Option<ConsumerLayers>,
}

/// Body and answer of `priority`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// 1 to 255; more is served first.
    #[schema(minimum = 1)]
    pub priority: u8,
}
