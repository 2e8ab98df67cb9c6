//! A consumer: which packets of its source it takes, and the stream they become.

use std::time::Duration;

use weirgate_congestion::allocator::{Allocation, Reason};
use weirgate_wire::{ConsumerConfig, ConsumerType, LayerReason, Layers, MediaKind};

use crate::Timestamp;
use crate::history::PacketMeta;
use crate::meter::Meter;
use crate::source::{Encoding, Source};
use crate::splice::Splices;
use crate::wanted::Highest;

/// Retransmissions remembered, to answer one NACK of a packet per round trip.
const RECENT_RESENDS: usize = 64;
/// Timestamps grow at least this much per second at a splice whose sources have no common clock.
const MIN_TIMESTAMP_STEP: u32 = 1;

/// What becomes of a source packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Nothing.
    Skip,
    /// It goes out.
    Forward,
    /// It goes out and begins a splice: later packets that came before it go out as well.
    Begin,
}

/// The RTX stream of a consumer.
#[derive(Debug)]
pub(crate) struct RtxStream {
    pub(crate) ssrc: u32,
    pub(crate) next_sequence: u64,
}

#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) config: ConsumerConfig,
    pub(crate) kind: MediaKind,
    pub(crate) transport: u32,
    pub(crate) source: u32,
    pub(crate) splices: Splices,
    pub(crate) rtx: Option<RtxStream>,
    /// Transport-wide sequence numbers by own sequence number, where packets are sent again byte
    /// by byte and so must keep them.
    pub(crate) sent_transport_sequences: Option<Box<[u16; 1024]>>,
    pub(crate) sent: Meter,
    /// Payload octets, for sender reports.
    pub(crate) payload_octets: u64,
    pub(crate) payload_type: u8,
    pub(crate) last_timestamp: u32,
    pub(crate) last_departure: Timestamp,
    /// Layers that it is to have.
    pub(crate) target: Layers,
    /// Not even its lowest layer fits.
    pub(crate) starved: bool,
    pub(crate) allocation: Allocation,
    /// The highest layer it was counted for among what is wanted of its source.
    pub(crate) wants: Highest,
    /// Stream that a key frame was asked for of, since it was last interrupted.
    pub(crate) asked_for: Option<u8>,
    pub(crate) resent: u64,
    pub(crate) resent_bytes: u64,
    pub(crate) discarded: u64,
    pub(crate) nacks: u64,
    pub(crate) nacked_packets: u64,
    pub(crate) plis: u64,
    pub(crate) firs: u64,
    pub(crate) key_frames: u64,
    pub(crate) fraction_lost: u8,
    pub(crate) packets_lost: i64,
    pub(crate) jitter: u32,
    /// Packets sent up to the last report of the receiver.
    pub(crate) reported_packets: u64,
    pub(crate) rtt: Option<Duration>,
    pub(crate) score: u8,
    pub(crate) producer_score: u8,
    pub(crate) reported_layers: Option<Layers>,
    /// Highest source sequence offered while a splice was open, to tell a restart.
    newest_in: u64,
    last_arrival: Timestamp,
    recent_resends: [(u16, Timestamp); RECENT_RESENDS],
}

impl Consumer {
    /// `first_sequence` and `first_rtx_sequence` are below 2^15.
    pub(crate) fn new(
        config: ConsumerConfig,
        transport: u32,
        source_index: u32,
        source: &Source,
        first_sequence: u16,
        first_rtx_sequence: u16,
    ) -> Self {
        let rtx = config.rtx_ssrc.map(|ssrc| RtxStream {
            ssrc,
            next_sequence: u64::from(first_rtx_sequence),
        });
        let byte_exact = rtx.is_none() && config.feedback.transport_cc;
        Self {
            kind: source.config.kind,
            transport,
            source: source_index,
            splices: Splices::new(first_sequence),
            rtx,
            sent_transport_sequences: byte_exact.then(|| Box::new([0; 1024])),
            sent: Meter::default(),
            payload_octets: 0,
            payload_type: config.codecs.first().map_or(0, |codec| codec.payload_type),
            last_timestamp: 0,
            last_departure: Timestamp::ZERO,
            target: Layers {
                spatial: 0,
                temporal: 0,
            },
            starved: false,
            allocation: Allocation::default(),
            wants: None,
            asked_for: None,
            config,
            resent: 0,
            resent_bytes: 0,
            discarded: 0,
            nacks: 0,
            nacked_packets: 0,
            plis: 0,
            firs: 0,
            key_frames: 0,
            fraction_lost: 0,
            packets_lost: 0,
            jitter: 0,
            reported_packets: 0,
            rtt: None,
            score: 10,
            producer_score: 10,
            reported_layers: None,
            newest_in: 0,
            last_arrival: Timestamp::ZERO,
            recent_resends: [(0, Timestamp::ZERO); RECENT_RESENDS],
        }
    }

