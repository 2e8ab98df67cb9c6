//! The steps of a load profile, each with figures of its own: added up from samples of a tenth of
//! a second.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::load::LoadProfile;
use crate::latency;
use crate::outcome::{KindPhase, Percentiles, Phase, Tally, UnreadPhase};

/// A sample is good where at least so much of what was sent came, and nearly all of that sooner than
/// so many ms.
const GOOD_SHARE: f64 = 0.95;
const GOOD_P99_MS: f64 = 100.0;
/// As many good ones in a row make it normal.
const GOOD_SAMPLES: usize = 5;

/// What came of one kind between two samples.
pub(super) struct KindSample {
    pub(super) kind: &'static str,
    /// Packets that were sent, times those who take them.
    pub(super) due: u64,
    /// Change of what came; `lost` are holes before what came.
    pub(super) arrived: Tally,
    pub(super) latency: Histogram<u64>,
}

/// What came, between two samples, to sockets that nobody reads.
pub(super) struct UnreadSample {
    /// Beside each receiver.
    pub(super) sockets: u64,
    pub(super) came: u64,
}

/// What happened between two samples.
pub(super) struct Sample {
    pub(super) length_s: f64,
    pub(super) sent: u64,
    pub(super) kinds: [KindSample; 2],
    pub(super) unread: Option<UnreadSample>,
    pub(super) server_cpu_s: Option<f64>,
    pub(super) own_cpu_s: f64,
    pub(super) resident_bytes: Option<u64>,
}

/// The steps so far.
pub(super) struct Phases {
    profile: LoadProfile,
    over: Vec<Phase>,
    current: Current,
}

#[derive(Default)]
struct Current {
    length_s: f64,
    sent: u64,
    kinds: BTreeMap<&'static str, OfKind>,
    /// What was due to sockets that nobody reads, and what came.
    unread: Option<(u64, u64)>,
    server_cpu_s: Option<f64>,
    own_cpu_s: f64,
    resident_bytes: Option<u64>,
    /// `(from, good)` of each sample.
    samples: Vec<(f64, bool)>,
}

struct OfKind {
    due: u64,
    arrived: Tally,
    latency: Histogram<u64>,
}

impl Phases {
    pub(super) fn new(profile: LoadProfile) -> Self {
        Self {
            profile,
            over: Vec::new(),
            current: Current::default(),
        }
    }

    /// Adds a sample to the step under way.
    pub(super) fn add(&mut self, sample: Sample) {
        let current = &mut self.current;
        current.samples.push((current.length_s, is_good(&sample)));
        current.length_s += sample.length_s;
        current.sent += sample.sent;
        if let Some(unread) = sample.unread {
            let due: u64 = sample.kinds.iter().map(|of| of.due).sum();
            let (all_due, all_came) = current.unread.get_or_insert((0, 0));
            *all_due += due * unread.sockets;
            *all_came += unread.came;
        }
        for of in sample.kinds {
            let kind = current.kinds.entry(of.kind).or_insert_with(|| OfKind {
                due: 0,
                arrived: Tally::default(),
                latency: latency::histogram(),
            });
            kind.due += of.due;
            kind.arrived.merge(&of.arrived);
            latency::add(&mut kind.latency, &of.latency);
        }
        if let Some(seconds) = sample.server_cpu_s {
            *current.server_cpu_s.get_or_insert(0.0) += seconds;
        }
        current.own_cpu_s += sample.own_cpu_s;
        current.resident_bytes = sample.resident_bytes;
    }

    /// The step under way is over.
    pub(super) fn close(&mut self) {
        let step = self.profile.steps().get(self.over.len());
        let current = std::mem::take(&mut self.current);
        if let Some(step) = step.filter(|_| current.length_s > 0.0) {
            self.over.push(current.phase(step.share));
        }
    }

    /// All that are over.
    pub(super) fn all(self) -> Vec<Phase> {
        self.over
    }
}

