//! What time brings to a transport: consent expiry, NACKs, key frame requests, feedback and
//! reports.

use std::time::Duration;

use weirgate_packet::rtcp::{ReportBlock, RtcpWriter};
use weirgate_wire::{ConsumerType, Event, MediaKind};

use crate::clock::{ClockMapping, ntp};
use crate::shard::Shard;
use crate::{CrossingKind, Timestamp};

/// Time between two transport-wide feedback messages of a transport.
pub(crate) const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);
/// Time between two rounds of reports of a transport, on average.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_millis(1000);
/// RTCP datagrams are kept under this, before sealing.
const RTCP_BYTES: usize = 1200;
/// Room for SRTCP's index and tag.
const SRTCP_OVERHEAD: usize = 4 + 16;
/// Report blocks that fit one report (RFC 3550 section 6.4.1).
const MAX_BLOCKS: usize = 31;
/// Without a limit, REMB grants this much over what comes.
const REMB_HEADROOM: u64 = 2;
const REMB_FLOOR_BPS: u64 = 1_000_000;

impl Shard {
    /// A transport's deadline came up.
    pub(crate) fn on_transport_due(&mut self, now: Timestamp, index: u32) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        if transport.scheduled > now {
            // An entry left behind by a deadline that moved.
            return;
        }
        transport.scheduled = Timestamp::NEVER;
        self.expire_consent(now, index);
        let mut next = self.repair_sources(now, index);
        next = next.min(self.send_feedback(now, index));
        next = next.min(self.send_reports(now, index));
        next = next.min(self.poll_estimate(now, index));
        if let Some(ice) = self.transports.get(index as usize).and_then(|t| t.ice()) {
            next = next.min(ice.consent_deadline());
        }
        self.schedule(index, next);
    }

    /// A transport can send from now on: its consumers need key frames to begin with.
    pub(crate) fn on_sendable(&mut self, now: Timestamp, index: u32) {
        let count = self
            .transports
            .get(index as usize)
            .map_or(0, |t| t.consumers.len());
        for position in 0..count {
            let consumer = self
                .transports
                .get(index as usize)
                .and_then(|transport| transport.consumers.get(position).copied());
            if let Some(consumer) = consumer {
                self.start_consumer(now, consumer);
            }
        }
    }

    /// Asks for the key frame a consumer begins with, if it needs one.
    pub(crate) fn start_consumer(&mut self, now: Timestamp, index: u32) {
        let waits = self.consumers.get(index as usize).is_some_and(|consumer| {
            self.sources
                .get(consumer.source as usize)
                .is_some_and(|source| consumer.waits_for_key_frame(source))
                && self.can_send(consumer.transport)
        });
        if waits {
            self.want_key_frame_for(now, index);
        }
    }

    /// A consumer's decoder needs a key frame.
    pub(crate) fn want_key_frame_for(&mut self, now: Timestamp, index: u32) {
        let Some(consumer) = self.consumers.get(index as usize) else {
            return;
        };
        let Some(source) = self.sources.get(consumer.source as usize) else {
            return;
        };
        if consumer.kind == MediaKind::Video && !consumer.is_idle(source) {
            self.want_key_frame(now, consumer.source, consumer.target_encoding);
        }
    }

    /// Somebody on this shard, or another, needs a key frame of a stream.
    pub(crate) fn want_key_frame(&mut self, now: Timestamp, index: u32, encoding: u8) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let Some(stream) = source.encodings.get_mut(usize::from(encoding)) else {
            return;
        };
        if let Some(origin) = source.origin {
            let kind = CrossingKind::KeyFrameRequest {
                source: source.no,
                encoding,
            };
            if !self.port.send(origin, kind, &[]) {
                self.counters.crossings_dropped += 1;
            }
            return;
        }
        stream.key_frames.want();
        let transport = source.transport;
        let due = self.request_key_frame(now, index, encoding);
        if let Some(transport) = transport {
            self.schedule(transport, due);
        }
    }

    /// Sends a key frame request that is due; when the next may be.
    fn request_key_frame(&mut self, now: Timestamp, index: u32, encoding: u8) -> Timestamp {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        let interval = source.key_frame_interval();
        let feedback = source
            .config
            .codecs
            .first()
            .map(|codec| codec.feedback)
            .unwrap_or_default();
        let (Some(transport), Some(stream)) = (
            source.transport,
            source.encodings.get_mut(usize::from(encoding)),
        ) else {
            return Timestamp::NEVER;
        };
        let Some(inbound) = &mut stream.inbound else {
            // Nothing came yet: a stream begins with a key frame.
            return Timestamp::NEVER;
        };
        if !feedback.pli && !feedback.fir {
            return Timestamp::NEVER;
        }
        if !stream.key_frames.take(now, interval) {
            return stream.key_frames.due(interval);
        }
        let due = stream.key_frames.due(interval);
        let media = inbound.ssrc;
        if feedback.pli {
            inbound.plis_sent += 1;
        } else {
            inbound.firs_sent += 1;
        }
        let fir_sequence = inbound.firs_sent as u8;
        self.counters.key_frame_requests_sent += 1;
        self.send_rtcp(now, transport, |writer, own| {
            if feedback.pli {
                writer.pli(own, media)
            } else {
                writer.fir(own, media, fir_sequence)
            }
        });
        due
    }

    fn expire_consent(&mut self, now: Timestamp, index: u32) {
        let expired = self
            .transports
            .get_mut(index as usize)
            .and_then(|transport| transport.ice_mut())
            .is_some_and(|ice| ice.expire(now));
        if expired {
            self.counters.consent_expired += 1;
            self.report_ice(index);
        }
    }

    /// Lets time pass for the estimate towards the peer; when more is due.
    fn poll_estimate(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let transport = self.transports.get_mut(index as usize);
        match transport.and_then(|transport| transport.send_side.as_mut()) {
            Some(send_side) => Timestamp::from_micros(send_side.poll(now.as_micros())),
            None => Timestamp::NEVER,
        }
    }

    /// NACKs and key frame requests of a transport's producers; when more is due.
    fn repair_sources(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let mut next = Timestamp::NEVER;
        let mut position = 0;
        loop {
            let source = self
                .transports
                .get(index as usize)
                .and_then(|transport| transport.producers.get(position).copied());
            let Some(source) = source else {
                return next;
            };
            position += 1;
            let streams = self
                .sources
                .get(source as usize)
                .map_or(0, |s| s.encodings.len());
            for encoding in 0..streams as u8 {
                next = next.min(self.send_nacks(now, index, source, encoding));
                next = next.min(self.request_key_frame(now, source, encoding));
            }
        }
    }

    fn send_nacks(&mut self, now: Timestamp, index: u32, source: u32, encoding: u8) -> Timestamp {
        let mut lost = std::mem::take(&mut self.nack_scratch);
        lost.clear();
        let inbound = self
            .sources
            .get_mut(source as usize)
            .and_then(|source| source.encodings.get_mut(usize::from(encoding)))
            .and_then(|encoding| encoding.inbound.as_mut());
        let mut next = Timestamp::NEVER;
        let mut gave_up = false;
        if let Some(inbound) = inbound
            && let Some(nack) = &mut inbound.nack
        {
            gave_up = nack.ask(now, &mut lost);
            next = nack.next_ask();
            let media = inbound.ssrc;
            if !lost.is_empty() {
                inbound.nacks_sent += 1;
                inbound.nacked_packets += lost.len() as u64;
                self.counters.nacks_sent += lost.len() as u64;
                self.send_rtcp(now, index, |writer, own| {
                    writer.nack(own, media, lost.iter().copied())
                });
            }
        }
        self.nack_scratch = lost;
        let is_video = self
            .sources
            .get(source as usize)
            .is_some_and(|source| !source.is_audio());
        if gave_up && is_video {
            self.want_key_frame(now, source, encoding);
        }
        next
    }

    /// Transport-wide feedback to the sender; when the next is due.
    fn send_feedback(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        if transport.feedback_at > now {
            return transport.feedback_at;
        }
        transport.feedback_at = Timestamp::NEVER;
        let media = transport.streams.first().map_or(0, |stream| stream.ssrc);
        let Some(mut arrivals) = transport.arrivals.take() else {
            return Timestamp::NEVER;
        };
        while arrivals.pending() {
            let mut written = false;
            self.send_rtcp(now, index, |writer, own| {
                written = arrivals.write(writer, own, media);
                written
            });
            if !written {
                break;
            }
            self.counters.transport_feedback_sent += 1;
        }
        if let Some(transport) = self.transports.get_mut(index as usize) {
            transport.arrivals = Some(arrivals);
        }
        Timestamp::NEVER
    }

    /// Reports of both directions, scores, layer choice; when the next are due.
    fn send_reports(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        if transport.reports_at > now {
            return transport.reports_at;
        }
        if transport.producers.is_empty() && transport.consumers.is_empty() {
            transport.reports_at = Timestamp::NEVER;
            return Timestamp::NEVER;
        }
        // Spread over 0.5 to 1.5 of the interval (RFC 3550 section 6.2).
        let spread = self.rng.next_u32() % 1000;
        let next = now + REPORT_INTERVAL / 2 + Duration::from_millis(u64::from(spread));
        transport.reports_at = next;
        self.send_receiver_reports(now, index);
        self.send_sender_reports(now, index);
        self.update_scores(now, index);
        next
    }

    fn send_receiver_reports(&mut self, now: Timestamp, index: u32) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let mut blocks: Vec<ReportBlock> = Vec::with_capacity(transport.producers.len());
        let mut remb = Vec::new();
        let mut takes_remb = false;
        for &producer in &transport.producers {
            let Some(source) = self.sources.get_mut(producer as usize) else {
                continue;
            };
            let feedback = source
                .config
                .codecs
                .first()
                .map(|codec| codec.feedback)
                .unwrap_or_default();
            takes_remb |= feedback.remb && !feedback.transport_cc;
            for inbound in source
                .encodings
                .iter_mut()
                .filter_map(|e| e.inbound.as_mut())
            {
                blocks.extend(inbound.report(now));
                if feedback.remb {
                    remb.push(inbound.ssrc);
                }
            }
        }
        let limit = u64::from(transport.max_incoming_bps);
        let rate = transport.traffic.received.rate_bps(now);
        for blocks in blocks.chunks(MAX_BLOCKS) {
            self.send_rtcp(now, index, |writer, own| {
                writer.receiver_report(own, blocks)
            });
        }
        if remb.is_empty() || (limit == 0 && !takes_remb) {
            return;
        }
        // Room to grow is always left: loss is the sender's to read from the reports.
        let grown = (rate * REMB_HEADROOM).max(REMB_FLOOR_BPS);
        let grant = match (limit, takes_remb) {
            (0, _) => grown,
            (limit, true) => grown.min(limit),
            (limit, false) => limit,
        };
        self.send_rtcp(now, index, |writer, own| writer.remb(own, grant, &remb));
    }

    fn send_sender_reports(&mut self, now: Timestamp, index: u32) {
        let wall_ntp = ntp(self.config.wall_clock_offset, now);
        let count = self
            .transports
            .get(index as usize)
            .map_or(0, |t| t.consumers.len());
        for position in 0..count {
            let consumer = self
                .transports
                .get(index as usize)
                .and_then(|transport| transport.consumers.get(position))
                .and_then(|&consumer| self.consumers.get(consumer as usize));
            let Some(consumer) = consumer.filter(|consumer| consumer.sent.packets > 0) else {
                continue;
            };
            let Some(source) = self.sources.get(consumer.source as usize) else {
                continue;
            };
            if consumer.is_idle(source) {
                continue;
            }
            let payload_type = source.config.codecs.iter().find(|codec| {
                consumer
                    .payload_types(codec.payload_type)
                    .map(|(own, _)| own)
                    == Some(consumer.payload_type)
            });
            let clock_rate = payload_type.map_or(90_000, |codec| codec.clock_rate);
            let mapped = consumer
                .splices
                .newest_encoding()
                .and_then(|encoding| source.encodings.get(usize::from(encoding)))
                .and_then(|encoding| encoding.clock);
            let rtp = match (mapped, consumer.splices.timestamp_delta()) {
                (Some(clock), Some(delta)) => clock.rtp_at(now, clock_rate).wrapping_add(delta),
                // No report of the sender yet: the last packet's time will do.
                _ => ClockMapping {
                    rtp: consumer.last_timestamp,
                    at: consumer.last_departure,
                }
                .rtp_at(now, clock_rate),
            };
            let ssrc = consumer.config.ssrc;
            let (packets, octets) = (consumer.sent.packets as u32, consumer.payload_octets as u32);
            let cname = source.config.cname.clone();
            self.send_rtcp(now, index, |writer, _| {
                writer.sender_report(ssrc, wall_ntp, rtp, packets, octets, &[])
                    && writer.sdes_cname(ssrc, &cname)
            });
        }
    }

    fn update_scores(&mut self, now: Timestamp, index: u32) {
        let Some(transport) = self.transports.get(index as usize) else {
            return;
        };
        let producers = transport.producers.clone();
        let consumers = transport.consumers.clone();
        for producer in producers {
            self.update_producer_score(now, producer);
        }
        for consumer in consumers {
            self.retarget(now, consumer);
            self.update_consumer_score(now, consumer);
        }
    }

    fn update_producer_score(&mut self, now: Timestamp, index: u32) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let mut changed = false;
        let mut scores = Vec::with_capacity(source.encodings.len());
        for (encoding, config) in source.encodings.iter_mut().zip(&source.config.encodings) {
            if let Some(inbound) = &mut encoding.inbound {
                changed |= inbound.update_score(now);
                scores.push((inbound.ssrc, config.rid.clone(), inbound.score));
            }
        }
        if changed {
            let producer = source.id();
            self.emit(Event::ProducerScore { producer, scores });
        }
    }

    fn update_consumer_score(&mut self, now: Timestamp, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        let producer_score = self
            .sources
            .get(consumer.source as usize)
            .and_then(|source| source.encodings.get(usize::from(consumer.target_encoding)))
            .map_or(0, |encoding| match &encoding.inbound {
                Some(inbound) => inbound.score,
                None if encoding.is_active(now) => 10,
                None => 0,
            });
        let score = 10 - (u16::from(consumer.fraction_lost) * 18 / 256).min(9) as u8;
        if (consumer.score, consumer.producer_score) != (score, producer_score) {
            consumer.score = score;
            consumer.producer_score = producer_score;
            let consumer = consumer.config.id;
            self.emit(Event::ConsumerScore {
                consumer,
                score,
                producer_score,
            });
        }
    }

    /// Lets a simulcast consumer choose among the streams that are there now.
    pub(crate) fn retarget(&mut self, now: Timestamp, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        if consumer.config.consumer_type != ConsumerType::Simulcast {
            return;
        }
        let Some(source) = self.sources.get(consumer.source as usize) else {
            return;
        };
        consumer.retarget(source, now);
        self.start_consumer(now, index);
    }

    /// Tells control when a consumer's layers changed.
    pub(crate) fn report_layers(&mut self, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        let layers = consumer.layers();
        if std::mem::replace(&mut consumer.reported_layers, layers) != layers {
            let consumer = consumer.config.id;
            self.emit(Event::ConsumerLayers { consumer, layers });
        }
    }

    /// Writes, seals and queues one RTCP datagram; `build` gets our feedback SSRC.
    pub(crate) fn send_rtcp(
        &mut self,
        now: Timestamp,
        index: u32,
        build: impl FnOnce(&mut RtcpWriter<'_>, u32) -> bool,
    ) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let Some(path) = transport.rtcp_path() else {
            return;
        };
        let Some(slot) = self.prompt.slot(RTCP_BYTES + SRTCP_OVERHEAD) else {
            self.counters.prompt_dropped += 1;
            return;
        };
        let mut writer = RtcpWriter::new(&mut slot[..RTCP_BYTES]);
        if !build(&mut writer, transport.feedback_ssrc) || writer.is_empty() {
            return;
        }
        let len = writer.len();
        let sealed = match &mut transport.sealer {
            Some(sealer) => sealer.seal_rtcp(slot, len),
            None => Some(len),
        };
        if let Some(len) = sealed {
            self.prompt.commit(path, len);
            transport.traffic.sent.add(now, len);
            self.counters.rtcp_sent += 1;
        }
    }
}
