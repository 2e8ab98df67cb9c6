//! A consumer: a producer's media on its way to one receiver.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::{MediaKind, PreferredLayers, RtpParameters};
use weirgate_wire::{ConsumerConfig, ConsumerType, Layers, TraceTypes};

use super::Producer;

/// A consumer.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Its id.
    pub id: Uuid,
    /// Its transport.
    pub transport: Uuid,
    /// Its router.
    pub router: Uuid,
    /// What the engine keeps for us.
    pub record: ConsumerRecord,
    /// As the engine has it, with pause, layers and priority as they stand.
    pub config: ConsumerConfig,
    /// What is traced.
    pub trace: TraceTypes,
    /// Score of its own stream.
    pub score: u8,
    /// Score of the producer's stream it takes, once told.
    pub producer_score: Option<u8>,
    /// Layers now sent, if any.
    pub current_layers: Option<Layers>,
}

/// What the engine keeps of a consumer for us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConsumerRecord {
    /// Audio or video.
    pub kind: MediaKind,
    /// What its endpoint receives.
    pub rtp_parameters: RtpParameters,
    /// The caller's.
    pub app_data: Value,
}

/// mediasoup's `ConsumerScore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerScore {
    /// Of the consumer's stream, 0 to 10.
    pub score: u8,
    /// Of the producer's stream it takes.
    pub producer_score: u8,
    /// Of all streams of the producer, by encoding.
    pub producer_scores: Vec<u8>,
}

/// mediasoup's `ConsumerLayers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerLayers {
    /// Spatial layer, from 0.
    pub spatial_layer: u8,
    /// Temporal layer, from 0; none given: the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporal_layer: Option<u8>,
}

impl From<Layers> for ConsumerLayers {
    fn from(layers: Layers) -> Self {
        Self {
            spatial_layer: layers.spatial,
            temporal_layer: Some(layers.temporal),
        }
    }
}

impl From<ConsumerLayers> for PreferredLayers {
    fn from(layers: ConsumerLayers) -> Self {
        Self {
            spatial_layer: layers.spatial_layer,
            temporal_layer: layers.temporal_layer,
        }
    }
}

impl Consumer {
    /// mediasoup's name of the type.
    pub const fn type_name(&self) -> &'static str {
        match self.config.consumer_type {
            ConsumerType::Simple => "simple",
            ConsumerType::Simulcast => "simulcast",
            ConsumerType::Svc => "svc",
        }
    }

    /// There are layers to choose from.
    pub const fn has_layers(&self) -> bool {
        !matches!(self.config.consumer_type, ConsumerType::Simple)
    }

    /// The score as clients see it.
    pub fn score(&self, producer: &Producer) -> ConsumerScore {
        ConsumerScore {
            score: self.score,
            producer_score: self.producer_score.unwrap_or_else(|| producer.best_score()),
            producer_scores: producer.scores_by_encoding(),
        }
    }
}
