//! The link on the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::driver::DriverOptions;
use super::hosts::{Address, EndConfig};
use super::plan::{Both, Plan};
use super::settings::Change;
use crate::units::parse_duration;

/// A network link in user space: rate, delay, queue and loss between two TUN devices.
///
/// Each end is a device in a network namespace of its own. SETTINGS are NAME=VALUE with commas
/// between, such as `rate=2M,delay=25ms,queue=100ms,loss=1%`:
///
///   rate=BITRATE              bits of IP packets per second, or `none`
///   delay=TIME                one way
///   jitter=TIME               the delay is drawn evenly from `delay` ± this; order is kept
///   queue=TIME                longest wait before the rate (100ms); who would wait longer is dropped
///   loss=PART                 lost at random
///   bursts=ENTER:LEAVE:LOSS   losses in bursts (Gilbert and Elliott): probability at each packet
///                             that a bad time begins, that it ends, and what is lost in it (100%)
///   duplicate=PART            arrive twice
///   reorder=PART:TIME         are held back for so long (10ms), so that others overtake
///
/// Ends with Ctrl-C or TERM, and prints what it did.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct LinkArgs {
    /// Network namespace of the near end; the one this program runs in where not given.
    #[arg(long, value_name = "NAMESPACE")]
    near: Option<String>,
    /// Network namespace of the far end.
    #[arg(long, value_name = "NAMESPACE", default_value = "weirgate-far")]
    far: String,
    /// Makes the namespaces named, with a default route through the link, and removes them at the
    /// end.
    #[arg(long)]
    pub(super) create: bool,
    /// Address of the near end's device; repeatable.
    #[arg(long, value_name = "ADDRESS/PREFIX", default_value = "10.213.0.1/30")]
    near_address: Vec<Address>,
    /// Address of the far end's device; repeatable.
    #[arg(long, value_name = "ADDRESS/PREFIX", default_value = "10.213.0.2/30")]
    far_address: Vec<Address>,
    /// Largest IP packet in bytes.
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..=65_535))]
    pub(super) mtu: u16,
    /// TOML file with `seed`, the tables `both`, `up` and `down` of settings, and a list `at` of
    /// such tables, each with its `time`. Flags win.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Settings of both directions.
    #[arg(long, value_name = "SETTINGS")]
    both: Option<Change>,
    /// Settings from the far end to the near one.
    #[arg(long, value_name = "SETTINGS")]
    up: Option<Change>,
    /// Settings from the near end to the far one.
    #[arg(long, value_name = "SETTINGS")]
    down: Option<Change>,
    /// Changes settings at a time after the start, such as `--at 10s down:rate=500k`; repeatable.
    #[arg(long, num_args = 2, value_names = ["TIME", "[up:|down:]SETTINGS"], action = clap::ArgAction::Append)]
    at: Vec<String>,
    /// Decides every random draw.
    #[arg(long)]
    seed: Option<u64>,
    /// Loses, doubles and reorders no TCP, so that only media suffers.
    #[arg(long)]
    spare_tcp: bool,
    /// Ends by itself after so long.
    #[arg(long, value_parser = parse_duration)]
    pub(super) duration: Option<Duration>,
    /// Between figures while it runs.
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    interval: Duration,
    /// Takes changes on standard input, a line each, such as `down:rate=500k`, and puts them at once.
    #[arg(long)]
    pub(super) commands: bool,
    /// Prints JSON, one object per line, in place of text: `ready`, `changed`, `figures`, `end`.
    #[arg(long)]
    pub(super) json_lines: bool,
}

impl LinkArgs {
    pub(super) fn plan(&self) -> Result<Plan> {
        let mut plan = match &self.plan {
            Some(path) => Plan::read(path)?,
            None => Plan::default(),
        };
        if let Some(seed) = self.seed {
            plan.seed = seed;
        }
        if let Some(change) = &self.both {
            plan.start.both(change);
        }
        for (all, change) in [
            (&mut plan.start.up, &self.up),
            (&mut plan.start.down, &self.down),
        ] {
            if let Some(change) = change {
                all.append(change);
            }
        }
        for step in self.at.chunks(2) {
            let [time, change] = step else { continue };
            let read =
                || -> Result<(Duration, Both)> { Ok((parse_duration(time)?, change.parse()?)) };
            let (at, change) = read().with_context(|| format!("--at {time} {change}"))?;
            plan.add(at, change);
        }
        Ok(plan)
    }

    pub(super) fn ends(&self) -> (EndConfig, EndConfig) {
        let near = EndConfig {
            namespace: self.near.clone(),
            addresses: self.near_address.clone(),
        };
        let far = EndConfig {
            namespace: Some(self.far.clone()),
            addresses: self.far_address.clone(),
        };
        (near, far)
    }

    pub(super) fn options(&self) -> Result<DriverOptions> {
        ensure!(!self.interval.is_zero(), "--interval 0");
        Ok(DriverOptions {
            spare_tcp: self.spare_tcp,
            interval: self.interval,
        })
    }
}
