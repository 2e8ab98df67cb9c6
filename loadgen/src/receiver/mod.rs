//! What a receiving client finds in what it is sent, and the RTCP it answers with.

mod flow;
mod missing;
mod run;
mod transport_feedback;
mod window;

use std::collections::HashMap;

use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtp::packet::Packet as RtpPacket;

pub use flow::{FlowConfig, FlowStats, SenderReportSeen};

use crate::clock::{NS_PER_MS, NS_PER_S, now_ns};
use crate::leg::{Compound, Media, Outbound};
use flow::Flow;
use transport_feedback::Arrivals;

const REPORT_INTERVAL_NS: u64 = NS_PER_S;
/// Within what libwebrtc does, 50 to 250 ms by bitrate.
const TRANSPORT_FEEDBACK_INTERVAL_NS: u64 = 100 * NS_PER_MS;
/// Between two looks at what is missing.
const REQUEST_INTERVAL_NS: u64 = 5 * NS_PER_MS;

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceiverConfig {
    /// SSRC of its own reports.
    pub ssrc: u32,
    /// Asks for what is missing.
    pub nack: bool,
    /// Tells the server this estimate by REMB once a second, in bit/s.
    pub remb_bps: Option<u64>,
    /// Every so many media packets one is thrown away unseen, as if lost on the way; 0 for none.
    pub discard_every: u64,
}

/// The media side of a leg that receives.
pub struct Receiver {
    config: ReceiverConfig,
    flows: HashMap<u32, Flow>,
    /// RTX SSRC to media SSRC.
    rtx: HashMap<u32, u32>,
    media_packets: u64,
    discarded: u64,
    unknown_ssrc: u64,
    transport_cc_id: Option<u8>,
    arrivals: Arrivals,
    transport_feedback_sent: u64,
    next_report_ns: u64,
    next_transport_feedback_ns: u64,
    next_requests_ns: u64,
}

impl Receiver {
    /// A receiver without flows.
    pub fn new(config: ReceiverConfig) -> Self {
        Self {
            config,
            flows: HashMap::new(),
            rtx: HashMap::new(),
            media_packets: 0,
            discarded: 0,
            unknown_ssrc: 0,
            transport_cc_id: None,
            arrivals: Arrivals::default(),
            transport_feedback_sent: 0,
            // Not all receivers at the same time.
            next_report_ns: now_ns() + u64::from(config.ssrc) % REPORT_INTERVAL_NS,
            next_transport_feedback_ns: u64::MAX,
            next_requests_ns: u64::MAX,
        }
    }

    /// Expects a flow from now on.
    pub fn add(&mut self, flow: FlowConfig) {
        if let Some((_, ssrc)) = flow.rtx {
            self.rtx.insert(ssrc, flow.ssrc);
        }
        self.transport_cc_id = self.transport_cc_id.or(flow.transport_cc_id);
        self.flows.insert(flow.ssrc, Flow::new(flow));
    }

    /// Figures of every flow, in no order.
    pub fn stats(&self) -> impl Iterator<Item = &FlowStats> {
        self.flows.values().map(Flow::stats)
    }

    /// Figures of a flow.
    pub fn flow(&self, ssrc: u32) -> Option<&FlowStats> {
        self.flows.get(&ssrc).map(Flow::stats)
    }

    /// RTP packets with an SSRC that no flow has.
    pub fn unknown_ssrc(&self) -> u64 {
        self.unknown_ssrc
    }

    /// Messages of transport-wide feedback sent.
    pub fn transport_feedback_sent(&self) -> u64 {
        self.transport_feedback_sent
    }

    /// Packets thrown away by [`ReceiverConfig::discard_every`].
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Asks for a key frame of a flow.
    pub fn send_pli(&self, media_ssrc: u32, out: &Outbound) {
        let sender_ssrc = self.config.ssrc;
        out.send_rtcp(&[
            Box::new(ReceiverReport {
                ssrc: sender_ssrc,
                ..ReceiverReport::default()
            }),
            Box::new(PictureLossIndication {
                sender_ssrc,
                media_ssrc,
            }),
        ]);
    }

    fn is_discarded(&mut self, ssrc: u32) -> bool {
        if self.config.discard_every == 0 || !self.flows.contains_key(&ssrc) {
            return false;
        }
        self.media_packets += 1;
        let discarded = self.media_packets.is_multiple_of(self.config.discard_every);
        self.discarded += u64::from(discarded);
        discarded
    }

    /// The transport's number is one for all its streams, known ones or not.
    fn note_transport_number(&mut self, packet: &RtpPacket, arrival_ns: u64) {
        let id = self.transport_cc_id;
        let Some(value) = id.and_then(|id| packet.header.get_extension(id)) else {
            return;
        };
        if let Some(number) = value.first_chunk::<2>() {
            self.arrivals.note(u16::from_be_bytes(*number), arrival_ns);
            let due_ns = arrival_ns + TRANSPORT_FEEDBACK_INTERVAL_NS;
            self.next_transport_feedback_ns = self.next_transport_feedback_ns.min(due_ns);
        }
    }