impl Current {
    fn phase(self, share: f64) -> Phase {
        let mut all = latency::histogram();
        let (mut received, mut wire_bytes, mut expected) = (0, 0, 0);
        for of in self.kinds.values() {
            latency::add(&mut all, &of.latency);
            received += of.arrived.received;
            wire_bytes += of.arrived.wire_bytes;
            expected += of.due;
        }
        let per_second = |count: u64| count as f64 / self.length_s;
        let by_kind = self.kinds.into_iter().filter(|(_, of)| of.due > 0);
        Phase {
            share,
            seconds: self.length_s,
            sent_packets: self.sent,
            expected_per_second: per_second(expected),
            received_per_second: per_second(received),
            received_bps: per_second(wire_bytes) * 8.0,
            unread: self.unread.map(|(due, came)| UnreadPhase {
                expected_per_second: per_second(due),
                came_per_second: per_second(came),
            }),
            latency: Percentiles::of_any(&all),
            by_kind: by_kind
                .map(|(kind, of)| (kind.to_owned(), of.phase()))
                .collect(),
            normal_after_ms: normal_after_ms(&self.samples),
            server_cores: self.server_cpu_s.map(|seconds| seconds / self.length_s),
            own_cores: self.own_cpu_s / self.length_s,
            resident_bytes: self.resident_bytes,
        }
    }
}

impl OfKind {
    fn phase(&self) -> KindPhase {
        KindPhase {
            expected: self.due,
            received: self.arrived.received,
            lost: self.arrived.lost,
            latency: Percentiles::of_any(&self.latency),
        }
    }
}

fn is_good(sample: &Sample) -> bool {
    let due: u64 = sample.kinds.iter().map(|of| of.due).sum();
    let came: u64 = sample.kinds.iter().map(|of| of.arrived.received).sum();
    let is_soon = sample.kinds.iter().all(|of| {
        let p99_ms = of.latency.value_at_quantile(0.99) as f64 / 1e6;
        of.latency.is_empty() || p99_ms <= GOOD_P99_MS
    });
    is_soon && came as f64 >= due as f64 * GOOD_SHARE
}

/// Where the first good samples in a row begin.
fn normal_after_ms(samples: &[(f64, bool)]) -> Option<f64> {
    let mut rows = samples.windows(GOOD_SAMPLES);
    let row = rows.find(|row| row.iter().all(|(_, good)| *good))?;
    Some(row[0].0 * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(due: u64, came: u64, ms: u64) -> Sample {
        let kind = |kind, due, came, lost| {
            let mut of_kind = latency::histogram();
            of_kind.saturating_record(ms * 1_000_000);
            KindSample {
                kind,
                due,
                arrived: Tally {
                    received: came,
                    lost,
                    wire_bytes: came * 100,
                    ..Tally::default()
                },
                latency: of_kind,
            }
        };
        Sample {
            length_s: 0.1,
            sent: due / 10,
            kinds: [
                kind("audio", 100, 100, 0),
                kind("video", due - 100, came - 100, due - came),
            ],
            unread: Some(UnreadSample {
                sockets: 2,
                came: came * 2,
            }),
            server_cpu_s: Some(0.05),
            own_cpu_s: 0.02,
            resident_bytes: Some(1_000),
        }
    }

    #[test]
    fn each_step_has_figures_of_its_own() {
        let mut phases = Phases::new("50%:1s,100%:1s,50%:1s".parse().unwrap());
        (0..10).for_each(|_| phases.add(sample(1_000, 1_000, 5)));
        phases.close();
        (0..10).for_each(|_| phases.add(sample(3_000, 1_000, 80)));
        phases.close();
        for number in 0..10 {
            // Late, then few, then as ever.
            let (came, ms) = match number {
                0 => (1_000, 300),
                1 => (900, 5),
                _ => (1_000, 5),
            };
            phases.add(sample(1_000, came, ms));
        }
        phases.close();
        let all = phases.all();
        let normal: Vec<_> = all.iter().map(|phase| phase.normal_after_ms).collect();
        assert_eq!(normal[..2], [Some(0.0), None]);
        assert!((normal[2].unwrap() - 200.0).abs() < 1.0, "{normal:?}");
        let over = &all[1];
        assert_eq!(over.share, 1.0);
        assert!((over.received_per_second - 10_000.0).abs() < 1.0);
        assert!((over.expected_per_second - 30_000.0).abs() < 1.0);
        let unread = over.unread.unwrap();
        assert!((unread.expected_per_second - 60_000.0).abs() < 1.0);
        assert!((unread.came_per_second - 20_000.0).abs() < 1.0);
        assert_eq!(over.by_kind["audio"].lost, 0);
        assert_eq!(over.by_kind["video"].lost, 20_000);
        assert!((over.server_cores.unwrap() - 0.5).abs() < 1e-6);
    }
}
