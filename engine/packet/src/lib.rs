//! Parsing and writing of STUN, RTP, RTCP, DTLS record and codec payload headers.
//!
//! Everything borrows from the datagram or writes into a slot the caller gives: no allocation, no
//! state, and no input that panics. What is malformed parses to `None` or ends an iteration.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod bytes;
pub mod demux;
pub mod dtls;
pub mod payload;
pub mod rtcp;
pub mod rtp;
pub mod stun;
