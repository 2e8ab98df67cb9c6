//! Inputs of the SRTP target: a byte that chooses suite and protocol, then a packet. And sealing
//! of whatever bytes there are.

use weirgate_packet::rtp;
use weirgate_srtp::{Sealer, SrtpKey, SrtpSuite};

/// More than any suite adds.
const OVERHEAD: usize = 64;

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

/// The packet sealed, RTP under its sequence number in the first round; `None` where it has no
/// header to go by.
pub fn seal(sealer: &mut Sealer, packet: &[u8], is_rtcp: bool) -> Option<Vec<u8>> {
    let mut sealed = packet.to_vec();
    sealed.resize(packet.len() + OVERHEAD, 0);
    let len = if is_rtcp {
        sealer.seal_rtcp(&mut sealed, packet.len())?
    } else {
        let header_len = rtp::header_len(packet)?;
        let index = u64::from(rtp::sequence(packet)?);
        sealer.seal_rtp(&mut sealed, header_len, packet.len(), index)?
    };
    sealed.truncate(len);
    Some(sealed)
}
