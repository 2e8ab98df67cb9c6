//! One UDP socket towards the server: protected RTP and RTCP both ways, and what shares the socket
//! with them (STUN, DTLS; RFC 7983).

use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rtcp::packet::Packet as RtcpPacket;
use rtp::packet::Packet as RtpPacket;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use webrtc_util::marshal::Unmarshal;

use crate::clock::now_ns;
use crate::ice::{Agent, AgentEvent};
use crate::srtp_leg::{Opener, Sealer, SrtpKey};

/// Asked of the kernel for each socket, so that a busy moment of ours loses nothing.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// Datagrams taken from a socket before others get a turn.
const MAX_BATCH: usize = 64;
/// How often [`Media::on_tick`] is called.
const TICK: Duration = Duration::from_millis(20);

/// RTCP packets of one compound.
pub type Compound = [Box<dyn RtcpPacket + Send + Sync>];

/// What is done with the media of a leg.
pub trait Media: Send + 'static {
    /// What its transport is for: `send`, `recv` or both. Servers that must know it before there is
    /// anything to send are told so.
    const DIRECTION: &'static str;

    /// An authentic RTP packet of `wire_len` bytes as it was on the wire.
    fn on_rtp(&mut self, packet: &RtpPacket, wire_len: usize, arrival_ns: u64, out: &Outbound);
    /// An authentic compound RTCP packet.
    fn on_rtcp(&mut self, packets: &Compound, arrival_ns: u64, out: &Outbound);
    /// Called every 20 ms.
    fn on_tick(&mut self, now_ns: u64, out: &Outbound);
}

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
}

impl LegCounters {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// How RTP and RTCP are protected.
pub enum Protection {
    /// Not at all: plain RTP.
    None,
    /// Keys come later, from DTLS.
    Awaited,
    /// Now.
    Srtp {
        /// Ours.
        send: SrtpKey,
        /// The server's.
        receive: SrtpKey,
    },
}

enum Outgoing {
    Plain,
    Awaited,
    Keyed(Sealer),
}

enum Incoming {
    Plain,
    Awaited,
    Keyed(Opener),
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
    socket: StdUdpSocket,
    /// Without rtcp-mux.
    rtcp_socket: Option<StdUdpSocket>,
    local: SocketAddr,
    route: Mutex<Route>,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
    transport_sequence: AtomicU16,
    counters: LegCounters,
}

impl Outbound {
    /// Sends RTP; `write` gets the transport-wide sequence number and gives the packet in the
    /// clear. Numbers are taken in the order in which packets leave.
    pub fn send_rtp_with(&self, write: impl FnOnce(u16) -> Vec<u8>) {
        let mut outgoing = lock(&self.outgoing);
        let sequence = self.transport_sequence.fetch_add(1, Ordering::Relaxed);
        self.seal_and_send(&mut outgoing, &write(sequence));
    }

    /// Sends RTP that has its transport-wide sequence number already, or needs none.
    pub fn send_rtp(&self, packet: &[u8]) {
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
        lock(&self.route).rtp
    }

    /// Changes where datagrams go.
    pub fn set_route(&self, route: Route) {
        *lock(&self.route) = route;
    }

