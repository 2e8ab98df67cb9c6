//! From the beginning of the measured time to its figures.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::play::Scenario;
use super::processes::{CpuTimes, Processes, own_cores, own_seconds, socket_drops};
use super::run::Run;
use crate::latency::{self, LatencySink};
use crate::leg::{lock, read_stats};
use crate::outcome::{
    Bounds, Cpu, Ending, JoinTimes, KindOutcome, Outcome, Own, Participants, Percentiles, Phase,
    Second, Sent, Tally, Trains, Verdict,
};

/// Points of a latency curve per halving of the distance to 100 %.
const CURVE_STEPS: u32 = 4;

/// What was so when measuring began.
pub(super) struct Measure {
    at: Instant,
    received: u64,
    trains: Vec<u64>,
    server: CpuTimes,
    own_seconds: f64,
}

/// What changed until it ended.
pub(super) struct Measured {
    elapsed: Duration,
    cpu: Option<Cpu>,
    own_cpu_share: f64,
    trains: Vec<Trains>,
    lateness: Histogram<u64>,
    read_delay: Histogram<u64>,
}

impl Measure {
    pub(super) fn begin(run: &Run, processes: &Processes) -> Self {
        run.generator.take_lateness();
        read_stats().take_delay();
        Self {
            at: Instant::now(),
            received: packets(&run.crowd.tally_of_arrived()),
            trains: read_stats().trains(),
            server: processes.times(),
            own_seconds: own_seconds(),
        }
    }

    pub(super) fn end(self, run: &Run, processes: &Processes) -> Measured {
        let elapsed = self.at.elapsed();
        let received = packets(&run.crowd.tally_of_arrived()).saturating_sub(self.received);
        let cores = own_cores();
        let own_cores_used = (own_seconds() - self.own_seconds) / elapsed.as_secs_f64().max(0.001);
        let trains = read_stats().trains();
        let trains = (1..).zip(trains.iter().zip(&self.trains));
        let trains = trains.map(|(length, (now, before))| Trains {
            length,
            count: now - before,
        });
        Measured {
            elapsed,
            cpu: processes.used(&self.server, &processes.times(), elapsed, received),
            own_cpu_share: own_cores_used / cores as f64,
            trains: trains.filter(|trains| trains.count > 0).collect(),
            lateness: run.generator.take_lateness(),
            read_delay: read_stats().take_delay(),
        }
    }
}

impl Measured {
    /// Everything together; not judged yet.
    pub(super) fn outcome(
        self,
        scenario: &Scenario,
        run: &Run,
        began: Duration,
        (timeline, phases): (Vec<Second>, Vec<Phase>),
        has_drained: bool,
        ending: Ending,
    ) -> Outcome {
        let sums = run.crowd.sums(&run.sent(), &socket_drops());
        let (video, audio) = (&run.latency.video, &run.latency.audio);
        let mut all = lock(video).all();
        latency::add(&mut all, &lock(audio).all());
        let kinds = [("video", sums.video, video), ("audio", sums.audio, audio)];
        let by_kind = kinds
            .into_iter()
            .filter(|(_, tally, _)| tally.flows > 0)
            .map(|(kind, tally, sink)| (kind.to_owned(), kind_outcome(tally, sink)));
        let mut settings = scenario.cast.settings();
        settings.extend(scenario.traffic.settings());
        settings.extend(scenario.manners());
        let own = |(name, value): (&str, String)| (name.to_owned(), value);
        Outcome {
            scenario: scenario.cast.name().to_owned(),
            settings: settings.into_iter().map(own).collect(),
            server: run.api.base().to_owned(),
            transport: scenario.transport.name(),
            signaling: scenario.signaling.name().to_owned(),
            started_unix_ms: began.as_millis() as u64,
            seconds: self.elapsed.as_secs_f64(),
            participants: Participants {
                wanted: run.wanted.load(Ordering::Relaxed),
                joined: run.joined(),
                left: run.crowd.left(),
                failures: run.failures(),
                failed: run.failed(),
            },
            sent: sent(run),
            totals: sums.all(),
            by_kind: by_kind.collect::<BTreeMap<_, _>>(),
            latency: Percentiles::of_any(&all),
            join: JoinTimes {
                joined: Percentiles::of_any(&run.crowd.join_times()),
                first_packet: Percentiles::of_any(&sums.first_packet),
                first_key_frame: Percentiles::of_any(&sums.first_key_frame),
            },
            refused: sums.refused,
            feedback: sums.feedback,
            timeline,
            phases,
            trains: self.trains,
            cpu: self.cpu,
            own: Own {
                cpu_share: self.own_cpu_share,
                cores: own_cores(),
                lateness: Percentiles::of_any(&self.lateness),
                read_delay: Percentiles::of_any(&self.read_delay),
                socket_drops: sums.socket_drops,
                send_failures: sums.send_failures,
                backlog: !has_drained,
            },
            ending,
            bounds: Bounds::default(),
            verdict: Verdict::Passed,
            failures: Vec::new(),
            inconclusive: Vec::new(),
        }
    }
}

/// RTP packets that came, whatever they were.
fn packets(tally: &Tally) -> u64 {
    (tally.received + tally.duplicates + tally.rtx_packets).saturating_sub(tally.repaired)
}

fn sent(run: &Run) -> Sent {
    let mut sent = Sent::default();
    for totals in run.stream_totals() {
        sent.streams += 1;
        sent.packets += totals.packets;
        sent.payload_bytes += totals.payload_bytes;
        sent.retransmitted += totals.retransmitted;
        sent.key_frames += totals.key_frames;
    }
    sent
}

fn kind_outcome(tally: Tally, sink: &LatencySink) -> KindOutcome {
    let all = lock(sink).all();
    let curve = all.iter_quantiles(CURVE_STEPS).map(|point| {
        let ms = point.value_iterated_to() as f64 / 1e6;
        (point.quantile_iterated_to(), ms)
    });
    KindOutcome {
        tally,
        latency: Percentiles::of_any(&all),
        latency_curve: curve.collect(),
    }
}
