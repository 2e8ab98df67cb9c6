//! What the fuzz targets share: the packet crate's samples and walks, and keys for SRTP.

#[path = "../../packet/tests/packets/samples.rs"]
pub mod samples;
pub mod srtp;
#[path = "../../packet/tests/packets/walk.rs"]
pub mod walk;
