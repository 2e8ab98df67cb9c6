//! The figures: for people, and as JSON.

use std::fs;

use serde::Serialize;
use weirgate_wire::SrtpSuite;

use crate::args::{Args, Sockets, Via};
use crate::link::Link;
use crate::measure::Sample;
use crate::seal::SealSample;

/// Under this share of the packets received, or of the pace kept, a round says nothing: what is
/// dropped is cheap, and what waits is sent in other company.
const CONCLUSIVE: f64 = 0.99;

/// Everything measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    machine: Machine,
    scenario: Scenario,
    send: Vec<SendReport>,
    seal: Vec<SealReport>,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Scenario {
    receivers: usize,
    groups: usize,
    burst: usize,
    packet_bytes: usize,
    packets_per_second: f64,
    link: Link,
    sockets: Sockets,
    seconds: f64,
}

/// One way to send at one train length: medians of the rounds that say something, and every round.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SendReport {
    via: Via,
    train: usize,
    /// CPU time of the sending process per packet sent, in ns.
    sender_ns: f64,
    /// CPU time of the receiving process per packet received, in ns.
    receiver_ns: f64,
    /// CPU time of the kernel's own threads for packets, per packet sent, in ns: what the sender was
    /// spared, and all other programs' too.
    kernel_ns: Option<f64>,
    /// Rounds that kept the pace and lost nothing to speak of.
    good_rounds: usize,
    /// Why the figures say nothing, where most rounds do not. They are those of all rounds then.
    inconclusive: Option<String>,
    rounds: Vec<Sample>,
}

/// One suite: medians, and every round.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SealReport {
    suite: &'static str,
    /// At the scenario's pace.
    ns: f64,
    /// Without a pause.
    hot_ns: f64,
    /// At the scenario's pace.
    rounds: Vec<f64>,
}

impl Report {
    pub(crate) fn new(args: &Args, send: Vec<SendReport>, seal: Vec<SealReport>) -> Self {
        Self {
            machine: Machine::read(),
            scenario: Scenario {
                receivers: args.receivers,
                groups: args.groups,
                burst: args.burst,
                packet_bytes: args.packet,
                packets_per_second: args.pace * args.receivers as f64,
                link: args.link,
                sockets: args.sockets,
                seconds: args.duration,
            },
            send,
            seal,
        }
    }

    /// A table.
    pub(crate) fn print(&self) {
        let Machine { cpu, cores, kernel } = &self.machine;
        println!("{cpu}, {cores} cores, Linux {kernel}");
        let scenario = &self.scenario;
        println!(
            "{} receivers, bursts of {} packets of {} bytes, {:.0} packets/s in all, {:?} sockets, over {}",
            scenario.receivers,
            scenario.burst,
            scenario.packet_bytes,
            scenario.packets_per_second,
            scenario.sockets,
            scenario.link.name()
        );
        println!("ns of CPU time per packet, median of the rounds:");
        for seal in &self.seal {
            println!(
                "  copy and seal, {:<24} {:>6.0}  (without pauses {:.0})",
                seal.suite, seal.ns, seal.hot_ns
            );
        }
        let seal = self.seal.first();
        println!("  via    train  sender  + seal  receiver  ksoftirqd  rounds");
        for send in &self.send {
            println!(
                "  {:<5} {:>6} {:>7.0} {:>7.0} {:>9.0} {:>10} {:>3} of {}  {}",
                send.via.name(),
                send.train,
                send.sender_ns,
                send.sender_ns + seal.map_or(0.0, |seal| seal.ns),
                send.receiver_ns,
                send.kernel_ns
                    .map_or("unknown".to_owned(), |nanos| format!("{nanos:.0}")),
                send.good_rounds,
                send.rounds.len(),
                send.inconclusive.as_deref().unwrap_or_default()
            );
        }
    }
}

impl SendReport {
    pub(crate) fn new(via: Via, train: usize, args: &Args, rounds: Vec<Sample>) -> Self {
        let wanted = args.pace * args.receivers as f64;
        let good: Vec<&Sample> = rounds
            .iter()
            .filter(|round| round.delivered() >= CONCLUSIVE && round.rate >= wanted * CONCLUSIVE)
            .collect();
        let good_rounds = good.len();
        let is_conclusive = good_rounds * 2 > rounds.len();
        let counted = if is_conclusive {
            good
        } else {
            rounds.iter().collect()
        };
        Self {
            via,
            train,
            sender_ns: median(counted.iter().map(|round| round.sender_ns)),
            receiver_ns: median(counted.iter().map(|round| round.receiver_ns)),
            kernel_ns: counted
                .iter()
                .map(|round| round.kernel_ns)
                .collect::<Option<Vec<f64>>>()
                .map(|values| median(values.into_iter())),
            good_rounds,
            inconclusive: (!is_conclusive).then(|| trouble(&rounds)),
            rounds,
        }
    }
}

fn trouble(rounds: &[Sample]) -> String {
    let delivered = median(rounds.iter().map(Sample::delivered));
    if delivered < CONCLUSIVE {
        let percent = delivered * 100.0;
        format!("inconclusive: only {percent:.1} % of the packets were received")
    } else {
        let rate = median(rounds.iter().map(|round| round.rate));
        format!("inconclusive: only {rate:.0} packets/s were sent")
    }
}

impl SealReport {
    pub(crate) fn new(suite: SrtpSuite, samples: &[SealSample]) -> Self {
        let rounds: Vec<f64> = samples.iter().map(|sample| sample.paced_ns).collect();
        Self {
            suite: suite.name(),
            ns: median(rounds.iter().copied()),
            hot_ns: median(samples.iter().map(|sample| sample.hot_ns)),
            rounds,
        }
    }
}

impl Machine {
    fn read() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let names: Vec<&str> = info
            .lines()
            .filter_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map(|(_, name)| name.trim())
            .collect();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: names.first().copied().unwrap_or("unknown CPU").to_owned(),
            cores: names.len().max(1),
            kernel: kernel.trim().to_owned(),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => values[len / 2 - 1].midpoint(values[len / 2]),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn round(sent: u64, received: u64, rate: f64, sender_ns: f64) -> Sample {
        Sample {
            sent,
            refused: 0,
            received,
            rate,
            sender_ns,
            receiver_ns: 0.0,
            kernel_ns: None,
        }
    }

    #[test]
    fn rounds_that_lost_packets_or_lagged_count_only_where_most_did() {
        let args = Args::parse_from(["floor", "--receivers=10", "--pace=10"]);
        let report = |rounds| SendReport::new(Via::Bare, 9, &args, rounds);
        let good = round(1000, 1000, 100.0, 7.0);
        let lossy = round(1000, 900, 100.0, 1.0);
        let slow = round(1000, 1000, 50.0, 2.0);
        let mostly_good = report(vec![lossy.clone(), good.clone(), good.clone()]);
        assert_eq!((mostly_good.good_rounds, mostly_good.sender_ns), (2, 7.0));
        assert_eq!(mostly_good.inconclusive, None);
        let mostly_lossy = report(vec![lossy.clone(), lossy, good.clone()]);
        assert!(mostly_lossy.inconclusive.unwrap().contains("90.0 %"));
        let mostly_slow = report(vec![slow.clone(), slow, good]);
        assert!(mostly_slow.inconclusive.unwrap().contains("50 packets/s"));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
