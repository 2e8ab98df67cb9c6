//! From text to checked values.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use super::{SettingsError, layers::Layers};

const MEDIA_PORT: u16 = 10_000;

/// I/O back ends of the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IoBackend {
    /// The engine probes and chooses.
    #[default]
    Auto,
    /// io_uring.
    Uring,
    /// recvmmsg and sendmmsg.
    Mmsg,
    /// AF_XDP.
    Xdp,
}

impl IoBackend {
    const ALL: [Self; 4] = [Self::Auto, Self::Uring, Self::Mmsg, Self::Xdp];

    /// As the flag takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Mmsg => "mmsg",
            Self::Xdp => "xdp",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As the flag takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Text, Self::Json]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// A STUN or TURN server, as `RTCIceServer` has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct IceServer {
    /// Such as `turn:turn.example:3478`.
    pub urls: String,
    /// User name for TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password for TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl IceServer {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ',');
        let url = parts.next()?;
        let known = ["stun:", "stuns:", "turn:", "turns:"]
            .iter()
            .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        let username = parts.next().map(str::to_owned);
        let credential = parts.next().map(str::to_owned);
        (known && username.is_some() == credential.is_some()).then(|| Self {
            urls: url.to_owned(),
            username,
            credential,
        })
    }
}

/// Addresses clients are told instead of the host's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    /// For IPv4.
    pub v4: Option<Ipv4Addr>,
    /// For IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Announced {
    /// True where nothing was given.
    pub const fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

/// Reads keys from the layers.
pub(super) struct Reader<'a>(pub(super) &'a Layers);

impl Reader<'_> {
    /// The value of a key given once.
    pub(super) fn one<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(given) = self.0.get(key) else {
            return Ok(None);
        };
        let Some(text) = given.values.last() else {
            return Ok(None);
        };
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(refusal(&given.place, text, allowed)),
        }
    }

    /// The values of a repeatable key.
    pub(super) fn many<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, SettingsError> {
        let Some(given) = self.0.get(key) else {
            return Ok(Vec::new());
        };
        given
            .values
            .iter()
            .map(|text| parse(text).ok_or_else(|| refusal(&given.place, text, allowed)))
            .collect()
    }

    pub(super) fn count(&self, key: &str, default: usize) -> Result<usize, SettingsError> {
        let value = self.one(key, "a number from 1 to 1000000", |text| {
            text.parse()
                .ok()
                .filter(|count| (1..=1_000_000).contains(count))
        })?;
        Ok(value.unwrap_or(default))
    }

    pub(super) fn tls(&self) -> Result<Option<(PathBuf, PathBuf)>, SettingsError> {
        let cert = self.one("tls-cert", "a file", path)?;
        let key = self.one("tls-key", "a file", path)?;
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(SettingsError::Invalid(
                "tls-key: nothing is given; with tls-cert a private key file is needed".to_owned(),
            )),
            (None, Some(_)) => Err(SettingsError::Invalid(
                "tls-cert: nothing is given; with tls-key a certificate file is needed".to_owned(),
            )),
        }
    }

    pub(super) fn media_listen(&self) -> Result<Vec<SocketAddr>, SettingsError> {
        let given = self.many(
            "media-listen",
            "ADDR[:PORT], such as 0.0.0.0:10000",
            |text| {
                text.parse::<SocketAddr>().ok().or_else(|| {
                    let bare = text.trim_start_matches('[').trim_end_matches(']');
                    bare.parse().ok().map(|ip| SocketAddr::new(ip, MEDIA_PORT))
                })
            },
        )?;
        if !given.is_empty() {
            return Ok(given);
        }
        Ok(vec![
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), MEDIA_PORT),
            SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), MEDIA_PORT),
        ])
    }

    pub(super) fn announced(&self) -> Result<Announced, SettingsError> {
        let allowed = "an IP address or a host name that resolves, one per family";
        let mut announced = Announced::default();
        for address in self.many("announced-address", allowed, resolve)? {
            let taken = match address {
                IpAddr::V4(v4) => announced.v4.replace(v4).is_some(),
                IpAddr::V6(v6) => announced.v6.replace(v6).is_some(),
            };
            if taken {
                return Err(SettingsError::Invalid(format!(
                    "announced-address: {address} is the second of its family; allowed is {allowed}"
                )));
            }
        }
        Ok(announced)
    }
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

pub(super) fn token(text: &str) -> Option<String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    (text.len() >= 8 && visible).then(|| text.to_owned())
}

/// Browsers send the origin in lower case without a slash at the end.
pub(super) fn origin(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    let (scheme, host) = text.split_once("://")?;
    let plain = !host.is_empty() && !host.contains(['/', '*', '?', '#', '@']);
    (matches!(scheme, "http" | "https") && plain).then_some(text)
}

pub(super) fn ports(text: &str) -> Option<(u16, u16)> {
    let (min, max) = text.split_once('-')?;
    let (min, max) = (min.parse().ok()?, max.parse().ok()?);
    (0 < min && min <= max).then_some((min, max))
}

/// The engine knows which CPUs there are; here only the form is checked.
pub(super) fn cores(text: &str) -> Option<String> {
    let well_formed = text.split(',').all(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => first <= last,
            _ => false,
        }
    });
    well_formed.then(|| text.to_owned())
}

pub(super) fn busy_poll(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|micros| (0..=10_000).contains(micros))
}

pub(super) fn coalesce_max(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|micros| (0..=20_000).contains(micros))
}

pub(super) fn resume_time(text: &str) -> Option<Duration> {
    let seconds = text.parse().ok().filter(|s| (1..=3600).contains(s))?;
    Some(Duration::from_secs(seconds))
}

pub(super) fn level(text: &str) -> Option<tracing::Level> {
    // `parse` would take numbers and capitals too.
    ["error", "warn", "info", "debug", "trace"]
        .contains(&text)
        .then(|| text.parse().ok())?
}

pub(super) fn default_socket(runtime_dir: Option<String>) -> PathBuf {
    let folder = match runtime_dir {
        Some(dir) => PathBuf::from(dir).join("weirgate"),
        None => {
            let uid = rustix::process::getuid().as_raw();
            PathBuf::from(format!("/tmp/weirgate-{uid}"))
        }
    };
    folder.join("engine.sock")
}

pub(super) fn default_engine_bin() -> PathBuf {
    let name = "weirgate-engine";
    match std::env::current_exe() {
        Ok(own) => own.with_file_name(name),
        Err(_) => PathBuf::from(name),
    }
}

fn resolve(text: &str) -> Option<IpAddr> {
    let address = match text.parse() {
        Ok(address) => address,
        Err(_) => (text, 0).to_socket_addrs().ok()?.next()?.ip(),
    };
    (!address.is_unspecified()).then_some(address)
}

fn refusal(place: &str, given: &str, allowed: &str) -> SettingsError {
    SettingsError::Invalid(format!("{place}: {given:?} is given; allowed is {allowed}"))
}
