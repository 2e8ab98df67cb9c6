//! Which protocol a datagram of the media port belongs to (RFC 7983, RFC 5761).

/// Protocols that share a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramClass {
    /// RFC 8489.
    Stun,
    /// RFC 6347, RFC 9147.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// ZRTP, TURN channels, anything else.
    Other,
}

/// Classifies by the first byte (RFC 7983 section 7), and RTP against RTCP by the second, where
/// RTCP has the packet types 192 to 223 (RFC 5761 section 4). Says nothing of well-formedness.
pub fn classify(bytes: &[u8]) -> DatagramClass {
    match bytes {
        [0..=3, ..] => DatagramClass::Stun,
        [20..=63, ..] => DatagramClass::Dtls,
        [128..=191, 192..=223, ..] => DatagramClass::Rtcp,
        [128..=191, _, ..] => DatagramClass::Rtp,
        _ => DatagramClass::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_its_class() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => DatagramClass::Stun,
                20..=63 => DatagramClass::Dtls,
                128..=191 => DatagramClass::Rtp,
                _ => DatagramClass::Other,
            };
            assert_eq!(classify(&[first, 96, 0, 0]), expected, "first byte {first}");
        }
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_packet_type() {
        for (second, expected) in [
            (191, DatagramClass::Rtp),
            (192, DatagramClass::Rtcp),
            (200, DatagramClass::Rtcp),
            (223, DatagramClass::Rtcp),
            (224, DatagramClass::Rtp),
            (0x80 | 111, DatagramClass::Rtp),
        ] {
            assert_eq!(classify(&[0x80, second]), expected, "second byte {second}");
        }
    }

    #[test]
    fn what_is_too_short_to_tell_is_other() {
        assert_eq!(classify(&[]), DatagramClass::Other);
        assert_eq!(classify(&[0x80]), DatagramClass::Other);
    }
}