    /// Asks for what is missing, and for a key frame where that did not help.
    fn send_requests(&mut self, now_ns: u64, out: &Outbound) {
        self.next_requests_ns = u64::MAX;
        let sender_ssrc = self.config.ssrc;
        let mut given_up = Vec::new();
        for (&media_ssrc, flow) in &mut self.flows {
            let due = flow.take_due(now_ns, self.config.nack);
            if flow.is_missing_any() {
                self.next_requests_ns = now_ns + REQUEST_INTERVAL_NS;
            }
            if due.gave_up {
                given_up.push(media_ssrc);
            }
            if !due.asked.is_empty() {
                out.send_rtcp(&[
                    Box::new(ReceiverReport {
                        ssrc: sender_ssrc,
                        ..ReceiverReport::default()
                    }),
                    Box::new(TransportLayerNack {
                        sender_ssrc,
                        media_ssrc,
                        nacks: nack_pairs_from_sequence_numbers(&due.asked),
                    }),
                ]);
            }
        }
        for media_ssrc in given_up {
            self.send_pli(media_ssrc, out);
        }
    }

    fn send_transport_feedback(&mut self, out: &Outbound) {
        self.next_transport_feedback_ns = u64::MAX;
        let media_ssrc = self.flows.keys().next().copied().unwrap_or_default();
        while let Some(message) = self.arrivals.take(self.config.ssrc, media_ssrc) {
            self.transport_feedback_sent += 1;
            // By itself (RFC 5506), as browsers send it.
            out.send_rtcp(&[Box::new(message)]);
        }
    }

    fn send_reports(&mut self, now_ns: u64, out: &Outbound) {
        let reports: Vec<_> = self
            .flows
            .values_mut()
            .filter_map(|flow| flow.reception_report(now_ns))
            .collect();
        // At most 31 blocks fit a report (RFC 3550 section 6.4.2).
        for blocks in reports.chunks(31) {
            out.send_rtcp(&[Box::new(ReceiverReport {
                ssrc: self.config.ssrc,
                reports: blocks.to_vec(),
                ..ReceiverReport::default()
            })]);
        }
        if let Some(bitrate) = self.config.remb_bps {
            out.send_rtcp(&[
                Box::new(ReceiverReport {
                    ssrc: self.config.ssrc,
                    ..ReceiverReport::default()
                }),
                Box::new(ReceiverEstimatedMaximumBitrate {
                    sender_ssrc: self.config.ssrc,
                    bitrate: bitrate as f32,
                    // At most 255 fit the message.
                    ssrcs: self.flows.keys().copied().take(255).collect(),
                }),
            ]);
        }
    }
}

impl Media for Receiver {
    const DIRECTION: &'static str = "recv";

    fn on_rtp(&mut self, packet: &RtpPacket, wire_len: usize, arrival_ns: u64, _out: &Outbound) {
        let ssrc = packet.header.ssrc;
        if self.is_discarded(ssrc) {
            return;
        }
        self.note_transport_number(packet, arrival_ns);
        let media = self.rtx.get(&ssrc);
        let Some(flow) = self.flows.get_mut(media.unwrap_or(&ssrc)) else {
            self.unknown_ssrc += 1;
            return;
        };
        if media.is_some() {
            flow.on_rtx(packet, arrival_ns);
        } else {
            flow.on_media(packet, wire_len, arrival_ns);
        }
        if flow.is_missing_any() {
            let due_ns = arrival_ns + REQUEST_INTERVAL_NS;
            self.next_requests_ns = self.next_requests_ns.min(due_ns);
        }
    }

    fn on_rtcp(&mut self, packets: &Compound, arrival_ns: u64, _out: &Outbound) {
        for packet in packets {
            if let Some(report) = packet.as_any().downcast_ref::<SenderReport>()
                && let Some(flow) = self.flows.get_mut(&report.ssrc)
            {
                flow.on_sender_report(report, arrival_ns);
            }
        }
    }

    fn on_tick(&mut self, now_ns: u64, out: &Outbound) {
        if self.next_requests_ns <= now_ns {
            self.send_requests(now_ns, out);
        }
        if self.next_transport_feedback_ns <= now_ns {
            self.send_transport_feedback(out);
        }
        if self.next_report_ns <= now_ns {
            self.next_report_ns = now_ns + REPORT_INTERVAL_NS;
            self.send_reports(now_ns, out);
        }
    }

    fn deadline_ns(&self) -> u64 {
        self.next_report_ns
            .min(self.next_transport_feedback_ns)
            .min(self.next_requests_ns)
    }
}
