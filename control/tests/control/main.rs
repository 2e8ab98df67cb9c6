//! The control plane from outside, against an engine that only remembers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed"
)]

mod access;
mod api;
mod bad_input;
mod connections;
mod dtls;
mod engine_loss;
mod events;
mod observers;
mod page;
mod process;
mod restart;
mod rooms;
mod socket_io;
mod stats;
mod support;
mod tls;
mod traces;
