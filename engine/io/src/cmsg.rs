//! Control messages (RFC 3542 section 20): the local address, the segment size of joined
//! datagrams, the drop count of a socket, the time of arrival. Laid out as the kernel does: length (`size_t`), level,
//! type, data, each message at a multiple of the word size.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::address::array;

/// Bytes enough for all control messages of one received message.
pub(crate) const RECEIVE_LEN: usize = 128;
/// Bytes enough for all control messages of one sent message.
pub(crate) const SEND_LEN: usize = 64;

const WORD: usize = size_of::<usize>();
const HEADER_LEN: usize = WORD + 8;

/// What came with a message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    /// Our address it was sent to.
    pub(crate) local: Option<IpAddr>,
    /// Bytes of each datagram but the last, where the kernel joined several.
    pub(crate) segment_len: Option<usize>,
    /// Datagrams the socket has dropped for want of room, modulo 2^32.
    pub(crate) drops: Option<u32>,
    /// When it reached the host, by the kernel's wall clock, since 1970.
    pub(crate) arrival: Option<Duration>,
}

/// Reads what came with a message; what is cut or unknown is left out.
pub(crate) fn read(control: &[u8]) -> Received {
    let mut received = Received::default();
    let mut at = 0;
    while let Some((level, kind, data, next)) = message_at(control, at) {
        match (level, kind) {
            // struct in_pktinfo: interface, our address for answers, destination of the header.
            // The second is never a broadcast address, and so good to send from.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                received.local = array::<4>(data, 4).map(|ip| Ipv4Addr::from(ip).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                received.local = array::<16>(data, 0).map(|ip| Ipv6Addr::from(ip).into());
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                received.segment_len = array(data, 0)
                    .map(i32::from_ne_bytes)
                    .and_then(|len| usize::try_from(len).ok())
                    .filter(|&len| len > 0);
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                received.drops = array(data, 0).map(u32::from_ne_bytes);
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => received.arrival = time(data),
            _ => {}
        }
        at = next;
    }
    received
}

/// `struct timespec` of 64-bit systems.
fn time(data: &[u8]) -> Option<Duration> {
    let seconds = i64::from_ne_bytes(array(data, 0)?);
    let nanos = i64::from_ne_bytes(array(data, 8)?);
    Some(Duration::new(
        seconds.try_into().ok()?,
        nanos.try_into().ok()?,
    ))
}

/// Writes what a sent message needs: `local` as source, `segment_len` where it is a train. Returns
/// how many bytes that takes, 0 where it needs nothing.
pub(crate) fn write(
    out: &mut [u8; SEND_LEN],
    local: Option<IpAddr>,
    remote: &SocketAddr,
    segment_len: Option<u16>,
) -> usize {
    let mut at = 0;
    match local {
        Some(IpAddr::V4(ip)) => {
            let mut info = [0; 12];
            info[4..8].copy_from_slice(&ip.octets());
            at = append(out, at, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
        Some(IpAddr::V6(ip)) => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&ip.octets());
            info[16..].copy_from_slice(&interface_of(ip, remote).to_ne_bytes());
            at = append(out, at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        }
        None => {}
    }
    if let Some(len) = segment_len {
        at = append(
            out,
            at,
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            &len.to_ne_bytes(),
        );
    }
    at
}

/// A link-local source is only one on its link, which is the peer's; other sources leave by
/// whatever interface the route says.
fn interface_of(local: Ipv6Addr, remote: &SocketAddr) -> u32 {
    match remote {
        SocketAddr::V6(remote) if local.is_unicast_link_local() => remote.scope_id(),
        _ => 0,
    }
}

fn append(out: &mut [u8; SEND_LEN], at: usize, level: i32, kind: i32, data: &[u8]) -> usize {
    let len = HEADER_LEN + data.len();
    let end = at + len.next_multiple_of(WORD);
    let message = &mut out[at..end];
    message[..WORD].copy_from_slice(&len.to_ne_bytes());
    message[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
    message[WORD + 4..HEADER_LEN].copy_from_slice(&kind.to_ne_bytes());
    message[HEADER_LEN..len].copy_from_slice(data);
    message[len..].fill(0);
    end
}

/// Level, type and data of the message at `at`, and where the next one is.
fn message_at(control: &[u8], at: usize) -> Option<(i32, i32, &[u8], usize)> {
    let len = usize::from_ne_bytes(array(control, at)?);
    let level = i32::from_ne_bytes(array(control, at + WORD)?);
    let kind = i32::from_ne_bytes(array(control, at + WORD + 4)?);
    let data = control.get(at + HEADER_LEN..at.checked_add(len)?)?;
    Some((level, kind, data, at + len.next_multiple_of(WORD)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_written_is_read_back() {
        for (local, remote) in [("127.0.0.9", "10.0.0.1:1"), ("2001:db8::9", "[::1]:1")] {
            let local: IpAddr = local.parse().unwrap();
            let mut out = [0xff; SEND_LEN];
            let len = write(&mut out, Some(local), &self::remote(remote), Some(1200));
            assert_eq!(read(&out[..len]).local, Some(local));
        }
    }

    #[test]
    fn nothing_to_say_takes_no_bytes() {
        let mut out = [0; SEND_LEN];
        assert_eq!(write(&mut out, None, &remote("10.0.0.1:1"), None), 0);
    }

    #[test]
    fn only_a_link_local_source_is_bound_to_the_link() {
        let peer = remote("[fe80::2%7]:1");
        assert_eq!(interface_of("fe80::1".parse().unwrap(), &peer), 7);
        assert_eq!(interface_of("2001:db8::1".parse().unwrap(), &peer), 0);
    }

    #[test]
    fn the_longest_of_both_directions_fits() {
        let mut control = Vec::new();
        let mut one = [0; SEND_LEN];
        let time = [8i64, 9].map(i64::to_ne_bytes).concat();
        for (level, kind, data) in [
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[1; 20][..]),
            (libc::SOL_UDP, libc::UDP_GRO, &1200i32.to_ne_bytes()),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &7u32.to_ne_bytes()),
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time),
        ] {
            let len = append(&mut one, 0, level, kind, data);
            control.extend_from_slice(&one[..len]);
        }
        assert!(control.len() <= RECEIVE_LEN);
        let received = read(&control);
        assert_eq!(received.segment_len, Some(1200));
        assert_eq!(received.drops, Some(7));
        assert_eq!(received.arrival, Some(Duration::new(8, 9)));
        assert_eq!(received.local, Some(IpAddr::from([1u8; 16])));
    }

    #[test]
    fn cut_or_absurd_control_data_is_survived() {
        let mut out = [0; SEND_LEN];
        let len = write(
            &mut out,
            Some("::1".parse().unwrap()),
            &remote("[::1]:1"),
            Some(9),
        );
        for cut in 0..len {
            read(&out[..cut]);
        }
        for absurd in [0, 1, HEADER_LEN - 1, usize::MAX] {
            out[..WORD].copy_from_slice(&absurd.to_ne_bytes());
            assert_eq!(read(&out), Received::default());
        }
    }
}
