//! The AF_XDP back end: frames from and to queues of network interfaces, past the kernel's network
//! stack and its firewall. What frames can not carry goes by sockets, as with `mmsg`: other
//! interfaces and loopback, fragments, what is longer than the path allows, destinations that are
//! not resolved yet, datagrams of a plain transport that come to a queue of another shard. And what
//! is cheaper by sockets goes by sockets: in copy mode longer trains, which the kernel carries as one.

mod demux;
mod frame;
mod locals;
mod order;
mod program;
mod queues;
mod ring;
mod routes;
mod setup;
mod socket;

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use weirgate_shard::{Datagram, Path, ShardNo, SocketId, Train, TxBatch};

use crate::backend::{Backend, FailedTrain, IoOptions, RECEIVE_BOUND};
use crate::cmsg::Received;
use crate::counters::{IoCounters, XdpCounters};
use crate::incoming::{Delivery, Waits};
use crate::mmsg::Mmsg;
use crate::probe::IoKind;
use crate::waker::Waker;
use demux::{Bound, Demux};
use frame::{Ends, Headers, Unreadable};
use order::Order;
use routes::{Hop, Key, Ways};
use setup::{SeatPort, Shared};
pub use setup::{XdpOptions, XdpSeat, XdpSetup, set_up};
use socket::Descriptor;

/// In copy mode trains of so many datagrams and more cost less as one message of a socket
/// (UDP_SEGMENT) than as a frame for each. Measured by `weirgate-floor --link veth`.
const TRAIN_FOR_SOCKETS: u16 = 3;

/// See the module.
pub(crate) struct Xdp {
    shard: ShardNo,
    /// Trains of so many datagrams go by sockets in copy mode.
    train_for_sockets: u16,
    ports: Vec<Port>,
    sockets: Mmsg,
    demux: Demux,
    ways: Ways,
    /// Trains of a batch that go by sockets.
    by_sockets: Vec<u32>,
    /// Where they go.
    order: Order,
    /// Frames under delivery.
    taken: Vec<Descriptor>,
    datagrams: IoCounters,
    counters: XdpCounters,
    shared: Arc<Shared>,
}

struct Port {
    seat: SeatPort,
    /// The interface is gone or down; until something comes by it again.
    down: bool,
}

/// What became of a train.
enum Outcome {
    /// All its datagrams are queued.
    Queued,
    /// That many of its datagrams found no frame.
    Lost(u16),
    /// Sockets are to send it.
    BySockets,
}

impl Xdp {
    pub(crate) fn new(seat: XdpSeat, options: &IoOptions) -> io::Result<Self> {
        let sockets = Mmsg::new(options)?;
        for port in &seat.ports {
            sockets.watch(port.socket.raw_fd())?;
        }
        let port = |seat| Port { seat, down: false };
        Ok(Self {
            shard: seat.shard,
            train_for_sockets: if options.gso {
                TRAIN_FOR_SOCKETS
            } else {
                u16::MAX
            },
            ports: seat.ports.into_iter().map(port).collect(),
            sockets,
            demux: Demux::default(),
            ways: Ways::new(&seat.asker),
            by_sockets: Vec::with_capacity(TxBatch::MAX_TRAINS),
            order: Order::new(),
            taken: Vec::with_capacity(RECEIVE_BOUND),
            datagrams: IoCounters::default(),
            counters: XdpCounters::default(),
            shared: seat.shared,
        })
    }

