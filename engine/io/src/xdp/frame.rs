//! Ethernet frames around datagrams: written for sending, read on receiving.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::address::array;

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;
/// Bytes of the longest headers we write.
const MAX_HEADERS: usize = ETHERNET_LEN + IPV6_LEN + UDP_LEN;

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const PROTOCOL_UDP: u8 = 17;
/// As the kernel's own datagrams have it by default.
const HOPS: u8 = 64;
const DONT_FRAGMENT: u8 = 0x40;

/// The ends of a way, one address family for both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) source_mac: [u8; 6],
    pub(super) destination_mac: [u8; 6],
    pub(super) source: (IpAddr, u16),
    pub(super) destination: (IpAddr, u16),
}

/// Bytes of the IP and UDP headers towards an address: with the payload they must not be more than
/// the MTU.
pub(super) const fn overhead(to: IpAddr) -> usize {
    match to {
        IpAddr::V4(_) => IPV4_LEN + UDP_LEN,
        IpAddr::V6(_) => IPV6_LEN + UDP_LEN,
    }
}

/// The headers of all datagrams of a train but for lengths and checksums.
#[derive(Debug)]
pub(super) struct Headers {
    bytes: [u8; MAX_HEADERS],
    len: usize,
    /// Of the IPv4 header without its length.
    ip_sum: u64,
    /// Of pseudo-header, protocol and ports, without lengths.
    udp_sum: u64,
}

impl Headers {
    /// `None` where both ends are not of one family.
    pub(super) fn new(ends: &Ends) -> Option<Self> {
        let mut bytes = [0; MAX_HEADERS];
        bytes[..6].copy_from_slice(&ends.destination_mac);
        bytes[6..12].copy_from_slice(&ends.source_mac);
        let (source, destination) = (ends.source.0, ends.destination.0);
        let (len, addresses) = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes[12..14].copy_from_slice(&ETHERTYPE_IPV4);
                // RFC 791: version 4 and a header of 5 words. What can not be fragmented needs no
                // identification (RFC 6864 section 4.1).
                bytes[14] = 0x45;
                bytes[20] = DONT_FRAGMENT;
                bytes[22] = HOPS;
                bytes[23] = PROTOCOL_UDP;
                bytes[26..30].copy_from_slice(&source.octets());
                bytes[30..34].copy_from_slice(&destination.octets());
                (ETHERNET_LEN + IPV4_LEN + UDP_LEN, 26..34)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes[12..14].copy_from_slice(&ETHERTYPE_IPV6);
                // RFC 8200: version 6.
                bytes[14] = 0x60;
                bytes[20] = PROTOCOL_UDP;
                bytes[21] = HOPS;
                bytes[22..38].copy_from_slice(&source.octets());
                bytes[38..54].copy_from_slice(&destination.octets());
                (MAX_HEADERS, 22..54)
            }
            _ => return None,
        };
        let udp = len - UDP_LEN;
        bytes[udp..udp + 2].copy_from_slice(&ends.source.1.to_be_bytes());
        bytes[udp + 2..udp + 4].copy_from_slice(&ends.destination.1.to_be_bytes());
        let udp_sum = sum(&bytes[addresses]) + sum(&bytes[udp..udp + 4]) + sum(&[0, PROTOCOL_UDP]);
        Some(Self {
            ip_sum: sum(&bytes[ETHERNET_LEN..ETHERNET_LEN + IPV4_LEN]),
            udp_sum,
            bytes,
            len,
        })
    }

    /// Writes a frame; returns its length, `None` where it does not fit.
    pub(super) fn write(&self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let end = self.len + payload.len();
        let (headers, rest) = out.get_mut(..end)?.split_at_mut(self.len);
        headers.copy_from_slice(&self.bytes[..self.len]);
        rest.copy_from_slice(payload);
        let udp_len = u16::try_from(UDP_LEN + payload.len()).ok()?.to_be_bytes();
        if self.len == MAX_HEADERS {
            headers[18..20].copy_from_slice(&udp_len);
        } else {
            let total = (end - ETHERNET_LEN) as u16;
            headers[16..18].copy_from_slice(&total.to_be_bytes());
            let checksum = !fold(self.ip_sum + sum(&total.to_be_bytes()));
            headers[24..26].copy_from_slice(&checksum.to_ne_bytes());
        }
        let udp = self.len - UDP_LEN;
        headers[udp + 4..udp + 6].copy_from_slice(&udp_len);
        // The length is in the pseudo-header and in the header (RFC 768; RFC 8200 section 8.1).
        let checksum = !fold(self.udp_sum + 2 * sum(&udp_len) + sum(payload));
        // Zero would say that there is none.
        let checksum = if checksum == 0 { u16::MAX } else { checksum };
        headers[udp + 6..udp + 8].copy_from_slice(&checksum.to_ne_bytes());
        Some(end)
    }
}

