//! SRTP and SRTCP (RFC 3711, RFC 7714), in place.
//!
//! A [`Sealer`] protects what leaves by one transport, an [`Opener`] opens what comes in by it.
//! Packets are changed where they lie; nothing is allocated per packet. Packets that leave
//! together are tagged together where the CPU can ([`TagBatch`]). The key schedules, HMAC
//! states and salts of RFC 3711 section 4.3 are made once, by `new`. There is no MKI and no key
//! derivation rate, as RFC 5764 section 4.1.2 has it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod cipher;
mod header;
mod opener;
mod replay;
mod rollover;
mod sealer;
mod session_keys;
mod sources;
mod tag_batch;

pub use opener::{OpenError, OpenedRtp, Opener};
pub use sealer::Sealer;
pub use session_keys::KeyError;
pub use tag_batch::TagBatch;
pub use weirgate_wire::{SrtpKey, SrtpSuite};

/// The longest packet either direction takes, in bytes, tag included: what a UDP datagram can
/// hold, and far below where AES-CM's 16-bit block counter would repeat (1 MiB).
pub const MAX_PACKET_BYTES: usize = 65_535;
