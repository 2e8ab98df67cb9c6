//! RTP observers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::AppData;
use crate::{
    error::ApiError,
    observers::{Observer, Watch},
};

/// mediasoup's `AudioLevelObserverOptions` and `ActiveSpeakerObserverOptions`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObserverOptions {
    /// Which of both.
    #[serde(rename = "type")]
    pub observer_type: ObserverType,
    /// Volumes told at a time, at least 1; default 1. Of `audiolevel`.
    pub max_entries: Option<u16>,
    /// Mean level from which one is told, −127 to 0 dBov; default −80. Of `audiolevel`.
    pub threshold: Option<i8>,
    /// ms between two looks: 250 to 5000, default 1000, of `audiolevel`; 100 to 5000, default 300, of
    /// `activespeaker`. What is outside is taken for the nearest inside.
    pub interval: Option<u16>,
    /// The caller's.
    #[schema(value_type = Option<Object>)]
    pub app_data: Option<AppData>,
}

/// Kinds of observers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObserverType {
    /// The loudest.
    AudioLevel,
    /// Who speaks.
    ActiveSpeaker,
}

impl ObserverOptions {
    /// What is asked for.
    ///
    /// # Errors
    /// `bad_request` naming the field.
    pub fn watch(&self) -> Result<Watch, ApiError> {
        if self.observer_type == ObserverType::ActiveSpeaker {
            let given = [
                ("maxEntries", self.max_entries.is_some()),
                ("threshold", self.threshold.is_some()),
            ];
            if let Some((field, _)) = given.iter().find(|(_, is_given)| *is_given) {
                return Err(ApiError::bad_field(*field, "is of audiolevel only"));
            }
            let interval_ms = self.interval.unwrap_or(300).clamp(100, 5_000);
            return Ok(Watch::ActiveSpeaker { interval_ms });
        }
        let max_entries = self.max_entries.unwrap_or(1);
        if max_entries == 0 {
            return Err(ApiError::bad_field("maxEntries", "must be at least 1"));
        }
        let threshold = self.threshold.unwrap_or(-80);
        if !(-127..=0).contains(&threshold) {
            return Err(ApiError::bad_field("threshold", "must be -127 to 0"));
        }
        Ok(Watch::AudioLevel {
            max_entries,
            threshold,
            interval_ms: self.interval.unwrap_or(1_000).clamp(250, 5_000),
        })
    }
}

/// Body of `add-producer` and `remove-producer`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObservedProducer {
    /// The producer.
    pub producer_id: Uuid,
}

/// An observer as it stands; also what its making answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObserverDump {
    /// Its id.
    pub id: Uuid,
    /// Its router.
    pub router_id: Uuid,
    /// `audiolevel` or `activespeaker`.
    #[serde(rename = "type")]
    pub observer_type: &'static str,
    /// Whom it listens to.
    pub producer_ids: Vec<Uuid>,
    /// It does not listen now.
    pub paused: bool,
    /// Volumes told at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u16>,
    /// dBov.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<i8>,
    /// ms.
    pub interval: u16,
    /// The caller's.
    #[schema(value_type = Object)]
    pub app_data: serde_json::Value,
}

impl ObserverDump {
    /// Of `observer`.
    pub fn new(id: Uuid, observer: &Observer) -> Self {
        let record = &observer.record;
        let (max_entries, threshold) = match record.watch {
            Watch::AudioLevel {
                max_entries,
                threshold,
                ..
            } => (Some(max_entries), Some(threshold)),
            Watch::ActiveSpeaker { .. } => (None, None),
        };
        Self {
            id,
            router_id: record.router,
            observer_type: record.watch.type_name(),
            producer_ids: record.producers.clone(),
            paused: record.is_paused,
            max_entries,
            threshold,
            interval: record.watch.interval_ms(),
            app_data: record.app_data.clone(),
        }
    }
}
