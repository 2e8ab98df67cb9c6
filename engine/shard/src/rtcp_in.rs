//! RTCP in: reports and requests of a transport's peer.

use std::time::Duration;

use weirgate_layers::Origin;
use weirgate_packet::rtcp::{
    DlrrIter, ExtendedBlock, ReportBlock, ReportIter, RtcpPacket, SsrcIter, packets,
};

use weirgate_wire::{MediaKind, TraceDirection, TraceInfo, TracedReport};

use crate::clock::{ntp, ntp_middle};
use crate::downlink::Downlink;
use crate::ingress::count_open_failure;
use crate::nack::smoothed;
use crate::queue::{Departure, queued_bytes};
use crate::shard::Shard;
use crate::{CrossingKind, Path, Timestamp};

/// A round trip longer than this is a wrong report.
const MAX_RTT: Duration = Duration::from_secs(30);
/// What was lost of layers that a receiver has no more is not repaired where that takes longer than this: a
/// key frame of what it has now is there as soon.
const RESTART: Duration = Duration::from_millis(250);
/// A packet that came longer ago is not sent again: video waits for as long as half of this to leave at first,
/// and no receiver holds pictures back for as long as the other half.
const TOO_OLD: Duration = Duration::from_secs(4);
/// Packets one compound can ask for.
const MAX_NACKED: usize = 512;

