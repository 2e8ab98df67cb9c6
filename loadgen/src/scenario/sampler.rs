//! The run second by second, and step by step of its load.

use std::time::{Duration, Instant};

use super::load::LoadProfile;
use super::phases::{KindSample, Phases, Sample, UnreadSample};
use super::processes::{CpuTimes, Processes, own_seconds};
use super::run::Run;
use crate::latency;
use crate::leg::{lock, read_stats};
use crate::outcome::{Percentiles, Phase, Second, Tally};

/// A shorter time tells no rate.
pub(super) const SHORTEST: Duration = Duration::from_millis(10);

/// Takes a sample each time it is asked.
pub(super) struct Sampler {
    began: Instant,
    before: Counts,
    timeline: Vec<Second>,
    phases: Option<Phases>,
}

struct Counts {
    at: Instant,
    sent: u64,
    tally: Tally,
    kinds: [KindCounts; 2],
    unread: Option<u64>,
    trains: Vec<u64>,
    server: CpuTimes,
    own_seconds: f64,
}

/// What was sent to all receivers of a kind together, and what came.
#[derive(Clone, Copy, Default)]
pub(super) struct KindCounts {
    pub(super) due: u64,
    pub(super) arrived: Tally,
}

impl Sampler {
    pub(super) fn new(run: &Run, processes: &Processes, load: Option<LoadProfile>) -> Self {
        let before = Counts::now(run, processes);
        Self {
            began: before.at,
            before,
            timeline: Vec::new(),
            phases: load.map(Phases::new),
        }
    }

    /// When the latest sample was taken.
    pub(super) fn latest(&self) -> Instant {
        self.before.at
    }

    /// Closes the second that began with the sample before.
    pub(super) fn sample(&mut self, run: &Run, processes: &Processes, measured: bool) {
        if self.before.at.elapsed() < SHORTEST {
            // What came since then is the next one's.
            return;
        }
        let now = Counts::now(run, processes);
        let before = std::mem::replace(&mut self.before, now);
        let now = &self.before;
        let length_s = (now.at - before.at).as_secs_f64();
        let audio = lock(&run.latency.audio).take_recent();
        let video = lock(&run.latency.video).take_recent();
        let mut latencies = video.clone();
        latency::add(&mut latencies, &audio);
        let cores = |seconds: f64| seconds / length_s;
        // Participants who failed take their counts with them.
        let more = |now: u64, before: u64| now.saturating_sub(before);
        self.timeline.push(Second {
            at_s: (now.at - self.began).as_secs_f64(),
            length_s,
            measured,
            participants: run.crowd.present() as u64,
            sent_packets: more(now.sent, before.sent),
            received_packets: more(now.tally.received, before.tally.received),
            wire_bytes: more(now.tally.wire_bytes, before.tally.wire_bytes),
            lost: now.tally.lost as i64 - before.tally.lost as i64,
            rtx_packets: more(now.tally.rtx_packets, before.tally.rtx_packets),
            latency: Percentiles::of_any(&latencies),
            train_length: mean_length(&before.trains, &now.trains),
            server_cores: processes
                .are_seen()
                .then(|| cores(now.server.seconds_since(&before.server))),
            own_cores: cores(now.own_seconds - before.own_seconds),
        });
        if let Some(phases) = self.phases.as_mut().filter(|_| measured) {
            let kind = |number: usize, kind, latency| {
                let (now, before) = (&now.kinds[number], &before.kinds[number]);
                KindSample {
                    kind,
                    due: more(now.due, before.due),
                    arrived: Tally {
                        received: more(now.arrived.received, before.arrived.received),
                        lost: more(now.arrived.lost, before.arrived.lost),
                        wire_bytes: more(now.arrived.wire_bytes, before.arrived.wire_bytes),
                        ..Tally::default()
                    },
                    latency,
                }
            };
            let server_cpu_s = now.server.seconds_since(&before.server);
            phases.add(Sample {
                length_s,
                sent: more(now.sent, before.sent),
                kinds: [kind(0, "audio", audio), kind(1, "video", video)],
                unread: now
                    .unread
                    .zip(before.unread)
                    .map(|(now, before)| UnreadSample {
                        sockets: run.manner.unread as u64,
                        came: more(now, before),
                    }),
                server_cpu_s: processes.are_seen().then_some(server_cpu_s),
                own_cpu_s: now.own_seconds - before.own_seconds,
                resident_bytes: processes.resident_bytes(),
            });
        }
    }

    /// The step of the load under way is over.
    pub(super) fn close_phase(&mut self) {
        if let Some(phases) = &mut self.phases {
            phases.close();
        }
    }

    /// Packets sent and what came of them, as of the latest sample.
    pub(super) fn counts(&self) -> (u64, &Tally) {
        (self.before.sent, &self.before.tally)
    }

    /// All seconds, and all steps of the load.
    pub(super) fn samples(self) -> (Vec<Second>, Vec<Phase>) {
        (
            self.timeline,
            self.phases.map(Phases::all).unwrap_or_default(),
        )
    }
}

impl Counts {
    fn now(run: &Run, processes: &Processes) -> Self {
        let sent = run.sent();
        let kinds = run.crowd.kind_counts(&sent);
        let mut tally = kinds[0].arrived;
        tally.merge(&kinds[1].arrived);
        Self {
            at: Instant::now(),
            sent: sent.all(),
            tally,
            kinds,
            unread: run.unread.came(),
            trains: read_stats().trains(),
            server: processes.times(),
            own_seconds: own_seconds(),
        }
    }
}

/// Datagrams per train between two counts by length.
fn mean_length(before: &[u64], now: &[u64]) -> f64 {
    let (mut trains, mut datagrams) = (0, 0);
    for (length, (before, now)) in (1..).zip(before.iter().zip(now)) {
        trains += now - before;
        datagrams += length * (now - before);
    }
    if trains == 0 {
        return 0.0;
    }
    datagrams as f64 / trains as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_train_is_that_of_late() {
        assert_eq!(mean_length(&[5, 0, 1], &[5, 0, 1]), 0.0);
        assert_eq!(mean_length(&[5, 0, 1], &[6, 0, 2]), 2.0);
    }
}
