//! Figures, asked of the engine.

use std::sync::Arc;

use uuid::Uuid;
use weirgate_ortc::RtpParameters;
use weirgate_wire::{Answer, ConsumerType, EngineInfo, ObjectKind, Request, ShardCounters, Stats};

use super::Service;
use crate::{
    api::{StreamStat, TransportStat},
    engine_link::unexpected_answer,
    error::ApiError,
};

impl Service {
    /// Figures of a transport; one entry, as mediasoup has it.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn transport_stats(&self, id: Uuid) -> Result<Vec<TransportStat>, ApiError> {
        self.state().model.transport(id)?;
        match self.stats(ObjectKind::Transport, id).await? {
            Stats::Transport(stats) => {
                let state = self.state();
                let transport = state.model.transport(id)?;
                Ok(vec![TransportStat::new(transport, &stats)])
            }
            other => Err(unexpected_answer(&Answer::Stats(other))),
        }
    }

    /// Figures of a producer's streams.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn producer_stats(&self, id: Uuid) -> Result<Vec<StreamStat>, ApiError> {
        let parameters = {
            let state = self.state();
            state.model.producer(id)?.record.rtp_parameters.clone()
        };
        match self.stats(ObjectKind::Producer, id).await? {
            Stats::Producer(kind, stats) => {
                let streams = stats.streams.iter();
                Ok(streams
                    .map(|stream| {
                        let mime_type = mime_type(&parameters, stream.payload_type);
                        StreamStat::inbound(kind, mime_type, stream)
                    })
                    .collect())
            }
            other => Err(unexpected_answer(&Answer::Stats(other))),
        }
    }

    /// Figures of a consumer: its own stream, then the producer's that it takes, if it takes one.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn consumer_stats(&self, id: Uuid) -> Result<Vec<StreamStat>, ApiError> {
        let (producer, parameters, is_simulcast) = {
            let state = self.state();
            let consumer = state.model.consumer(id)?;
            let parameters = consumer.record.rtp_parameters.clone();
            let is_simulcast = consumer.config.consumer_type == ConsumerType::Simulcast;
            (consumer.config.producer, parameters, is_simulcast)
        };
        match self.stats(ObjectKind::Consumer, id).await? {
            Stats::Consumer(kind, stats) => {
                let mime_type = mime_type(&parameters, stats.stream.payload_type);
                let mut streams = vec![StreamStat::outbound(kind, mime_type, &stats.stream)];
                let taken = match (is_simulcast, stats.current_layers) {
                    (true, layers) => layers.map(|layers| layers.spatial),
                    (false, _) => Some(0),
                };
                // Closed in between, it takes the consumer with it.
                let sources = self.producer_stats(producer).await.unwrap_or_default();
                let taken = taken.and_then(|taken| sources.into_iter().nth(taken.into()));
                streams.extend(taken);
                Ok(streams)
            }
            other => Err(unexpected_answer(&Answer::Stats(other))),
        }
    }

    /// The engine as it is now.
    ///
    /// # Errors
    /// `engine_unavailable`.
    pub async fn engine_info(&self) -> Result<EngineInfo, ApiError> {
        let asked = self
            .engine
            .request(Request::GetInfo, |answer| match answer {
                Answer::Info(info) => Ok(info),
                other => Err(unexpected_answer(&other)),
            });
        asked.await
    }

    /// The engine's counters: per shard, then the hub's.
    ///
    /// # Errors
    /// `engine_unavailable`.
    pub async fn engine_counters(&self) -> Result<Vec<ShardCounters>, ApiError> {
        let asked = self
            .engine
            .request(Request::GetCounters, |answer| match answer {
                Answer::Counters(counters) => Ok(counters),
                other => Err(unexpected_answer(&other)),
            });
        asked.await
    }

    /// Ends the engine, where it was started by a control and is not to be kept.
    pub async fn shut_engine_down(self: &Arc<Self>) -> Result<(), ApiError> {
        self.engine.request(Request::Shutdown, |_| Ok(())).await
    }

    pub(super) async fn stats(&self, kind: ObjectKind, id: Uuid) -> Result<Stats, ApiError> {
        let request = Request::GetStats { kind, id };
        let asked = self.engine.request(request, |answer| match answer {
            Answer::Stats(stats) => Ok(stats),
            other => Err(unexpected_answer(&other)),
        });
        asked.await
    }
}

/// The codec of a payload type; the first one before any packet has come.
fn mime_type(parameters: &RtpParameters, payload_type: u8) -> &str {
    let codecs = &parameters.codecs;
    let found = codecs.iter().find(|it| it.payload_type == payload_type);
    found
        .or_else(|| codecs.first())
        .map_or("", |codec| codec.mime_type.as_str())
}
