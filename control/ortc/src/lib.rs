//! ORTC negotiation as mediasoup does it: what a router offers, whether a producer fits, what a
//! consumer gets. Pure functions over JSON types; SSRCs come from the caller's random numbers.
//!
//! The way of a call:
//!
//! 1. [`generate_router_rtp_capabilities`] when a router is made;
//! 2. [`validate_rtp_parameters`], [`complete_producer_rtp_parameters`],
//!    [`producer_rtp_mapping`], [`consumable_rtp_parameters`] and [`producer_config`] when a
//!    producer is made;
//! 3. [`validate_rtp_capabilities`], [`can_consume`], [`consumer_rtp_parameters`],
//!    [`preferred_layers`] and [`consumer_config`] when a consumer is made.

mod capabilities;
mod consumer;
mod engine;
mod error;
mod h264;
mod json;
mod matching;
mod parameters;
mod producer;
mod router;
mod scalability;
mod supported;
mod validate;

pub use capabilities::{
    MediaKind, RtcpFeedback, RtpCapabilities, RtpCodecCapability, RtpHeaderExtension,
    RtpHeaderExtensionDirection,
};
pub use consumer::{
    ConsumerOptions, PreferredLayers, can_consume, consumer_rtp_parameters, preferred_layers,
};
pub use engine::{ConsumerArgs, ProducerArgs, consumer_config, producer_config};
pub use error::OrtcError;
pub use json::{CodecParameters, ParameterValue};
pub use parameters::{
    RtcpParameters, RtpCodecParameters, RtpEncodingParameters, RtpHeaderExtensionParameters,
    RtpParameters, RtxParameters,
};
pub use producer::{
    CodecMapping, ProducerType, RtpMapping, complete_producer_rtp_parameters,
    consumable_rtp_parameters, producer_rtp_mapping, producer_type,
};
pub use router::{default_media_codecs, generate_router_rtp_capabilities};
pub use scalability::ScalabilityMode;
pub use supported::supported_rtp_capabilities;
pub use validate::{
    parse_rtp_capabilities, parse_rtp_parameters, validate_rtp_capabilities,
    validate_rtp_parameters,
};
