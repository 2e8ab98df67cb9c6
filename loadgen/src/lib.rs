//! A measuring client for selective forwarding units: it sends marked media through a server,
//! receives it as real clients do, and says what was lost, late or not authentic.
//!
//! It shares no code with the engine, so that a mistake in one is seen by the other: DTLS, SRTP,
//! RTP and RTCP come from the `dtls`, `webrtc-srtp`, `rtp` and `rtcp` packages, and ICE is its own.

pub mod api;
pub mod capacity;
pub mod clock;
pub mod dtls_client;
pub mod harness;
pub mod ice;
pub mod latency;
pub mod leg;
pub mod link;
pub mod marker;
pub mod outcome;
pub mod plain_client;
pub mod random;
pub mod receiver;
pub mod report;
pub mod rtp_parameters;
pub mod scenario;
pub mod sender;
pub mod signaling;
pub mod srtp_leg;
pub mod tls;
pub mod units;
mod urgent;
pub mod verdict;
pub mod webrtc_client;