    /// It or its source is paused.
    pub(crate) fn is_paused(&self, source: &Source) -> bool {
        self.config.paused || source.config.paused
    }

    /// Nothing goes out by this consumer now.
    pub(crate) fn is_idle(&self, source: &Source) -> bool {
        self.is_paused(source) || self.starved
    }

    /// The stream it is to have.
    pub(crate) fn target_encoding(&self) -> u8 {
        match self.config.consumer_type {
            ConsumerType::Simulcast => self.target.spatial,
            ConsumerType::Simple | ConsumerType::Svc => 0,
        }
    }

    /// It can not go on without a key frame.
    pub(crate) fn waits_for_key_frame(&self, source: &Source) -> bool {
        self.kind == MediaKind::Video
            && !self.is_idle(source)
            && self.splices.encoding() != Some(self.target_encoding())
    }

    /// The highest layer of its source that it takes, or could take as soon as its path carries a
    /// little more.
    pub(crate) fn wants(&self, source: &Source) -> Highest {
        if self.config.paused {
            return None;
        }
        let top = match self.config.consumer_type {
            ConsumerType::Simple => 0,
            ConsumerType::Simulcast | ConsumerType::Svc => source.top_layer(),
        };
        let preferred = self.config.preferred_layers;
        let wanted = preferred.map_or(top, |layers| layers.spatial.min(top));
        let reachable = match self.allocation.reason {
            Reason::Bandwidth if self.starved => 0,
            Reason::Bandwidth => self.target.spatial.saturating_add(1),
            _ => wanted,
        };
        Some(wanted.min(reachable))
    }

    /// Layers that it is to have, if it has layers and is to have any.
    pub(crate) fn target_layers(&self, source: &Source) -> Option<Layers> {
        let has_layers = self.config.consumer_type != ConsumerType::Simple;
        (has_layers && !self.is_idle(source)).then_some(self.target)
    }

    /// Why it has its layers.
    pub(crate) fn layer_reason(&self, source: &Source) -> LayerReason {
        match self.allocation.reason {
            _ if self.is_paused(source) => LayerReason::Paused,
            Reason::SourceAbsent if self.allocation.layer.is_none() => LayerReason::SourceAbsent,
            _ if self.waits_for_key_frame(source) => LayerReason::AwaitingKeyFrame,
            Reason::Bandwidth => LayerReason::Bandwidth,
            Reason::SourceAbsent => LayerReason::SourceAbsent,
            Reason::Preferred => LayerReason::Preferred,
            // Resumed since layers were last chosen.
            Reason::Paused => LayerReason::AwaitingKeyFrame,
        }
    }

    /// Payload types on the consumer's leg: `(media, RTX)`.
    pub(crate) fn payload_types(&self, producer_payload_type: u8) -> Option<(u8, Option<u8>)> {
        let codec = self
            .config
            .codecs
            .iter()
            .find(|codec| codec.producer_payload_type == producer_payload_type)?;
        Some((codec.payload_type, codec.rtx_payload_type))
    }

    /// Ends the current splice; the next begins where a decoder can.
    pub(crate) fn interrupt(&mut self) {
        self.splices.end();
        self.asked_for = None;
    }

