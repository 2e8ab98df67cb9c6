//! The forwarding core of one shard, sans-IO: datagrams, crossings from other shards, commands and
//! the time go in; trains of datagrams, crossings, events and the next deadline come out. No
//! socket, no clock, no thread inside; the drivers around it are thin.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod allocation;
mod arrivals;
mod as_sent;
mod checks;
mod clock;
mod command;
mod commands;
mod config;
mod consumer;
mod counters;
mod crossing;
mod departure;
mod downlink;
mod draft;
mod equal_sizes;
mod fan_out;
mod flows;
mod grants;
mod header;
mod history;
mod ice;
mod inbound;
mod ingress;
mod key_frames;
mod meter;
mod nack;
mod net;
mod overload;
mod padding;
mod playout_delay;
mod queue;
mod rates;
mod redundancy;
mod repair_budget;
mod reports;
mod rng;
mod row;
mod rtcp_in;
mod shard;
mod shedding;
mod source;
mod stats;
mod streams;
mod ticks;
mod time;
mod trace;
mod train_lengths;
mod transport;
mod wanted;
mod wheel;

pub use command::{Command, CommandBody, ShardEvent, WebRtcCredentials};
pub use config::{Limits, ShardConfig};
pub use crossing::{
    CROSSING_BYTES, Crossing, CrossingClass, CrossingKind, CrossingPort, ShardNo, SourceNo,
};
pub use net::{Datagram, LocalAddr, Path, SocketId, Train, TxBatch};
pub use shard::Shard;
pub use time::Timestamp;
