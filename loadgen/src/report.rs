//! What a run gave, for people and programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::scenario::Tally;

/// A schedule kept worse than so at its 99th percentile spoils latencies.
const MAX_LATENESS_MS: f64 = 5.0;

/// Hears how a run goes.
pub trait Progress: Sync {
    /// So many of so many have joined.
    fn joining(&self, joined: usize, wanted: usize);
    /// Figures so far.
    fn running(&self, elapsed: Duration, total: Duration, tally: &Tally, p99: Duration);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn joining(&self, _joined: usize, _wanted: usize) {}
    fn running(&self, _elapsed: Duration, _total: Duration, _tally: &Tally, _p99: Duration) {}
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "how", content = "why")]
pub enum Ending {
    /// After its whole time.
    Completed,
    /// By Ctrl-C.
    Interrupted,
    /// The server died or no longer answered.
    ServerFailed(String),
}

/// Percentiles in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// 50th.
    pub p50: f64,
    /// 90th.
    pub p90: f64,
    /// 99th.
    pub p99: f64,
    /// 99.9th.
    pub p999: f64,
    /// 99.99th.
    pub p9999: f64,
    /// The largest.
    pub max: f64,
}

impl Percentiles {
    /// Of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max() as f64 / 1e6,
        }
    }
}

/// What a run gave.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name.
    pub scenario: String,
    /// The server's address.
    pub server: String,
    /// How clients were connected.
    pub transport: String,
    /// Receivers asked for.
    pub receivers_wanted: usize,
    /// Receivers that could join.
    pub receivers_joined: usize,
    /// Why the others could not.
    pub join_failures: Vec<String>,
    /// How long it was measured.
    pub seconds: f64,
    /// Packets sent by all senders, once each.
    pub sent_packets: u64,
    /// What came of all flows.
    pub tally: Tally,
    /// Packets that failed SRTP authentication.
    pub not_authentic: u64,
    /// Arrival minus intended send time in ms, by kind.
    pub latency: BTreeMap<String, Percentiles>,
    /// From asking for a flow to its first packet, in ms.
    pub first_packet: Option<Percentiles>,
    /// From asking for a flow to its first key frame, in ms.
    pub first_key_frame: Option<Percentiles>,
    /// CPU time of all threads of the engine per packet received, where it runs on this host.
    pub engine_cpu_us_per_packet: Option<f64>,
    /// How late the generator itself sent, in ms.
    pub generator_lateness: Percentiles,
    /// Packets still came long after the last was sent.
    pub own_backlog: bool,
    /// Datagrams lost at our own sockets.
    pub own_socket_drops: u64,
    /// Datagrams the kernel refused to send for us.
    pub own_send_failures: u64,
    /// How it ended.
    pub ending: Ending,
}

/// What a run must keep to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// Lost part of what was expected, 0.0 to 1.0.
    pub max_loss: Option<f64>,
    /// 99th percentile of the latency of every kind, in ms.
    pub max_p99_ms: Option<f64>,
}

impl Report {
    /// Why the figures say more about this program than about the server.
    pub fn inconclusive(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.own_socket_drops > 0 {
            reasons.push(format!(
                "{} datagrams lost at our own sockets",
                self.own_socket_drops
            ));
        }
        if self.own_backlog {
            reasons.push("packets were still waiting to be read at the end".to_owned());
        }
        if self.own_send_failures > 0 {
            reasons.push(format!(
                "{} datagrams could not be sent",
                self.own_send_failures
            ));
        }
        if self.generator_lateness.p99 > MAX_LATENESS_MS {
            reasons.push(format!(
                "the generator was {:.1} ms behind its schedule at p99",
                self.generator_lateness.p99
            ));
        }
        reasons
    }

    /// What went wrong: broken bounds, a failed server, receivers that could not join, packets
    /// that were not what was sent.
    pub fn failures(&self, bounds: &Bounds) -> Vec<String> {
        let mut failures = Vec::new();
        if let Ending::ServerFailed(why) = &self.ending {
            failures.push(format!("the server failed: {why}"));
        }
        if let Some(first) = self.join_failures.first() {
            failures.push(format!(
                "{} of {} receivers could not join: {first}",
                self.join_failures.len(),
                self.receivers_wanted
            ));
        }
        if self.not_authentic > 0 {
            failures.push(format!("{} packets were not authentic", self.not_authentic));
        }
        if self.tally.corrupt > 0 {
            failures.push(format!("{} packets were corrupt", self.tally.corrupt));
        }
        if let Some(max) = bounds.max_loss
            && self.tally.loss() > max
        {
            let loss = self.tally.loss() * 100.0;
            failures.push(format!("loss of {loss:.4} % is over {:.4} %", max * 100.0));
        }
        if let Some(max) = bounds.max_p99_ms {
            for (kind, latency) in self.latency.iter().filter(|(_, latency)| latency.p99 > max) {
                failures.push(format!(
                    "p99 of {kind}, {:.2} ms, is over {max:.2} ms",
                    latency.p99
                ));
            }
        }
        failures
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(
            f,
            "{} over {} on {}",
            self.scenario, self.transport, self.server
        )?;
        match &self.ending {
            Ending::Completed => {}
            Ending::Interrupted => writeln!(f, "interrupted: figures so far")?,
            Ending::ServerFailed(why) => writeln!(f, "SERVER FAILED: {why}")?,
        }
        for reason in self.inconclusive() {
            writeln!(f, "INCONCLUSIVE: {reason}")?;
        }
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<26}{value:>16}");
        row(
            "receivers",
            format!("{} of {}", self.receivers_joined, self.receivers_wanted),
        )?;
        row("measured", format!("{:.1} s", self.seconds))?;
        row("sent", self.sent_packets.to_string())?;
        row("received", tally.received.to_string())?;
        row(
            "lost",
            format!("{} ({:.4} %)", tally.lost, tally.loss() * 100.0),
        )?;
        row("silent flows", tally.silent_flows.to_string())?;
        row("not authentic", self.not_authentic.to_string())?;
        row("corrupt", tally.corrupt.to_string())?;
        row("duplicates", tally.duplicates.to_string())?;
        row("reordered", tally.reordered.to_string())?;
        row("renumbered", tally.renumbered.to_string())?;
        row(
            "repaired by RTX",
            format!("{} of {}", tally.repaired, tally.rtx_packets),
        )?;
        if let Some(cpu) = self.engine_cpu_us_per_packet {
            row("engine CPU per packet", format!("{cpu:.2} µs"))?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "  {:<16}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "ms", "p50", "p90", "p99", "p99.9", "p99.99", "max"
        )?;
        let mut percentiles = |name: &str, at: &Percentiles| {
            writeln!(
                f,
                "  {name:<16}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
                at.p50, at.p90, at.p99, at.p999, at.p9999, at.max
            )
        };
        for (kind, latency) in &self.latency {
            percentiles(&format!("{kind} latency"), latency)?;
        }
        if let Some(times) = &self.first_packet {
            percentiles("first packet", times)?;
        }
        if let Some(times) = &self.first_key_frame {
            percentiles("first key frame", times)?;
        }
        percentiles("own lateness", &self.generator_lateness)
    }
}
