//! One parser per kind of value. Each error says what is allowed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use weirgate_io::IoChoice;

use super::{DEFAULT_MEDIA_PORT, LogFormat};

/// The ICE user name fragment has two hexadecimal digits for the shard.
pub(super) const MAX_SHARDS: usize = 256;

/// What is allowed, for people.
pub(super) type Allowed = String;

/// A path for the Unix socket.
pub(super) fn socket_path(text: &str) -> Result<PathBuf, Allowed> {
    /// `sun_path` of Linux, without its closing zero.
    const MAX_BYTES: usize = 107;
    let path = PathBuf::from(text);
    if text.len() > MAX_BYTES || path.file_name().is_none() {
        return Err(format!("a path of a file, of at most {MAX_BYTES} bytes"));
    }
    Ok(path)
}

/// `ADDR[:PORT]`; an IPv6 address with a port stands in brackets.
pub(super) fn media_address(text: &str) -> Result<SocketAddr, Allowed> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, DEFAULT_MEDIA_PORT));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err("ADDR[:PORT], such as 0.0.0.0, 192.0.2.1:10000 or [::]:10000".to_owned()),
    }
}

/// `MIN-MAX`.
pub(super) fn port_range(text: &str) -> Result<(u16, u16), Allowed> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let range: (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (range.0 > 0 && range.0 <= range.1).then_some(range)
    });
    range.ok_or_else(|| "MIN-MAX with 1 ≤ MIN ≤ MAX ≤ 65535, such as 10100-13999".to_owned())
}

/// CPU numbers and ranges of them, such as `0,2-3`.
pub(super) fn cores(text: &str, usable: &[u16]) -> Result<Vec<u16>, Allowed> {
    let allowed = || {
        format!(
            "a list such as 0,2-3 of at most {MAX_SHARDS} of the CPUs this process may use: {}",
            list_of(usable)
        )
    };
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>())
        else {
            return Err(allowed());
        };
        if first > last {
            return Err(allowed());
        }
        for core in first..=last {
            if cores.len() == MAX_SHARDS || !usable.contains(&core) {
                return Err(allowed());
            }
            cores.push(core);
        }
    }
    Ok(cores)
}

/// `auto` or `off`.
pub(super) fn steering(text: &str) -> Result<bool, Allowed> {
    match text {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err("auto or off".to_owned()),
    }
}

/// Microseconds; 0 for none.
pub(super) fn busy_poll(text: &str) -> Result<Option<Duration>, Allowed> {
    /// A core that polls longer does nothing else.
    const MAX_MICROS: u64 = 10_000;
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(micros @ ..=MAX_MICROS) => Ok(Some(Duration::from_micros(micros))),
        _ => Err(format!("0 to {MAX_MICROS} microseconds")),
    }
}

/// Microseconds; 0 for none.
pub(super) fn coalesce_max(text: &str) -> Result<Duration, Allowed> {
    /// Longer is seen and heard.
    const MAX_MICROS: u64 = 20_000;
    match text.parse() {
        Ok(micros @ ..=MAX_MICROS) => Ok(Duration::from_micros(micros)),
        _ => Err(format!("0 to {MAX_MICROS} microseconds")),
    }
}

/// The name of a network interface.
pub(super) fn interface(text: &str) -> Result<String, Allowed> {
    /// `IFNAMSIZ` without its closing zero.
    const MAX_BYTES: usize = 15;
    let fits = (1..=MAX_BYTES).contains(&text.len());
    if fits && !text.contains(|letter: char| letter == '/' || letter.is_whitespace()) {
        return Ok(text.to_owned());
    }
    Err("names of network interfaces, such as eth0,eth1".to_owned())
}

/// The name of a back end, or `auto`.
pub(super) fn io_choice(text: &str) -> Result<IoChoice, Allowed> {
    text.parse()
        .map_err(|_: String| "auto, uring, mmsg or xdp".to_owned())
}

/// The name of a log format.
pub(super) fn log_format(text: &str) -> Result<LogFormat, Allowed> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

fn list_of(cores: &[u16]) -> String {
    let names: Vec<String> = cores.iter().map(u16::to_string).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_addresses_take_the_default_port_and_reject_names_and_port_0() {
        for (text, want) in [
            ("0.0.0.0", "0.0.0.0:10000"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("::", "[::]:10000"),
            ("[::1]", "[::1]:10000"),
            ("[::1]:77", "[::1]:77"),
        ] {
            assert_eq!(media_address(text).unwrap(), want.parse().unwrap());
        }
        for text in ["", "localhost", "127.0.0.1:0", "127.0.0.1:65536", "[::1"] {
            assert!(media_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn port_ranges_are_ordered_and_without_0() {
        assert_eq!(port_range("5-5"), Ok((5, 5)));
        for text in ["", "5", "6-5", "0-5", "1-65536", "a-b"] {
            assert!(port_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn core_lists_keep_their_order_and_doubles() {
        let usable = [0, 1, 2, 3];
        assert_eq!(cores("0,2-3", &usable), Ok(vec![0, 2, 3]));
        assert_eq!(cores("1,0,1", &usable), Ok(vec![1, 0, 1]));
        for text in ["", "4", "0-4", "3-2", "x", "0,,1", "0-65535"] {
            let allowed = cores(text, &usable).unwrap_err();
            assert!(allowed.ends_with("may use: 0,1,2,3"), "{text}");
        }
    }
}
