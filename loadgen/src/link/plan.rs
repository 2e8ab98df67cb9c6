//! What a link does from its start on, and what changes when.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::settings::{Change, Settings};
use crate::units::parse_duration;

/// Both directions over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Decides every random draw.
    pub seed: u64,
    /// What holds from the start.
    pub start: Both,
    /// What changes, in order of time.
    pub steps: Vec<Step>,
}

/// Changes of both directions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Both {
    /// From the far end to the near one.
    pub up: Change,
    /// From the near end to the far one.
    pub down: Change,
}

/// A change at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Since the link was ready.
    pub at: Duration,
    /// What changes.
    pub change: Both,
}

impl Plan {
    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self> {
        let read = || Self::parse(&std::fs::read_to_string(path)?);
        read().with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut plan = Self {
            seed: file.seed,
            start: file.start.both()?,
            steps: Vec::new(),
        };
        for (index, step) in file.at.iter().enumerate() {
            let mut read = || -> Result<()> {
                let at = parse_duration(&step.time).context("time")?;
                plan.add(at, step.change.both()?);
                Ok(())
            };
            read().with_context(|| format!("step {} of `at`", index + 1))?;
        }
        Ok(plan)
    }

    /// Adds a step at its place; of those at the same time the later added wins.
    pub fn add(&mut self, at: Duration, change: Both) {
        let place = self.steps.partition_point(|step| step.at <= at);
        self.steps.insert(place, Step { at, change });
    }

    /// Settings at the start: of the way up, of the way down.
    pub fn settings(&self) -> (Settings, Settings) {
        let (mut up, mut down) = (Settings::default(), Settings::default());
        up.apply(&self.start.up);
        down.apply(&self.start.down);
        (up, down)
    }
}

impl Both {
    /// Adds a change of both directions.
    pub fn both(&mut self, change: &Change) {
        self.up.append(change);
        self.down.append(change);
    }
}

/// Reads `rate=500k`, which changes both directions, `up:rate=500k` or `down:rate=500k`.
impl std::str::FromStr for Both {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut both = Self::default();
        if let Some(up) = text.strip_prefix("up:") {
            both.up = up.parse()?;
        } else if let Some(down) = text.strip_prefix("down:") {
            both.down = down.parse()?;
        } else {
            both.both(&text.parse()?);
        }
        Ok(both)
    }
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    seed: u64,
    #[serde(flatten)]
    start: Tables,
    #[serde(default)]
    at: Vec<FileStep>,
}

#[derive(Debug, Deserialize)]
struct FileStep {
    time: String,
    #[serde(flatten)]
    change: Tables,
}

/// Settings as text, by their names.
#[derive(Debug, Default, Deserialize)]
struct Tables {
    #[serde(default)]
    both: BTreeMap<String, String>,
    #[serde(default)]
    up: BTreeMap<String, String>,
    #[serde(default)]
    down: BTreeMap<String, String>,
    /// What has no place here.
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

impl Tables {
    fn both(&self) -> Result<Both> {
        if let Some(name) = self.unknown.keys().next() {
            anyhow::bail!("unknown field `{name}`");
        }
        let mut both = Both::default();
        for (name, value) in &self.both {
            both.up.set(name, value).context("both")?;
            both.down.set(name, value).context("both")?;
        }
        for (name, value) in &self.up {
            both.up.set(name, value).context("up")?;
        }
        for (name, value) in &self.down {
            both.down.set(name, value).context("down")?;
        }
        Ok(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_all_of_it() {
        let plan = Plan::parse(
            r#"
            seed = 7
            both = { delay = "15ms", rate = "3M" }
            up = { rate = "1M" }

            [[at]]
            time = "20s"
            down = { rate = "3M" }

            [[at]]
            time = "10s"
            down = { rate = "500k" }
            "#,
        )
        .unwrap();
        assert_eq!(plan.seed, 7);
        let (up, down) = plan.settings();
        assert_eq!((up.rate, down.rate), (Some(1_000_000), Some(3_000_000)));
        assert_eq!((up.delay, down.delay).0, Duration::from_millis(15));
        let times: Vec<u64> = plan.steps.iter().map(|step| step.at.as_secs()).collect();
        assert_eq!(times, [10, 20]);
        assert!(plan.steps[0].change.up.is_empty());
        assert_eq!(plan.steps[0].change.down, "rate=500k".parse().unwrap());
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        for (text, said) in [
            ("bot = {}", "bot"),
            ("both = { speed = \"1\" }", "speed"),
            ("up = { rate = \"x\" }", "up"),
            ("[[at]]\ndown = {}", "time"),
            ("[[at]]\ntime = \"1s\"\nwhen = 3", "when"),
            ("[[at]]\ntime = \"x\"", "step 1"),
        ] {
            let error = Plan::parse(text).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{text}: {error:#}");
        }
    }

    #[test]
    fn a_step_may_be_for_one_direction() {
        let both: Both = "down:rate=500k,delay=3ms".parse().unwrap();
        assert!(both.up.is_empty() && !both.down.is_empty());
        let both: Both = "rate=500k".parse().unwrap();
        assert_eq!(both.up, both.down);
        assert!("sideways:rate=1M".parse::<Both>().is_err());
    }
}
