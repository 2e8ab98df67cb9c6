//! Trace events: what passes by an object is told one by one, where it was asked for. Off, it costs
//! a test of a bit. On, an object tells so much a second and a shard so much; what is more is
//! counted, and told of with the next event of the object.

use std::collections::VecDeque;
use std::time::Duration;

use uuid::Uuid;
use weirgate_layers::PacketLayers;
use weirgate_packet::rtp::RtpPacket;
use weirgate_wire::{
    Answer, ExtensionKind, ObjectKind, Trace, TraceDirection, TraceInfo, TraceType, TraceTypes,
    TracedEstimate, TracedPacket,
};

use crate::Timestamp;
use crate::commands::{Outcome, not_found};
use crate::counters::Counters;
use crate::shard::{Object, Shard};
use crate::source::Source;
use crate::transport::Transport;

/// Events of one object a second that are of single packets (`rtp`, `probation`).
const PACKETS_PER_SECOND: u16 = 100;
/// Its other events a second.
const OTHERS_PER_SECOND: u16 = 50;
/// Events of a shard a second.
const SHARD_PER_SECOND: u32 = 1_000;
/// Events that wait for the driver.
const MAX_WAITING: usize = 1_024;
const SECOND: Duration = Duration::from_secs(1);

/// What is traced of one object, and how much of it was told in the present second.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    types: TraceTypes,
    second: Timestamp,
    packets: u16,
    others: u16,
    dropped: u32,
}

impl Traced {
    /// Events of that type are told.
    pub(crate) const fn has(&self, trace: TraceType) -> bool {
        self.types.has(trace)
    }

    /// A packet is told of: as the first one of a key frame, or as any.
    pub(crate) const fn packet(&self, is_key_frame: bool) -> Option<TraceType> {
        if self.types.is_empty() {
            return None;
        }
        if is_key_frame && self.has(TraceType::KeyFrame) {
            return Some(TraceType::KeyFrame);
        }
        if self.has(TraceType::Rtp) {
            return Some(TraceType::Rtp);
        }
        None
    }

    /// Takes one of the second's events, if there is one left.
    fn spend(&mut self, now: Timestamp, trace: TraceType) -> bool {
        if now.since(self.second) >= SECOND {
            (self.second, self.packets, self.others) = (now, 0, 0);
        }
        let (spent, limit) = match trace {
            TraceType::Rtp | TraceType::Probation => (&mut self.packets, PACKETS_PER_SECOND),
            _ => (&mut self.others, OTHERS_PER_SECOND),
        };
        let is_left = *spent < limit;
        *spent += u16::from(is_left);
        is_left
    }
}

/// An object that is traced.
pub(crate) struct Subject<'a> {
    pub(crate) kind: ObjectKind,
    pub(crate) id: Uuid,
    pub(crate) traced: &'a mut Traced,
}

/// Trace events of a shard on their way to control.
#[derive(Debug)]
pub(crate) struct Tracer {
    waiting: VecDeque<Trace>,
    second: Timestamp,
    told: u32,
    /// Unix time at the origin of [`Timestamp`].
    wall_clock_offset: Duration,
}

impl Tracer {
    pub(crate) const fn new(wall_clock_offset: Duration) -> Self {
        Self {
            waiting: VecDeque::new(),
            second: Timestamp::ZERO,
            told: 0,
            wall_clock_offset,
        }
    }

    /// Tells of something, unless there was too much of it in the present second.
    pub(crate) fn tell(
        &mut self,
        now: Timestamp,
        subject: Subject<'_>,
        direction: TraceDirection,
        info: TraceInfo,
        counters: &mut Counters,
    ) {
        let traced = subject.traced;
        if !traced.spend(now, info.trace_type()) || !self.spend(now) {
            traced.dropped = traced.dropped.saturating_add(1);
            counters.traces_dropped += 1;
            return;
        }
        counters.traces_told += 1;
        let since_origin = Duration::from_micros(now.as_micros());
        self.waiting.push_back(Trace {
            kind: subject.kind,
            id: subject.id,
            unix_ms: (self.wall_clock_offset + since_origin).as_millis() as u64,
            direction,
            info,
            dropped: std::mem::take(&mut traced.dropped),
        });
    }

    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<Trace> {
        self.waiting.pop_front()
    }

