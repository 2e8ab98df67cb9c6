//! The program's settings: read from file, variables and flags, checked as a whole at start.

mod keys;
mod layers;
mod values;

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub use values::{Announced, IceServer, IoBackend, LogFormat};

use keys::KEYS;
use layers::Layers;

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the HTTP server.
    pub http_listen: SocketAddr,
    /// Certificate chain and private key files for HTTPS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Tokens of which `/v1` wants one; none: no check, loopback only.
    pub api_tokens: Vec<String>,
    /// Web origins, beside the server's own, whose pages may call.
    pub allow_origins: Vec<String>,
    /// UDP addresses for WebRTC media.
    pub media_listen: Vec<SocketAddr>,
    /// What candidates carry instead of the host's addresses.
    pub announced: Announced,
    /// First and last UDP port for plain transports.
    pub plain_ports: (u16, u16),
    /// CPUs of the engine, as given; `None` for every allowed one.
    pub cores: Option<String>,
    /// I/O back end of the engine.
    pub io: IoBackend,
    /// Microseconds for which the engine polls network cards before it sleeps.
    pub busy_poll: u32,
    /// µs that busy shards of the engine let datagrams gather at most; `None` for its default.
    pub coalesce_max: Option<u32>,
    /// Socket of the engine.
    pub engine_socket: PathBuf,
    /// Engine program to start where none runs.
    pub engine_bin: PathBuf,
    /// Leave the engine running at the end.
    pub keep_engine: bool,
    /// Handed to clients.
    pub ice_servers: Vec<IceServer>,
    /// Folder of the call page; `None`: looked for in the usual places.
    pub page_dir: Option<PathBuf>,
    /// Key that join tokens are signed with.
    pub join_token_secret: Option<String>,
    /// HTTP connections at a time, WebSockets included.
    pub max_connections: usize,
    /// Rooms at a time.
    pub max_rooms: usize,
    /// Peers in one room at a time.
    pub max_peers_per_room: usize,
    /// How long a peer without connection keeps its place.
    pub resume_time: Duration,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Least severity that is logged.
    pub log_level: tracing::Level,
}

/// Variables that control does not read, and the engine that it starts does.
const OF_THE_ENGINE: [&str; 2] = ["WEIRGATE_STEERING", "WEIRGATE_XDP_INTERFACES"];

/// Names of all variables that are read.
pub(crate) fn variables() -> impl Iterator<Item = String> {
    let named = KEYS.iter().map(keys::Key::variable);
    named.chain(std::iter::once("WEIRGATE_CONFIG".to_owned()))
}

/// Those of `names` that look like a setting and are none. They are no errors: Kubernetes gives
/// such names (`WEIRGATE_PORT`) to the neighbours of a service.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known: Vec<String> = variables().collect();
    let is_unknown = |name: &String| {
        name.starts_with("WEIRGATE_")
            && !known.contains(name)
            && !OF_THE_ENGINE.contains(&name.as_str())
    };
    names.into_iter().filter(is_unknown).collect()
}

/// Why the settings are no good.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// One line: the key, what was given, what is allowed.
    #[error("{0}")]
    Invalid(String),
    /// Unknown flags, and the texts of `--help` and `--version`.
    #[error(transparent)]
    Flags(#[from] clap::Error),
}

impl Settings {
    /// Reads settings as the program does: `args` with the program's name first, `variable` for
    /// the environment.
    ///
    /// # Errors
    /// [`SettingsError`] for the first bad value found.
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let runtime_dir = variable("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        let layers = Layers::read(args, variable)?;
        let settings = Self::from_layers(&layers, runtime_dir)?;
        settings.check_exposure()?;
        Ok(settings)
    }

    fn from_layers(layers: &Layers, runtime_dir: Option<String>) -> Result<Self, SettingsError> {
        let read = values::Reader(layers);
        Ok(Self {
            http_listen: read
                .one("http-listen", "ADDR:PORT, such as 127.0.0.1:8080", |text| {
                    text.parse().ok()
                })?
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            tls: read.tls()?,
            api_tokens: read.many("api-token", "8 characters or more", values::token)?,
            allow_origins: read.many(
                "allow-origin",
                "scheme://host[:port], such as https://meet.example",
                values::origin,
            )?,
            media_listen: read.media_listen()?,
            announced: read.announced()?,
            plain_ports: read
                .one("plain-ports", "MIN-MAX, such as 10100-13999", values::ports)?
                .unwrap_or((10100, 13999)),
            cores: read.one("cores", "CPU numbers, such as 0,2-3", values::cores)?,
            io: read
                .one("io", "auto, uring, mmsg or xdp", IoBackend::from_name)?
                .unwrap_or_default(),
            busy_poll: read
                .one("busy-poll", "0 to 10000 microseconds", values::busy_poll)?
                .unwrap_or(0),
            coalesce_max: read.one(
                "coalesce-max",
                "0 to 20000 microseconds",
                values::coalesce_max,
            )?,
            engine_socket: read
                .one("engine-socket", "a path", values::path)?
                .unwrap_or_else(|| values::default_socket(runtime_dir)),
            engine_bin: read
                .one("engine-bin", "a path", values::path)?
                .unwrap_or_else(values::default_engine_bin),
            keep_engine: read
                .one("keep-engine", "true or false", |text| text.parse().ok())?
                .unwrap_or(false),
            ice_servers: read.many(
                "ice-server",
                "URL[,USER,PASS] with stun:, turn: or turns:",
                IceServer::parse,
            )?,
            page_dir: read.one("page-dir", "a folder", values::path)?,
            join_token_secret: read.one("join-token-secret", "16 characters or more", |text| {
                (text.len() >= 16).then(|| text.to_owned())
            })?,
            max_connections: read.count("max-connections", 10_000)?,
            max_rooms: read.count("max-rooms", 10_000)?,
            max_peers_per_room: read.count("max-peers-per-room", 1000)?,
            resume_time: read
                .one("resume-time", "1 to 3600 seconds", values::resume_time)?
                .unwrap_or(Duration::from_secs(15)),
            log_format: read
                .one("log-format", "text or json", LogFormat::from_name)?
                .unwrap_or_default(),
            log_level: read
                .one(
                    "log-level",
                    "error, warn, info, debug or trace",
                    values::level,
                )?
                .unwrap_or(tracing::Level::INFO),
        })
    }

    /// Without a token anyone who reaches the API owns every call, so only this host may.
    fn check_exposure(&self) -> Result<(), SettingsError> {
        if self.api_tokens.is_empty() && !is_loopback(self.http_listen.ip()) {
            return Err(SettingsError::Invalid(format!(
                "http-listen: {} can be reached from other hosts, and without an API token anyone \
                 there could run every call; allowed are loopback addresses, or any with \
                 --api-token TOKEN",
                self.http_listen
            )));
        }
        Ok(())
    }
}

/// Loopback in either family, v4-mapped addresses included.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests;
