//! A consumer: which packets of its source it takes, and the stream they become.

use std::time::Duration;

use weirgate_congestion::allocator::{Allocation, Reason};
use weirgate_layers::{Before, Layer, Offered, Place, Selector, Target};
use weirgate_wire::{
    ConsumerCodec, ConsumerConfig, ConsumerType, ExtensionKind, LayerReason, Layers, MediaKind,
};

use crate::Timestamp;
use crate::as_sent::AsSent;
use crate::header::Header;
use crate::history::PacketMeta;
use crate::key_frames::{Asks, Urgency, Wish};
use crate::meter::Meter;
use crate::playout_delay::PlayoutDelay;
use crate::shedding::Share;
use crate::source::{Encoding, Source};
use crate::trace::Traced;
use crate::wanted::Highest;

/// Retransmissions remembered, to answer one NACK of a packet per round trip.
const RECENT_RESENDS: usize = 64;

/// Payload types of a packet on a consumer's leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LegTypes {
    pub(crate) media: u8,
    pub(crate) rtx: Option<u8>,
}

impl LegTypes {
    const fn of(codec: &ConsumerCodec) -> Self {
        Self {
            media: codec.payload_type,
            rtx: codec.rtx_payload_type,
        }
    }
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
    pub(crate) selector: Selector,
    /// The first of its codecs, by the producer's payload type: nearly every packet is of that.
    main_types: Option<(u8, LegTypes)>,
    pub(crate) rtx: Option<RtxStream>,
    pub(crate) header: Header,
    /// Where packets are sent again byte by byte, what that needs.
    pub(crate) as_sent: Option<AsSent>,
    /// Of a video that is repaired as RTX and whose sender leaves it to us.
    pub(crate) playout_delay: Option<PlayoutDelay>,
    pub(crate) sent: Meter,
    /// Payload octets, for sender reports.
    pub(crate) payload_octets: u64,
    pub(crate) payload_type: u8,
    pub(crate) last_timestamp: u32,
    pub(crate) last_departure: Timestamp,
    /// Layers that it is to have.
    pub(crate) target: Layers,
    /// What the shard has time for.
    pub(crate) share: Share,
    /// Not even its lowest layer fits.
    pub(crate) starved: bool,
    pub(crate) allocation: Allocation,
    /// The highest layer it was counted for among what is wanted of its source.
    pub(crate) wants: Highest,
    /// The key frame that was asked for, while it is waited for.
    pub(crate) asked_for: Option<Wish>,
    pub(crate) asks: Asks,
    pub(crate) resent: u64,
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
    pub(crate) traced: Traced,
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
        let header = Header::new(&config);
        let is_video = source.config.kind == MediaKind::Video;
        let has_sequences = header.has_transport_sequence();
        let goes_again_as_sent = rtx.is_none() && config.feedback.nack;
        let as_sent = (goes_again_as_sent && (is_video || has_sequences))
            .then(|| AsSent::new(has_sequences, is_video));
        let playout_delay_id = config
            .extensions
            .get(ExtensionKind::PlayoutDelay)
            .filter(|_| is_video && rtx.is_some() && config.feedback.nack);
        let takes_layers = config.consumer_type != ConsumerType::Simple && is_video;
        let lowest = Layers {
            spatial: 0,
            temporal: 0,
        };
        let mut consumer = Self {
            kind: source.config.kind,
            transport,
            source: source_index,
            selector: Selector::new(first_sequence, takes_layers),
            main_types: config
                .codecs
                .first()
                .map(|codec| (codec.producer_payload_type, LegTypes::of(codec))),
            rtx,
            header,
            as_sent,
            playout_delay: playout_delay_id.map(PlayoutDelay::new),
            sent: Meter::default(),
            payload_octets: 0,
            payload_type: config.codecs.first().map_or(0, |codec| codec.payload_type),
            last_timestamp: 0,
            last_departure: Timestamp::ZERO,
            target: lowest,
            share: Share::All,
            starved: false,
            allocation: Allocation::default(),
            wants: None,
            asked_for: None,
            asks: Asks::default(),
            config,
            resent: 0,
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
            traced: Traced::default(),
            last_arrival: Timestamp::ZERO,
            recent_resends: [(0, Timestamp::ZERO); RECENT_RESENDS],
        };
        consumer.aim(lowest);
        consumer
    }

    /// It or its source is paused.
    pub(crate) fn is_paused(&self, source: &Source) -> bool {
        self.config.paused || source.config.paused
    }

    /// Nothing goes out by this consumer now, so it is not among [`Source::takers`].
    pub(crate) fn is_idle(&self, source: &Source) -> bool {
        self.is_paused(source) || self.starved || self.share == Share::Nothing
    }

    /// The stream it is to have.
    pub(crate) fn target_encoding(&self) -> u8 {
        match self.config.consumer_type {
            ConsumerType::Simulcast => self.target.spatial,
            ConsumerType::Simple | ConsumerType::Svc => 0,
        }
    }

    /// Sets the layers it is to have. What is above them goes on until a key frame comes, with as
    /// few temporal layers as there are where the path cannot carry more.
    pub(crate) fn aim(&mut self, target: Layers) {
        let target = match target.spatial {
            _ if self.share == Share::All => target,
            0 => Layers {
                spatial: 0,
                temporal: 0,
            },
            _ => Layers {
                spatial: 0,
                ..target
            },
        };
        self.target = target;
        let layer = match self.config.consumer_type {
            ConsumerType::Simple => Layer::TOP,
            ConsumerType::Simulcast => Layer::new(Layer::TOP.spatial, target.temporal),
            ConsumerType::Svc => Layer::new(target.spatial, target.temporal),
        };
        self.selector.set_target(Some(Target {
            encoding: self.target_encoding(),
            layer,
            meanwhile: match self.allocation.reason {
                Reason::Bandwidth => 0,
                _ => target.temporal,
            },
        }));
    }

    /// The most it may have, where that is not all.
    pub(crate) fn allowed_layers(&self) -> Option<Layers> {
        match self.share {
            Share::All => self.config.preferred_layers,
            Share::Lowest | Share::Nothing => Some(Layers {
                spatial: 0,
                temporal: 0,
            }),
        }
    }

    /// Gives up the layers that the shard has no time for; whether it stops for that. Once there is time,
    /// they are chosen again with those of all.
    pub(crate) fn aim_lower(&mut self) -> bool {
        let had = self.target_encoding();
        self.aim(self.target);
        let stops = self.target_encoding() != had;
        if stops {
            self.interrupt();
        }
        stops
    }

    /// It had packets of that spatial layer, inside of a stream, and has no more.
    pub(crate) fn has_left(&self, spatial: u8) -> bool {
        let now = self.selector.layers();
        self.config.consumer_type == ConsumerType::Svc
            && now.is_some_and(|(_, now)| now.spatial < spatial)
    }

    pub(crate) fn has_layers(&self) -> bool {
        self.config.consumer_type != ConsumerType::Simple
    }

    /// It can not go on, or not get to the layers it is to have, without a key frame.
    pub(crate) fn waits_for_key_frame(&self, source: &Source) -> bool {
        self.kind == MediaKind::Video
            && !self.is_idle(source)
            && self.selector.wanted_key_frame().is_some()
    }

    /// How soon it needs the key frame that it waits for.
    pub(crate) fn urgency(&self) -> Urgency {
        let Some(now) = self.layers().filter(|_| self.selector.has_picture()) else {
            return Urgency::Now;
        };
        let has_too_much =
            self.allocation.reason == Reason::Bandwidth && now.spatial > self.target.spatial;
        Urgency::of(!has_too_much)
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
        (self.has_layers() && !self.is_idle(source)).then_some(self.target)
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

    /// What a payload type of the producer's leg is on the consumer's.
    pub(crate) fn payload_types(&self, producer_payload_type: u8) -> Option<LegTypes> {
        if let Some((main, types)) = self.main_types
            && main == producer_payload_type
        {
            return Some(types);
        }
        let codecs = &mut self.config.codecs.iter();
        let codec = codecs.find(|codec| codec.producer_payload_type == producer_payload_type)?;
        Some(LegTypes::of(codec))
    }

    /// Ends the current splice; the next begins where a decoder can.
    pub(crate) fn interrupt(&mut self) {
        self.selector.interrupt();
        self.asked_for = None;
    }

    /// Decides over a packet that just came, or was just repaired, while it is not idle.
    pub(crate) fn offer(&mut self, encoding: u8, is_entry: bool, meta: &PacketMeta) -> Offered {
        if !self.takes(meta) {
            return Offered::SKIPPED;
        }
        if meta.is_dtx && self.config.ignore_dtx {
            // What follows goes on without a hole.
            self.interrupt();
            return Offered::SKIPPED;
        }
        self.selector
            .offer(encoding, meta.sequence, is_entry, &meta.layers)
    }

    /// The place of a packet that leaves for the first time.
    pub(crate) fn place(
        &mut self,
        source: &Source,
        encoding: u8,
        meta: &PacketMeta,
    ) -> Option<Place> {
        let last_arrival = self.last_arrival;
        let timestamp =
            |before: &Before| timestamp_after(before, source, encoding, meta, last_arrival);
        let place = self.selector.place(
            encoding,
            meta.sequence,
            meta.timestamp,
            &meta.layers,
            timestamp,
        );
        self.last_arrival = last_arrival.max(meta.arrival);
        place
    }

    /// The place of a packet that left before.
    pub(crate) fn placed(&self, encoding: u8, meta: &PacketMeta) -> Option<Place> {
        self.selector
            .placed(encoding, meta.sequence, meta.timestamp, &meta.layers)
    }

    /// False where the packet was sent again within the last round trip.
    pub(crate) fn may_resend(&mut self, now: Timestamp, sequence: u16) -> bool {
        let wait = self
            .rtt
            .unwrap_or(Duration::from_millis(20))
            .min(Duration::from_millis(200))
            * 3
            / 4;
        let recent = &mut self.recent_resends[usize::from(sequence) % RECENT_RESENDS];
        if recent.0 == sequence && recent.1 > Timestamp::ZERO && now.since(recent.1) < wait {
            return false;
        }
        *recent = (sequence, now);
        true
    }

    /// A packet with that timestamp leaves for the first time.
    #[inline]
    pub(crate) fn note_departure(&mut self, now: Timestamp, timestamp: u32) {
        let is_first = self.last_departure == Timestamp::ZERO;
        if is_first || (timestamp.wrapping_sub(self.last_timestamp) as i32) > 0 {
            self.last_timestamp = timestamp;
        }
        self.last_departure = now;
    }

    /// Layers now sent.
    pub(crate) fn layers(&self) -> Option<Layers> {
        let (encoding, layer) = self.selector.layers()?;
        let spatial = match self.config.consumer_type {
            ConsumerType::Simple => return None,
            ConsumerType::Simulcast => encoding,
            ConsumerType::Svc => layer.spatial,
        };
        Some(Layers {
            spatial,
            temporal: layer.temporal,
        })
    }
}

