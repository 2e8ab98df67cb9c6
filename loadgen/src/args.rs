//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use weirgate_loadgen::api::Api;
use weirgate_loadgen::capacity::{CapacityArgs, Trial};
use weirgate_loadgen::link::LinkArgs;
use weirgate_loadgen::outcome::{Bounds, Outcome};
use weirgate_loadgen::scenario::{Interrupt, Livestream, Progress, Transport};
use weirgate_loadgen::sender::{AudioShape, Burst, Shape, VideoShape};
use weirgate_loadgen::srtp_leg::SrtpSuite;
use weirgate_loadgen::units::{parse_bitrate, parse_duration, parse_part};

/// Plays a scenario against a server with real clients and says what was lost, late or wrong.
///
/// Exit code 0: all bounds kept; 1: a bound broken, or the server failed; 2: nothing measured;
/// 3: inconclusive, as this program was itself the bottleneck.
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
        env = "WEIRGATE_API_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,
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
    Scenario(Scenario),
    Link(Box<LinkArgs>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// One sends, many receive.
    Livestream(LivestreamArgs),
}

impl Scenario {
    /// Plays it: as it was asked for, or as a trial wants it.
    pub(crate) async fn run(
        &self,
        api: &Api,
        interrupt: &Interrupt,
        progress: &dyn Progress,
        trial: Option<Trial>,
    ) -> Result<Outcome> {
        match self {
            Self::Livestream(args) => {
                let mut livestream = args.scenario()?;
                if let Some(trial) = trial {
                    livestream.receivers = usize::try_from(trial.load)?;
                    livestream.duration = trial.duration;
                }
                livestream.run(api, interrupt, progress).await
            }
        }
    }

    /// How long it measures.
    pub(crate) fn duration(&self) -> Duration {
        match self {
            Self::Livestream(args) => args.duration,
        }
    }

    /// What the load of a trial is a number of.
    pub(crate) fn load_unit(&self) -> &'static str {
        match self {
            Self::Livestream(_) => "receivers",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct LivestreamArgs {
    /// How many receive.
    #[arg(long, default_value_t = 10)]
    receivers: usize,
    /// How everyone is connected.
    #[arg(long, value_enum, default_value_t = TransportKind::Webrtc)]
    transport: TransportKind,
    /// SRTP suite: required by name, `none` (plain only), or what the server takes.
    #[arg(long, value_name = "SUITE")]
    srtp: Option<String>,
    /// Sends video of this bitrate, such as 1.5M.
    #[arg(long, value_name = "BITRATE", value_parser = parse_video_bitrate)]
    video: Option<u64>,
    /// Frames per second.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    fps: u32,
    /// How the packets of a video frame are spread.
    #[arg(long, value_enum, default_value_t = Burst::Paced)]
    burst: Burst,
    /// Sends audio, 50 packets per second.
    #[arg(long)]
    audio: bool,
    /// How long is measured after everyone has joined, such as 10s or 5m.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Receivers ask for what is missing (NACK).
    #[arg(long)]
    nack: bool,
    /// Address the server is to use for plain transports.
    #[arg(long, default_value = "127.0.0.1")]
    plain_ip: IpAddr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TransportKind {
    /// RTP or SRTP with keys from the API.
    Plain,
    /// ICE, DTLS, SRTP.
    Webrtc,
}

impl LivestreamArgs {
    /// The scenario that was asked for.
    pub(crate) fn scenario(&self) -> Result<Livestream> {
        let suite = match self.srtp.as_deref() {
            None => None,
            Some(name) if name.eq_ignore_ascii_case("none") => None,
            Some(name) => Some(name.parse::<SrtpSuite>()?),
        };
        let transport = match self.transport {
            TransportKind::Plain => Transport::Plain(suite),
            TransportKind::Webrtc if self.srtp.is_some() && suite.is_none() => {
                bail!("--srtp none: WebRTC is always encrypted")
            }
            TransportKind::Webrtc => Transport::WebRtc(suite),
        };
        let mut shapes = Vec::new();
        if let Some(bitrate) = self.video {
            let shape = VideoShape::of_bitrate(bitrate);
            let key_frame_interval = self.fps * 10;
            shapes.push(Shape::Video(VideoShape {
                frame_rate: self.fps,
                key_frame_interval,
                burst: self.burst,
                ..shape
            }));
        }
        if self.audio {
            shapes.push(Shape::Audio(AudioShape::default()));
        }
        if shapes.is_empty() {
            bail!("nothing to send: give --video BITRATE, --audio, or both");
        }
        let mut livestream = Livestream::new(self.receivers, transport, shapes);
        livestream.duration = self.duration;
        livestream.nack = self.nack;
        livestream.ip = self.plain_ip;
        Ok(livestream)
    }
}

fn parse_video_bitrate(text: &str) -> Result<u64> {
    let bits = parse_bitrate(text)?;
    if !(10_000..=1_000_000_000).contains(&bits) {
        bail!("must be from 10k to 1000M");
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn contradictions_are_refused() {
        let scenario = |line: &str| {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            let Command::Scenario(Scenario::Livestream(livestream)) = args.command else {
                panic!("{line}")
            };
            livestream.scenario()
        };
        assert!(scenario("x livestream --audio").is_ok());
        assert!(scenario("x livestream").is_err());
        assert!(scenario("x livestream --audio --srtp none").is_err());
        assert!(scenario("x livestream --audio --transport plain --srtp none").is_ok());
    }
}
