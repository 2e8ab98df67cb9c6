//! A transport: one peer's paths, keys, streams and queue.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use uuid::Uuid;
use weirgate_congestion::{Config, PacketKind};
use weirgate_packet::demux::{DatagramClass, classify};
use weirgate_packet::rtp::{RtpPacket, header_len};
use weirgate_srtp::{OpenError, Opener, Sealer};
use weirgate_wire::{ExtensionIds, ExtensionKind, IceState, Tuple};

use crate::arrivals::Arrivals;
use crate::clock::SenderClock;
use crate::consumer::Consumer;
use crate::counters::Counters;
use crate::downlink::Downlink;
use crate::ice::IceAgent;
use crate::meter::Meter;
use crate::padding::PROBATOR_SSRC;
use crate::queue::{Departure, Lane, SendQueue};
use crate::repair_budget::RepairBudget;
use crate::trace::Traced;
use crate::{Path, SocketId, Timestamp};

/// What a received SSRC is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamRef {
    pub(crate) ssrc: u32,
    /// Index of the producer's source.
    pub(crate) source: u32,
    pub(crate) encoding: u8,
    pub(crate) rtx: bool,
}

/// What a sent SSRC is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentSsrc {
    pub(crate) ssrc: u32,
    pub(crate) consumer: u32,
}

/// The remote end of a plain transport.
#[derive(Debug)]
pub(crate) struct PlainEnd {
    pub(crate) rtp_socket: SocketId,
    pub(crate) rtp_local: SocketAddr,
    /// Without rtcp-mux.
    pub(crate) rtcp: Option<(SocketId, SocketAddr)>,
    pub(crate) rtp_remote: Option<SocketAddr>,
    pub(crate) rtcp_remote: Option<SocketAddr>,
    pub(crate) comedia: bool,
    pub(crate) connected: bool,
}

impl PlainEnd {
    /// One that knows no remote.
    pub(crate) const fn new(
        rtp_socket: SocketId,
        rtp_local: SocketAddr,
        rtcp: Option<(SocketId, SocketAddr)>,
        comedia: bool,
    ) -> Self {
        Self {
            rtp_socket,
            rtp_local,
            rtcp,
            rtp_remote: None,
            rtcp_remote: None,
            comedia,
            connected: false,
        }
    }
}

#[derive(Debug)]
pub(crate) enum TransportKind {
    WebRtc(IceAgent),
    Plain(PlainEnd),
}

/// Bytes and packets through a transport.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) received: Meter,
    pub(crate) sent: Meter,
    pub(crate) rtp_received: Meter,
    pub(crate) rtp_sent: Meter,
    pub(crate) rtx_received: Meter,
    pub(crate) rtx_sent: Meter,
    /// Probes, beside media and repairs.
    pub(crate) probation_sent: Meter,
    pub(crate) auth_failures: u64,
    pub(crate) replays: u64,
}

#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) id: Uuid,
    pub(crate) kind: TransportKind,
    /// Media is protected: nothing goes in or out before keys are set.
    pub(crate) secure: bool,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) opener: Option<Opener>,
    pub(crate) queue: SendQueue,
    /// Listed among the transports with something to send.
    pub(crate) dirty: bool,
    /// Ids of its producers' extensions: one set for the transport, as with BUNDLE.
    pub(crate) extensions: ExtensionIds,
    pub(crate) streams: Vec<StreamRef>,
    pub(crate) producers: Vec<u32>,
    pub(crate) consumers: Vec<u32>,
    pub(crate) sent_ssrcs: Vec<SentSsrc>,
    /// SSRCs ever sent under the present key: none may come back with new counters.
    pub(crate) used_ssrcs: HashSet<u32>,
    pub(crate) arrivals: Option<Arrivals>,
    pub(crate) next_transport_sequence: u16,
    pub(crate) clock: SenderClock,
    /// SSRC our feedback is sent with.
    pub(crate) feedback_ssrc: u32,
    pub(crate) traffic: Traffic,
    pub(crate) max_incoming_bps: u32,
    /// Times that the sender is still to be told that it has no limit any more.
    pub(crate) lifted_limits: u8,
    pub(crate) max_outgoing_bps: u32,
    pub(crate) min_outgoing_bps: u32,
    /// What the estimate begins with; 0 for mediasoup's default.
    pub(crate) initial_outgoing_bps: u32,
    /// Some consumer negotiated feedback that an estimate can be made from.
    pub(crate) takes_estimate: bool,
    /// The path to the peer of a WebRTC transport, from the time it can be used and has such a consumer.
    pub(crate) downlink: Option<Box<Downlink>>,
    /// Id of the transport-wide sequence number in what is sent.
    pub(crate) wide_sequence_id: Option<u8>,
    pub(crate) repairs: RepairBudget,
    /// Extended sequence number of the next probe that is nobody's RTX.
    pub(crate) probator_sequence: u64,
    pub(crate) traced: Traced,
    pub(crate) dtls_sent: bool,
    /// DTLS datagrams passed to control in the second that began then.
    dtls_passed: (u8, Timestamp),
    pub(crate) reports_at: Timestamp,
    pub(crate) feedback_at: Timestamp,
    /// When layers are chosen next: in some round, and where there is more to be had from a certain time on.
    pub(crate) allocate_at: Timestamp,
    pub(crate) allocate_again_at: Timestamp,
    /// When the timer wheel brings it up next.
    pub(crate) scheduled: Timestamp,
    /// When it has its next round.
    pub(crate) round_at: Timestamp,
}

