//! Encoders, networks and decoders that know the truth, to judge a selector by.

// Every test binary uses its part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

mod bits;
pub mod call;
pub mod decoder;
pub mod encoder;
pub mod rng;
