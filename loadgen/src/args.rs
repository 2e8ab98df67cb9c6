//! The command line.

mod play;
mod video;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use weirgate_loadgen::api::Api;
use weirgate_loadgen::capacity::CapacityArgs;
use weirgate_loadgen::link::LinkArgs;
use weirgate_loadgen::outcome::Bounds;
use weirgate_loadgen::units::{parse_duration, parse_part};

pub(crate) use play::{Play, at_load};

/// Plays a scenario against a server with real clients and says what was lost, late or wrong.
///
/// Exit code 0: all bounds kept; 1: a bound broken, or the server failed; 2: nothing measured;
/// 3: no bound broken, but
/// inconclusive, as this program was itself the bottleneck.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// HTTP address of the server.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8080")]
    pub(crate) server: String,
    /// API token of the server.
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "WEIRGATE_API_TOKEN",
        hide_env_values = true
    )]
    pub(crate) api_token: Option<String>,
    /// Takes any certificate of an https server, such as a self-signed one.
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
    /// A process under test on this host, beside the one the server names; repeatable.
    #[arg(long = "pid", global = true, value_name = "PID")]
    pub(crate) pids: Vec<u32>,
    /// Writes the figures to this file too; to standard output, in place of the table, with `-`.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a page with charts to this file, one that loads nothing from elsewhere.
    #[arg(long, global = true, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Fails where more than this part is lost, such as 0 or 0.1%.
    #[arg(long, global = true, value_parser = parse_part)]
    pub(crate) max_loss: Option<f64>,
    /// Fails where the 99th percentile of the latency is over this, such as 20ms.
    #[arg(long, global = true, value_parser = parse_duration)]
    pub(crate) max_p99: Option<Duration>,
    /// No progress on standard error.
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) capacity: CapacityArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// A client of the server.
    pub(crate) fn api(&self) -> Result<Api> {
        Api::with_trust(&self.server, self.api_token.clone(), self.insecure)
    }

    /// What the run must keep to.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            max_loss: self.max_loss,
            max_p99_ms: self.max_p99.map(|bound| bound.as_secs_f64() * 1000.0),
        }
    }

    /// Whether standard output belongs to the JSON.
    pub(crate) fn json_to_stdout(&self) -> bool {
        self.json
            .as_deref()
            .is_some_and(|path| path.as_os_str() == "-")
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Play(Box<Play>),
    Link(Box<LinkArgs>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }
}
