//! Producers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::{MediaKind, ProducerType, RtpParameters};

use super::{AppData, refuse_unbuilt};
use crate::error::ApiError;

/// mediasoup's `ProducerOptions`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProducerOptions {
    /// Its id; default: a new one.
    pub id: Option<Uuid>,
    /// Audio or video.
    pub kind: MediaKind,
    /// What its endpoint sends.
    pub rtp_parameters: RtpParameters,
    /// Starts paused; default false.
    pub paused: Option<bool>,
    /// Least ms between two key frame requests; 0: the engine's default.
    pub key_frame_request_delay: Option<u32>,
    /// The caller's.
    #[schema(value_type = Option<Object>)]
    pub app_data: Option<AppData>,
    /// Not built yet.
    #[schema(value_type = Option<bool>)]
    pub enable_mediasoup_packet_id_header_extension: Option<Value>,
}

impl ProducerOptions {
    /// Refuses what is not built.
    ///
    /// # Errors
    /// `unsupported`, naming the field.
    pub fn check(&self) -> Result<(), ApiError> {
        refuse_unbuilt(&[(
            "enableMediasoupPacketIdHeaderExtension",
            &self.enable_mediasoup_packet_id_header_extension,
        )])
    }
}

/// A new producer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerAnswer {
    /// Its id.
    pub id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// mediasoup's type.
    #[serde(rename = "type")]
    pub producer_type: ProducerType,
    /// As taken, with the CNAME its transport's producers share.
    pub rtp_parameters: RtpParameters,
    /// Paused or not.
    pub paused: bool,
}
