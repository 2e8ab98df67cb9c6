//! What this process may do, and what an interface has.

use std::os::fd::AsRawFd;

/// Rights it takes, by their numbers in capabilities(7).
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (BPF, "CAP_BPF")];
const BPF: u32 = 39;
/// Has all of `CAP_BPF` in it.
const SYS_ADMIN: u32 = 21;

/// Rights this thread lacks; none where that can not be seen.
pub(super) fn missing() -> Vec<&'static str> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    effective.map_or(Vec::new(), missing_of)
}

/// Whether any is lacking.
pub(super) fn are_missing() -> bool {
    !missing().is_empty()
}

fn missing_of(effective: u64) -> Vec<&'static str> {
    let has = |right: u32| effective & 1 << right != 0;
    let lacking = NEEDED
        .into_iter()
        .filter(|&(right, _)| !(has(right) || right == BPF && has(SYS_ADMIN)));
    lacking.map(|(_, name)| name).collect()
}

/// How many receive queues an interface has in use; 1 where its driver does not say.
pub(super) fn queue_count(interface: &str) -> u32 {
    /// `struct ethtool_channels`
    #[derive(Debug, Default)]
    #[repr(C)]
    struct Channels {
        command: u32,
        max_rx: u32,
        max_tx: u32,
        max_other: u32,
        max_combined: u32,
        rx: u32,
        tx: u32,
        other: u32,
        combined: u32,
    }
    /// `ETHTOOL_GCHANNELS` and `SIOCETHTOOL`
    const GET_CHANNELS: u32 = 0x3c;
    const ETHTOOL: u32 = 0x8946;

    let Ok(socket) = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None) else {
        return 1;
    };
    let mut channels = Channels {
        command: GET_CHANNELS,
        ..Channels::default()
    };
    // SAFETY: numbers and pointers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(15)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: the kernel reads the request, and reads and writes the channels it points to; both
    // are live and of the layout this call has.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), ETHTOOL as _, &raw mut request) };
    match result {
        0 => (channels.rx + channels.combined).max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        assert_eq!(missing_of(u64::MAX), Vec::<&str>::new());
        assert_eq!(missing_of(0), ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF"]);
        assert_eq!(missing_of(1 << SYS_ADMIN | 1 << 12), ["CAP_NET_RAW"]);
    }

    #[test]
    fn an_interface_without_a_say_has_one_queue() {
        assert_eq!(queue_count("lo"), 1);
        assert_eq!(queue_count("no-such-interface"), 1);
    }
}
