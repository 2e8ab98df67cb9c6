//! What to measure.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use weirgate_shard::TxBatch;
use weirgate_wire::SrtpSuite;

use crate::link::Link;

/// The longest datagram that fits an Ethernet frame (IPv4).
const MAX_PACKET_BYTES: usize = 1472;

/// The least CPU time this machine takes to send packets: pre-sealed, paced, over loopback or a
/// veth pair.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Args {
    /// Receivers, each with a socket.
    #[arg(long, default_value_t = 200)]
    pub(crate) receivers: usize,
    /// Packets to each receiver at once: 9 for a video frame, 1 for audio.
    #[arg(long, default_value_t = 9)]
    pub(crate) burst: usize,
    /// Groups of receivers that take turns, each after its part of the time between two bursts: the
    /// rooms of a server, each of which gets its frames at times of its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) groups: usize,
    /// Train lengths to try, each at most a burst. Receivers take turns train by train.
    #[arg(long = "train", value_delimiter = ',', default_value = "1,4,9")]
    pub(crate) trains: Vec<usize>,
    /// Bytes of a packet, SRTP tag included.
    #[arg(long, default_value_t = 1216)]
    pub(crate) packet: usize,
    /// Packets a second to each receiver.
    #[arg(long, default_value_t = 270.0)]
    pub(crate) pace: f64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) duration: f64,
    /// Measurements of each kind; the medians are reported.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How to send.
    #[arg(long, value_delimiter = ',', default_value = "bare,mmsg,uring")]
    pub(crate) via: Vec<Via>,
    /// What lies between sender and receiver; `--via xdp` needs `veth`.
    #[arg(long, default_value = "loopback")]
    pub(crate) link: Link,
    /// Which sockets to send from.
    #[arg(long, default_value = "media")]
    pub(crate) sockets: Sockets,
    /// Suites to seal with.
    #[arg(
        long = "suite",
        value_delimiter = ',',
        default_value = "AEAD_AES_128_GCM"
    )]
    pub(crate) suites: Vec<Suite>,
    /// Core of the sender: a number, `any`, or `auto` for the first where there are several.
    #[arg(long, default_value = "auto")]
    sender_core: Core,
    /// Core of the receiver: likewise; `auto` is the second.
    #[arg(long, default_value = "auto")]
    receiver_core: Core,
    /// Writes everything measured to a file, or to standard output for `-`.
    #[arg(long)]
    pub(crate) json: Option<String>,
    /// The receiving process: binds that many sockets.
    #[arg(long, hide = true)]
    pub(crate) receive: Option<usize>,
}

/// How packets get to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Via {
    /// sendmmsg over prepared messages, or send on connected sockets, and nothing else.
    Bare,
    /// The engine's back end of that name.
    Mmsg,
    /// The engine's back end of that name.
    Uring,
    /// The engine's back end of that name; trains go as single frames.
    Xdp,
}

impl Via {
    /// As in `--via`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Mmsg => "mmsg",
            Self::Uring => "uring",
            Self::Xdp => "xdp",
        }
    }
}

/// Sockets to send from, bound as the engine binds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sockets {
    /// One for all receivers, bound to every address, which is told the local address with each
    /// packet: WebRTC transports.
    Media,
    /// One per receiver, bound to one address and connected to the receiver: plain transports.
    Plain,
}

/// A suite by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite(pub(crate) SrtpSuite);

impl FromStr for Suite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SrtpSuite::from_name(text).map(Self).ok_or_else(|| {
            let known = SrtpSuite::ALL.map(SrtpSuite::name).join(", ");
            format!("allowed are {known}")
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Core {
    Auto,
    Any,
    Number(usize),
}

impl FromStr for Core {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "any" => Ok(Self::Any),
            number => number
                .parse()
                .map(Self::Number)
                .map_err(|_| "allowed are auto, any and the number of a core".to_owned()),
        }
    }
}

impl Core {
    /// `None` where the kernel may choose.
    fn number(self, auto: usize) -> Result<Option<usize>> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(match self {
            Self::Any => None,
            Self::Auto => (cores > 1).then_some(auto),
            Self::Number(number) => Some(number),
        })
    }
}

impl Args {
    /// Refuses what can not be measured.
    pub(crate) fn check(&self) -> Result<()> {
        let most = usize::from(TxBatch::MAX_SEGMENTS);
        ensure!(
            (1..=4096).contains(&self.receivers),
            "--receivers: allowed are 1 to 4096"
        );
        ensure!(
            (1..=self.receivers).contains(&self.groups),
            "--groups: allowed are 1 to {}, as many as there are receivers",
            self.receivers
        );
        ensure!(
            (1..=1024).contains(&self.burst),
            "--burst: allowed are 1 to 1024"
        );
        let longest = self.burst.min(most);
        ensure!(
            self.trains
                .iter()
                .all(|train| (1..=longest).contains(train)),
            "--train: allowed are 1 to {longest}: a burst has {} packets and a train at most {most}",
            self.burst
        );
        ensure!(
            (64..=MAX_PACKET_BYTES).contains(&self.packet),
            "--packet: allowed are 64 to {MAX_PACKET_BYTES} bytes"
        );
        ensure!(
            self.pace > 0.0 && self.pace.is_finite(),
            "--pace: must be more than 0"
        );
        ensure!(
            (0.05..=3600.0).contains(&self.duration),
            "--duration: allowed are 0.05 to 3600 seconds"
        );
        ensure!(
            self.link == Link::Veth || !self.via.contains(&Via::Xdp),
            "--via xdp: AF_XDP is not for loopback, give --link veth"
        );
        ensure!(self.rounds > 0, "--rounds: must be more than 0");
        Ok(())
    }

    /// Time between two bursts.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.burst as f64 / self.pace)
    }

    /// Bursts of one measurement.
    pub(crate) fn bursts(&self) -> u32 {
        (self.duration / self.interval().as_secs_f64()).ceil() as u32
    }

    pub(crate) fn sender_core(&self) -> Result<Option<usize>> {
        self.sender_core.number(0)
    }

    pub(crate) fn receiver_core(&self) -> Result<Option<usize>> {
        self.receiver_core.number(1)
    }

    /// `--receiver-core` as the receiving process is to be given it.
    pub(crate) fn receiver_core_argument(&self) -> String {
        match self.receiver_core {
            Core::Auto => "auto".to_owned(),
            Core::Any => "any".to_owned(),
            Core::Number(number) => number.to_string(),
        }
    }
}