/// DTLS datagrams of one transport passed to control per second.
const DTLS_PER_SECOND: u8 = 40;
/// What an estimate begins with; mediasoup's default.
const INITIAL_OUTGOING_BPS: u64 = 600_000;
/// Limits of an estimate where the API sets none.
const MIN_OUTGOING_BPS: u64 = 30_000;
const MAX_OUTGOING_BPS: u64 = 1_000_000_000;
/// The longest RTP header that is written.
const MAX_HEADER_BYTES: usize = 256;
/// Of an RTP header's first byte.
const PADDING_BIT: u8 = 0x20;
/// SSRCs one transport can ever send under one key.
pub(crate) const MAX_USED_SSRCS: usize = 65_536;

impl Transport {
    /// `probator_sequence` is below 2^15.
    pub(crate) fn new(
        id: Uuid,
        kind: TransportKind,
        secure: bool,
        feedback_ssrc: u32,
        probator_sequence: u16,
    ) -> Self {
        Self {
            id,
            kind,
            secure,
            sealer: None,
            opener: None,
            queue: SendQueue::default(),
            dirty: false,
            extensions: ExtensionIds::default(),
            streams: Vec::new(),
            producers: Vec::new(),
            consumers: Vec::new(),
            sent_ssrcs: Vec::new(),
            used_ssrcs: HashSet::from([PROBATOR_SSRC]),
            arrivals: None,
            next_transport_sequence: 1,
            clock: SenderClock::default(),
            feedback_ssrc,
            traffic: Traffic::default(),
            max_incoming_bps: 0,
            lifted_limits: 0,
            max_outgoing_bps: 0,
            min_outgoing_bps: 0,
            initial_outgoing_bps: 0,
            takes_estimate: false,
            downlink: None,
            wide_sequence_id: None,
            repairs: RepairBudget::default(),
            probator_sequence: u64::from(probator_sequence),
            traced: Traced::default(),
            dtls_sent: false,
            dtls_passed: (0, Timestamp::ZERO),
            reports_at: Timestamp::NEVER,
            feedback_at: Timestamp::NEVER,
            allocate_at: Timestamp::NEVER,
            allocate_again_at: Timestamp::NEVER,
            scheduled: Timestamp::NEVER,
            round_at: Timestamp::NEVER,
        }
    }

    /// RTP has somewhere to go: [`Self::rtp_path`] is some.
    #[inline]
    pub(crate) fn can_send(&self) -> bool {
        self.rtp_path().is_some()
    }

    /// Where RTP goes now; `None` while there is nowhere, consent is gone, or keys are missing.
    #[inline]
    pub(crate) fn rtp_path(&self) -> Option<Path> {
        if self.secure && self.sealer.is_none() {
            return None;
        }
        match &self.kind {
            TransportKind::WebRtc(ice) => match ice.state() {
                IceState::Connected | IceState::Completed => ice.selected(),
                IceState::New | IceState::Disconnected => None,
            },
            TransportKind::Plain(end) => Some(Path {
                socket: end.rtp_socket,
                local: None,
                remote: end.rtp_remote?,
            }),
        }
    }

