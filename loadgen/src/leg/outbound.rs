//! The sending side of a leg, and its keys.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use super::{Compound, Protection, lock};
use crate::srtp_leg::{Opener, Sealer};

/// Counts of a leg's datagrams.
#[derive(Debug, Default)]
pub struct LegCounters {
    /// Datagrams received.
    pub received: AtomicU64,
    /// RTP or RTCP that failed authentication.
    pub not_authentic: AtomicU64,
    /// Authentic, but not RTP or RTCP that can be parsed; or of an unknown kind.
    pub malformed: AtomicU64,
    /// From an address that is not the server's.
    pub foreign: AtomicU64,
    /// RTP or RTCP before there were keys.
    pub unkeyed: AtomicU64,
    /// Datagrams the kernel did not take from us.
    pub send_failures: AtomicU64,
    /// Datagrams the kernel dropped as our socket was full, as of the latest that came after.
    pub socket_drops: AtomicU64,
}

impl LegCounters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

enum Outgoing {
    Plain,
    Awaited,
    Keyed(Box<Sealer>),
}

enum Incoming {
    Plain,
    Awaited,
    Keyed(Box<Opener>),
}

/// Where datagrams go.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// RTP, and everything else with rtcp-mux.
    pub rtp: SocketAddr,
    /// RTCP.
    pub rtcp: SocketAddr,
}

impl Route {
    /// Everything to one address.
    pub fn muxed(to: SocketAddr) -> Self {
        Self { rtp: to, rtcp: to }
    }
}

/// The sending side of a leg, shared by all that send on it.
pub struct Outbound {
    pub(super) socket: Arc<UdpSocket>,
    /// Without rtcp-mux.
    pub(super) rtcp_socket: Option<Arc<UdpSocket>>,
    local: SocketAddr,
    route: Mutex<Route>,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
    transport_sequence: AtomicU16,
    counters: LegCounters,
}

impl Outbound {
    pub(super) fn new(
        socket: UdpSocket,
        rtcp_socket: Option<UdpSocket>,
        route: Route,
        protection: &Protection,
    ) -> Result<Self> {
        let outbound = Self {
            local: socket.local_addr()?,
            socket: Arc::new(socket),
            rtcp_socket: rtcp_socket.map(Arc::new),
            route: Mutex::new(route),
            outgoing: Mutex::new(Outgoing::Awaited),
            incoming: Mutex::new(Incoming::Awaited),
            transport_sequence: AtomicU16::new(0),
            counters: LegCounters::default(),
        };
        outbound.protect(protection)?;
        Ok(outbound)
    }

    /// Sends RTP; `write` gets the transport-wide sequence number and gives the packet in the
    /// clear. Numbers are taken in the order in which packets leave.
    pub fn send_rtp_with(&self, write: impl FnOnce(u16) -> Vec<u8>) {
        let mut outgoing = lock(&self.outgoing);
        let sequence = self.transport_sequence.fetch_add(1, Ordering::Relaxed);
        self.seal_and_send(&mut outgoing, write(sequence));
    }

    /// Sends RTP that has its transport-wide sequence number already, or needs none.
    pub fn send_rtp(&self, packet: Vec<u8>) {
        self.seal_and_send(&mut lock(&self.outgoing), packet);
    }

    /// Sends a compound RTCP packet.
    pub fn send_rtcp(&self, packets: &Compound) {
        let Ok(compound) = rtcp::packet::marshal(packets) else {
            return LegCounters::add(&self.counters.send_failures);
        };
        let to = lock(&self.route).rtcp;
        let sealed = match &mut *lock(&self.outgoing) {
            Outgoing::Plain => Ok(compound),
            Outgoing::Keyed(sealer) => sealer.rtcp(&compound),
            // There is nothing to report yet.
            Outgoing::Awaited => return,
        };
        let socket = self.rtcp_socket.as_ref().unwrap_or(&self.socket);
        if !sealed.is_ok_and(|sealed| socket.send_to(&sealed, to).is_ok()) {
            LegCounters::add(&self.counters.send_failures);
        }
    }

    /// Sends bytes as they are where RTP would go.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.send_to(bytes, self.remote_address());
    }

    /// Sends bytes as they are.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) {
        if self.socket.send_to(bytes, to).is_err() {
            LegCounters::add(&self.counters.send_failures);
        }
    }

    /// Our address.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Where RTP goes.
    pub fn remote_address(&self) -> SocketAddr {
        self.route().rtp
    }

    /// Changes where datagrams go.
    pub fn set_route(&self, route: Route) {
        *lock(&self.route) = route;
    }

    pub(super) fn route(&self) -> Route {
        *lock(&self.route)
    }

    /// Changes the protection both ways.
    pub fn protect(&self, protection: &Protection) -> Result<()> {
        let (outgoing, incoming) = match protection {
            Protection::None => (Outgoing::Plain, Incoming::Plain),
            Protection::Awaited => (Outgoing::Awaited, Incoming::Awaited),
            Protection::Srtp { send, receive } => (
                Outgoing::Keyed(Box::new(Sealer::new(send)?)),
                Incoming::Keyed(Box::new(Opener::new(receive)?)),
            ),
        };
        *lock(&self.outgoing) = outgoing;
        *lock(&self.incoming) = incoming;
        Ok(())
    }

    /// Counts so far.
    pub fn counters(&self) -> &LegCounters {
        &self.counters
    }

    fn seal_and_send(&self, outgoing: &mut Outgoing, packet: Vec<u8>) {
        let to = self.remote_address();
        match outgoing {
            Outgoing::Plain => self.send_to(&packet, to),
            Outgoing::Keyed(sealer) => match sealer.rtp(packet) {
                Ok(sealed) => self.send_to(&sealed, to),
                Err(_) => LegCounters::add(&self.counters.send_failures),
            },
            Outgoing::Awaited => LegCounters::add(&self.counters.send_failures),
        }
    }

    /// Opens a packet, in place where that can be, and hands it to `then`.
    pub(super) fn open(&self, bytes: &mut [u8], is_rtcp: bool, then: impl FnOnce(&[u8])) {
        let mut incoming = lock(&self.incoming);
        let opened = match &mut *incoming {
            Incoming::Plain => return then(bytes),
            Incoming::Awaited => return LegCounters::add(&self.counters.unkeyed),
            Incoming::Keyed(opener) if is_rtcp => opener.rtcp(bytes).map(|clear| then(&clear)),
            Incoming::Keyed(opener) => opener.rtp(bytes, then),
        };
        if opened.is_err() {
            LegCounters::add(&self.counters.not_authentic);
        }
    }
}
