//! A producer: one source of media.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::{MediaKind, ProducerType, RtpMapping, RtpParameters};
use weirgate_wire::{ProducerConfig, TraceTypes};

/// Scores before the engine has told any.
const INITIAL_SCORE: u8 = 0;

/// A producer.
#[derive(Debug, Clone)]
pub struct Producer {
    /// Its id.
    pub id: Uuid,
    /// Its transport.
    pub transport: Uuid,
    /// Its router.
    pub router: Uuid,
    /// What the engine keeps for us.
    pub record: ProducerRecord,
    /// As the engine has it, with the pause as it stands.
    pub config: ProducerConfig,
    /// What is traced.
    pub trace: TraceTypes,
    /// Of the encodings of which something has come.
    pub scores: Vec<ProducerScore>,
    /// The highest layer that somebody takes; nothing until the engine tells, so that all is wanted.
    pub wanted: Option<Option<u8>>,
    /// In order of creation.
    pub consumers: Vec<Uuid>,
}

/// What the engine keeps of a producer for us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProducerRecord {
    /// Audio or video.
    pub kind: MediaKind,
    /// mediasoup's type.
    pub producer_type: ProducerType,
    /// What its endpoint sends.
    pub rtp_parameters: RtpParameters,
    /// Which of the router's payload types stands for each of its own.
    pub rtp_mapping: RtpMapping,
    /// The same in the router's numbers, as consumers take it.
    pub consumable_rtp_parameters: RtpParameters,
    /// The caller's.
    pub app_data: Value,
}

/// mediasoup's `ProducerScore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerScore {
    /// Index of the encoding.
    pub encoding_idx: usize,
    /// SSRC of the stream.
    pub ssrc: u32,
    /// RID of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// 0 (dead) to 10.
    pub score: u8,
}

impl Producer {
    /// Scores of all encodings, in their order.
    pub fn scores_by_encoding(&self) -> Vec<u8> {
        let mut scores = vec![INITIAL_SCORE; self.config.encodings.len()];
        for known in &self.scores {
            if let Some(score) = scores.get_mut(known.encoding_idx) {
                *score = known.score;
            }
        }
        scores
    }

    /// Score of the best stream.
    pub fn best_score(&self) -> u8 {
        let scores = self.scores.iter().map(|it| it.score);
        scores.max().unwrap_or(INITIAL_SCORE)
    }
}
