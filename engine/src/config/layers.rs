//! Where values come from: flags before variables before the file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgAction, CommandFactory, Parser};

use super::{BadValue, Config, key};

/// Why there is no [`Config`].
#[derive(Debug)]
pub(crate) enum Failure {
    /// Help or version was asked for, or a flag is unknown: clap has the text and the exit code.
    Clap(clap::Error),
    /// A value can not be used.
    Bad(BadValue),
}

/// Reads all layers. `variable` looks a variable up; `usable_cores` are the CPUs this process may
/// run on.
pub(crate) fn read(
    arguments: impl Iterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
    usable_cores: &[u16],
) -> Result<Config, Failure> {
    let flags = Flags::try_parse_from(arguments).map_err(Failure::Clap)?;
    let given = Given::gather(flags, variable).map_err(Failure::Bad)?;
    Config::resolve(&given, usable_cores).map_err(Failure::Bad)
}

/// The data plane of Weirgate: forwards media, driven by weirgate-control over a Unix socket.
#[derive(Debug, Parser)]
#[command(
    name = "weirgate-engine",
    version,
    after_help = "Settings come from the file, then the environment, then the flags; the later wins.\n\
        Keys of the file are the flags' names without the dashes in front.\n\
        RUST_LOG says what is logged, such as debug; info by default."
)]
struct Flags {
    /// Settings file in TOML [env: WEIRGATE_CONFIG] [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Socket for control, made 0600 [env: WEIRGATE_SOCKET] [default:
    /// $XDG_RUNTIME_DIR/weirgate/engine.sock, else /tmp/weirgate-UID/engine.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// Address of the media port, repeatable [env: WEIRGATE_MEDIA_LISTEN, with commas] [default:
    /// 0.0.0.0:10000 and [::]:10000]
    #[arg(long, value_name = "ADDR[:PORT]", action = ArgAction::Append)]
    media_listen: Vec<String>,
    /// UDP ports of plain transports [env: WEIRGATE_PLAIN_PORTS] [default: 10100-13999]
    #[arg(long, value_name = "MIN-MAX", allow_hyphen_values = true)]
    plain_ports: Option<String>,
    /// CPUs, one shard on each, such as 0,2-3 [env: WEIRGATE_CORES] [default: all this process may
    /// use]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    cores: Option<String>,
    /// Back end for UDP: auto, uring, mmsg or xdp. xdp (AF_XDP) takes datagrams past the kernel's
    /// firewall and needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF at the start; auto never takes it
    /// [env: WEIRGATE_IO] [default: auto]
    #[arg(long, value_name = "BACKEND")]
    io: Option<String>,
    /// Network interfaces for --io xdp, repeatable [env: WEIRGATE_XDP_INTERFACES, with commas]
    /// [default: all with a media address and a driver that runs XDP programs]
    #[arg(long, value_name = "NAME", action = ArgAction::Append)]
    xdp_interfaces: Vec<String>,
    /// auto: the kernel brings flows to the shards that own them, by an eBPF program, where
    /// CAP_BPF and CAP_NET_ADMIN are there at the start; off: shards hand them over
    /// [env: WEIRGATE_STEERING] [default: auto]
    #[arg(long, value_name = "MODE")]
    steering: Option<String>,
    /// Microseconds for which a wait polls the network cards itself before it sleeps (NAPI busy
    /// polling): less delay for more CPU time; 0: off. Needs CAP_NET_ADMIN at the start and Linux 6.9
    /// [env: WEIRGATE_BUSY_POLL] [default: 0]
    #[arg(long, value_name = "MICROSECONDS")]
    busy_poll: Option<String>,
    /// Microseconds that sleeps of a busy shard last at least, so that datagrams gather meanwhile, at
    /// most: the busier it is the longer, an idle one's end at once; 0: all do. By uring from Linux 6.12 on
    /// [env: WEIRGATE_COALESCE_MAX] [default: 2000]
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    coalesce_max: Option<String>,
    /// Log lines on stderr: text or json [env: WEIRGATE_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Flags {
    fn values(&self, name: &str) -> Vec<String> {
        let one = |value: &Option<String>| value.iter().cloned().collect();
        match name {
            key::SOCKET => one(&self.socket),
            key::MEDIA_LISTEN => self.media_listen.clone(),
            key::PLAIN_PORTS => one(&self.plain_ports),
            key::CORES => one(&self.cores),
            key::IO => one(&self.io),
            key::XDP_INTERFACES => self.xdp_interfaces.clone(),
            key::STEERING => one(&self.steering),
            key::BUSY_POLL => one(&self.busy_poll),
            key::COALESCE_MAX => one(&self.coalesce_max),
            key::LOG_FORMAT => one(&self.log_format),
            _ => Vec::new(),
        }
    }
}