    /// Changes the protection both ways.
    pub fn protect(&self, protection: &Protection) -> Result<()> {
        let (outgoing, incoming) = match protection {
            Protection::None => (Outgoing::Plain, Incoming::Plain),
            Protection::Awaited => (Outgoing::Awaited, Incoming::Awaited),
            Protection::Srtp { send, receive } => (
                Outgoing::Keyed(Sealer::new(send)?),
                Incoming::Keyed(Opener::new(receive)?),
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

    fn seal_and_send(&self, outgoing: &mut Outgoing, packet: &[u8]) {
        let to = lock(&self.route).rtp;
        match outgoing {
            Outgoing::Plain => self.send_to(packet, to),
            Outgoing::Keyed(sealer) => match sealer.rtp(packet) {
                Ok(sealed) => self.send_to(&sealed, to),
                Err(_) => LegCounters::add(&self.counters.send_failures),
            },
            Outgoing::Awaited => LegCounters::add(&self.counters.send_failures),
        }
    }

    fn open(&self, bytes: &[u8], is_rtcp: bool) -> Option<bytes::Bytes> {
        let opened = match &mut *lock(&self.incoming) {
            Incoming::Plain => return Some(bytes::Bytes::copy_from_slice(bytes)),
            Incoming::Awaited => {
                LegCounters::add(&self.counters.unkeyed);
                return None;
            }
            Incoming::Keyed(opener) if is_rtcp => opener.rtcp(bytes),
            Incoming::Keyed(opener) => opener.rtp(bytes),
        };
        if opened.is_err() {
            LegCounters::add(&self.counters.not_authentic);
        }
        opened.ok()
    }
}

/// Locks even where a holder panicked: the state behind is counts and keys, whole at any time.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds a UDP socket with a large receive buffer.
pub fn bind(address: SocketAddr) -> Result<StdUdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // The kernel gives what it may.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket
        .bind(&address.into())
        .with_context(|| format!("can not bind {address}"))?;
    Ok(socket.into())
}

/// ICE and DTLS of a leg, where it has them.
pub struct Handshaking {
    /// Checks the server.
    pub agent: Agent,
    /// Hears what the agent finds out.
    pub events: mpsc::UnboundedSender<AgentEvent>,
    /// Gets DTLS records.
    pub records: mpsc::Sender<Vec<u8>>,
}

/// A leg whose socket is read until it is closed or dropped.
pub struct Leg {
    outbound: Arc<Outbound>,
    commands: mpsc::UnboundedSender<AgentCommand>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

type AgentCommand = Box<dyn FnOnce(&mut Agent) + Send>;

impl Leg {
    /// Starts reading `socket`; RTCP without rtcp-mux has a socket of its own.
    pub fn start<M: Media>(
        socket: StdUdpSocket,
        rtcp_socket: Option<StdUdpSocket>,
        route: Route,
        protection: &Protection,
        handshaking: Option<Handshaking>,
        media: Arc<Mutex<M>>,
    ) -> Result<Self> {
        let outbound = Arc::new(Outbound {
            local: socket.local_addr()?,
            socket: socket.try_clone()?,
            rtcp_socket: rtcp_socket
                .as_ref()
                .map(StdUdpSocket::try_clone)
                .transpose()?,
            route: Mutex::new(route),
            outgoing: Mutex::new(Outgoing::Awaited),
            incoming: Mutex::new(Incoming::Awaited),
            transport_sequence: AtomicU16::new(0),
            counters: LegCounters::default(),
        });
        outbound.protect(protection)?;
        let (stop, stopped) = watch::channel(false);
        let (commands, command_queue) = mpsc::unbounded_channel();
        let socket = UdpSocket::from_std(socket)?;
        let rtcp_socket = rtcp_socket.map(UdpSocket::from_std).transpose()?;
        let reader = Reader {
            outbound: Arc::clone(&outbound),
            handshaking,
            media,
            commands: command_queue,
        };
        let task = tokio::spawn(reader.run(socket, rtcp_socket, stopped));
        Ok(Self {
            outbound,
            commands,
            stop,
            task,
        })
    }

    /// The sending side.
    pub fn outbound(&self) -> &Arc<Outbound> {
        &self.outbound
    }

    /// Does something with the ICE agent, if there is one.
    pub fn with_agent(&self, action: impl FnOnce(&mut Agent) + Send + 'static) {
        // Fails only after the reader ended, when there is no agent any more.
        let _ = self.commands.send(Box::new(action));
    }

    /// Stops reading and closes the socket.
    pub async fn close(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

struct Reader<M> {
    outbound: Arc<Outbound>,
    handshaking: Option<Handshaking>,
    media: Arc<Mutex<M>>,
    commands: mpsc::UnboundedReceiver<AgentCommand>,
}

impl<M: Media> Reader<M> {
    async fn run(
        mut self,
        socket: UdpSocket,
        rtcp_socket: Option<UdpSocket>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut buffer = vec![0; 65_536];
        loop {
            let wait_for_rtcp = async {
                match &rtcp_socket {
                    Some(socket) => socket.readable().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Ends too where the leg was dropped.
                _ = stopped.changed() => return,
                Some(command) = self.commands.recv() => {
                    if let Some(handshaking) = &mut self.handshaking {
                        command(&mut handshaking.agent);
                        self.poll_agent();
                    }
                }
                _ = ticks.tick() => {
                    lock(&self.media).on_tick(now_ns(), &self.outbound);
                    self.poll_agent();
                }
                _ = socket.readable() => self.drain(&socket, &mut buffer).await,
                _ = wait_for_rtcp => {
                    if let Some(socket) = &rtcp_socket {
                        self.drain(socket, &mut buffer).await;
                    }
                }
            }
        }
    }

    /// Takes what is there, but not so much that other legs are kept waiting: taking a datagram
    /// that is there already does not count as work with the runtime.
    async fn drain(&mut self, socket: &UdpSocket, buffer: &mut [u8]) {
        for _ in 0..MAX_BATCH {
            // An ICMP error is told in place of a datagram; the next call goes on after it.
            let Ok((len, from)) = socket.try_recv_from(buffer) else {
                return;
            };
            self.handle(&mut buffer[..len], from);
        }
        tokio::task::yield_now().await;
    }

    fn handle(&mut self, bytes: &mut [u8], from: SocketAddr) {
        let arrival_ns = now_ns();
        LegCounters::add(&self.outbound.counters.received);
        match bytes.first() {
            Some(0..=3) => self.handle_stun(bytes, from, arrival_ns),
            Some(20..=63) => self.handle_dtls(bytes),
            Some(128..=191) => {
                let route = *lock(&self.outbound.route);
                if from == route.rtp || from == route.rtcp {
                    self.handle_media(bytes, arrival_ns);
                } else {
                    LegCounters::add(&self.outbound.counters.foreign);
                }
            }
            _ => LegCounters::add(&self.outbound.counters.malformed),
        }
    }

    fn handle_media(&mut self, bytes: &[u8], arrival_ns: u64) {
        // RFC 5761 section 4: payload types 64 to 95 are RTCP.
        let is_rtcp = bytes
            .get(1)
            .is_some_and(|second| (192..=223).contains(second));
        let Some(mut clear) = self.outbound.open(bytes, is_rtcp) else {
            return;
        };
        let mut media = lock(&self.media);
        if is_rtcp {
            if let Ok(packets) = rtcp::packet::unmarshal(&mut clear) {
                return media.on_rtcp(&packets, arrival_ns, &self.outbound);
            }
        } else if let Ok(packet) = RtpPacket::unmarshal(&mut clear) {
            return media.on_rtp(&packet, bytes.len(), arrival_ns, &self.outbound);
        }
        LegCounters::add(&self.outbound.counters.malformed);
    }

    fn handle_stun(&mut self, bytes: &[u8], from: SocketAddr, arrival_ns: u64) {
        let Some(handshaking) = &mut self.handshaking else {
            return LegCounters::add(&self.outbound.counters.malformed);
        };
        if let Some(event) = handshaking.agent.handle(bytes, from, arrival_ns) {
            if let AgentEvent::Nominated(to) = event {
                self.outbound.set_route(Route::muxed(to));
            }
            let _ = handshaking.events.send(event);
        }
        self.poll_agent();
    }

    fn handle_dtls(&mut self, bytes: &[u8]) {
        if let Some(handshaking) = &self.handshaking {
            // Full or closed: DTLS repairs a lost record, and after the handshake none matters.
            let _ = handshaking.records.try_send(bytes.to_vec());
        }
    }

    fn poll_agent(&mut self) {
        let Some(handshaking) = &mut self.handshaking else {
            return;
        };
        let mut checks = Vec::new();
        if let Some(event) = handshaking.agent.poll(now_ns(), &mut checks) {
            let _ = handshaking.events.send(event);
        }
        for (to, bytes) in checks {
            self.outbound.send_to(&bytes, to);
        }
    }
}