    fn spend(&mut self, now: Timestamp) -> bool {
        if now.since(self.second) >= SECOND {
            (self.second, self.told) = (now, 0);
        }
        let is_left = self.told < SHARD_PER_SECOND && self.waiting.len() < MAX_WAITING;
        self.told += u32::from(is_left);
        is_left
    }
}

impl Shard {
    /// Tells events of those types of an object from now on.
    pub(crate) fn set_trace(&mut self, kind: ObjectKind, id: Uuid, types: TraceTypes) -> Outcome {
        let traced = match (kind, self.objects.get(&id).copied()) {
            (ObjectKind::Transport, Some(Object::Transport(index))) => {
                let transport = self.transports.get_mut(index as usize);
                transport.map(|transport| &mut transport.traced)
            }
            (ObjectKind::Producer, Some(Object::Producer(index))) => {
                let source = self.sources.get_mut(index as usize);
                source.map(|source| &mut source.traced)
            }
            (ObjectKind::Consumer, Some(Object::Consumer(index))) => {
                let consumer = self.consumers.get_mut(index as usize);
                consumer.map(|consumer| &mut consumer.traced)
            }
            _ => None,
        };
        let Some(traced) = traced else {
            return not_found("object", id);
        };
        *traced = Traced {
            types,
            ..Traced::default()
        };
        if !types.is_empty() {
            // What packets put there later must not allocate.
            self.tracer.waiting.reserve(MAX_WAITING);
        }
        Ok(Answer::Done)
    }

    /// Tells of something about a producer, if that is traced.
    pub(crate) fn trace_producer(
        &mut self,
        now: Timestamp,
        index: u32,
        direction: TraceDirection,
        info: TraceInfo,
    ) {
        if let Some(source) = self.sources.get_mut(index as usize)
            && source.traced.has(info.trace_type())
        {
            let subject = Subject {
                kind: ObjectKind::Producer,
                id: source.id(),
                traced: &mut source.traced,
            };
            self.tracer
                .tell(now, subject, direction, info, &mut self.counters);
        }
    }

    /// Tells of something about a consumer, if that is traced.
    pub(crate) fn trace_consumer(
        &mut self,
        now: Timestamp,
        index: u32,
        direction: TraceDirection,
        info: TraceInfo,
    ) {
        if let Some(consumer) = self.consumers.get_mut(index as usize)
            && consumer.traced.has(info.trace_type())
        {
            let subject = Subject {
                kind: ObjectKind::Consumer,
                id: consumer.config.id,
                traced: &mut consumer.traced,
            };
            self.tracer
                .tell(now, subject, direction, info, &mut self.counters);
        }
    }

    /// Tells of a transport's estimate and what was divided, if that is traced.
    pub(crate) fn trace_estimate(&mut self, now: Timestamp, index: u32, wanted: Wanted) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let (true, Some(downlink)) = (transport.traced.has(TraceType::Bwe), &transport.downlink)
        else {
            return;
        };
        let limits = transport.estimate_config();
        let estimate = TracedEstimate {
            desired_bps: wanted.bps,
            effective_desired_bps: wanted.bps.clamp(limits.min_bps, limits.max_bps),
            min_bps: limits.min_bps,
            max_bps: limits.max_bps,
            start_bps: limits.initial_bps,
            max_padding_bps: wanted.probed_bps.min(limits.max_bps),
            available_bps: downlink.target_bps(),
            by_transport_cc: transport.wide_sequence_id.is_some(),
        };
        let subject = Subject {
            kind: ObjectKind::Transport,
            id: transport.id,
            traced: &mut transport.traced,
        };
        let (direction, info) = (TraceDirection::Out, TraceInfo::Bwe(estimate));
        self.tracer
            .tell(now, subject, direction, info, &mut self.counters);
    }
}

/// What the consumers of a transport would take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) bps: u64,
    /// The path is probed up to this.
    pub(crate) probed_bps: u64,
}

/// A packet as it came from a producer, if it is traced.
pub(crate) fn received(
    source: &Source,
    packet: &RtpPacket<'_>,
    layers: &PacketLayers,
    encoding: u8,
    is_rtx: bool,
) -> Option<TraceInfo> {
    let trace = source.traced.packet(layers.begins_key_frame())?;
    let wide_sequence_id = source.config.extensions.get(ExtensionKind::TransportWideCc);
    let layer = layers.layer();
    let traced = TracedPacket {
        is_key_frame: layers.begins_key_frame(),
        spatial_layer: layer.spatial,
        temporal_layer: layer.temporal,
        wide_sequence_number: wide_sequence_number(packet, wide_sequence_id),
        is_rtx,
        encoding,
        ..traced(packet)
    };
    Some(packet_info(trace, traced))
}

