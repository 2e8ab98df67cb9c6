//! The figures: for people, and as JSON.

use std::fs;

use serde::Serialize;
use weirgate_wire::SrtpSuite;

use crate::args::{Args, Sockets, Via};
use crate::measure::Sample;

/// Under this share of the packets received, or of the pace kept, a figure says nothing: what is
/// dropped is cheap.
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
    burst: usize,
    packet_bytes: usize,
    packets_per_second: f64,
    sockets: Sockets,
    seconds: f64,
}

/// One way to send at one train length: medians, and every round.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SendReport {
    via: Via,
    train: usize,
    /// CPU time of the sending process per packet sent, in ns.
    sender_ns: f64,
    /// CPU time of the receiving process per packet received, in ns.
    receiver_ns: f64,
    /// Least share of the packets sent that was received, of all rounds.
    received_share: f64,
    /// Why the figures say nothing, where that is so.
    inconclusive: Option<String>,
    rounds: Vec<Sample>,
}

/// One suite: the median, and every round.
#[derive(Debug, Serialize)]
pub(crate) struct SealReport {
    suite: &'static str,
    ns: f64,
    rounds: Vec<f64>,
}

impl Report {
    pub(crate) fn new(args: &Args, send: Vec<SendReport>, seal: Vec<SealReport>) -> Self {
        Self {
            machine: Machine::read(),
            scenario: Scenario {
                receivers: args.receivers,
                burst: args.burst,
                packet_bytes: args.packet,
                packets_per_second: args.pace * args.receivers as f64,
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
            "{} receivers, bursts of {} packets of {} bytes, {:.0} packets/s in all, {:?} sockets",
            scenario.receivers,
            scenario.burst,
            scenario.packet_bytes,
            scenario.packets_per_second,
            scenario.sockets
        );
        println!("ns of CPU time per packet, median of the rounds:");
        for seal in &self.seal {
            println!("  copy and seal, {:<24} {:>6.0}", seal.suite, seal.ns);
        }
        let seal = self.seal.first();
        println!("  via    train  sender  + seal  receiver  received");
        for send in &self.send {
            println!(
                "  {:<5} {:>6} {:>7.0} {:>7.0} {:>9.0} {:>8.1} %  {}",
                send.via.name(),
                send.train,
                send.sender_ns,
                send.sender_ns + seal.map_or(0.0, |seal| seal.ns),
                send.receiver_ns,
                send.received_share * 100.0,
                send.inconclusive.as_deref().unwrap_or_default()
            );
        }
    }
}

impl SendReport {
    pub(crate) fn new(via: Via, train: usize, args: &Args, rounds: Vec<Sample>) -> Self {
        let wanted = args.pace * args.receivers as f64;
        let least = |share: fn(&Sample) -> f64| rounds.iter().map(share).fold(f64::MAX, f64::min);
        let received_share = least(|round| round.received as f64 / round.sent.max(1) as f64);
        let rate = least(|round| round.rate);
        let inconclusive = if received_share < CONCLUSIVE {
            Some("inconclusive: the receiver lost packets".to_owned())
        } else if rate < wanted * CONCLUSIVE {
            Some(format!(
                "inconclusive: {rate:.0} packets/s was all the sender could do"
            ))
        } else {
            None
        };
        Self {
            via,
            train,
            sender_ns: median(rounds.iter().map(|round| round.sender_ns)),
            receiver_ns: median(rounds.iter().map(|round| round.receiver_ns)),
            received_share,
            inconclusive,
            rounds,
        }
    }
}

impl SealReport {
    pub(crate) fn new(suite: SrtpSuite, rounds: Vec<f64>) -> Self {
        Self {
            suite: suite.name(),
            ns: median(rounds.iter().copied()),
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
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
