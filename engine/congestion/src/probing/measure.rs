//! What a probe measured: the lower of the rates at which its packets left and arrived.

use super::{ClusterId, ProbeCluster};
use crate::{millis, rate_bps};

/// Clusters measured at a time.
const CLUSTERS: usize = 4;
/// Share of a cluster's packets, and of its bytes, that have to arrive.
const MIN_ARRIVED: f64 = 0.8;
/// A cluster that takes longer, here or there, was not one burst.
const MAX_INTERVAL_US: u64 = millis(1_000);
/// Arriving this much faster than sent is no measure of anything.
const MAX_SPEEDUP: f64 = 2.0;
/// Arriving slower than this share of what was sent: the link was full.
const FULL_SHARE: f64 = 0.9;
/// The share of a full link's rate that is taken.
const FULL_USED: f64 = 0.95;

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ProbeResult {
    pub(crate) bps: f64,
    /// The link was full: it carries no more.
    pub(crate) is_full: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cluster {
    probe: ProbeCluster,
    packets: u32,
    bytes: u64,
    first_sent_us: u64,
    last_sent_us: u64,
    last_sent_bytes: u64,
    first_arrival_us: u64,
    first_arrival_bytes: u64,
    last_arrival_us: u64,
}

/// Collects the arrivals of clusters.
#[derive(Debug, Default)]
pub(crate) struct ProbeMeasure {
    clusters: [Option<Cluster>; CLUSTERS],
    result: Option<ProbeResult>,
}

impl ProbeMeasure {
    /// Expects the packets of a cluster.
    pub(crate) fn expect(&mut self, probe: ProbeCluster) {
        self.clusters[slot(probe.id)] = Some(Cluster {
            probe,
            packets: 0,
            bytes: 0,
            first_sent_us: u64::MAX,
            last_sent_us: 0,
            last_sent_bytes: 0,
            first_arrival_us: u64::MAX,
            first_arrival_bytes: 0,
            last_arrival_us: 0,
        });
    }

    /// A packet of a cluster arrived.
    pub(crate) fn arrived(&mut self, id: ClusterId, sent_us: u64, arrival_us: u64, bytes: u64) {
        let Some(cluster) = &mut self.clusters[slot(id)] else {
            return;
        };
        if cluster.probe.id != id {
            return;
        }
        cluster.add(sent_us, arrival_us, bytes);
        if let Some(result) = cluster.result() {
            self.result = Some(result);
        }
    }

    /// The newest result not yet taken.
    pub(crate) const fn take_result(&mut self) -> Option<ProbeResult> {
        self.result.take()
    }
}

impl Cluster {
    fn add(&mut self, sent_us: u64, arrival_us: u64, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
        self.first_sent_us = self.first_sent_us.min(sent_us);
        if sent_us >= self.last_sent_us {
            self.last_sent_us = sent_us;
            self.last_sent_bytes = bytes;
        }
        if arrival_us < self.first_arrival_us {
            self.first_arrival_us = arrival_us;
            self.first_arrival_bytes = bytes;
        }
        self.last_arrival_us = self.last_arrival_us.max(arrival_us);
    }

    /// `None` before enough arrived, and where it tells nothing.
    fn result(&self) -> Option<ProbeResult> {
        let packets = f64::from(self.probe.min_packets) * MIN_ARRIVED;
        let bytes = self.probe.min_bytes() as f64 * MIN_ARRIVED;
        if f64::from(self.packets) < packets || (self.bytes as f64) < bytes {
            return None;
        }
        let sent_us = self.last_sent_us.checked_sub(self.first_sent_us)?;
        let arrived_us = self.last_arrival_us.checked_sub(self.first_arrival_us)?;
        let fits = 1..=MAX_INTERVAL_US;
        if !fits.contains(&sent_us) || !fits.contains(&arrived_us) {
            return None;
        }
        // The last packet left at the end of the interval, the first came at its beginning.
        let sent_bps = rate_bps((self.bytes - self.last_sent_bytes) as f64, sent_us as f64);
        let arrived_bytes = self.bytes - self.first_arrival_bytes;
        let arrived_bps = rate_bps(arrived_bytes as f64, arrived_us as f64);
        if arrived_bps > MAX_SPEEDUP * sent_bps {
            return None;
        }
        let is_full = arrived_bps < FULL_SHARE * sent_bps;
        let bps = if is_full {
            FULL_USED * arrived_bps
        } else {
            sent_bps.min(arrived_bps)
        };
        Some(ProbeResult {
            bps: bps.min(self.probe.rate_bps as f64),
            is_full,
        })
    }
}

fn slot(id: ClusterId) -> usize {
    usize::from(id.get()) % CLUSTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: ProbeCluster = ProbeCluster {
        id: ClusterId::FIRST,
        rate_bps: 1_920_000,
        min_packets: 5,
        duration_us: 25_000,
    };

    /// Six packets of 1,200 bytes sent every 5 ms that arrive every `arrival_step_us`.
    fn measure(arrival_step_us: u64, lost: &[u64]) -> Option<ProbeResult> {
        let mut measure = ProbeMeasure::default();
        measure.expect(PROBE);
        for index in 0..6 {
            if !lost.contains(&index) {
                let arrival_us = 90_000 + index * arrival_step_us;
                measure.arrived(PROBE.id, index * 5_000, arrival_us, 1_200);
            }
        }
        measure.take_result()
    }

    #[test]
    fn a_path_with_room_gives_what_was_sent() {
        let result = measure(5_000, &[]).unwrap();
        assert!((result.bps - 1_920_000.0).abs() < 1.0 && !result.is_full);
    }

    #[test]
    fn a_full_path_gives_a_little_less_than_what_arrived() {
        let result = measure(10_000, &[]).unwrap();
        assert!((result.bps - 0.95 * 960_000.0).abs() < 1.0 && result.is_full);
    }

    #[test]
    fn too_few_packets_or_impossible_times_give_nothing() {
        assert!(measure(5_000, &[1]).is_some());
        assert!(measure(5_000, &[1, 2, 3]).is_none());
        assert!(measure(2_000, &[]).is_none(), "faster than it was sent");
        assert!(measure(0, &[]).is_none());
        assert!(measure(400_000, &[]).is_none());
    }

    #[test]
    fn packets_of_a_cluster_long_gone_are_passed_over() {
        let mut measure = ProbeMeasure::default();
        measure.expect(PROBE);
        let mut later = PROBE.id;
        for _ in 0..CLUSTERS {
            later = later.next();
        }
        for index in 0..6 {
            measure.arrived(later, index * 5_000, index * 5_000, 1_200);
        }
        assert_eq!(measure.take_result(), None);
    }
}