/// The values in force, as text, with where each came from.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: HashMap<&'static str, (String, Vec<String>)>,
}

impl Given {
    fn gather(flags: Flags, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, BadValue> {
        let config = flags
            .config
            .clone()
            .or_else(|| variable("WEIRGATE_CONFIG").map(PathBuf::from));
        let mut given = match config {
            Some(path) => Self::from_file(&path)?,
            None => Self::default(),
        };
        for name in key::ALL {
            let origin = variable_name(name);
            if let Some(value) = variable(&origin) {
                let value = value.into_string().map_err(|raw| BadValue {
                    origin: origin.clone(),
                    given: raw.to_string_lossy().into_owned(),
                    allowed: "text in UTF-8".to_owned(),
                })?;
                given.values.insert(name, (origin, vec![value]));
            }
            let values = flags.values(name);
            if !values.is_empty() {
                given.values.insert(name, (format!("--{name}"), values));
            }
        }
        Ok(given)
    }

    fn from_file(path: &Path) -> Result<Self, BadValue> {
        let bad = |origin: String, given: String, allowed: &str| BadValue {
            origin,
            given,
            allowed: allowed.to_owned(),
        };
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let allowed = format!("a TOML file that can be read ({error})");
            bad("--config".to_owned(), shown.clone(), &allowed)
        })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let allowed = format!("a TOML file ({})", error.message());
            bad("--config".to_owned(), shown.clone(), &allowed)
        })?;
        let mut given = Self::default();
        for (name, value) in table {
            let origin = format!("{name} in {shown}");
            let Some(known) = key::ALL.into_iter().find(|known| *known == name) else {
                let allowed = format!("one of the keys {}", key::ALL.join(", "));
                return Err(bad(origin, name, &allowed));
            };
            let values = match &value {
                toml::Value::String(text) => Some(vec![text.clone()]),
                toml::Value::Array(items) if key::LISTS.contains(&known) => {
                    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                    texts.collect()
                }
                _ => None,
            };
            let Some(values) = values else {
                let allowed = match key::LISTS.contains(&known) {
                    true => "a string, or an array of strings",
                    false => "a string",
                };
                return Err(bad(origin, value.to_string(), allowed));
            };
            given.values.insert(known, (origin, values));
        }
        Ok(given)
    }

    /// The value of `name`, `None` where none was given.
    pub(super) fn one<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadValue> {
        let Some((origin, values)) = self.values.get(name) else {
            return Ok(None);
        };
        let text = values.last().map(String::as_str).unwrap_or_default();
        parse_one(origin, text, &parse).map(Some)
    }

    /// The values of `name` without doubles, `None` where none was given.
    pub(super) fn list<T: PartialEq>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, BadValue> {
        let Some((origin, values)) = self.values.get(name) else {
            return Ok(None);
        };
        let mut list = Vec::new();
        for text in values.iter().flat_map(|value| value.split(',')) {
            let value = parse_one(origin, text, &parse)?;
            if !list.contains(&value) {
                list.push(value);
            }
        }
        if list.is_empty() {
            // An empty array in the file.
            parse_one(origin, "", &parse)?;
        }
        Ok(Some(list))
    }
}

