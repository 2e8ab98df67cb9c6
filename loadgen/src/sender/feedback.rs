//! What a sending client does with the server's RTCP: it retransmits, makes key frames, and keeps
//! what it was told. It reports what it sent once a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};
use rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtp::packet::Packet as RtpPacket;

use super::stream::Stream;
use crate::clock::NS_PER_S;
use crate::leg::{Compound, Media, Outbound};

const REPORT_INTERVAL_NS: u64 = NS_PER_S;
/// Transport-wide numbers kept each, the latest.
const MAX_NUMBERS: usize = 1 << 16;
const CNAME: &[u8] = b"weirgate-loadgen";

/// What the server told a sender.
#[derive(Debug, Default)]
pub struct FeedbackSeen {
    /// PLI messages.
    pub pli: u64,
    /// FIR messages.
    pub fir: u64,
    /// NACK messages.
    pub nack: u64,
    /// Packets named in those.
    pub nacked_packets: u64,
    /// Named packets that were not known any more.
    pub nacked_unknown: u64,
    /// The latest REMB, in bit/s.
    pub remb_bps: Option<f32>,
    /// transport-cc messages.
    pub transport_cc: u64,
    /// Transport-wide numbers told as received, extended to 64 bits; the latest 65536.
    pub transport_received: BTreeSet<u64>,
    /// Transport-wide numbers told as not received.
    pub transport_missing: BTreeSet<u64>,
    /// Latest reception report by SSRC.
    pub reports: BTreeMap<u32, ReceptionReport>,
    /// Compounds with RR or SR.
    pub report_compounds: u64,
}

/// The RTCP side of a leg that sends.
pub struct SenderFeedback {
    streams: Vec<Arc<Stream>>,
    seen: FeedbackSeen,
    next_report_ns: u64,
    latest_transport: Option<u64>,
}

impl SenderFeedback {
    /// For a leg whose streams are added later.
    pub fn new() -> Self {
        Self {
            streams: Vec::new(),
            seen: FeedbackSeen::default(),
            next_report_ns: 0,
            latest_transport: None,
        }
    }

    /// A stream of this leg.
    pub fn add(&mut self, stream: Arc<Stream>) {
        self.streams.push(stream);
    }

    /// What the server told.
    pub fn seen(&self) -> &FeedbackSeen {
        &self.seen
    }

    fn stream(&self, ssrc: u32) -> Option<&Arc<Stream>> {
        self.streams
            .iter()
            .find(|stream| stream.config().ssrc == ssrc)
    }

    fn on_nack(&mut self, nack: &TransportLayerNack) {
        self.seen.nack += 1;
        let stream = self.stream(nack.media_ssrc).cloned();
        for sequence in nack.nacks.iter().flat_map(|pair| pair.packet_list()) {
            self.seen.nacked_packets += 1;
            if !stream
                .as_ref()
                .is_some_and(|stream| stream.retransmit(sequence))
            {
                self.seen.nacked_unknown += 1;
            }
        }
    }

    fn on_transport_cc(&mut self, feedback: &TransportLayerCc) {
        self.seen.transport_cc += 1;
        let base = extend(self.latest_transport, feedback.base_sequence_number);
        let symbols = feedback.packet_chunks.iter().flat_map(|chunk| match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                vec![run.packet_status_symbol; usize::from(run.run_length)]
            }
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
        });
        for (offset, symbol) in (0..u64::from(feedback.packet_status_count)).zip(symbols) {
            if symbol == SymbolTypeTcc::PacketNotReceived {
                self.seen.transport_missing.insert(base + offset);
            } else {
                self.seen.transport_missing.remove(&(base + offset));
                self.seen.transport_received.insert(base + offset);
            }
        }
        for numbers in [
            &mut self.seen.transport_received,
            &mut self.seen.transport_missing,
        ] {
            while numbers.len() > MAX_NUMBERS {
                numbers.pop_first();
            }
        }
        let end = base + u64::from(feedback.packet_status_count);
        self.latest_transport = Some(self.latest_transport.map_or(end, |latest| latest.max(end)));
    }

    fn on_reports(&mut self, reports: &[ReceptionReport]) {
        self.seen.report_compounds += 1;
        for report in reports {
            self.seen.reports.insert(report.ssrc, report.clone());
        }
    }
}

impl Default for SenderFeedback {
    fn default() -> Self {
        Self::new()
    }
}

impl Media for SenderFeedback {
    const DIRECTION: &'static str = "send";

    fn on_rtp(&mut self, _packet: &RtpPacket, _wire_len: usize, _arrival_ns: u64, _out: &Outbound) {
    }

    fn on_rtcp(&mut self, packets: &Compound, _arrival_ns: u64, _out: &Outbound) {
        for packet in packets {
            let any = packet.as_any();
            if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
                self.seen.pli += 1;
                self.stream(pli.media_ssrc)
                    .inspect(|stream| stream.request_key_frame());
            } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
                self.seen.fir += 1;
                for entry in &fir.fir {
                    self.stream(entry.ssrc)
                        .inspect(|stream| stream.request_key_frame());
                }
            } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
                self.on_nack(nack);
            } else if let Some(feedback) = any.downcast_ref::<TransportLayerCc>() {
                self.on_transport_cc(feedback);
            } else if let Some(remb) = any.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
                self.seen.remb_bps = Some(remb.bitrate);
            } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
                self.on_reports(&report.reports);
            } else if let Some(report) = any.downcast_ref::<SenderReport>() {
                self.on_reports(&report.reports);
            }
        }
    }

    fn on_tick(&mut self, now_ns: u64, out: &Outbound) {
        if now_ns < self.next_report_ns {
            return;
        }
        self.next_report_ns = now_ns + REPORT_INTERVAL_NS;
        for stream in &self.streams {
            if let Some(report) = stream.sender_report(now_ns) {
                let description = SourceDescription {
                    chunks: vec![SourceDescriptionChunk {
                        source: report.ssrc,
                        items: vec![SourceDescriptionItem {
                            sdes_type: SdesType::SdesCname,
                            text: bytes::Bytes::from_static(CNAME),
                        }],
                    }],
                };
                out.send_rtcp(&[Box::new(report), Box::new(description)]);
            }
        }
    }

    fn deadline_ns(&self) -> u64 {
        self.next_report_ns
    }
}

/// The 64-bit number next to `latest` whose low 16 bits are `low`.
fn extend(latest: Option<u64>, low: u16) -> u64 {
    let Some(latest) = latest else {
        return u64::from(low);
    };
    let delta = low.wrapping_sub(latest as u16) as i16;
    latest.saturating_add_signed(i64::from(delta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_numbers_are_extended_both_ways_over_the_wrap() {
        assert_eq!(extend(None, 9), 9);
        assert_eq!(extend(Some(65_530), 4), 65_540);
        assert_eq!(extend(Some(65_540), 65_530), 65_530);
    }
}
