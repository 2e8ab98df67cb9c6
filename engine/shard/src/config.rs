//! What a shard is made with, and the limits of everything it keeps.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ShardNo;

/// What a shard is made with.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Its number.
    pub shard: ShardNo,
    /// Shards of the engine.
    pub shards: u16,
    /// Bound addresses of the media sockets: [`crate::SocketId`] 0 up to their number.
    pub media_locals: Vec<SocketAddr>,
    /// Unix time at the origin of [`crate::Timestamp`].
    pub wall_clock_offset: Duration,
    /// Seeds initial sequence numbers and feedback SSRCs.
    pub seed: u64,
    /// How much of everything.
    pub limits: Limits,
}

/// Upper bounds of a shard's tables.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Transports.
    pub transports: usize,
    /// Producers owned or known.
    pub sources: usize,
    /// Consumers.
    pub consumers: usize,
    /// SSRCs received by one transport.
    pub ssrcs_per_transport: usize,
    /// Validated paths of one WebRTC transport.
    pub paths_per_transport: usize,
    /// Flows of other shards that land here.
    pub foreign_flows: usize,
    /// Bytes of packet history per video stream.
    pub video_history_bytes: usize,
    /// Bytes of packet history per audio stream.
    pub audio_history_bytes: usize,
    /// Packets waiting to leave by one transport.
    pub departures_per_transport: usize,
    /// Empty crossings a shard keeps at hand.
    pub crossing_stock: usize,
    /// Events waiting for the hub.
    pub events: usize,
    /// Bytes of answers and RTCP made in one turn.
    pub prompt_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transports: 20_000,
            sources: 20_000,
            consumers: 100_000,
            ssrcs_per_transport: 1024,
            paths_per_transport: 8,
            foreign_flows: 65_536,
            video_history_bytes: 768 << 10,
            audio_history_bytes: 48 << 10,
            departures_per_transport: 2_048,
            crossing_stock: 256,
            events: 16_384,
            prompt_bytes: 256 << 10,
        }
    }
}
