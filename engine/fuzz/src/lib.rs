//! What the fuzz targets share: samples and walks of the packet crate, the shard's network in
//! memory, keys for SRTP, and a call to send anything into.

pub mod call;

#[path = "../../packet/tests/packets/samples.rs"]
pub mod samples;
#[path = "../../shard/tests/sim/mod.rs"]
pub mod sim;
pub mod srtp;
#[path = "../../packet/tests/packets/walk.rs"]
pub mod walk;
