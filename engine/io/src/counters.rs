//! What a back end counts. Plain fields: they live on the shard's thread.

/// Counters since the back end was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// Datagrams given to the shard.
    pub datagrams_in: u64,
    /// Their payload bytes.
    pub bytes_in: u64,
    /// Messages of several datagrams that UDP_GRO had joined.
    pub trains_in: u64,
    /// Datagrams the kernel took.
    pub datagrams_out: u64,
    /// Their payload bytes.
    pub bytes_out: u64,
    /// Trains of several datagrams the kernel took in one UDP_SEGMENT send.
    pub trains_out: u64,
    /// System calls of receiving and sending.
    pub syscalls: u64,
    /// Datagrams the kernel did not take.
    pub send_errors: SendErrors,
    /// Trains sent again datagram by datagram because the offload failed.
    pub gso_fallbacks: u64,
    /// Messages dropped because the kernel had cut them or their control data.
    pub receive_truncated: u64,
    /// Receive calls that failed.
    pub receive_errors: u64,
    /// Datagrams dropped by full receive buffers of sockets, as far as the kernel told.
    pub kernel_drops: u64,
    /// Multishot receives armed again (`uring`).
    pub rearms: u64,
    /// Multishot receives that ended because all buffers were taken (`uring`); nothing is lost.
    pub buffers_exhausted: u64,
    /// What only `xdp` counts.
    pub xdp: XdpCounters,
}

/// Counters of AF_XDP. What came and went by frames is in the common counters too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct XdpCounters {
    /// Datagrams that came as frames.
    pub datagrams_in: u64,
    /// Datagrams that left as frames.
    pub datagrams_out: u64,
    /// Datagrams sent by sockets because the way was not known, or not one for frames.
    pub unresolved: u64,
    /// Frames dropped because they were cut or not what was to be redirected.
    pub malformed: u64,
    /// Frames dropped because their UDP checksum was wrong.
    pub bad_checksums: u64,
    /// Frames dropped because the socket they were for had been closed.
    pub no_socket: u64,
    /// Sockets whose datagrams could not be redirected to frames.
    pub not_redirected: u64,
}

impl IoCounters {
    /// Adds what both back ends of `xdp` count.
    pub(crate) fn add(&mut self, frames: &Self) {
        self.datagrams_in += frames.datagrams_in;
        self.bytes_in += frames.bytes_in;
        self.datagrams_out += frames.datagrams_out;
        self.bytes_out += frames.bytes_out;
        self.syscalls += frames.syscalls;
        self.send_errors.no_buffers += frames.send_errors.no_buffers;
    }
}

/// Datagrams that were not sent, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendErrors {
    /// The socket's send buffer was full: EAGAIN.
    pub would_block: u64,
    /// No memory or a full queue of the device: ENOBUFS, ENOMEM.
    pub no_buffers: u64,
    /// No way there: ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, EADDRNOTAVAIL, ECONNREFUSED.
    pub unreachable: u64,
    /// A firewall or security module said no: EPERM, EACCES.
    pub denied: u64,
    /// Longer than the path allows: EMSGSIZE.
    pub too_long: u64,
    /// On a socket the back end does not have: EBADF.
    pub unknown_socket: u64,
    /// Anything else.
    pub other: u64,
}

impl SendErrors {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.would_block
            + self.no_buffers
            + self.unreachable
            + self.denied
            + self.too_long
            + self.unknown_socket
            + self.other
    }

    pub(crate) fn add(&mut self, errno: i32, datagrams: u16) {
        let class = match errno {
            libc::EAGAIN => &mut self.would_block,
            libc::ENOBUFS | libc::ENOMEM => &mut self.no_buffers,
            libc::ENETUNREACH
            | libc::EHOSTUNREACH
            | libc::ENETDOWN
            | libc::EHOSTDOWN
            | libc::EADDRNOTAVAIL
            | libc::ECONNREFUSED => &mut self.unreachable,
            libc::EPERM | libc::EACCES => &mut self.denied,
            libc::EMSGSIZE => &mut self.too_long,
            libc::EBADF => &mut self.unknown_socket,
            _ => &mut self.other,
        };
        *class += u64::from(datagrams);
    }
}
