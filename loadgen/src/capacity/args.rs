//! How a search is asked for.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use super::{DEFAULT_MAX_P99_MS, SearchSettings};
use crate::outcome::Bounds;
use crate::units::parse_part;

/// Options of a search for a capacity.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Capacity")]
pub struct CapacityArgs {
    /// Looks for the largest number of participants at which the server keeps --max-loss (0 where
    /// not given) and --max-p99 (20ms where not given), then measures latency at 10, 50 and 90 %
    /// of it. Each trial takes the scenario's --duration.
    #[arg(long, global = true)]
    pub find_capacity: bool,
    /// Participants of the first trial.
    #[arg(long, global = true, value_name = "N", default_value_t = 10)]
    pub start_load: u64,
    /// Participants that are never exceeded.
    #[arg(long, global = true, value_name = "N", default_value_t = 10_000)]
    pub max_load: u64,
    /// How close to find it, such as 5%.
    #[arg(long, global = true, value_name = "PART", default_value = "5%", value_parser = parse_part)]
    pub precision: f64,
    /// Full trials that a load gets at most, an odd number; the majority decides.
    #[arg(long, global = true, value_name = "N", default_value_t = 3)]
    pub repeats: u32,
}

impl CapacityArgs {
    /// Of full trials that take so long.
    pub fn settings(&self, duration: Duration) -> Result<SearchSettings> {
        ensure!(
            1 <= self.start_load && self.start_load <= self.max_load,
            "--start-load must be from 1 to --max-load"
        );
        ensure!(
            self.repeats % 2 == 1 && self.repeats < 100,
            "--repeats must be an odd number below 100"
        );
        Ok(SearchSettings {
            start: self.start_load,
            max: self.max_load,
            precision: self.precision,
            repeats: self.repeats,
            ..SearchSettings::new(duration)
        })
    }

    /// What every trial has to keep to: what was asked for, else no loss and the default p99.
    pub fn bounds(asked: Bounds) -> Bounds {
        Bounds {
            max_loss: asked.max_loss.or(Some(0.0)),
            max_p99_ms: asked.max_p99_ms.or(Some(DEFAULT_MAX_P99_MS)),
        }
    }
}
