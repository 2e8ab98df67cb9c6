//! One UDP socket towards the server: protected RTP and RTCP both ways, and what shares the socket
//! with them (STUN, DTLS; RFC 7983).

mod outbound;
mod reactor;
mod socket;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use rtcp::packet::Packet as RtcpPacket;
use rtp::packet::Packet as RtpPacket;
use tokio::sync::mpsc;
use webrtc_util::marshal::Unmarshal;

pub use outbound::{LegCounters, Outbound, Route};
pub use reactor::{MAX_TRAIN, ReadStats, read_stats};
pub use socket::bind;

use crate::clock::now_ns;
use crate::ice::{Agent, AgentEvent};
use crate::srtp_leg::SrtpKey;
use reactor::{AgentAction, Place, Reactor, Reading};

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
    /// Called at [`Self::deadline_ns`].
    fn on_tick(&mut self, now_ns: u64, out: &Outbound);
    /// When to be called next; asked after every call.
    fn deadline_ns(&self) -> u64;
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

/// Locks even where a holder panicked: the state behind is counts and keys, whole at any time.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    place: Place,
}

impl Leg {
    /// Starts reading `socket`; RTCP without rtcp-mux has a socket of its own.
    pub fn start<M: Media>(
        socket: UdpSocket,
        rtcp_socket: Option<UdpSocket>,
        route: Route,
        protection: &Protection,
        handshaking: Option<Handshaking>,
        media: Arc<Mutex<M>>,
    ) -> Result<Self> {
        let outbound = Arc::new(Outbound::new(socket, rtcp_socket, route, protection)?);
        let media_deadline_ns = lock(&media).deadline_ns();
        let reader = Reader {
            outbound: Arc::clone(&outbound),
            handshaking,
            media,
            media_deadline_ns,
        };
        let place = Reactor::shared()?.add(Box::new(reader));
        Ok(Self { outbound, place })
    }

    /// The sending side.
    pub fn outbound(&self) -> &Arc<Outbound> {
        &self.outbound
    }

    /// Does something with the ICE agent, if there is one.
    pub fn with_agent(&self, action: impl FnOnce(&mut Agent) + Send + 'static) {
        self.place.with_agent(Box::new(action));
    }

    /// Stops reading and closes the socket.
    pub async fn close(self) {
        self.place.remove().await;
    }
}

struct Reader<M> {
    outbound: Arc<Outbound>,
    handshaking: Option<Handshaking>,
    media: Arc<Mutex<M>>,
    media_deadline_ns: u64,
}

impl<M: Media> Reading for Reader<M> {
    fn sockets(&self) -> [Option<Arc<UdpSocket>>; 2] {
        let rtp = Some(Arc::clone(&self.outbound.socket));
        [rtp, self.outbound.rtcp_socket.clone()]
    }

    fn on_datagram(&mut self, bytes: &mut [u8], from: SocketAddr, arrival_ns: u64) {
        LegCounters::add(&self.outbound.counters().received);
        match bytes.first() {
            Some(0..=3) => self.handle_stun(bytes, from, arrival_ns),
            Some(20..=63) => self.handle_dtls(bytes),
            Some(128..=191) => {
                let route = self.outbound.route();
                if from == route.rtp || from == route.rtcp {
                    self.handle_media(bytes, arrival_ns);
                } else {
                    LegCounters::add(&self.outbound.counters().foreign);
                }
            }
            _ => LegCounters::add(&self.outbound.counters().malformed),
        }
    }

    fn on_drops(&mut self, drops: u32) {
        let counter = &self.outbound.counters().socket_drops;
        counter.fetch_max(u64::from(drops), Ordering::Relaxed);
    }

    fn on_deadline(&mut self, now_ns: u64) {
        if self.media_deadline_ns <= now_ns {
            let mut media = lock(&self.media);
            media.on_tick(now_ns, &self.outbound);
            self.media_deadline_ns = media.deadline_ns();
        }
        self.poll_agent();
    }

    fn deadline_ns(&self) -> u64 {
        let handshaking = self.handshaking.as_ref();
        let agent = handshaking.map_or(u64::MAX, |handshaking| handshaking.agent.deadline_ns());
        agent.min(self.media_deadline_ns)
    }

    fn with_agent(&mut self, action: AgentAction) {
        if let Some(handshaking) = &mut self.handshaking {
            action(&mut handshaking.agent);
            self.poll_agent();
        }
    }
}

impl<M: Media> Reader<M> {
    fn handle_media(&mut self, bytes: &mut [u8], arrival_ns: u64) {
        // RFC 5761 section 4: payload types 64 to 95 are RTCP.
        let is_rtcp = bytes
            .get(1)
            .is_some_and(|second| (192..=223).contains(second));
        let wire_len = bytes.len();
        let (outbound, media) = (&self.outbound, &self.media);
        let deadline_ns = &mut self.media_deadline_ns;
        outbound.open(bytes, is_rtcp, |mut clear| {
            if is_rtcp {
                if let Ok(packets) = rtcp::packet::unmarshal(&mut clear) {
                    let mut media = lock(media);
                    media.on_rtcp(&packets, arrival_ns, outbound);
                    *deadline_ns = media.deadline_ns();
                    return;
                }
            } else if let Ok(packet) = RtpPacket::unmarshal(&mut clear) {
                let mut media = lock(media);
                media.on_rtp(&packet, wire_len, arrival_ns, outbound);
                *deadline_ns = media.deadline_ns();
                return;
            }
            LegCounters::add(&outbound.counters().malformed);
        });
    }

    fn handle_stun(&mut self, bytes: &[u8], from: SocketAddr, arrival_ns: u64) {
        let Some(handshaking) = &mut self.handshaking else {
            return LegCounters::add(&self.outbound.counters().malformed);
        };
        if let Some(event) = handshaking.agent.handle(bytes, from, arrival_ns) {
            if let AgentEvent::Nominated(to) = event {
                self.outbound.set_route(Route::muxed(to));
            }
            // Nobody may be waiting any more.
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
