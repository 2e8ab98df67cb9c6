//! Inputs of the SRTP target: a byte that chooses suite and protocol, then a packet.

use weirgate_srtp::{SrtpKey, SrtpSuite};

/// The input's packet is RTCP.
pub const RTCP_BIT: u8 = 0x04;
/// The input's packet is in the clear and is sealed before it is opened.
pub const SEAL_BIT: u8 = 0x08;

/// The suite a selector byte chooses.
pub fn suite(selector: u8) -> SrtpSuite {
    SrtpSuite::ALL[usize::from(selector & 0x03)]
}

/// The one key of every suite.
pub fn key(suite: SrtpSuite) -> SrtpKey {
    SrtpKey {
        suite,
        key_and_salt: (0..).take(suite.key_len() + suite.salt_len()).collect(),
    }
}
