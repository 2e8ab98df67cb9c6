//! What the kernel knows of the network around us: interfaces, addresses, routes, neighbours
//! (rtnetlink(7)). For set-up and for a thread of its own, never for a shard's.

mod attributes;
mod events;
mod socket;

use std::io;
use std::net::IpAddr;

use attributes::{Attributes, Writer, ip_of};
pub(crate) use events::{Events, Happening};
use socket::{Socket, kind};

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) loopback: bool,
    /// Ethernet, and so with frames as AF_XDP writes them.
    pub(crate) ethernet: bool,
    pub(crate) mtu: u32,
    pub(crate) mac: [u8; 6],
}

/// The next step towards a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Interface to leave by.
    pub(crate) interface: u32,
    /// The router, or the destination itself.
    pub(crate) next_hop: IpAddr,
    /// What the kernel would take as source.
    pub(crate) source: Option<IpAddr>,
    /// Where the route, or what was found out about the path, has one.
    pub(crate) mtu: Option<u32>,
}

/// Asks the kernel.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(0)?,
        })
    }

    /// All interfaces.
    pub(crate) fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        let mut found = Vec::new();
        // struct ifinfomsg: family, padding, type (2), index (4), flags (4), change (4)
        self.socket
            .dump(kind::GET_LINK, &[0; 16], |kind, message| {
                if kind == kind::NEW_LINK {
                    found.extend(interface_of(message));
                }
            })?;
        Ok(found)
    }

    /// All addresses with the index of their interface. Those that may not be used (yet, or any
    /// more) are left out.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<(u32, IpAddr)>> {
        let mut found = Vec::new();
        // struct ifaddrmsg: family, prefix length, flags, scope, index (4)
        self.socket.dump(kind::GET_ADDR, &[0; 8], |kind, message| {
            if kind == kind::NEW_ADDR {
                found.extend(address_of(message));
            }
        })?;
        Ok(found)
    }

    /// The way to a destination, from that source where one is given; `interface` is the link of a
    /// link-local destination. `None` where there is none, or it ends in this host, in several
    /// hosts at once, or on the way.
    pub(crate) fn route(
        &mut self,
        to: IpAddr,
        from: Option<IpAddr>,
        interface: u32,
    ) -> io::Result<Option<Route>> {
        let bits = if to.is_ipv4() { 32 } else { 128 };
        let mut request = Writer::new();
        // struct rtmsg: family, destination and source prefix lengths, TOS, table, protocol, scope,
        // type, flags (4)
        let source_bits = if from.is_some() { bits } else { 0 };
        request.bytes(&[family_of(to), bits, source_bits, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        request.ip(libc::RTA_DST, to);
        if let Some(from) = from {
            request.ip(libc::RTA_SRC, from);
        }
        if interface != 0 {
            request.attribute(libc::RTA_OIF, &interface.to_ne_bytes());
        }
        let mut found = None;
        let asked = self
            .socket
            .ask(kind::GET_ROUTE, request.as_bytes(), |kind, message| {
                if kind == kind::NEW_ROUTE {
                    found = route_of(message, to);
                }
            });
        match asked {
            // No route, or a source that is not ours: nothing is broken.
            Err(error) if error.raw_os_error().is_some() => Ok(None),
            asked => asked.map(|()| found),
        }
    }

    /// The Ethernet address of a neighbour, if the kernel has it.
    pub(crate) fn neighbour(&mut self, interface: u32, ip: IpAddr) -> io::Result<Option<[u8; 6]>> {
        let mut request = Writer::new();
        // struct ndmsg: family, padding (3), interface (4), state (2), flags, type
        request.bytes(&[family_of(ip), 0, 0, 0]);
        request.bytes(&interface.to_ne_bytes());
        request.bytes(&[0; 4]);
        request.ip(libc::NDA_DST, ip);
        let mut found = None;
        let asked = self
            .socket
            .ask(kind::GET_NEIGH, request.as_bytes(), |kind, message| {
                if kind == kind::NEW_NEIGH {
                    found = events::neighbour_of(message).and_then(|neighbour| neighbour.mac);
                }
            });
        match asked {
            // ENOENT: it never spoke with that neighbour.
            Err(error) if error.raw_os_error().is_some() => Ok(None),
            asked => asked.map(|()| found),
        }
    }
}

fn family_of(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn interface_of(message: &[u8]) -> Option<Interface> {
    let header = message.first_chunk::<16>()?;
    let device = u16::from_ne_bytes([header[2], header[3]]);
    let flags = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
    let set = |flag: i32| flags & flag as u32 != 0;
    let mut interface = Interface {
        index: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
        name: String::new(),
        up: set(libc::IFF_UP),
        loopback: set(libc::IFF_LOOPBACK),
        ethernet: device == libc::ARPHRD_ETHER,
        mtu: 0,
        mac: [0; 6],
    };
    for (kind, data) in Attributes::new(&message[16..]) {
        match kind {
            libc::IFLA_IFNAME => {
                let name = data.strip_suffix(b"\0").unwrap_or(data);
                interface.name = String::from_utf8_lossy(name).into_owned();
            }
            libc::IFLA_MTU => interface.mtu = u32::from_ne_bytes(data.try_into().ok()?),
            libc::IFLA_ADDRESS => {
                if let Ok(mac) = data.try_into() {
                    interface.mac = mac;
                }
            }
            _ => {}
        }
    }
    Some(interface)
}

fn address_of(message: &[u8]) -> Option<(u32, IpAddr)> {
    let header = message.first_chunk::<8>()?;
    let index = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let unusable = (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) as u8;
    if header[2] & unusable != 0 {
        return None;
    }
    let attributes = || Attributes::new(&message[8..]);
    // Where both are there the local one is ours and the other a peer's.
    let of =
        |wanted| attributes().find_map(|(kind, data)| (kind == wanted).then(|| ip_of(data))?);
    let ip = of(libc::IFA_LOCAL).or_else(|| of(libc::IFA_ADDRESS))?;
    Some((index, ip))
}

fn route_of(message: &[u8], to: IpAddr) -> Option<Route> {
    let header = message.first_chunk::<12>()?;
    if header[7] != libc::RTN_UNICAST {
        return None;
    }
    let mut route = Route {
        interface: 0,
        next_hop: to,
        source: None,
        mtu: None,
    };
    for (kind, data) in Attributes::new(&message[12..]) {
        match kind {
            libc::RTA_OIF => route.interface = u32::from_ne_bytes(data.try_into().ok()?),
            libc::RTA_GATEWAY => route.next_hop = ip_of(data)?,
            // struct rtvia: family (2), address
            libc::RTA_VIA => route.next_hop = ip_of(data.get(2..)?)?,
            libc::RTA_PREFSRC => route.source = ip_of(data),
            libc::RTA_METRICS => {
                let mtu = Attributes::new(data).find(|(kind, _)| *kind == RTAX_MTU);
                route.mtu =
                    mtu.and_then(|(_, data)| Some(u32::from_ne_bytes(data.try_into().ok()?)));
            }
            // Sent on as something else than what it is.
            RTA_ENCAP_TYPE => return None,
            _ => {}
        }
    }
    (route.interface != 0).then_some(route)
}

const RTAX_MTU: u16 = 2;
const RTA_ENCAP_TYPE: u16 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_with_its_address() {
        let mut netlink = Netlink::open().unwrap();
        let interfaces = netlink.interfaces().unwrap();
        let loopback = interfaces.iter().find(|found| found.loopback).unwrap();
        assert_eq!(loopback.name, "lo");
        assert!(!loopback.ethernet);
        if loopback.up {
            let addresses = netlink.addresses().unwrap();
            assert!(addresses.contains(&(loopback.index, [127, 0, 0, 1].into())));
        }
    }

    #[test]
    fn a_way_that_ends_here_is_none() {
        let mut netlink = Netlink::open().unwrap();
        let here = netlink.route([127, 0, 0, 1].into(), None, 0).unwrap();
        assert_eq!(here, None);
        let foreign = netlink.route([127, 0, 0, 1].into(), Some([192, 0, 2, 1].into()), 0);
        assert_eq!(foreign.unwrap(), None);
        assert_eq!(netlink.neighbour(1, [192, 0, 2, 1].into()).unwrap(), None);
    }

    #[test]
    fn cut_messages_are_survived() {
        for len in 0..16 {
            interface_of(&vec![0xff; len]);
            address_of(&vec![0xff; len]);
            route_of(&vec![0x01; len], [10, 0, 0, 1].into());
        }
    }
}
