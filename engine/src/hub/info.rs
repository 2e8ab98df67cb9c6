//! The engine about itself.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weirgate_wire::{EngineInfo, ShardCounters, ShardInfo};

use super::Hub;
use crate::clock::Clock;

/// What does not change while the engine runs.
#[derive(Debug, Clone)]
pub(crate) struct EngineFacts {
    /// Tells this process from the one before.
    pub(crate) epoch: u64,
    /// Back end in use.
    pub(crate) io: String,
    /// Why that one.
    pub(crate) io_reason: String,
    /// Kernel abilities found.
    pub(crate) kernel: Vec<String>,
    /// Media sockets, as bound.
    pub(crate) media_listen: Vec<SocketAddr>,
    /// First and last port for plain transports.
    pub(crate) plain_ports: (u16, u16),
    /// How long network cards are polled, if at all: sockets of plain transports are to know.
    pub(crate) busy_poll: Option<Duration>,
    /// When the engine started.
    pub(crate) clock: Clock,
}

/// What the hub counts.
#[derive(Debug, Default)]
pub(super) struct HubCounters {
    pub(super) requests: u64,
    pub(super) refusals: u64,
    pub(super) controls: u64,
    pub(super) controls_refused: u64,
    pub(super) controls_cut_off: u64,
    pub(super) events_merged: u64,
    pub(super) dtls_dropped: u64,
    pub(super) dtls_refused: u64,
    pub(super) audio_levels_dropped: u64,
    pub(super) traces_dropped: u64,
}

impl Hub {
    pub(super) fn info(&self) -> EngineInfo {
        let shards = self.shards.iter().map(|shard| {
            let census = self.registry.census(shard.number());
            ShardInfo {
                shard: shard.number(),
                core: shard.status.core,
                load: shard.load(),
                transports: census.transports,
                producers: census.producers,
                consumers: census.consumers,
            }
        });
        EngineInfo {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            io: self.facts.io.clone(),
            io_reason: self.facts.io_reason.clone(),
            kernel: self.facts.kernel.clone(),
            media_listen: self.facts.media_listen.clone(),
            plain_ports: self.facts.plain_ports,
            shards: shards.collect(),
            uptime_ms: u64::try_from(self.facts.clock.uptime().as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn own_counters(&self) -> ShardCounters {
        let own = &self.counters;
        let shard_events_dropped = self.shards.iter().fold(0u64, |sum, shard| {
            sum + shard.status.events_dropped.load(Ordering::Relaxed)
        });
        let counters = [
            ("hub_requests", own.requests),
            ("hub_refusals", own.refusals),
            ("hub_controls", own.controls),
            ("hub_controls_refused", own.controls_refused),
            ("hub_controls_cut_off", own.controls_cut_off),
            ("hub_events_merged", own.events_merged),
            ("hub_dtls_dropped", own.dtls_dropped),
            ("hub_dtls_refused", own.dtls_refused),
            ("hub_audio_levels_dropped", own.audio_levels_dropped),
            ("hub_traces_dropped", own.traces_dropped),
            ("hub_shard_events_dropped", shard_events_dropped),
        ];
        let gauges = [
            ("hub_routers", self.registry.routers.len()),
            ("hub_transports", self.registry.transports.len()),
            ("hub_producers", self.registry.producers.len()),
            ("hub_consumers", self.registry.consumers.len()),
            ("hub_object_blob_bytes", self.blobs.used()),
            ("hub_notes", self.notes.len()),
            ("hub_note_blob_bytes", self.notes.blob_bytes()),
            ("hub_plain_sockets", self.ports.len()),
            ("hub_pending_requests", self.pending.len()),
            ("hub_outgoing_bytes", self.queued_bytes()),
            ("hub_free_crossings", self.net.free()),
        ];
        ShardCounters {
            counters: named(counters),
            gauges: named(gauges.map(|(name, value)| (name, value as u64))),
            histograms: Vec::new(),
        }
    }
}

fn named<const N: usize>(values: [(&str, u64); N]) -> Vec<(String, u64)> {
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