/// The outgoing timestamp at a splice: by the senders' clocks where both are known, else by the
/// time of arrival.
fn timestamp_after(
    before: &Before,
    source: &Source,
    encoding: u8,
    meta: &PacketMeta,
    last_arrival: Timestamp,
) -> u32 {
    let is_same = before.encoding == encoding;
    let is_restart = is_same && Encoding::is_restart(before.sequence, meta.sequence);
    if is_same && !is_restart {
        return meta.timestamp.wrapping_add(before.timestamp_delta);
    }
    let clock_rate = source.clock_rate(meta.payload_type);
    let clock_of = |index: u8| {
        let encoding = source.encodings.get(usize::from(index));
        encoding.and_then(|encoding| encoding.clock)
    };
    match (clock_of(before.encoding), clock_of(encoding)) {
        (Some(old), Some(new)) if !is_restart => {
            let at = new.time_of(meta.timestamp, clock_rate);
            old.rtp_at(at, clock_rate)
                .wrapping_add(before.timestamp_delta)
        }
        _ => {
            let elapsed_us = meta.arrival.since(last_arrival).as_micros() as u64;
            let elapsed = elapsed_us * u64::from(clock_rate) / 1_000_000;
            before.timestamp.wrapping_add(elapsed as u32)
        }
    }
}
