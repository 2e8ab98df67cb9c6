//! How much a server carries.
//!
//! [`search`](search()) raises the load until the server breaks a bound, narrows that down, and
//! then measures latency at 10, 50 and 90 % of what it carried. The search itself knows no server
//! and no clock (`search.rs`); a trial is a whole run of a scenario.

mod args;
mod derive;
mod search;

pub use args::CapacityArgs;
pub use derive::Derived;
pub use search::{Found, Judgement, Limit, Search, SearchSettings, Step, Trial};

use anyhow::Result;
use serde::Serialize;

use crate::outcome::{Bounds, Ending, Outcome, Verdict};

/// At so many percent of the highest clean load is measured in the end.
pub const LEVELS: [u32; 3] = [10, 50, 90];
/// 99th percentile of the latency that a search allows where nothing else is asked: the length of
/// an Opus frame.
pub const DEFAULT_MAX_P99_MS: f64 = 20.0;

/// What a search gave.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Name of the scenario.
    pub scenario: String,
    /// What the load is a number of, such as `receivers`.
    pub unit: String,
    /// The server's address.
    pub server: String,
    /// How clients were connected.
    pub transport: String,
    /// What every trial had to keep to.
    pub bounds: Bounds,
    /// The highest clean load and what was above it.
    pub found: Found,
    /// Why the search ended early.
    pub stopped: Option<String>,
    /// Packets per second that all receivers together got at the highest clean load, the mean of
    /// its trials.
    pub packets_per_second: Option<f64>,
    /// The same at the lowest load above that, which was not clean.
    pub exceeded_packets_per_second: Option<f64>,
    /// What the server may carry beyond that, by its CPU time, where not the server set the limit.
    pub derived: Option<Derived>,
    /// Every trial, in order.
    pub trials: Vec<TrialResult>,
    /// The runs at parts of the highest clean load.
    pub levels: Vec<Level>,
}

/// A trial and what it showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialResult {
    /// The load.
    pub load: u64,
    /// It counted as a full trial.
    pub full: bool,
    /// How long was measured, in s.
    pub seconds: f64,
    /// What it showed.
    pub judgement: Judgement,
    /// Why it was not clean; empty where it was.
    pub why: Vec<String>,
    /// Packets that all receivers together got per second.
    pub packets_per_second: f64,
    /// Lost part, 0.0 to 1.0.
    pub loss: f64,
    /// 99th percentile of the latency of all kinds, in ms.
    pub p99_ms: Option<f64>,
    /// CPU time of the processes under test, in cores.
    pub server_cores: Option<f64>,
    /// CPU time of the generator as a part of what it was allowed, 0.0 to 1.0.
    pub own_cpu_share: f64,
}

/// A run at a part of the highest clean load.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// How much of the highest clean load, in percent.
    pub percent: u32,
    /// The load.
    pub load: u64,
    /// The whole run.
    pub outcome: Outcome,
}

/// Searches, with a function that runs the scenario under a load for a time, and one that hears
/// of each trial.
///
/// An error means that the first trial could not be run; what goes wrong later ends the search,
/// with what was found so far.
pub async fn search(
    settings: SearchSettings,
    unit: &str,
    mut run: impl AsyncFnMut(Trial) -> Result<Outcome>,
    mut heard: impl FnMut(&TrialResult),
) -> Result<Capacity> {
    let mut search = Search::new(settings);
    let mut capacity: Option<Capacity> = None;
    // The clean trial at the highest load so far, from which more may be derived.
    let mut best: Option<(u64, Outcome)> = None;
    let mut stopped = None;
    let found = loop {
        let trial = match search.next() {
            Step::Done(found) => break found,
            Step::Try(trial) => trial,
        };
        let outcome = match (run(trial).await, &capacity) {
            (Ok(outcome), _) => outcome,
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => {
                stopped = Some(format!("at {} {unit}: {error:#}", trial.load));
                break search.so_far();
            }
        };
        let capacity = capacity.get_or_insert_with(|| Capacity::begin(unit, &outcome));
        let result = TrialResult::of(&trial, &outcome);
        heard(&result);
        stopped = early_end(&outcome).map(|why| format!("at {} {unit}: {why}", trial.load));
        if stopped.is_some() {
            capacity.trials.push(result);
            break search.so_far();
        }
        search.judge(&trial, result.judgement);
        if result.judgement == Judgement::Clean
            && best.as_ref().is_none_or(|(load, _)| trial.load >= *load)
        {
            best = Some((trial.load, outcome));
        }
        capacity.trials.push(result);
    };
    let Some(mut capacity) = capacity else {
        anyhow::bail!("no trial was run");
    };
    capacity.conclude(found, stopped, best);
    if capacity.stopped.is_none() {
        capacity.measure_levels(&settings, run).await;
    }
    Ok(capacity)
}