/// A datagram found in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) source: (IpAddr, u16),
    pub(super) destination: (IpAddr, u16),
    pub(super) payload: Range<usize>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not whole, or not what the redirecting program lets through.
    Malformed,
    /// Its UDP checksum is wrong.
    Checksum,
}

/// Reads a frame.
pub(super) fn read(frame: &[u8]) -> Result<Parsed, Unreadable> {
    read_headers(frame).ok_or(Unreadable::Malformed)?
}

fn read_headers(frame: &[u8]) -> Option<Result<Parsed, Unreadable>> {
    let (udp, addresses, end) = match array::<2>(frame, 12)? {
        ETHERTYPE_IPV4 => {
            let total = usize::from(u16::from_be_bytes(array(frame, 16)?));
            if *frame.get(14)? != 0x45 || *frame.get(23)? != PROTOCOL_UDP {
                return None;
            }
            (ETHERNET_LEN + IPV4_LEN, 26..34, ETHERNET_LEN + total)
        }
        ETHERTYPE_IPV6 => {
            let total = usize::from(u16::from_be_bytes(array(frame, 18)?));
            if *frame.get(20)? != PROTOCOL_UDP {
                return None;
            }
            let end = ETHERNET_LEN + IPV6_LEN + total;
            (ETHERNET_LEN + IPV6_LEN, 22..54, end)
        }
        _ => return None,
    };
    let udp_len = usize::from(u16::from_be_bytes(array(frame, udp + 4)?));
    let payload = udp + UDP_LEN..udp + udp_len;
    if udp_len < UDP_LEN || payload.end > end || end > frame.len() {
        return None;
    }
    let port = |at| Some(u16::from_be_bytes(array(frame, at)?));
    let (source, destination) = if addresses.len() == 8 {
        let ip = |at| Some(IpAddr::from(Ipv4Addr::from(array::<4>(frame, at)?)));
        (ip(addresses.start)?, ip(addresses.start + 4)?)
    } else {
        let ip = |at| Some(IpAddr::from(Ipv6Addr::from(array::<16>(frame, at)?)));
        (ip(addresses.start)?, ip(addresses.start + 16)?)
    };
    if !is_sum_right(
        &frame[addresses],
        &frame[udp..udp + udp_len],
        source.is_ipv4(),
    ) {
        return Some(Err(Unreadable::Checksum));
    }
    Some(Ok(Parsed {
        source: (source, port(udp)?),
        destination: (destination, port(udp + 2)?),
        payload,
    }))
}

/// Checks a datagram with its header. A veth pair hands over what no wire has had yet: there the
/// sum of the pseudo-header alone stands in the field.
fn is_sum_right(addresses: &[u8], udp: &[u8], is_ipv4: bool) -> bool {
    let field = u16::from_ne_bytes([udp[6], udp[7]]);
    if field == 0 {
        return is_ipv4;
    }
    let pseudo = sum(addresses) + sum(&[0, PROTOCOL_UDP]) + sum(&udp[4..6]);
    fold(pseudo + sum(udp)) == u16::MAX || fold(pseudo) == field
}

/// Adds up bytes for a checksum (RFC 1071), in the machine's byte order. Sums can be added up
/// where the parts before the last are of even length.
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut total = 0;
    for word in &mut words {
        total += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let tail = words.remainder();
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    total + u64::from(u32::from_ne_bytes(last))
}

