//! What happens to addresses, links, routes and neighbours.

use std::io;
use std::net::IpAddr;

use super::attributes::{Attributes, ip_of};
use super::socket::{Socket, kind};

/// States of a neighbour whose Ethernet address can be used: reachable, stale, delay, probe, no
/// ARP needed, permanent.
const USABLE: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;

/// A neighbour as told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) interface: u32,
    pub(crate) ip: IpAddr,
    /// `None` where it has none that can be used.
    pub(crate) mac: Option<[u8; 6]>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    /// An address came or went.
    Address,
    /// A link or a route changed.
    Way,
    /// A neighbour changed.
    Neighbour(Neighbour),
    /// More than could be told.
    Much,
}

/// Tells what happens from now on.
#[derive(Debug)]
pub(crate) struct Events {
    socket: Socket,
}

impl Events {
    pub(crate) fn open() -> io::Result<Self> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_NEIGH
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE;
        Ok(Self {
            socket: Socket::open(groups as u32)?,
        })
    }

    /// Gives on all that has happened, without waiting.
    pub(crate) fn take(&mut self, mut each: impl FnMut(Happening)) {
        let taken = self.socket.happened(|kind, message| match kind {
            kind::NEW_ADDR | kind::DEL_ADDR => each(Happening::Address),
            kind::NEW_LINK | kind::DEL_LINK | kind::NEW_ROUTE | kind::DEL_ROUTE => {
                each(Happening::Way);
            }
            kind::NEW_NEIGH => {
                if let Some(neighbour) = neighbour_of(message) {
                    each(Happening::Neighbour(neighbour));
                }
            }
            kind::DEL_NEIGH => {
                if let Some(neighbour) = neighbour_of(message) {
                    each(Happening::Neighbour(Neighbour {
                        mac: None,
                        ..neighbour
                    }));
                }
            }
            _ => {}
        });
        if taken.is_err() {
            each(Happening::Much);
        }
    }
}

/// Reads struct ndmsg and its attributes.
pub(super) fn neighbour_of(message: &[u8]) -> Option<Neighbour> {
    let header = message.first_chunk::<12>()?;
    let state = u16::from_ne_bytes([header[8], header[9]]);
    let mut ip = None;
    let mut mac = None;
    for (kind, data) in Attributes::new(&message[12..]) {
        match kind {
            libc::NDA_DST => ip = ip_of(data),
            libc::NDA_LLADDR => mac = data.try_into().ok(),
            _ => {}
        }
    }
    Some(Neighbour {
        interface: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
        ip: ip?,
        mac: mac.filter(|_| state & USABLE != 0),
    })
}
