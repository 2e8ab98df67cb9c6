//! Payloads of the signaling's requests. Unknown fields are ignored: clients of any version call.

use serde::Deserialize;
use uuid::Uuid;
use weirgate_ortc::{MediaKind, RtpCapabilities, RtpParameters};

use crate::{
    api::AppData,
    model::{Direction, DtlsParameters},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Join {
    pub(super) room_id: String,
    pub(super) display_name: Option<String>,
    pub(super) token: Option<String>,
    pub(super) resume_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateTransport {
    pub(super) direction: Direction,
    pub(super) for_peer: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectTransport {
    pub(super) transport_id: Uuid,
    pub(super) dtls_parameters: DtlsParameters,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransportOnly {
    pub(super) transport_id: Uuid,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Produce {
    pub(super) transport_id: Uuid,
    pub(super) kind: MediaKind,
    pub(super) rtp_parameters: RtpParameters,
    pub(super) paused: Option<bool>,
    pub(super) app_data: Option<AppData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Consume {
    pub(super) transport_id: Uuid,
    pub(super) producer_id: Uuid,
    pub(super) rtp_capabilities: RtpCapabilities,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProducerOnly {
    pub(super) producer_id: Uuid,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConsumerOnly {
    pub(super) consumer_id: Uuid,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetPreferredLayers {
    pub(super) consumer_id: Uuid,
    pub(super) spatial_layer: u8,
    pub(super) temporal_layer: Option<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetConsumerPriority {
    pub(super) consumer_id: Uuid,
    pub(super) priority: u8,
}
