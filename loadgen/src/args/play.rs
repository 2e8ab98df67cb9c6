//! The scenarios and their flags.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use weirgate_loadgen::capacity::Trial;
use weirgate_loadgen::scenario::{Cast, LoadProfile, Scenario, SignalingKind, Traffic, Transport};
use weirgate_loadgen::sender::{AudioShape, Burst, Shape, VideoShape};
use weirgate_loadgen::srtp_leg::SrtpSuite;
use weirgate_loadgen::units::{parse_bitrate, parse_duration, parse_part};

use super::video::Video;

/// What can be played.
#[derive(Debug, Subcommand)]
pub(crate) enum Play {
    /// Everyone sends to everyone.
    Meeting {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 5)]
        participants: usize,
        #[command(flatten)]
        options: PlayArgs,
    },
    /// One sends, many receive.
    Livestream {
        /// How many receive.
        #[arg(long, value_name = "N", default_value_t = 10)]
        receivers: usize,
        #[command(flatten)]
        options: PlayArgs,
    },
    /// Some speak to many.
    Audio {
        /// How many speak.
        #[arg(long, value_name = "N", default_value_t = 3)]
        speakers: usize,
        /// How many only listen.
        #[arg(long, value_name = "N", default_value_t = 50)]
        listeners: usize,
        #[command(flatten)]
        options: PlayArgs,
    },
    /// Many meetings.
    Rooms {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 10)]
        rooms: usize,
        /// In each, sending to each other.
        #[arg(long, value_name = "N", default_value_t = 4)]
        participants: usize,
        /// In each, only receiving.
        #[arg(long, value_name = "N", default_value_t = 0)]
        viewers: usize,
        #[command(flatten)]
        options: PlayArgs,
    },
    /// Many calls of two.
    Pairs {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 10)]
        pairs: usize,
        #[command(flatten)]
        options: PlayArgs,
    },
    /// One sends, some watch, others come and go.
    Churn {
        /// How many stay.
        #[arg(long, value_name = "N", default_value_t = 10)]
        watchers: usize,
        /// How many others join per second.
        #[arg(long, value_name = "N", default_value_t = 5.0)]
        joins: f64,
        /// How long each of those stays.
        #[arg(long, default_value = "5s", value_parser = parse_duration)]
        stay: Duration,
        #[command(flatten)]
        options: PlayArgs,
    },
}

