//! What the benchmarks share: keys and packets ([`rtp_packet`]), calls on a shard in memory
//! ([`call`]), and pieces of work that are timed and counted alike ([`work`]).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that can not set up stops"
)]

pub mod call;
mod packets;
pub mod work;

pub use packets::{RTP_HEADER_BYTES, rtp_packet, srtp_key};
