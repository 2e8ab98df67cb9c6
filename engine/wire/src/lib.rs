//! What control and engine say to each other over the engine socket: typed messages, their
//! framing, and the model types both sides share.
//!
//! The engine keeps every object with the opaque bytes control gave it (`blob`), so that a new
//! control can rebuild its model from a snapshot after the old one died.

mod frame;
mod message;
mod rtp;
mod srtp;
mod stats;
mod trace;

pub use frame::{FrameDecoder, FrameError, MAX_FRAME_BYTES, encode};
pub use message::*;
pub use rtp::*;
pub use srtp::{SrtpKey, SrtpSuite};
pub use stats::*;
pub use trace::*;

/// Version of the messages on the engine socket; both sides must have the same.
pub const PROTOCOL_VERSION: u16 = 6;
