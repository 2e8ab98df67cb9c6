//! Sums over the flows of a run.

use crate::clock::NS_PER_S;
use crate::outcome::Tally;
use crate::receiver::FlowStats;

/// Of a flow that was asked for so shortly before the end nothing need have come.
const BEGINNING_NS: u64 = NS_PER_S;

impl Tally {
    /// Adds a flow whose stream has sent `sent` packets until `at_ns`.
    pub(super) fn add(&mut self, flow: &FlowStats, sent: u64, at_ns: u64) {
        if flow.unique == 0 && flow.asked_ns + BEGINNING_NS > at_ns {
            return;
        }
        let lost = flow.lost(sent);
        self.merge(&Self {
            flows: 1,
            silent_flows: u64::from(flow.unique == 0),
            headless_flows: u64::from(flow.is_headless),
            expected: flow.unique + lost,
            received: flow.unique,
            lost,
            duplicates: flow.duplicates,
            reordered: flow.reordered,
            corrupt: flow.corrupt,
            renumbered: flow.renumbered,
            wrong_timestamps: flow.wrong_timestamps,
            wrong_headers: flow.wrong_headers,
            layer_switches: flow.layer_switches,
            rtx_packets: flow.rtx_packets,
            repaired: flow.repaired,
            wire_bytes: flow.wire_bytes,
            key_frames: flow.key_frames,
        });
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.flows += other.flows;
        self.silent_flows += other.silent_flows;
        self.headless_flows += other.headless_flows;
        self.expected += other.expected;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.renumbered += other.renumbered;
        self.wrong_timestamps += other.wrong_timestamps;
        self.wrong_headers += other.wrong_headers;
        self.layer_switches += other.layer_switches;
        self.rtx_packets += other.rtx_packets;
        self.repaired += other.repaired;
        self.wire_bytes += other.wire_bytes;
        self.key_frames += other.key_frames;
    }
}
