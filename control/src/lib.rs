//! The control plane of Weirgate: ICE and DTLS set-up, negotiation, the HTTP API, the built-in
//! signaling and the call page. Media passes it by; it goes through the engine.

pub mod api;
pub mod engine_link;
pub mod error;
pub mod events;
pub mod http;
pub mod ice;
mod metrics;
pub mod model;
pub mod observers;
pub mod rooms;
pub mod service;
pub mod settings;