    /// Where RTCP goes now.
    pub(crate) fn rtcp_path(&self) -> Option<Path> {
        match &self.kind {
            TransportKind::Plain(PlainEnd {
                rtcp: Some((socket, _)),
                rtcp_remote,
                ..
            }) => {
                if self.secure && self.sealer.is_none() {
                    return None;
                }
                Some(Path {
                    socket: *socket,
                    local: None,
                    remote: (*rtcp_remote)?,
                })
            }
            _ => self.rtp_path(),
        }
    }

    pub(crate) fn stream(&self, ssrc: u32) -> Option<StreamRef> {
        self.streams
            .iter()
            .find(|stream| stream.ssrc == ssrc)
            .copied()
    }

    pub(crate) fn consumer_of(&self, ssrc: u32) -> Option<u32> {
        self.sent_ssrcs
            .iter()
            .find(|sent| sent.ssrc == ssrc)
            .map(|sent| sent.consumer)
    }

    /// Takes SRTP off in place; the plaintext's length.
    pub(crate) fn open_rtp(&mut self, bytes: &mut [u8]) -> Result<usize, OpenFailure> {
        match &mut self.opener {
            Some(opener) => Ok(opener.open_rtp(bytes).map(|opened| opened.len)?),
            None if self.secure => Err(OpenFailure::NoKeys),
            None => Ok(bytes.len()),
        }
    }

    /// Takes SRTCP off in place; the plaintext's length.
    pub(crate) fn open_rtcp(&mut self, bytes: &mut [u8]) -> Result<usize, OpenFailure> {
        match &mut self.opener {
            Some(opener) => Ok(opener.open_rtcp(bytes)?),
            None if self.secure => Err(OpenFailure::NoKeys),
            None => Ok(bytes.len()),
        }
    }

    /// Queues a packet of a consumer; on a full queue, that of `limit` packets, the consumer is
    /// interrupted, so that no hole is left in its numbers.
    pub(crate) fn enqueue(
        &mut self,
        lane: Lane,
        departure: Departure,
        consumer: &mut Consumer,
        limit: usize,
        counters: &mut Counters,
    ) -> bool {
        let is_queued = self.queue.push(lane, departure, limit);
        if !is_queued {
            counters.departures_dropped += 1;
            consumer.discarded += 1;
            if lane != Lane::Repair {
                consumer.interrupt();
            }
        }
        is_queued
    }

    /// What its consumers may take together; `None` for everything.
    pub(crate) fn outgoing_bps(&self) -> Option<u64> {
        match &self.downlink {
            Some(downlink) => Some(downlink.target_bps()),
            None => (self.max_outgoing_bps > 0).then_some(u64::from(self.max_outgoing_bps)),
        }
    }

    /// How long it takes until one more repair has left: not within the budget it takes for ever.
    pub(crate) fn repairs_take(&self, bytes: u64) -> Duration {
        if !self.repairs.allows(bytes) {
            return Duration::MAX;
        }
        let bits = (self.queue.repair_bytes() + bytes) * 8;
        let bps = self.outgoing_bps().unwrap_or(u64::MAX).max(1);
        Duration::from_micros(bits.saturating_mul(1_000_000) / bps)
    }

    /// False where the peer has sent more DTLS in this second than any handshake needs.
    pub(crate) fn spend_dtls_budget(&mut self, now: Timestamp) -> bool {
        let (passed, since) = &mut self.dtls_passed;
        if now.since(*since) >= Duration::from_secs(1) {
            (*passed, *since) = (0, now);
        }
        *passed = passed.saturating_add(1);
        *passed <= DTLS_PER_SECOND
    }

    /// Transport-wide sequence numbers were negotiated for what its peer sends.
    pub(crate) fn takes_transport_feedback(&self) -> bool {
        self.extensions
            .get(ExtensionKind::TransportWideCc)
            .is_some()
    }

    /// The path media takes, as the API shows it.
    pub(crate) fn tuple(&self, media_locals: impl Fn(SocketId) -> SocketAddr) -> Option<Tuple> {
        match &self.kind {
            TransportKind::WebRtc(ice) => {
                let path = ice.selected()?;
                let bound = media_locals(path.socket);
                let local = SocketAddr::new(path.local.unwrap_or(bound.ip()), bound.port());
                Some(Tuple {
                    local,
                    remote: path.remote,
                })
            }
            TransportKind::Plain(end) => Some(Tuple {
                local: end.rtp_local,
                remote: end.rtp_remote?,
            }),
        }
    }

