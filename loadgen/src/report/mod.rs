//! What a run or a search gave: as text for a terminal, as JSON, and as a page with charts.

mod axis;
mod capacity;
mod chart;
mod figures;
mod numbers;
mod page;
mod progress;
mod run;
mod summary;
mod text;

pub use progress::progress;

use anyhow::Result;

use crate::capacity::{Capacity, TrialResult};
use crate::outcome::Outcome;

/// A run as text of at most 100 columns: verdict first, then figures.
pub fn run_text(outcome: &Outcome) -> String {
    text::text(&run::summary(outcome))
}

/// A search as text of at most 100 columns.
pub fn capacity_text(capacity: &Capacity) -> String {
    text::text(&capacity::summary(capacity))
}

/// A run as a page that loads nothing.
pub fn run_html(outcome: &Outcome) -> Result<String> {
    page::html(&[run::part(outcome)?])
}

/// A search as a page that loads nothing: what was found, then each of the levels measured.
pub fn capacity_html(capacity: &Capacity) -> Result<String> {
    let mut parts = vec![capacity::part(capacity)?];
    for level in &capacity.levels {
        let mut part = run::part(&level.outcome)?;
        part.summary.heading = capacity::level_name(capacity, level);
        parts.push(part);
    }
    page::html(&parts)
}

/// A trial of a search in a line.
pub fn trial_line(trial: &TrialResult, unit: &str) -> String {
    capacity::trial_line(trial, unit)
}

/// A run or a search as JSON, ending in a line break.
pub fn json(of: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(of)? + "\n")
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