fn parse_one<T>(
    origin: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, BadValue> {
    parse(text.trim()).map_err(|allowed| BadValue {
        origin: origin.to_owned(),
        given: text.to_owned(),
        allowed,
    })
}

fn variable_name(name: &str) -> String {
    format!("WEIRGATE_{}", name.replace('-', "_").to_uppercase())
}

impl Failure {
    /// Prints what is to be said and gives the exit code.
    pub(crate) fn report(self) -> u8 {
        use std::io::Write;
        match self {
            // Printing can only fail where nobody reads.
            Self::Clap(error) => {
                let _ = error.print();
                u8::try_from(error.exit_code()).unwrap_or(2)
            }
            Self::Bad(bad) => {
                let name = Flags::command().get_name().to_owned();
                let _ = writeln!(std::io::stderr(), "{name}: {bad}");
                2
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use weirgate_io::IoChoice;

    fn read_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Config, Failure> {
        let arguments = std::iter::once("weirgate-engine").chain(arguments.iter().copied());
        read(
            arguments.map(OsString::from),
            |name| {
                let found = variables.iter().find(|(known, _)| *known == name)?;
                Some(OsString::from(found.1))
            },
            &[0, 1],
        )
    }

    fn bad(result: Result<Config, Failure>) -> BadValue {
        match result {
            Err(Failure::Bad(bad)) => bad,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_anything_the_defaults_of_the_contract_hold() {
        let config = read_with(&[], &[]).unwrap();
        let listen: Vec<String> = config.media_listen.iter().map(|a| a.to_string()).collect();
        assert_eq!(listen, ["0.0.0.0:10000", "[::]:10000"]);
        assert!(!config.media_listen_chosen);
        assert_eq!(config.plain_ports, (10_100, 13_999));
        assert_eq!(config.cores, [0, 1]);
        assert_eq!(config.io, IoChoice::Auto);
        assert!(config.xdp_interfaces.is_empty() && config.steering);
        assert_eq!(config.busy_poll, None);
        assert_eq!(config.coalesce_max.as_millis(), 2);
        assert_eq!(config.log_format, LogFormat::Text);
        assert_eq!(config.socket.file_name().unwrap(), "engine.sock");
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("engine.toml");
        std::fs::write(
            &file,
            "io = \"mmsg\"\ncores = \"0\"\nplain-ports = \"5-6\"\nmedia-listen = [\"::1\", \"127.0.0.1\"]",
        )
        .unwrap();
        let file = file.to_str().unwrap();
        let config = read_with(
            &["--cores", "1"],
            &[
                ("WEIRGATE_CONFIG", file),
                ("WEIRGATE_CORES", "0,1"),
                ("WEIRGATE_PLAIN_PORTS", "7-8"),
            ],
        )
        .unwrap();
        assert_eq!(config.io, IoChoice::Mmsg);
        assert_eq!(config.cores, [1]);
        assert_eq!(config.plain_ports, (7, 8));
        assert_eq!(config.media_listen.len(), 2);
        assert!(config.media_listen_chosen);
    }

    #[test]
    fn a_repeated_flag_and_a_variable_with_commas_make_the_same_list() {
        let interfaces = read_with(&["--xdp-interfaces", "eth0,eth1"], &[]).unwrap();
        assert_eq!(interfaces.xdp_interfaces, ["eth0", "eth1"]);
        let flags = read_with(
            &["--media-listen", "127.0.0.1:5", "--media-listen", "[::1]:5"],
            &[],
        );
        let variable = read_with(&[], &[("WEIRGATE_MEDIA_LISTEN", "127.0.0.1:5,[::1]:5")]);
        assert_eq!(flags.unwrap(), variable.unwrap());
    }

    #[test]
    fn a_bad_value_is_named_by_where_it_came_from() {
        let flag = bad(read_with(&["--io", "dpdk"], &[]));
        assert_eq!(
            flag.to_string(),
            "--io: \"dpdk\" was given, allowed is auto, uring, mmsg or xdp"
        );
        let interface = bad(read_with(&["--xdp-interfaces", "eth0,"], &[]));
        assert_eq!(interface.origin, "--xdp-interfaces");
        let steering = bad(read_with(&["--steering", "on"], &[]));
        assert_eq!(steering.allowed, "auto or off");
        let busy_poll = bad(read_with(&["--busy-poll", "10001"], &[]));
        assert_eq!(busy_poll.allowed, "0 to 10000 microseconds");
        let coalesce = bad(read_with(&["--coalesce-max", "2ms"], &[]));
        assert_eq!(coalesce.allowed, "0 to 20000 microseconds");
        let off = read_with(&["--coalesce-max", "0"], &[]).unwrap();
        assert!(off.coalesce_max.is_zero());
        let variable = [("WEIRGATE_BUSY_POLL", "50")];
        let busy_poll = read_with(&[], &variable).unwrap().busy_poll;
        assert_eq!(busy_poll, Some(std::time::Duration::from_micros(50)));
        assert_eq!(
            read_with(&["--busy-poll", "0"], &variable)
                .unwrap()
                .busy_poll,
            None
        );
        let variable = bad(read_with(&[], &[("WEIRGATE_LOG_FORMAT", "xml")]));
        assert_eq!(variable.origin, "WEIRGATE_LOG_FORMAT");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.toml");
        let file = path.to_str().unwrap();
        for (text, origin) in [
            ("cores = 3", "cores in "),
            ("speed = \"high\"", "speed in "),
            ("media-listen = []", "media-listen in "),
            ("media-listen = [4]", "media-listen in "),
            ("cores = ", "--config"),
        ] {
            std::fs::write(&path, text).unwrap();
            let bad = bad(read_with(&["--config", file], &[]));
            assert!(bad.origin.starts_with(origin), "{bad}");
        }
        let missing = bad(read_with(&["--config", "/nowhere/at-all.toml"], &[]));
        assert_eq!(missing.given, "/nowhere/at-all.toml");
    }

    #[test]
    fn help_lists_every_setting_with_its_variable() {
        let help = Flags::command().render_long_help().to_string();
        for name in key::ALL {
            assert!(help.contains(&format!("--{name}")), "{name}");
            assert!(help.contains(&variable_name(name)), "{name}");
        }
    }
}
