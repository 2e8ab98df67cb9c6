//! Which load to try next: a search without input or output.
//!
//! In the manner of RFC 9971 (MLRsearch), which refines RFC 2544, section 26.1: a load is decided
//! by the majority of its trials rather than by one, the relevant upper bound is the lowest load
//! that was too much, and the relevant lower bound the highest clean one below that. Short trials
//! double the load until one is not clean; full trials confirm and bisect.

use std::collections::BTreeMap;
use std::time::Duration;

/// How a capacity is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchSettings {
    /// The load tried first, at least 1.
    pub start: u64,
    /// The highest load tried.
    pub max: u64,
    /// The search ends where the bounds are this close, as a part of the upper one. Adjacent
    /// loads are always close enough.
    pub precision: f64,
    /// Full trials that a load gets at most; the majority decides. An odd number.
    pub repeats: u32,
    /// How long a full trial measures.
    pub duration: Duration,
    /// How long a trial measures that only looks for the order of magnitude.
    pub short_duration: Duration,
}

impl SearchSettings {
    /// From 10 on, to 5 %, two of three full trials of that length deciding.
    pub fn new(duration: Duration) -> Self {
        Self {
            start: 10,
            max: 100_000,
            precision: 0.05,
            repeats: 3,
            duration,
            short_duration: duration / 3,
        }
    }

    fn majority(&self) -> u32 {
        self.repeats / 2 + 1
    }
}

/// What a trial showed of its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Judgement {
    /// The server kept every bound.
    Clean,
    /// The server broke a bound or refused receivers.
    Exceeded,
    /// The generator itself was the bottleneck: nothing is known of the server.
    GeneratorBound,
}

/// A trial that is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// How much.
    pub load: u64,
    /// For how long.
    pub duration: Duration,
    /// Whether it counts as a full trial.
    pub is_full: bool,
}

/// What ended the search above the highest clean load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    /// The server: the next load was too much for it.
    Server,
    /// The generator: the next load was too much for it, and so the server's limit is higher.
    Generator,
    /// The highest load that was allowed is clean.
    Max,
    /// None was reached: the search was given up before.
    Unfinished,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The highest clean load; `None` where even a load of 1 is too much.
    pub clean: Option<u64>,
    /// The lowest load above it that was not clean.
    pub exceeded: Option<u64>,
    /// What set the limit.
    pub limit: Limit,
}

impl Found {
    /// Nothing yet.
    pub const NOTHING: Self = Self {
        clean: None,
        exceeded: None,
        limit: Limit::Unfinished,
    };
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Try this, and tell with [`Search::judge`].
    Try(Trial),
    /// The search is over.
    Done(Found),
}

/// The search.
#[derive(Debug)]
pub struct Search {
    settings: SearchSettings,
    loads: BTreeMap<u64, Votes>,
}

impl Search {
    /// A search that knows nothing yet.
    pub fn new(settings: SearchSettings) -> Self {
        Self {
            settings,
            loads: BTreeMap::new(),
        }
    }

    /// Notes what a trial showed.
    pub fn judge(&mut self, trial: &Trial, judgement: Judgement) {
        let votes = self.loads.entry(trial.load).or_default();
        match (trial.is_full, judgement) {
            (false, Judgement::Clean) => votes.short_clean = true,
            // It only calls for full trials.
            (false, _) => votes.short_unclean = true,
            (true, Judgement::Clean) => votes.clean += 1,
            (true, Judgement::Exceeded) => votes.exceeded += 1,
            (true, Judgement::GeneratorBound) => votes.generator_bound += 1,
        }
    }

    /// What to do next, by all that was noted.
    pub fn next(&self) -> Step {
        let upper = self.upper();
        let below = upper.map_or(u64::MAX, |(load, _)| load);
        if let Some(load) = self.undecided(below) {
            return self.full(load);
        }
        let lower = self.lower(below);
        let Some((above, limit)) = upper else {
            return self.raise(lower);
        };
        match lower {
            None if above <= 1 => Step::Done(Found {
                clean: None,
                exceeded: Some(above),
                limit,
            }),
            None => self.full((above / 2).max(1)),
            Some(clean) if !self.is_narrow(clean, above) => self.full(middle(clean, above)),
            Some(clean) => self.confirm_or(
                clean,
                Found {
                    clean: Some(clean),
                    exceeded: Some(above),
                    limit,
                },
            ),
        }
    }