impl Shard {
    /// RTCP of a transport, still sealed.
    pub(crate) fn on_rtcp(&mut self, now: Timestamp, index: u32, path: Path, bytes: &mut [u8]) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        transport.traffic.received.add(now, bytes.len());
        let len = match transport.open_rtcp(bytes) {
            Ok(len) => len,
            Err(failure) => return count_open_failure(failure, transport, &mut self.counters),
        };
        self.counters.rtcp_received += 1;
        let mut iter = packets(&bytes[..len]);
        let mut nacked = 0;
        for packet in iter.by_ref() {
            self.on_rtcp_packet(now, index, packet, &mut nacked);
        }
        if iter.malformed() {
            self.counters.rtcp_malformed += 1;
        }
        self.learn_plain_rtcp_remote(now, index, path);
    }

    fn on_rtcp_packet(
        &mut self,
        now: Timestamp,
        index: u32,
        packet: RtcpPacket<'_>,
        nacked: &mut usize,
    ) {
        match packet {
            RtcpPacket::SenderReport {
                ssrc,
                ntp,
                rtp,
                packet_count,
                octet_count,
                reports,
            } => {
                let report = TracedReport {
                    ssrc,
                    ntp,
                    rtp,
                    packets: packet_count,
                    octets: octet_count,
                };
                self.on_sender_report(now, index, report);
                self.on_reports(now, index, reports);
            }
            RtcpPacket::ReceiverReport { reports, .. } => self.on_reports(now, index, reports),
            RtcpPacket::Nack { media, lost, .. } => {
                let lost = lost.take(MAX_NACKED.saturating_sub(*nacked));
                *nacked += self.on_nack(now, index, media, lost);
            }
            RtcpPacket::Pli { media, .. } => self.on_key_frame_request(now, index, media, false),
            RtcpPacket::Fir { entries, .. } => {
                for (media, _) in entries {
                    self.on_key_frame_request(now, index, media, true);
                }
            }
            RtcpPacket::Remb {
                bitrate_bps, ssrcs, ..
            } => self.on_remb(now, index, bitrate_bps, &ssrcs),
            RtcpPacket::ExtendedReport { ssrc, blocks } => {
                for block in blocks {
                    match block {
                        ExtendedBlock::ReceiverReferenceTime { ntp } => {
                            self.answer_reference_time(now, index, ssrc, ntp);
                        }
                        ExtendedBlock::Dlrr(answers) => self.on_answers(now, index, answers),
                        ExtendedBlock::Other { .. } => {}
                    }
                }
            }
            RtcpPacket::TransportFeedback(feedback) => {
                let reference_time = feedback.reference_time;
                if let Some(downlink) = self.downlink_of(index) {
                    downlink.feedback(now, feedback.statuses(), reference_time);
                    self.allocate_news(now, index);
                    self.follow_estimate(index);
                }
            }
            RtcpPacket::Sdes(_) | RtcpPacket::Bye { .. } | RtcpPacket::Other { .. } => {}
        }
    }

    /// Takes what a receiver makes of its path. It speaks of the streams it names: some name their
    /// video alone, and then audio goes beside that.
    fn on_remb(&mut self, now: Timestamp, index: u32, bps: u64, ssrcs: &SsrcIter<'_>) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let mut beside_bps = 0;
        for &consumer in &transport.consumers {
            let Some(consumer) = self.consumers.get_mut(consumer as usize) else {
                continue;
            };
            let is_named = || ssrcs.clone().any(|ssrc| ssrc == consumer.config.ssrc);
            if consumer.kind == MediaKind::Audio && !is_named() {
                beside_bps += consumer.sent.rate_bps(now);
            }
        }
        if let Some(downlink) = &mut transport.downlink {
            downlink.remb(now, bps.saturating_add(beside_bps));
        }
        self.allocate_news(now, index);
    }

    fn downlink_of(&mut self, index: u32) -> Option<&mut Downlink> {
        self.transports
            .get_mut(index as usize)?
            .downlink
            .as_deref_mut()
    }

    fn on_sender_report(&mut self, now: Timestamp, index: u32, report: TracedReport) {
        let (ssrc, sender_ntp, rtp) = (report.ssrc, report.ntp, report.rtp);
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let Some(stream) = transport.stream(ssrc).filter(|stream| !stream.rtx) else {
            return;
        };
        let at = transport.clock.local_time(now, sender_ntp);
        let Some(source) = self.sources.get_mut(stream.source as usize) else {
            return;
        };
        let Some(encoding) = source.encodings.get_mut(usize::from(stream.encoding)) else {
            return;
        };
        match &mut encoding.inbound {
            Some(inbound) if inbound.ssrc == ssrc => inbound.sender_report(now, sender_ntp),
            _ => return,
        }
        let kind = CrossingKind::SenderReport {
            source: source.no,
            encoding: stream.encoding,
            rtp,
            at,
        };
        for &to in &source.relays {
            if !self.port.send(to, kind, &[]) {
                self.counters.crossings_dropped += 1;
            }
        }
        self.set_clock(stream.source, stream.encoding, rtp, at);
        let info = TraceInfo::Sr(report);
        self.trace_producer(now, stream.source, TraceDirection::In, info);
    }

    fn on_reports(&mut self, now: Timestamp, index: u32, reports: ReportIter<'_>) {
        let now_ntp = ntp_middle(ntp(self.config.wall_clock_offset, now));
        for report in reports {
            self.on_report(now, index, now_ntp, &report);
        }
    }

    fn on_report(&mut self, now: Timestamp, index: u32, now_ntp: u32, report: &ReportBlock) {
        let consumer_index = self
            .transports
            .get(index as usize)
            .and_then(|transport| transport.consumer_of(report.ssrc));
        let Some(consumer_index) = consumer_index else {
            return;
        };
        let Some(consumer) = self.consumers.get_mut(consumer_index as usize) else {
            return;
        };
        if consumer.config.ssrc != report.ssrc {
            return;
        }
        let sent_since = consumer.sent.packets - consumer.reported_packets;
        consumer.reported_packets = consumer.sent.packets;
        consumer.fraction_lost = report.fraction_lost;
        consumer.packets_lost = i64::from(report.cumulative_lost);
        consumer.jitter = report.jitter;
        if let Some(rtt) = round_trip(now_ntp, report.last_sr, report.delay_since_last_sr) {
            consumer.rtt = Some(smoothed(consumer.rtt, rtt));
        }
        let rtt = consumer.rtt;
        if let Some(downlink) = self.downlink_of(index) {
            let rtt_us = rtt.map(|rtt| rtt.as_micros() as u64);
            downlink.report(now, report.fraction_lost, sent_since as u32, rtt_us);
        }
        self.choose_playout_delay(index, consumer_index, report);
    }

    /// How long the receiver is to hold pictures back depends on what the path loses.
    fn choose_playout_delay(&mut self, index: u32, consumer_index: u32, report: &ReportBlock) {
        let loss = self
            .downlink_of(index)
            .map(|downlink| downlink.average_loss());
        let Some(consumer) = self.consumers.get_mut(consumer_index as usize) else {
            return;
        };
        let (Some(delay), Some(rtt)) = (&mut consumer.playout_delay, consumer.rtt) else {
            return;
        };
        let loss = loss.unwrap_or(f64::from(report.fraction_lost) / 256.0);
        delay.reported(report.highest_sequence as u16, loss, rtt);
    }

    /// Answers what history still has; how many were asked for.
    fn on_nack(
        &mut self,
        now: Timestamp,
        index: u32,
        media: u32,
        lost: impl Iterator<Item = u16>,
    ) -> usize {
        let Some(consumer_index) = self
            .transports
            .get(index as usize)
            .and_then(|t| t.consumer_of(media))
        else {
            return 0;
        };
        let mut asked: usize = 0;
        for sequence in lost {
            asked += 1;
            self.counters.nacks_received += 1;
            let Some(consumer) = self.consumers.get_mut(consumer_index as usize) else {
                return asked;
            };
            if asked == 1 {
                consumer.nacks += 1;
            }
            consumer.nacked_packets += 1;
            let is_of_media = consumer.config.feedback.nack && consumer.config.ssrc == media;
            if !is_of_media || !self.repair(now, consumer_index, sequence) {
                self.counters.nacks_unanswered += 1;
            }
        }
        let packets = asked.min(usize::from(u16::MAX)) as u16;
        let info = TraceInfo::Nack {
            ssrc: media,
            packets,
        };
        self.trace_consumer(now, consumer_index, TraceDirection::In, info);
        asked
    }

    /// Sends a packet of a consumer again, if that is still of use; else false.
    fn repair(&mut self, now: Timestamp, index: u32, sequence: u16) -> bool {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return false;
        };
        // A video goes on at the key frame that its run began with, or is to begin with, whatever was lost
        // before.
        let is_useful = |origin: &Origin| consumer.kind == MediaKind::Audio || origin.is_current;
        let Some(origin) = consumer.selector.origin(sequence).filter(is_useful) else {
            return false;
        };
        let stored = self
            .sources
            .get(consumer.source as usize)
            .and_then(|source| source.encodings.get(usize::from(origin.encoding)))
            .and_then(|encoding| encoding.history.get(origin.sequence));
        let (Some(stored), Some(transport)) =
            (stored, self.transports.get_mut(consumer.transport as usize))
        else {
            return false;
        };
        let departure = Departure {
            consumer: index,
            encoding: origin.encoding,
            bytes: queued_bytes(stored.payload.len()),
            sequence: origin.sequence,
        };
        let bytes = u64::from(departure.bytes);
        let layer = stored.meta.layers.layer().spatial;
        if consumer.has_left(layer) && transport.repairs_take(bytes) > RESTART {
            self.interrupt(index);
            self.start_consumer(now, index);
            return false;
        }
        if now.since(stored.meta.arrival) > TOO_OLD || !consumer.may_resend(now, sequence) {
            return false;
        }
        if !transport.repairs.spend(bytes) {
            self.counters.repairs_refused += 1;
            return true;
        }
        self.enqueue_repair(departure);
        true
    }

    fn on_key_frame_request(&mut self, now: Timestamp, index: u32, media: u32, fir: bool) {
        let consumer_index = self
            .transports
            .get(index as usize)
            .and_then(|t| t.consumer_of(media));
        let Some(consumer_index) = consumer_index else {
            return;
        };
        let Some(consumer) = self.consumers.get_mut(consumer_index as usize) else {
            return;
        };
        self.counters.key_frame_requests_received += 1;
        let info = if fir {
            consumer.firs += 1;
            TraceInfo::Fir { ssrc: media }
        } else {
            consumer.plis += 1;
            TraceInfo::Pli { ssrc: media }
        };
        self.trace_consumer(now, consumer_index, TraceDirection::In, info);
        self.ask_key_frame_for(now, consumer_index);
    }

    /// Takes a sender's answers to our clock, by which its round trip is told (RFC 3611 section 4.5).
    fn on_answers(&mut self, now: Timestamp, index: u32, answers: DlrrIter<'_>) {
        let now_ntp = ntp_middle(ntp(self.config.wall_clock_offset, now));
        let Some(transport) = self.transports.get(index as usize) else {
            return;
        };
        let own = transport.feedback_ssrc;
        let mut answers = answers.filter(|answer| answer.ssrc == own);
        let Some(rtt) = answers
            .find_map(|answer| round_trip(now_ntp, answer.last_rr, answer.delay_since_last_rr))
        else {
            return;
        };
        for &producer in &transport.producers {
            let source = self.sources.get_mut(producer as usize);
            let encodings = source.into_iter().flat_map(|source| &mut source.encodings);
            for inbound in encodings.filter_map(|encoding| encoding.inbound.as_mut()) {
                inbound.note_rtt(rtt);
            }
        }
    }

    /// Answers a receiver's reference time, so that it can tell its round trip (RFC 3611 section
    /// 4.5).
    fn answer_reference_time(&mut self, now: Timestamp, index: u32, ssrc: u32, their_ntp: u64) {
        let report = weirgate_packet::rtcp::DlrrReport {
            ssrc,
            last_rr: ntp_middle(their_ntp),
            // Answered at once.
            delay_since_last_rr: 0,
        };
        self.send_rtcp(now, index, |writer, own| writer.dlrr(own, &[report]));
    }
}

/// The time since a report of ours, `sent` (the middle of its NTP time, 0 for none), that was not the peer's.
fn round_trip(now_ntp: u32, sent: u32, delay: u32) -> Option<Duration> {
    let units = now_ntp.wrapping_sub(sent).wrapping_sub(delay);
    let rtt = Duration::from_micros(u64::from(units) * 1_000_000 / 65_536);
    // Clocks that tick unevenly can make it negative: that wraps to hours.
    (sent != 0 && rtt < MAX_RTT).then_some(rtt)
}
