//! How many queues an interface has.

use std::os::fd::AsRawFd;

/// How many receive queues an interface has in use; 1 where its driver does not say.
pub(super) fn count(interface: &str) -> u32 {
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
    fn an_interface_without_a_say_has_one_queue() {
        assert_eq!(count("lo"), 1);
        assert_eq!(count("no-such-interface"), 1);
    }
}
