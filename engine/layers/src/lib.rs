//! Which packets of a source one consumer gets, and how they become one stream without a seam.
//!
//! - [`LayerReader`] tells, once per packet as it comes from the source, what layer it is of and
//!   what a decoder needs for it: a [`PacketLayers`], in the same terms for every codec.
//! - [`Selector`], one per consumer, follows a [`Target`]: it takes or leaves each packet so that
//!   the receiver's decoder never gets a frame it cannot decode, and numbers what leaves.
//! - [`rewrite`] puts the numbers a codec keeps for itself into a copy of the payload.
//!
//! Nothing is allocated per packet, and nothing here knows of sockets or clocks.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod choice;
mod decisions;
mod drops;
mod packet_layers;
mod reader;
mod rewrite;
mod selector;
mod splices;
mod targets;

pub use packet_layers::PacketLayers;
pub use reader::{Incoming, LayerReader};
pub use rewrite::{joined_header, rewrite};
pub use selector::{Offer, Offered, Selector, Target};
pub use splices::{Before, Origin, Place};
pub use targets::{Layer, Targets};