    /// Decides over a packet that just came, or was just repaired.
    pub(crate) fn offer(&mut self, source: &Source, encoding: u8, meta: &PacketMeta) -> Offer {
        if self.is_idle(source) || self.payload_types(meta.payload_type).is_none() {
            return Offer::Skip;
        }
        let current = self.splices.encoding();
        if current == Some(encoding) {
            if Encoding::is_restart(self.newest_in, meta.sequence) {
                self.splices.end();
            } else {
                self.newest_in = self.newest_in.max(meta.sequence);
                self.last_arrival = self.last_arrival.max(meta.arrival);
                return match self.splices.find(encoding, meta.sequence) {
                    Some(_) => Offer::Forward,
                    None => Offer::Skip,
                };
            }
        }
        if encoding == self.target_encoding() && source.is_entry(meta) {
            let delta = self.timestamp_delta(source, encoding, meta);
            self.splices.begin(encoding, meta.sequence, delta);
            self.newest_in = meta.sequence;
            self.last_arrival = meta.arrival;
            self.asked_for = None;
            return Offer::Begin;
        }
        // A late packet of a stream that was left: it may still be missed.
        match self.splices.find(encoding, meta.sequence) {
            Some(_) => Offer::Forward,
            None => Offer::Skip,
        }
    }

    /// False where the packet was sent again within the last round trip.
    pub(crate) fn may_resend(&mut self, now: Timestamp, sequence: u16) -> bool {
        let wait = self
            .rtt
            .unwrap_or(Duration::from_millis(20))
            .min(Duration::from_millis(200));
        let recent = &mut self.recent_resends[usize::from(sequence) % RECENT_RESENDS];
        if recent.0 == sequence && recent.1 > Timestamp::ZERO && now.since(recent.1) < wait {
            return false;
        }
        *recent = (sequence, now);
        true
    }

    /// Layers now sent.
    pub(crate) fn layers(&self) -> Option<Layers> {
        match self.config.consumer_type {
            ConsumerType::Simple => None,
            ConsumerType::Simulcast => self.splices.encoding().map(|spatial| Layers {
                spatial,
                temporal: 0,
            }),
            ConsumerType::Svc => self.splices.encoding().map(|_| Layers {
                spatial: 0,
                temporal: 0,
            }),
        }
    }

    /// The offset that lets outgoing timestamps go on over a splice: by the senders' clocks where
    /// both are known, else by the time of arrival.
    fn timestamp_delta(&self, source: &Source, encoding: u8, meta: &PacketMeta) -> u32 {
        let Some(old_delta) = self.splices.timestamp_delta() else {
            return 0;
        };
        if self.sent.packets == 0 {
            return 0;
        }
        let clock_rate = source.clock_rate(meta.payload_type);
        let newest = self.splices.newest_encoding().unwrap_or(encoding);
        let restarted = newest == encoding && Encoding::is_restart(self.newest_in, meta.sequence);
        if newest == encoding && !restarted {
            return old_delta;
        }
        let clock_of = |index: u8| {
            source
                .encodings
                .get(usize::from(index))
                .and_then(|e| e.clock)
        };
        let by_clock = match (clock_of(newest), clock_of(encoding)) {
            (Some(old), Some(new)) if !restarted => {
                let at = new.time_of(meta.timestamp, clock_rate);
                Some(old.rtp_at(at, clock_rate).wrapping_add(old_delta))
            }
            _ => None,
        };
        let elapsed = meta.arrival.since(self.last_arrival).as_micros() as u64;
        let by_arrival = self
            .last_timestamp
            .wrapping_add((elapsed * u64::from(clock_rate) / 1_000_000) as u32);
        let floor = self.last_timestamp.wrapping_add(MIN_TIMESTAMP_STEP);
        let wanted = by_clock.unwrap_or(by_arrival);
        // Never back, whatever the clocks say.
        let wanted = if (wanted.wrapping_sub(floor) as i32) < 0 {
            floor
        } else {
            wanted
        };
        wanted.wrapping_sub(meta.timestamp)
    }
}