/// What all scenarios have.
#[derive(Debug, Args)]
pub(crate) struct PlayArgs {
    /// Sends video: [720p[30]@]1.5M, or 720p with the bitrate that goes with it.
    #[arg(long, value_name = "SIZE@BITRATE", value_parser = str::parse::<Video>)]
    video: Option<Video>,
    /// Frames per second, in place of those of --video.
    #[arg(long, requires = "video", value_parser = clap::value_parser!(u32).range(1..=240))]
    fps: Option<u32>,
    /// Video in three layers told apart by RID; --video is the largest.
    #[arg(long, requires = "video")]
    simulcast: bool,
    /// How the packets of a video frame are spread.
    #[arg(long, value_enum, requires = "video", default_value_t = Burst::Paced)]
    burst: Burst,
    /// A key frame every so often even if nobody asks; 0 for the first only.
    #[arg(long, requires = "video", default_value = "10s", value_parser = parse_duration)]
    key_frames: Duration,
    /// Sends audio, 50 packets per second.
    #[arg(long)]
    audio: bool,
    /// Only that share of those who send send audio, such as 25%.
    #[arg(long, value_name = "SHARE", requires = "audio", value_parser = parse_part)]
    audio_share: Option<f64>,
    /// Audio pauses where nobody speaks (discontinuous transmission).
    #[arg(long)]
    dtx: bool,
    /// How everyone is connected.
    #[arg(long, value_enum, default_value_t = TransportKind::Webrtc)]
    transport: TransportKind,
    /// SRTP suite: required by name, `none` (plain only), or what the server takes.
    #[arg(long, value_name = "SUITE")]
    srtp: Option<String>,
    /// How everyone talks to the server.
    #[arg(long, value_enum, default_value_t = SignalingKind::Api)]
    signaling: SignalingKind,
    /// How long is measured after everyone has joined, such as 10s or 5m.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How long it goes on after everyone has joined before it is measured: estimates of paths take
    /// some seconds to rise.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    settle: Duration,
    /// Lets the load rise and fall: for so long that share of the senders sends, then the next one;
    /// in place of --duration.
    #[arg(long, value_name = "SHARE:TIME,…", conflicts_with = "duration")]
    load: Option<LoadProfile>,
    /// Participants that join per second; as fast as they can where not given.
    #[arg(long, value_name = "N")]
    ramp: Option<f64>,
    /// Receivers ask for what is missing (NACK).
    #[arg(long)]
    nack: bool,
    /// Receivers tell this estimate by REMB, such as 2M.
    #[arg(long, value_name = "BITRATE", value_parser = parse_bitrate)]
    remb: Option<u64>,
    /// So many plain transports beside each receiver get the same and nobody reads them: load for
    /// the server that costs nothing here.
    #[arg(long, value_name = "N", default_value_t = 0)]
    unread: usize,
    /// Receivers ask for another layer of simulcast every so often.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "simulcast")]
    switch_layers: Option<Duration>,
    /// Address the server is to use for plain transports [default: 127.0.0.1].
    #[arg(long, value_name = "IP")]
    plain_ip: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TransportKind {
    /// RTP or SRTP with keys from the API.
    Plain,
    /// ICE, DTLS, SRTP.
    Webrtc,
}

impl Play {
    /// What was asked for; an error says which flags contradict each other.
    pub(crate) fn scenario(&self, pids: &[u32]) -> Result<Scenario> {
        let (cast, options) = self.parts();
        let is_audio = matches!(cast, Cast::Audio { .. });
        let traffic = options.traffic(is_audio)?;
        let mut scenario = Scenario::new(cast, options.transport()?, traffic);
        scenario.signaling = options.signaling;
        scenario.settle = options.settle;
        scenario.load.clone_from(&options.load);
        scenario.duration = match &options.load {
            Some(load) => load.duration(),
            None => options.duration,
        };
        scenario.ramp = options.ramp;
        scenario.nack = options.nack;
        scenario.remb_bps = options.remb;
        scenario.unread = options.unread;
        scenario.audio_share = options.audio_share.unwrap_or(1.0);
        scenario.switch_layers = options.switch_layers;
        if let Some(ip) = options.plain_ip {
            ensure!(
                options.transport == TransportKind::Plain,
                "--plain-ip: --transport is not plain"
            );
            scenario.plain_ip = ip;
        }
        scenario.pids = pids.to_vec();
        scenario.check()?;
        Ok(scenario)
    }

    fn parts(&self) -> (Cast, &PlayArgs) {
        match self {
            Self::Meeting {
                participants,
                options,
            } => (
                Cast::Meeting {
                    participants: *participants,
                },
                options,
            ),
            Self::Livestream { receivers, options } => (
                Cast::Livestream {
                    receivers: *receivers,
                },
                options,
            ),
            Self::Audio {
                speakers,
                listeners,
                options,
            } => (
                Cast::Audio {
                    speakers: *speakers,
                    listeners: *listeners,
                },
                options,
            ),
            Self::Rooms {
                rooms,
                participants,
                viewers,
                options,
            } => (
                Cast::Rooms {
                    rooms: *rooms,
                    participants: *participants,
                    viewers: *viewers,
                },
                options,
            ),
            Self::Pairs { pairs, options } => (Cast::Pairs { pairs: *pairs }, options),
            Self::Churn {
                watchers,
                joins,
                stay,
                options,
            } => (
                Cast::Churn {
                    watchers: *watchers,
                    joins_per_second: *joins,
                    stay: *stay,
                },
                options,
            ),
        }
    }
}

impl PlayArgs {
    fn traffic(&self, is_audio: bool) -> Result<Traffic> {
        let mut shapes = Vec::new();
        if let Some(video) = self.video {
            let frame_rate = self.fps.unwrap_or(video.frame_rate);
            let interval = self.key_frames.as_secs_f64() * f64::from(frame_rate);
            shapes.push(Shape::Video(VideoShape {
                height: video.height,
                frame_rate,
                key_frame_interval: interval.round() as u32,
                burst: self.burst,
                ..VideoShape::of_bitrate(video.bitrate_bps)
            }));
        }
        let has_audio = self.audio || is_audio;
        ensure!(has_audio || !self.dtx, "--dtx: there is no --audio");
        if has_audio {
            shapes.push(Shape::Audio(AudioShape {
                dtx: self.dtx,
                ..AudioShape::default()
            }));
        }
        Ok(Traffic {
            shapes,
            simulcast: self.simulcast,
        })
    }