/// Why a run ends the search. A server that fails under a load has had too much of it; one that
/// is gone for good shows in the next trial.
fn early_end(outcome: &Outcome) -> Option<String> {
    (outcome.ending == Ending::Interrupted).then(|| "interrupted".to_owned())
}

impl Capacity {
    /// What comes of the search: passed where the server's limit was found, or none was met.
    pub fn verdict(&self) -> Verdict {
        match (self.found.limit, self.found.clean) {
            _ if self.stopped.is_some() => Verdict::Inconclusive,
            (Limit::Generator | Limit::Unfinished, _) => Verdict::Inconclusive,
            (Limit::Server, None) => Verdict::Failed,
            (Limit::Server | Limit::Max, _) => Verdict::Passed,
        }
    }

    fn begin(unit: &str, outcome: &Outcome) -> Self {
        Self {
            scenario: outcome.scenario.clone(),
            unit: unit.to_owned(),
            server: outcome.server.clone(),
            transport: outcome.transport.clone(),
            bounds: outcome.bounds,
            found: Found::NOTHING,
            stopped: None,
            packets_per_second: None,
            exceeded_packets_per_second: None,
            derived: None,
            trials: Vec::new(),
            levels: Vec::new(),
        }
    }

    fn conclude(&mut self, found: Found, stopped: Option<String>, best: Option<(u64, Outcome)>) {
        self.found = found;
        self.stopped = stopped;
        let clean = |trial: &&TrialResult| trial.judgement == Judgement::Clean;
        self.packets_per_second = found
            .clean
            .and_then(|load| mean_rate(self.trials.iter().filter(clean), load));
        self.exceeded_packets_per_second = found
            .exceeded
            .and_then(|load| mean_rate(self.trials.iter().filter(|trial| !clean(trial)), load));
        if found.limit != Limit::Server
            && let Some((load, outcome)) = best
            && Some(load) == found.clean
        {
            self.derived = derive::derived(&outcome);
        }
    }

    async fn measure_levels(
        &mut self,
        settings: &SearchSettings,
        mut run: impl AsyncFnMut(Trial) -> Result<Outcome>,
    ) {
        let Some(clean) = self.found.clean else {
            return;
        };
        for percent in LEVELS {
            let load = (clean * u64::from(percent)).div_ceil(100);
            if self.levels.last().is_some_and(|level| level.load == load) {
                continue;
            }
            let trial = Trial {
                load,
                duration: settings.duration,
                is_full: true,
            };
            let ended = match run(trial).await {
                Ok(outcome) => {
                    let ended = early_end(&outcome);
                    self.levels.push(Level {
                        percent,
                        load,
                        outcome,
                    });
                    ended
                }
                Err(error) => Some(format!("{error:#}")),
            };
            if let Some(why) = ended {
                self.stopped = Some(format!("at {percent} % of the capacity: {why}"));
                return;
            }
        }
    }
}

impl TrialResult {
    fn of(trial: &Trial, outcome: &Outcome) -> Self {
        let (judgement, why) = judge(outcome);
        Self {
            load: trial.load,
            full: trial.is_full,
            seconds: outcome.seconds,
            judgement,
            why,
            packets_per_second: outcome.received_per_second(),
            loss: outcome.totals.loss(),
            p99_ms: outcome.latency.map(|latency| latency.p99),
            server_cores: outcome.cpu.as_ref().map(|cpu| cpu.cores),
            own_cpu_share: outcome.own.cpu_share,
        }
    }
}

/// A run that the generator spoiled says nothing of the server, whatever else it shows.
fn judge(outcome: &Outcome) -> (Judgement, Vec<String>) {
    if !outcome.inconclusive.is_empty() {
        (Judgement::GeneratorBound, outcome.inconclusive.clone())
    } else if !outcome.failures.is_empty() {
        (Judgement::Exceeded, outcome.failures.clone())
    } else {
        (Judgement::Clean, Vec::new())
    }
}

fn mean_rate<'a>(trials: impl Iterator<Item = &'a TrialResult>, load: u64) -> Option<f64> {
    let rates: Vec<f64> = trials
        .filter(|trial| trial.load == load)
        .map(|trial| trial.packets_per_second)
        .collect();
    (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
