//! Sums over the flows of a run.

use crate::outcome::Tally;
use crate::receiver::FlowStats;

impl Tally {
    /// Adds a flow whose stream has sent `sent` packets.
    pub(super) fn add(&mut self, flow: &FlowStats, sent: u64) {
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
}
