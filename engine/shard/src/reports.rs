//! Reports of both directions, on average once a second, and the scores that go with them.

use std::time::Duration;

use weirgate_packet::rtcp::RtcpWriter;
use weirgate_wire::Event;

use crate::Timestamp;
use crate::clock::{ClockMapping, ntp};
use crate::consumer::Consumer;
use crate::shard::Shard;
use crate::source::Source;
use crate::ticks::{EARLY, RTCP_BYTES, write_rtcp};
use crate::transport::Transport;

/// Time between two rounds of reports of a transport, on average.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_millis(1000);
/// Report blocks that fit one report (RFC 3550 section 6.4.1).
const MAX_BLOCKS: usize = 31;
/// A sender report without blocks, and a source description but for the name (RFC 3550 sections 6.4.1
/// and 6.5).
const SENDER_REPORT_BYTES: usize = 28 + 14;

impl Shard {
    /// Reports of both directions and scores; when the next are due.
    pub(crate) fn send_reports(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        if transport.reports_at > now + EARLY {
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
        self.send_grant(now, index);
        self.send_sender_reports(now, index);
        self.update_scores(now, index);
        next
    }

    /// With our clock, which senders answer, so that their round trip can be told.
    fn send_receiver_reports(&mut self, now: Timestamp, index: u32) {
        let wall_ntp = ntp(self.config.wall_clock_offset, now);
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let mut blocks = std::mem::take(&mut self.report_scratch);
        blocks.clear();
        for &producer in &transport.producers {
            let Some(source) = self.sources.get_mut(producer as usize) else {
                continue;
            };
            for inbound in source
                .encodings
                .iter_mut()
                .filter_map(|e| e.inbound.as_mut())
            {
                blocks.extend(inbound.report(now));
            }
        }
        for blocks in blocks.chunks(MAX_BLOCKS) {
            self.send_rtcp(now, index, |writer, own| {
                writer.receiver_report(own, blocks) && writer.receiver_reference_time(own, wall_ntp)
            });
        }
        self.report_scratch = blocks;
    }

    /// Reports on all that leaves by a transport, as many in a datagram as fit: a datagram costs as
    /// much as a train of them.
    fn send_sender_reports(&mut self, now: Timestamp, index: u32) {
        let wall_ntp = ntp(self.config.wall_clock_offset, now);
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let consumers = std::mem::take(&mut transport.consumers);
        let sources = &self.sources;
        let mut reported = consumers
            .iter()
            .filter_map(|&consumer| {
                let consumer = self.consumers.get(consumer as usize)?;
                let source = sources.get(consumer.source as usize)?;
                (consumer.sent.packets > 0 && !consumer.is_idle(source))
                    .then_some((consumer, source))
            })
            .peekable();
        while reported.peek().is_some() {
            let build = |writer: &mut RtcpWriter<'_>, _| {
                while let Some((consumer, source)) = reported.next_if(|(_, source)| {
                    let cname = source.config.cname.len();
                    writer.is_empty() || writer.len() + SENDER_REPORT_BYTES + cname <= RTCP_BYTES
                }) {
                    let ssrc = consumer.config.ssrc;
                    let (packets, octets) =
                        (consumer.sent.packets as u32, consumer.payload_octets as u32);
                    let rtp = rtp_time(now, consumer, source);
                    writer.sender_report(ssrc, wall_ntp, rtp, packets, octets, &[]);
                    writer.sdes_cname(ssrc, &source.config.cname);
                }
                true
            };
            if !write_rtcp(now, transport, &mut self.prompt, &mut self.counters, build) {
                break;
            }
        }
        transport.consumers = consumers;
    }

    fn update_scores(&mut self, now: Timestamp, index: u32) {
        let nth = |list: fn(&Transport) -> &[u32], shard: &Self, position: usize| {
            let transport = shard.transports.get(index as usize)?;
            list(transport).get(position).copied()
        };
        let mut position = 0;
        while let Some(producer) = nth(|transport| &transport.producers, self, position) {
            position += 1;
            self.update_producer_score(now, producer);
        }
        position = 0;
        while let Some(consumer) = nth(|transport| &transport.consumers, self, position) {
            position += 1;
            self.restart_consumer(now, consumer);
            if let Some(consumer) = self.consumers.get(consumer as usize) {
                self.tell_wanted(now, consumer.source);
            }
            self.update_consumer_score(now, consumer);
        }
    }

    fn update_producer_score(&mut self, now: Timestamp, index: u32) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let mut changed = false;
        for encoding in &mut source.encodings {
            if let Some(inbound) = &mut encoding.inbound {
                changed |= inbound.update_score(now);
            }
        }
        if changed {
            let streams = source.encodings.iter().zip(&source.config.encodings);
            let scores = streams.map(|(encoding, config)| {
                let inbound = encoding.inbound.as_ref();
                let (ssrc, score) = inbound.map_or((0, 0), |it| (it.ssrc, it.score));
                (ssrc, config.rid.clone(), score)
            });
            let scores = scores.collect();
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
            .and_then(|source| {
                source
                    .encodings
                    .get(usize::from(consumer.target_encoding()))
            })
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
}

/// What the timestamps of a consumer's stream are at this moment.
fn rtp_time(now: Timestamp, consumer: &Consumer, source: &Source) -> u32 {
    let payload_type = source.config.codecs.iter().find(|codec| {
        consumer
            .payload_types(codec.payload_type)
            .map(|own| own.media)
            == Some(consumer.payload_type)
    });
    let clock_rate = payload_type.map_or(90_000, |codec| codec.clock_rate);
    let mapped = consumer.selector.newest().and_then(|run| {
        let encoding = source.encodings.get(usize::from(run.encoding))?;
        Some((encoding.clock?, run.timestamp_delta))
    });
    match mapped {
        Some((clock, delta)) => clock.rtp_at(now, clock_rate).wrapping_add(delta),
        // No report of the sender yet: the last packet's time will do.
        None => ClockMapping {
            rtp: consumer.last_timestamp,
            at: consumer.last_departure,
        }
        .rtp_at(now, clock_rate),
    }
}