/// The sum in ones' complement arithmetic of 16 bits.
const fn fold(sum: u64) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends {
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, 2],
            source: (source.parse().unwrap(), 10_000),
            destination: (destination.parse().unwrap(), 5004),
        }
    }

    fn frame(ends: &Ends, payload: &[u8]) -> Vec<u8> {
        let mut out = [0xee; 2048];
        let headers = Headers::new(ends).unwrap();
        let len = headers.write(payload, &mut out).unwrap();
        out[..len].to_vec()
    }

    #[test]
    fn an_ipv4_frame_is_right_to_the_last_byte() {
        // Its checksums were worked out by a few lines of Python from RFC 1071.
        let frame = frame(&ends("10.0.0.1", "10.0.0.2"), b"abc");
        let expected = [
            2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, // Ethernet
            0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0x26, 0xcc, 10, 0, 0, 1, 10, 0, 0,
            2, // IPv4
            0x27, 0x10, 0x13, 0x8c, 0, 11, 0xec, 0xd6, // UDP
            b'a', b'b', b'c',
        ];
        assert_eq!(frame, expected);
    }

    #[test]
    fn frames_are_read_as_written() {
        for (source, destination) in [("10.0.0.1", "10.0.0.2"), ("fe80::1", "2001:db8::9")] {
            for len in [0, 1, 2, 3, 1200, 1201, 1400] {
                let payload: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
                let ends = ends(source, destination);
                let frame = frame(&ends, &payload);
                let parsed = read(&frame).unwrap();
                assert_eq!(parsed.source, ends.source);
                assert_eq!(parsed.destination, ends.destination);
                assert_eq!(frame[parsed.payload], payload);
            }
        }
    }

    #[test]
    fn every_changed_byte_but_of_ethernet_and_hops_is_noticed() {
        for (ends, ip) in [
            (ends("10.0.0.1", "10.0.0.2"), 26),
            (ends("2001:db8::1", "2001:db8::9"), 22),
        ] {
            let frame = frame(&ends, b"hello, weir");
            for at in ip..frame.len() {
                let mut changed = frame.clone();
                changed[at] ^= 0x10;
                assert!(read(&changed).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn a_partial_checksum_and_in_ipv4_none_are_taken() {
        for (source, destination) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::9")] {
            let ends = ends(source, destination);
            let mut frame = frame(&ends, b"hello, weir");
            let udp = frame.len() - 11 - UDP_LEN;
            let pseudo = match ends.source.0 {
                IpAddr::V4(_) => sum(&frame[26..34]),
                IpAddr::V6(_) => sum(&frame[22..54]),
            };
            let partial = fold(pseudo + sum(&[0, 17, 0, 19]));
            frame[udp + 6..udp + 8].copy_from_slice(&partial.to_ne_bytes());
            assert!(read(&frame).is_ok());
            frame[udp + 6..udp + 8].fill(0);
            assert_eq!(read(&frame).is_ok(), ends.source.0.is_ipv4());
        }
    }

    #[test]
    fn cut_frames_and_padding_after_the_datagram() {
        let ends = ends("10.0.0.1", "10.0.0.2");
        let mut frame = frame(&ends, b"abc");
        for cut in 0..frame.len() {
            assert_eq!(read(&frame[..cut]), Err(Unreadable::Malformed), "{cut}");
        }
        frame.resize(60, 0);
        assert_eq!(read(&frame).unwrap().payload, 42..45);
    }

    #[test]
    fn both_ends_must_be_of_one_family_and_the_frame_must_fit() {
        assert!(Headers::new(&ends("10.0.0.1", "2001:db8::9")).is_none());
        let headers = Headers::new(&ends("10.0.0.1", "10.0.0.2")).unwrap();
        assert_eq!(headers.write(&[0; 100], &mut [0; 141]), None);
        assert_eq!(headers.write(&[0; 100], &mut [0; 142]), Some(142));
    }
}
