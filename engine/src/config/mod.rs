//! Settings: a TOML file, then `WEIRGATE_*` variables, then flags; the later wins.

mod layers;
mod values;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use weirgate_io::IoChoice;

use layers::Given;
pub(crate) use layers::read;

/// UDP port of every WebRTC transport.
const DEFAULT_MEDIA_PORT: u16 = 10_000;
const DEFAULT_COALESCE_MAX: Duration = Duration::from_millis(2);
const DEFAULT_PLAIN_PORTS: (u16, u16) = (10_100, 13_999);

/// The names of the settings: flags have `--` before them, variables are `WEIRGATE_` and the name
/// in capitals, keys of the file are the name itself.
mod key {
    pub(super) const SOCKET: &str = "socket";
    pub(super) const MEDIA_LISTEN: &str = "media-listen";
    pub(super) const PLAIN_PORTS: &str = "plain-ports";
    pub(super) const CORES: &str = "cores";
    pub(super) const IO: &str = "io";
    pub(super) const XDP_INTERFACES: &str = "xdp-interfaces";
    pub(super) const STEERING: &str = "steering";
    pub(super) const BUSY_POLL: &str = "busy-poll";
    pub(super) const COALESCE_MAX: &str = "coalesce-max";
    pub(super) const LOG_FORMAT: &str = "log-format";

    /// Those that may be given several times, or as an array in the file.
    pub(super) const LISTS: [&str; 2] = [MEDIA_LISTEN, XDP_INTERFACES];
    pub(super) const ALL: [&str; 10] = [
        SOCKET,
        MEDIA_LISTEN,
        PLAIN_PORTS,
        CORES,
        IO,
        XDP_INTERFACES,
        STEERING,
        BUSY_POLL,
        COALESCE_MAX,
        LOG_FORMAT,
    ];
}

/// Everything the engine is started with, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where control connects to.
    pub(crate) socket: PathBuf,
    /// Addresses of the media port, without doubles.
    pub(crate) media_listen: Vec<SocketAddr>,
    /// Whether `media_listen` is not the default: then each of them must work.
    pub(crate) media_listen_chosen: bool,
    /// First and last port for plain transports.
    pub(crate) plain_ports: (u16, u16),
    /// One CPU per shard, in shard order; one may serve several shards.
    pub(crate) cores: Vec<u16>,
    /// Which back end to use.
    pub(crate) io: IoChoice,
    /// Interfaces for AF_XDP; none: those that suit it.
    pub(crate) xdp_interfaces: Vec<String>,
    /// Whether the kernel is to bring flows to the shards that own them, where it can.
    pub(crate) steering: bool,
    /// How long a wait polls network cards before it sleeps, if at all.
    pub(crate) busy_poll: Option<Duration>,
    /// How long a busy shard lets datagrams gather while it sleeps, at most; zero: not at all.
    pub(crate) coalesce_max: Duration,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A setting that can not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadValue {
    /// The flag, variable or key of a file it came by.
    pub(crate) origin: String,
    /// What was given.
    pub(crate) given: String,
    /// What would do.
    pub(crate) allowed: String,
}

impl std::fmt::Display for BadValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            origin,
            given,
            allowed,
        } = self;
        write!(f, "{origin}: {given:?} was given, allowed is {allowed}")
    }
}

impl Config {
    /// Makes settings of what was given; `usable_cores` are the CPUs this process may run on.
    fn resolve(given: &Given, usable_cores: &[u16]) -> Result<Self, BadValue> {
        let media_listen = given
            .list(key::MEDIA_LISTEN, values::media_address)?
            .unwrap_or_else(default_media_listen);
        Ok(Self {
            socket: given
                .one(key::SOCKET, values::socket_path)?
                .unwrap_or_else(default_socket),
            // Control passes its own default on, which is the same.
            media_listen_chosen: media_listen != default_media_listen(),
            media_listen,
            plain_ports: given
                .one(key::PLAIN_PORTS, values::port_range)?
                .unwrap_or(DEFAULT_PLAIN_PORTS),
            cores: given
                .one(key::CORES, |text| values::cores(text, usable_cores))?
                .unwrap_or_else(|| {
                    let mut cores = usable_cores.to_vec();
                    cores.truncate(values::MAX_SHARDS);
                    cores
                }),
            io: given
                .one(key::IO, values::io_choice)?
                .unwrap_or(IoChoice::Auto),
            xdp_interfaces: given
                .list(key::XDP_INTERFACES, values::interface)?
                .unwrap_or_default(),
            steering: given.one(key::STEERING, values::steering)?.unwrap_or(true),
            busy_poll: given.one(key::BUSY_POLL, values::busy_poll)?.flatten(),
            coalesce_max: given
                .one(key::COALESCE_MAX, values::coalesce_max)?
                .unwrap_or(DEFAULT_COALESCE_MAX),
            log_format: given
                .one(key::LOG_FORMAT, values::log_format)?
                .unwrap_or_default(),
        })
    }
}

fn default_media_listen() -> Vec<SocketAddr> {
    vec![
        SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_MEDIA_PORT),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_MEDIA_PORT),
    ]
}

fn default_socket() -> PathBuf {
    let folder = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(runtime) if !runtime.is_empty() => PathBuf::from(runtime).join("weirgate"),
        _ => PathBuf::from(format!(
            "/tmp/weirgate-{}",
            rustix::process::geteuid().as_raw()
        )),
    };
    folder.join("engine.sock")
}
