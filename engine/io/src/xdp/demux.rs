//! Which socket a datagram's destination is, and which address a socket sends from.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::SockRef;
use weirgate_shard::SocketId;

/// A socket as frames see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) id: SocketId,
    pub(super) local: SocketAddr,
    pub(super) port: u16,
    /// It takes what is for any of our addresses.
    pub(super) wildcard: bool,
    /// Other shards have one with the same address and port.
    pub(super) shared: bool,
}

impl Bound {
    pub(super) fn new(id: SocketId, socket: &UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self {
            id,
            local,
            port: local.port(),
            wildcard: local.ip().is_unspecified(),
            shared: SockRef::from(socket).reuse_port()?,
        })
    }

    /// Its one address, if it has one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        (!self.wildcard).then(|| self.local.ip())
    }
}

/// The sockets of a shard.
#[derive(Debug, Default)]
pub(super) struct Demux {
    by_id: HashMap<SocketId, Bound>,
    by_address: HashMap<(IpAddr, u16), Bound>,
    last: Option<Bound>,
}

impl Demux {
    pub(super) fn insert(&mut self, bound: Bound) {
        self.by_id.insert(bound.id, bound);
        self.by_address
            .insert((bound.local.ip(), bound.port), bound);
    }

    pub(super) fn remove(&mut self, id: SocketId) -> Option<Bound> {
        let bound = self.by_id.remove(&id)?;
        self.by_address.remove(&(bound.local.ip(), bound.port));
        self.last = None;
        Some(bound)
    }

    /// A socket by its id.
    pub(super) fn bound(&mut self, id: SocketId) -> Option<Bound> {
        // Nearly all trains of a batch leave by the same socket.
        if let Some(last) = self.last.filter(|last| last.id == id) {
            return Some(last);
        }
        self.last = self.by_id.get(&id).copied();
        self.last
    }

    /// The socket that takes what is sent there.
    pub(super) fn socket_at(&self, (ip, port): (IpAddr, u16)) -> Option<Bound> {
        let any = match ip {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let found = self.by_address.get(&(ip, port));
        found.or_else(|| self.by_address.get(&(any, port))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(id: u32, local: &str) -> Bound {
        let local: SocketAddr = local.parse().unwrap();
        Bound {
            id: SocketId(id),
            local,
            port: local.port(),
            wildcard: local.ip().is_unspecified(),
            shared: false,
        }
    }

    #[test]
    fn the_socket_of_an_address_goes_before_that_of_all() {
        let mut demux = Demux::default();
        for one in [
            bound(1, "0.0.0.0:9"),
            bound(2, "10.0.0.1:9"),
            bound(3, "[::]:9"),
        ] {
            demux.insert(one);
        }
        let at = |demux: &Demux, ip: &str| {
            let found = demux.socket_at((ip.parse().unwrap(), 9));
            found.map(|bound| bound.id.0)
        };
        assert_eq!(at(&demux, "10.0.0.1"), Some(2));
        assert_eq!(at(&demux, "10.0.0.2"), Some(1));
        assert_eq!(at(&demux, "fe80::1"), Some(3));
        assert_eq!(demux.socket_at(([10, 0, 0, 1].into(), 10)), None);
        assert_eq!(demux.remove(SocketId(2)), Some(bound(2, "10.0.0.1:9")));
        assert_eq!(at(&demux, "10.0.0.1"), Some(1));
        assert_eq!(demux.bound(SocketId(2)), None);
    }
}