/// Tells of a packet that probes a transport's path, still in the clear, if that is traced.
pub(crate) fn trace_probe(
    transport: &mut Transport,
    now: Timestamp,
    bytes: &[u8],
    tracer: &mut Tracer,
    counters: &mut Counters,
) {
    if !transport.traced.has(TraceType::Probation) {
        return;
    }
    let Some(packet) = RtpPacket::parse(bytes) else {
        return;
    };
    let probe = TracedPacket {
        wide_sequence_number: wide_sequence_number(&packet, transport.wide_sequence_id),
        ..traced(&packet)
    };
    let subject = Subject {
        kind: ObjectKind::Transport,
        id: transport.id,
        traced: &mut transport.traced,
    };
    let (direction, info) = (TraceDirection::Out, TraceInfo::Probation(probe));
    tracer.tell(now, subject, direction, info, counters);
}

/// What a packet itself says.
fn traced(packet: &RtpPacket<'_>) -> TracedPacket {
    let (payload_len, padding_len) = (packet.payload().len(), packet.padding_len());
    TracedPacket {
        payload_type: packet.payload_type(),
        sequence_number: packet.sequence(),
        timestamp: packet.timestamp(),
        marker: packet.marker(),
        ssrc: packet.ssrc(),
        size: (packet.header_len() + payload_len + padding_len) as u16,
        payload_size: payload_len as u16,
        ..TracedPacket::default()
    }
}

fn wide_sequence_number(packet: &RtpPacket<'_>, id: Option<u8>) -> Option<u16> {
    let (_, data) = packet.extensions().find(|(found, _)| Some(*found) == id)?;
    data.try_into().ok().map(u16::from_be_bytes)
}

/// A packet under the type that it is told as.
pub(crate) const fn packet_info(trace: TraceType, packet: TracedPacket) -> TraceInfo {
    match trace {
        TraceType::KeyFrame => TraceInfo::KeyFrame(packet),
        _ => TraceInfo::Rtp(packet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLI: TraceInfo = TraceInfo::Pli { ssrc: 1 };

    fn tell(tracer: &mut Tracer, traced: &mut Traced, ms: u64, counters: &mut Counters) {
        let subject = Subject {
            kind: ObjectKind::Consumer,
            id: Uuid::nil(),
            traced,
        };
        let now = Timestamp::from_micros(10_000_000 + ms * 1_000);
        tracer.tell(now, subject, TraceDirection::In, PLI, counters);
    }

    #[test]
    fn what_is_too_much_is_counted_and_told_with_the_next() {
        let mut tracer = Tracer::new(Duration::from_secs(1_000));
        let (mut traced, mut counters) = (Traced::default(), Counters::default());
        for ms in 0..500 {
            tell(&mut tracer, &mut traced, ms, &mut counters);
        }
        tell(&mut tracer, &mut traced, 1_000, &mut counters);
        let told: Vec<Trace> = std::iter::from_fn(|| tracer.pop()).collect();
        assert_eq!(told.len(), usize::from(OTHERS_PER_SECOND) + 1);
        assert_eq!(told[0].unix_ms, 1_010_000);
        let dropped = 500 - u32::from(OTHERS_PER_SECOND);
        assert_eq!(told.last().map(|trace| trace.dropped), Some(dropped));
        assert_eq!(counters.traces_dropped, u64::from(dropped));
        assert_eq!(counters.traces_told, told.len() as u64);
    }

    #[test]
    fn a_shard_tells_so_much_a_second_of_all_objects_together() {
        let mut tracer = Tracer::new(Duration::ZERO);
        let mut counters = Counters::default();
        for _ in 0..SHARD_PER_SECOND + 10 {
            tell(&mut tracer, &mut Traced::default(), 0, &mut counters);
            tracer.pop();
        }
        assert_eq!(counters.traces_dropped, 10);
    }

    #[test]
    fn packets_do_not_take_the_place_of_the_rest() {
        let mut traced = Traced::default();
        let now = Timestamp::from_micros(10_000_000);
        while traced.spend(now, TraceType::Rtp) {}
        assert!(traced.spend(now, TraceType::KeyFrame));
    }
}
