//! The forwarding core of one shard, sans-IO: datagrams, crossings from other shards, commands and
//! the time go in; trains of datagrams, crossings, events and the next deadline come out. No
//! socket, no clock, no thread inside; the drivers around it are thin.

mod command;
mod crossing;
mod net;
mod time;

pub use command::{Command, CommandBody, ShardEvent, WebRtcCredentials};
pub use crossing::{CROSSING_BYTES, Crossing, CrossingClass, CrossingKind, ShardNo, SourceNo};
pub use net::{Datagram, LocalAddr, Path, SocketId, Train, TxBatch};
pub use time::Timestamp;
