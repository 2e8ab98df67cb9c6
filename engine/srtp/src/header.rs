//! What SRTP itself reads of RTP and RTCP headers.

const RTP_FIXED_LEN: usize = 12;
/// The part of an RTCP packet that stays in the clear (RFC 3711 section 3.4).
pub(crate) const RTCP_CLEAR_LEN: usize = 8;

/// The header of an RTP packet (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RtpHeader {
    /// Bytes with CSRCs and extension: what stays in the clear.
    pub(crate) len: usize,
    pub(crate) sequence: u16,
    pub(crate) ssrc: u32,
}

impl RtpHeader {
    /// `None` where it is not version 2 or its header does not fit into `packet`.
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<RTP_FIXED_LEN>()?;
        if !is_version_2(fixed[0]) {
            return None;
        }
        let csrc_count = usize::from(fixed[0] & 0x0f);
        let has_extension = fixed[0] & 0x10 != 0;
        let mut len = RTP_FIXED_LEN + 4 * csrc_count;
        if has_extension {
            let [_, _, words @ ..] = *packet.get(len..)?.first_chunk::<4>()?;
            len += 4 + 4 * usize::from(u16::from_be_bytes(words));
        }
        (len <= packet.len()).then_some(Self {
            len,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        })
    }
}

/// The sender's SSRC of a compound RTCP packet, `None` where it is too short or not version 2.
pub(crate) fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let [first, _, _, _, ssrc @ ..] = *packet.first_chunk::<RTCP_CLEAR_LEN>()?;
    is_version_2(first).then_some(u32::from_be_bytes(ssrc))
}

const fn is_version_2(first: u8) -> bool {
    first >> 6 == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CSRCs and an extension of one word.
    const PACKET: [u8; 29] = [
        0x92, 96, 0x12, 0x34, 0, 0, 0, 0, 1, 2, 3, 4, // fixed
        0, 0, 0, 1, 0, 0, 0, 2, // CSRCs
        0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0,    // extension
        0xaa, // payload
    ];

    #[test]
    fn the_header_ends_behind_csrcs_and_extension() {
        assert_eq!(
            RtpHeader::parse(&PACKET),
            Some(RtpHeader {
                len: 28,
                sequence: 0x1234,
                ssrc: 0x0102_0304
            })
        );
    }

    #[test]
    fn a_header_that_is_cut_anywhere_is_none() {
        for len in 0..28 {
            assert_eq!(RtpHeader::parse(&PACKET[..len]), None, "{len} bytes");
        }
        for len in 0..RTCP_CLEAR_LEN {
            assert_eq!(rtcp_ssrc(&PACKET[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn only_version_2_is_taken() {
        for version in [0u8, 1, 3] {
            let mut packet = PACKET;
            packet[0] = (packet[0] & 0x3f) | (version << 6);
            assert_eq!(RtpHeader::parse(&packet), None);
            assert_eq!(rtcp_ssrc(&packet), None);
        }
    }
}
