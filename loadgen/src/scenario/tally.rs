//! Sums over the flows of a run.

use crate::receiver::FlowStats;

/// What came of all flows together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Flows.
    pub flows: u64,
    /// Flows that no packet came by.
    pub silent_flows: u64,
    /// Packets expected: from each flow's first to the last one sent.
    pub expected: u64,
    /// Different packets received.
    pub received: u64,
    /// Missing.
    pub lost: u64,
    /// Came more than once.
    pub duplicates: u64,
    /// Overtaken by a later one.
    pub reordered: u64,
    /// Payload changed or of another stream.
    pub corrupt: u64,
    /// RTP sequence numbers that do not follow the stream.
    pub renumbered: u64,
    /// RTP timestamps that do not follow the stream.
    pub wrong_timestamps: u64,
    /// Payload type or MID other than negotiated.
    pub wrong_headers: u64,
    /// Retransmissions received.
    pub rtx_packets: u64,
    /// Losses repaired by those.
    pub repaired: u64,
    /// Bytes received.
    pub wire_bytes: u64,
    /// Key frames begun.
    pub key_frames: u64,
}

impl Tally {
    /// Adds a flow whose stream has sent `sent` packets.
    pub fn add(&mut self, flow: &FlowStats, sent: u64) {
        let lost = flow.lost(sent);
        self.flows += 1;
        self.silent_flows += u64::from(flow.unique == 0);
        self.expected += flow.unique + lost;
        self.received += flow.unique;
        self.lost += lost;
        self.duplicates += flow.duplicates;
        self.reordered += flow.reordered;
        self.corrupt += flow.corrupt;
        self.renumbered += flow.renumbered;
        self.wrong_timestamps += flow.wrong_timestamps;
        self.wrong_headers += flow.wrong_headers;
        self.rtx_packets += flow.rtx_packets;
        self.repaired += flow.repaired;
        self.wire_bytes += flow.wire_bytes;
        self.key_frames += flow.key_frames;
    }

    /// Lost part of what was expected, 0.0 to 1.0.
    pub fn loss(&self) -> f64 {
        self.lost as f64 / self.expected.max(1) as f64
    }
}
