//! What a receiving client finds in what it is sent, and the RTCP it answers with.

mod flow;
mod missing;
mod window;

use std::collections::HashMap;

use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::receiver_report::ReceiverReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtp::packet::Packet as RtpPacket;

pub use flow::{FlowConfig, FlowStats, SenderReportSeen};

use crate::clock::NS_PER_S;
use crate::leg::{Compound, Media, Outbound};
use flow::Flow;

const REPORT_INTERVAL_NS: u64 = NS_PER_S;

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceiverConfig {
    /// SSRC of its own reports.
    pub ssrc: u32,
    /// Asks for what is missing.
    pub nack: bool,
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
    next_report_ns: u64,
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
            next_report_ns: 0,
        }
    }

    /// Expects a flow from now on.
    pub fn add(&mut self, flow: FlowConfig) {
        if let Some((_, ssrc)) = flow.rtx {
            self.rtx.insert(ssrc, flow.ssrc);
        }
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

    fn send_nacks(&mut self, now_ns: u64, out: &Outbound) {
        for (&media_ssrc, flow) in &mut self.flows {
            let missing = flow.take_due_nacks(now_ns);
            if !missing.is_empty() {
                out.send_rtcp(&[
                    Box::new(ReceiverReport {
                        ssrc: self.config.ssrc,
                        ..ReceiverReport::default()
                    }),
                    Box::new(TransportLayerNack {
                        sender_ssrc: self.config.ssrc,
                        media_ssrc,
                        nacks: nack_pairs_from_sequence_numbers(&missing),
                    }),
                ]);
            }
        }
    }
}

impl Media for Receiver {
    const DIRECTION: &'static str = "recv";

    fn on_rtp(&mut self, packet: &RtpPacket, wire_len: usize, arrival_ns: u64, out: &Outbound) {
        let ssrc = packet.header.ssrc;
        if self.is_discarded(ssrc) {
            return;
        }
        if let Some(flow) = self
            .rtx
            .get(&ssrc)
            .and_then(|media| self.flows.get_mut(media))
        {
            flow.on_rtx(packet, arrival_ns);
        } else if let Some(flow) = self.flows.get_mut(&ssrc) {
            flow.on_media(packet, wire_len, arrival_ns);
        } else {
            self.unknown_ssrc += 1;
            return;
        }
        if self.config.nack {
            self.send_nacks(arrival_ns, out);
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
        if self.config.nack {
            self.send_nacks(now_ns, out);
        }
        if now_ns < self.next_report_ns {
            return;
        }
        self.next_report_ns = now_ns + REPORT_INTERVAL_NS;
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
    }
}