    fn transport(&self) -> Result<Transport> {
        let suite = match self.srtp.as_deref() {
            None => None,
            Some(name) if name.eq_ignore_ascii_case("none") => None,
            Some(name) => Some(name.parse::<SrtpSuite>()?),
        };
        Ok(match self.transport {
            TransportKind::Plain => Transport::Plain(suite),
            TransportKind::Webrtc if self.srtp.is_some() && suite.is_none() => {
                bail!("--srtp none: WebRTC is always encrypted")
            }
            TransportKind::Webrtc => Transport::WebRtc(suite),
        })
    }
}

/// The same with the load and the length of a trial.
pub(crate) fn at_load(scenario: &Scenario, trial: Trial) -> Result<Scenario> {
    Ok(Scenario {
        cast: scenario.cast.with_load(usize::try_from(trial.load)?),
        duration: trial.duration,
        ..scenario.clone()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Args, Command};
    use super::*;

    fn scenario(line: &str) -> Result<Scenario> {
        let args = Args::try_parse_from(line.split(' '))?;
        let Command::Play(play) = args.command else {
            bail!("no scenario")
        };
        play.scenario(&[])
    }

    #[test]
    fn every_scenario_has_its_flags() {
        for line in [
            "x livestream --audio",
            "x livestream --receivers 3 --video 720p@1.5M --simulcast --switch-layers 2s",
            "x livestream --audio --transport plain --srtp none --plain-ip ::1",
            "x meeting --participants 3 --video 1.5M --fps 15 --burst frame --audio --dtx",
            "x audio --speakers 2 --listeners 9 --dtx --signaling socketio",
            "x rooms --rooms 2 --participants 3 --video 360p --ramp 5",
            "x rooms --rooms 2 --participants 1 --viewers 5 --video 360p --settle 3s",
            "x pairs --pairs 2 --video 1M --key-frames 0 --nack --remb 2M",
            "x churn --watchers 2 --joins 0.5 --stay 3s --video 300k",
            "x rooms --audio --load 30%:5s,90%:10s,30%:5s",
            "x meeting --video 1M --audio --audio-share 25% --transport plain --unread 3",
        ] {
            scenario(line).unwrap_or_else(|error| panic!("{line}: {error:#}"));
        }
    }

    #[test]
    fn contradictions_and_nonsense_are_refused() {
        for line in [
            "x livestream",
            "x livestream --audio --receivers 0",
            "x livestream --audio --srtp none",
            "x livestream --audio --srtp AES",
            "x livestream --audio --simulcast",
            "x livestream --audio --burst frame",
            "x livestream --video 1M --dtx",
            "x livestream --video 1M --switch-layers 2s",
            "x livestream --video 1M --simulcast --transport plain",
            "x livestream --audio --transport plain --signaling socketio",
            "x livestream --audio --plain-ip 127.0.0.1",
            "x livestream --audio --ramp 0",
            "x livestream --audio --duration 5d",
            "x livestream --audio --recievers 3",
            "x meeting --participants 1 --audio",
            "x audio --video 1M",
            "x rooms --audio --load 30%",
            "x rooms --audio --unread 2",
            "x rooms --video 1M --audio-share 25%",
            "x rooms --audio --load 30%:5s --duration 5s",
            "x livestream --audio --load 30%:5s,90%:5s",
            "x churn --video 1M --joins 0",
        ] {
            assert!(scenario(line).is_err(), "{line}");
        }
    }
}