    /// What is known where the search is given up now.
    pub fn so_far(&self) -> Found {
        let exceeded = self.upper().map(|(load, _)| load);
        Found {
            clean: self.lower(exceeded.unwrap_or(u64::MAX)),
            exceeded,
            limit: Limit::Unfinished,
        }
    }

    /// The lowest load decided to be too much, and for whom.
    fn upper(&self) -> Option<(u64, Limit)> {
        self.loads
            .iter()
            .find_map(|(&load, votes)| match votes.decision(&self.settings) {
                Some(Judgement::Exceeded) => Some((load, Limit::Server)),
                Some(Judgement::GeneratorBound) => Some((load, Limit::Generator)),
                _ => None,
            })
    }

    /// A load below that, whose trials so far were not clean or contradict each other.
    fn undecided(&self, below: u64) -> Option<u64> {
        let mut loads = self.loads.range(..below);
        loads
            .find(|(_, votes)| votes.is_doubtful() && votes.decision(&self.settings).is_none())
            .map(|(&load, _)| load)
    }

    /// The highest load below that, all of whose trials were clean, or most of them.
    fn lower(&self, below: u64) -> Option<u64> {
        let mut loads = self.loads.range(..below).rev();
        loads
            .find(|(_, votes)| {
                !votes.is_doubtful() || votes.decision(&self.settings) == Some(Judgement::Clean)
            })
            .map(|(&load, _)| load)
    }

    fn is_narrow(&self, clean: u64, above: u64) -> bool {
        let width = above - clean;
        width <= 1 || width as f64 <= above as f64 * self.settings.precision
    }

    fn raise(&self, lower: Option<u64>) -> Step {
        let load = match lower {
            None => self.settings.start.clamp(1, self.settings.max),
            Some(clean) if clean >= self.settings.max => {
                let found = Found {
                    clean: Some(clean),
                    exceeded: None,
                    limit: Limit::Max,
                };
                return self.confirm_or(clean, found);
            }
            Some(clean) => clean.saturating_mul(2).min(self.settings.max),
        };
        Step::Try(Trial {
            load,
            duration: self.settings.short_duration,
            is_full: false,
        })
    }

    /// A clean load counts once most of its full trials were.
    fn confirm_or(&self, clean: u64, found: Found) -> Step {
        let votes = self.loads.get(&clean).copied().unwrap_or_default();
        if votes.decision(&self.settings) == Some(Judgement::Clean) {
            Step::Done(found)
        } else {
            self.full(clean)
        }
    }

    fn full(&self, load: u64) -> Step {
        Step::Try(Trial {
            load,
            duration: self.settings.duration,
            is_full: true,
        })
    }
}

/// The trials of one load.
#[derive(Debug, Clone, Copy, Default)]
struct Votes {
    short_clean: bool,
    short_unclean: bool,
    clean: u32,
    exceeded: u32,
    generator_bound: u32,
}

impl Votes {
    fn is_doubtful(&self) -> bool {
        self.short_unclean || self.exceeded + self.generator_bound > 0
    }

    /// By majority. Where all trials are used up without one, as three that differ, the load is
    /// not clean, and the server is blamed only where it did worse than the generator.
    fn decision(&self, settings: &SearchSettings) -> Option<Judgement> {
        let majority = settings.majority();
        let unclean = self.exceeded + self.generator_bound;
        if self.clean >= majority {
            Some(Judgement::Clean)
        } else if unclean >= majority && self.exceeded > self.generator_bound {
            Some(Judgement::Exceeded)
        } else if unclean >= majority {
            Some(Judgement::GeneratorBound)
        } else {
            None
        }
    }
}

/// Halfway on a logarithmic scale: load tells more by its ratio than by its difference.
fn middle(clean: u64, above: u64) -> u64 {
    let middle = (clean as f64 * above as f64).sqrt().round() as u64;
    middle.clamp(clean + 1, above - 1)
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
