//! What one receiver's path can carry, and what is made of it, without sockets or clocks.
//!
//! - [`SendSide`] estimates the bandwidth towards one receiver from transport-wide feedback
//!   (draft-ietf-rmcat-gcc-02 and the paper behind it), from receiver reports, or from REMB.
//! - [`Pacer`] spreads what leaves, and sends the probes that [`SendSide`] asks for.
//! - [`allocator`] gives the estimate to consumers, layer by layer.
//!
//! Times are `now_us`, microseconds on any monotonic clock, rates are bit/s and sizes are bytes of
//! whole datagrams. Nothing is allocated per packet: the history of sent packets is made with the
//! first one, 2 KiB, and grows with the number of packets in flight to 32 KiB at most. The rest, all
//! that a receiver has that is sent nothing, is under 2.5 KiB.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod acknowledged;
pub mod allocator;
mod application_limit;
mod delay;
mod history;
mod loss;
mod pacer;
mod probing;
mod rate_meter;
mod send_side;
mod trains;

pub use pacer::Pacer;
pub use probing::{ClusterId, ProbeCluster};
pub use send_side::{Config, NEVER_US, PacketKind, SendSide};

/// Milliseconds as microseconds.
const fn millis(millis: u64) -> u64 {
    millis * 1_000
}

/// The rate at which `bytes` go in `duration_us`, which is over 0.
fn rate_bps(bytes: f64, duration_us: f64) -> f64 {
    bytes * 8.0 * 1_000_000.0 / duration_us
}