    /// Gives on what the queues hold, as much as one call may.
    fn drain(&mut self, handle: &mut dyn FnMut(&mut [Datagram<'_>])) -> usize {
        let mut datagrams = 0;
        for port in &mut self.ports {
            let mut waits = Waits::default();
            let mut delivery = Delivery::new(handle, &mut waits);
            while self.taken.len() < RECEIVE_BOUND
                && let Some(descriptor) = port.seat.socket.next()
            {
                // SAFETY: just taken from the ring, once, and given back below, when the delivery
                // is over.
                let frame = unsafe { port.seat.socket.received(&descriptor) };
                self.taken.push(descriptor);
                let parsed = match frame::read(frame) {
                    Ok(parsed) => parsed,
                    Err(Unreadable::Malformed) => {
                        self.counters.malformed += 1;
                        continue;
                    }
                    Err(Unreadable::Checksum) => {
                        self.counters.bad_checksums += 1;
                        continue;
                    }
                };
                let Some(bound) = self.demux.socket_at(parsed.destination) else {
                    // Closed while this was on its way.
                    self.counters.no_socket += 1;
                    continue;
                };
                let path = Path {
                    socket: bound.id,
                    local: bound.wildcard.then_some(parsed.destination.0),
                    remote: remote(parsed.source, port.seat.index),
                };
                let payload = &mut frame[parsed.payload];
                self.counters.datagrams_in += 1;
                delivery.message(path, payload, &Received::default(), &mut self.datagrams);
            }
            delivery.flush();
            datagrams += delivery.datagrams();
            if !self.taken.is_empty() {
                for descriptor in self.taken.drain(..) {
                    port.seat.socket.give_back(&descriptor);
                }
                port.seat.socket.refill();
                port.down = false;
            }
        }
        datagrams
    }

    fn queue(&mut self, batch: &TxBatch, train: &Train) -> Outcome {
        let Some(bound) = self.demux.bound(train.path.socket) else {
            return Outcome::BySockets;
        };
        let to = train.path.remote;
        let from = train.path.local.or_else(|| bound.ip());
        let key = Key {
            to: to.ip(),
            link: scope_of(&to),
            from,
        };
        let Some(way) = self.ways.way(&key) else {
            self.ways.ask(key);
            self.counters.unresolved += u64::from(train.segments);
            return Outcome::BySockets;
        };
        let Some(source) = from.or(way.source) else {
            return Outcome::BySockets;
        };
        let Some(port) = port_of(&mut self.ports, &way.hop) else {
            return Outcome::BySockets;
        };
        let packet_len = usize::from(train.segment_len) + frame::overhead(to.ip());
        let too_long = packet_len > usize::from(way.hop.mtu);
        let cheaper_whole =
            train.segments >= self.train_for_sockets && !port.seat.socket.is_zero_copy();
        if too_long || cheaper_whole || self.order.is_by_sockets(&to) {
            return Outcome::BySockets;
        }
        let ends = Ends {
            source_mac: port.seat.mac,
            destination_mac: way.hop.mac,
            source: (source, bound.port),
            destination: (to.ip(), to.port()),
        };
        let Some(headers) = Headers::new(&ends) else {
            return Outcome::BySockets;
        };
        let datagrams = batch
            .train_bytes(train)
            .chunks(usize::from(train.segment_len).max(1));
        let mut lost = 0;
        for payload in datagrams {
            let socket = &mut port.seat.socket;
            let mut queued = socket.queue(|out| headers.write(payload, out));
            if !queued {
                // All frames are queued: out with them, and once more.
                port.down |= socket.kick(&mut self.datagrams.syscalls).is_err();
                queued = socket.queue(|out| headers.write(payload, out));
            }
            if queued {
                self.datagrams.datagrams_out += 1;
                self.datagrams.bytes_out += payload.len() as u64;
                self.counters.datagrams_out += 1;
            } else {
                lost += 1;
            }
        }
        match lost {
            0 => Outcome::Queued,
            lost => Outcome::Lost(lost),
        }
    }

    fn kick(&mut self) {
        for port in self.ports.iter_mut().filter(|port| !port.down) {
            let kicked = port.seat.socket.kick(&mut self.datagrams.syscalls);
            port.down |= kicked.is_err();
        }
    }
}

/// A shard's socket at an interface, unless it is down.
fn port_of<'a>(ports: &'a mut [Port], hop: &Hop) -> Option<&'a mut Port> {
    ports
        .iter_mut()
        .find(|port| port.seat.interface == hop.interface && !port.down)
}

/// A peer's address; a link-local one is only one with its link.
fn remote((ip, port): (IpAddr, u16), interface: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            SocketAddrV6::new(ip, port, 0, interface).into()
        }
        ip => SocketAddr::new(ip, port),
    }
}

fn scope_of(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(address) => address.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

impl Backend for Xdp {
    fn kind(&self) -> IoKind {
        IoKind::Xdp
    }

    fn waker(&self) -> Waker {
        self.sockets.waker()
    }

    fn add_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        let bound = Bound::new(id, &socket)?;
        self.sockets.add_socket(id, socket)?;
        let owner = (!bound.shared).then_some(self.shard);
        // Where the table is full, or the rights to change it are gone, the socket gets everything
        // itself.
        match self.shared.tables.open(bound.local.ip(), bound.port, owner) {
            Ok(()) => {}
            Err(_) => self.counters.not_redirected += 1,
        }
        self.demux.insert(bound);
        Ok(())
    }

    fn add_quiet_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        // Frames are not sorted; this one has what sockets get.
        self.sockets.add_quiet_socket(id, socket)
    }

    fn connect_socket(&mut self, id: SocketId, remote: SocketAddr) {
        // Frames do not care: the shard knows whom it takes datagrams from.
        self.sockets.connect_socket(id, remote);
    }

    fn remove_socket(&mut self, id: SocketId) {
        if let Some(bound) = self.demux.remove(id)
            && !bound.shared
        {
            // An entry that stays takes one place, and what comes by it is dropped and counted.
            let _ = self.shared.tables.close(bound.local.ip(), bound.port);
        }
        self.sockets.remove_socket(id);
    }

    fn receive(
        &mut self,
        timeout: Option<Duration>,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
    ) -> io::Result<usize> {
        let before = self.drain(handle);
        let timeout = match before {
            0 => timeout,
            _ => Some(Duration::ZERO),
        };
        let by_sockets = self.sockets.receive(timeout, handle)?;
        let after = match before {
            0 => self.drain(handle),
            _ => 0,
        };
        Ok(before + by_sockets + after)
    }

    fn send(&mut self, batch: &TxBatch, failed: &mut Vec<FailedTrain>) {
        self.by_sockets.clear();
        self.order.next_batch();
        for (index, train) in batch.trains().iter().enumerate() {
            match self.queue(batch, train) {
                Outcome::Queued => {}
                Outcome::Lost(segments_lost) => {
                    let error = libc::ENOBUFS;
                    self.datagrams.send_errors.add(error, segments_lost);
                    failed.push(FailedTrain {
                        index,
                        error,
                        segments_lost,
                    });
                }
                Outcome::BySockets => {
                    self.order.by_sockets_from_now_on(&train.path.remote);
                    self.by_sockets.push(index as u32);
                }
            }
        }
        self.kick();
        if !self.by_sockets.is_empty() {
            self.sockets.send_some(batch, &self.by_sockets, failed);
        }
    }

    fn counters(&self) -> IoCounters {
        let mut counters = self.sockets.counters();
        counters.add(&self.datagrams);
        counters.xdp = self.counters;
        for port in &self.ports {
            counters.kernel_drops += port.seat.socket.drops().received;
        }
        counters
    }

    fn socket_drops(&self, id: SocketId) -> Option<u64> {
        self.sockets.socket_drops(id)
    }
}
