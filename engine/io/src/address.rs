//! Socket addresses as the kernel lays them out (`struct sockaddr_in`, `sockaddr_in6`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Bytes of the longer one, `sockaddr_in6`.
pub(crate) const ADDRESS_LEN: usize = 28;

const ADDRESS_LEN_V4: usize = 16;

/// Writes an address; returns how many bytes it takes.
pub(crate) fn write(address: &SocketAddr, out: &mut [u8; ADDRESS_LEN]) -> usize {
    out[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            out[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            out[4..8].copy_from_slice(&v4.ip().octets());
            out[8..ADDRESS_LEN_V4].fill(0);
            ADDRESS_LEN_V4
        }
        SocketAddr::V6(v6) => {
            out[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            out[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
            out[8..24].copy_from_slice(&v6.ip().octets());
            out[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            ADDRESS_LEN
        }
    }
}

/// Reads an address; `None` where it is of no known family. The flow label is left out, so that a
/// peer's datagrams are of one path whatever their labels.
pub(crate) fn read(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(array(bytes, 0)?);
    let port = u16::from_be_bytes(array(bytes, 2)?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(array::<4>(bytes, 4)?);
            Some(SocketAddrV4::new(ip, port).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(array::<16>(bytes, 8)?);
            let scope_id = u32::from_ne_bytes(array(bytes, 24)?);
            Some(SocketAddrV6::new(ip, port, 0, scope_id).into())
        }
        _ => None,
    }
}

/// `N` bytes from `at`; `None` beyond the end.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_with_their_scope() {
        for text in ["127.1.2.3:65535", "[::1]:80", "[fe80::1%7]:5004"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut bytes = [0xff; ADDRESS_LEN];
            let len = write(&address, &mut bytes);
            assert_eq!(read(&bytes[..len]), Some(address), "{text}");
        }
    }

    #[test]
    fn cut_and_foreign_addresses_are_none() {
        let mut bytes = [0; ADDRESS_LEN];
        let len = write(&"[::1]:80".parse().unwrap(), &mut bytes);
        for cut in 0..len {
            assert_eq!(read(&bytes[..cut]), None, "{cut}");
        }
        bytes[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
        assert_eq!(read(&bytes), None);
    }
}