    /// The RTCP path of a plain transport without rtcp-mux, as the API shows it.
    pub(crate) fn rtcp_tuple(&self) -> Option<Tuple> {
        match &self.kind {
            TransportKind::Plain(end) => Some(Tuple {
                local: end.rtcp?.1,
                remote: end.rtcp_remote?,
            }),
            TransportKind::WebRtc(_) => None,
        }
    }

    /// Begins to estimate what the path to the peer carries, once it can be used: packets leave at a pace
    /// then, and layers follow the estimate. Plain transports lead to hosts that the operator chose, and
    /// get whole bursts of the best layers: nothing would follow an estimate.
    pub(crate) fn start_estimate(&mut self, now: Timestamp) {
        let is_estimated = self.takes_estimate && matches!(self.kind, TransportKind::WebRtc(_));
        if self.downlink.is_some() || !is_estimated || self.rtp_path().is_none() {
            return;
        }
        self.downlink = Some(Box::new(Downlink::new(now, self.estimate_config())));
    }

    /// What the estimate begins with, and its limits.
    pub(crate) fn estimate_config(&self) -> Config {
        Config {
            initial_bps: match self.initial_outgoing_bps {
                0 => INITIAL_OUTGOING_BPS,
                bps => u64::from(bps),
            },
            min_bps: self.min_outgoing(),
            max_bps: self.max_outgoing(),
        }
    }

    /// Passes changed limits on to the estimate.
    pub(crate) fn limit_estimate(&mut self, now: Timestamp) {
        let (min, max) = (self.min_outgoing(), self.max_outgoing());
        if let Some(downlink) = &mut self.downlink {
            downlink.set_limits(now, min, max);
        }
    }

    /// Tells the estimate of a packet that leaves.
    pub(crate) fn note_sent(
        &mut self,
        now: Timestamp,
        transport_sequence: Option<u16>,
        len: usize,
        kind: PacketKind,
    ) {
        if let Some(downlink) = &mut self.downlink {
            downlink.sent(now, transport_sequence, len, kind);
        }
    }

    /// A datagram made here did not leave after all.
    pub(crate) fn send_failed(&mut self, datagram: &[u8]) {
        let (Some(id), Some(downlink)) = (self.wide_sequence_id, &mut self.downlink) else {
            return;
        };
        if classify(datagram) != DatagramClass::Rtp {
            return;
        }
        let mut header = [0; MAX_HEADER_BYTES];
        let Some(len) = header_len(datagram).filter(|&len| len <= header.len()) else {
            return;
        };
        header[..len].copy_from_slice(&datagram[..len]);
        // The padding is sealed.
        header[0] &= !PADDING_BIT;
        let sequence = RtpPacket::parse(&header[..len]).and_then(|packet| {
            let mut extensions = packet.extensions();
            let (_, data) = extensions.find(|(found, _)| *found == id)?;
            data.try_into().ok().map(u16::from_be_bytes)
        });
        if let Some(sequence) = sequence {
            downlink.send_failed(sequence);
        }
    }

    fn min_outgoing(&self) -> u64 {
        u64::from(self.min_outgoing_bps).max(MIN_OUTGOING_BPS)
    }

    fn max_outgoing(&self) -> u64 {
        match self.max_outgoing_bps {
            0 => MAX_OUTGOING_BPS,
            limit => u64::from(limit),
        }
    }

    pub(crate) fn ice(&self) -> Option<&IceAgent> {
        match &self.kind {
            TransportKind::WebRtc(ice) => Some(ice),
            TransportKind::Plain(_) => None,
        }
    }

    pub(crate) fn ice_mut(&mut self) -> Option<&mut IceAgent> {
        match &mut self.kind {
            TransportKind::WebRtc(ice) => Some(ice),
            TransportKind::Plain(_) => None,
        }
    }
}

/// Why a packet could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenFailure {
    NoKeys,
    Srtp(OpenError),
}

impl From<OpenError> for OpenFailure {
    fn from(error: OpenError) -> Self {
        Self::Srtp(error)
    }
}
