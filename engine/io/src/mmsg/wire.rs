//! `sendmmsg`, and `sendto` where a socket has a single simple message.

use std::io;
use std::os::fd::RawFd;

use weirgate_shard::Path;

use crate::counters::IoCounters;
use crate::outgoing::{Messages, Way, Wire};
use crate::socket::SocketTable;

/// Sends by the sockets of a table.
pub(super) struct MmsgWire<'a> {
    pub(super) sockets: &'a mut SocketTable,
}

impl Wire for MmsgWire<'_> {
    fn way(&mut self, path: &Path) -> Option<Way> {
        self.sockets.way(path)
    }

    fn transmit(
        &mut self,
        messages: &Messages,
        from: usize,
        results: &mut Vec<i32>,
        counters: &mut IoCounters,
    ) {
        let mut at = from;
        while at < messages.list().len() {
            let run = run_at(messages, at);
            let fd = self.sockets.fd(messages.list()[at].slot);
            if !send_run(fd, messages, at, run, results, counters) {
                return;
            }
            at += run;
        }
    }
}

/// How many messages from `at` on go by the same socket.
pub(crate) fn run_at(messages: &Messages, at: usize) -> usize {
    let rest = &messages.list()[at..];
    let same = rest.iter().take_while(|next| next.slot == rest[0].slot);
    same.count()
}

/// Sends the `run` messages from `from` on by their socket, in as few calls as can be, with outcomes as
/// of [`Wire::transmit`]. False where it stopped at one that may have to go again before the next.
pub(crate) fn send_run(
    fd: Option<RawFd>,
    messages: &Messages,
    from: usize,
    run: usize,
    results: &mut Vec<i32>,
    counters: &mut IoCounters,
) -> bool {
    let Some(fd) = fd else {
        results.extend(std::iter::repeat_n(libc::EBADF, run));
        return true;
    };
    let end = from + run;
    let mut at = from;
    while at < end {
        counters.syscalls += 1;
        if let Ok(sent @ 1..) = usize::try_from(call(fd, messages, at, end - at)) {
            results.extend(std::iter::repeat_n(0, sent));
            at += sent;
            continue;
        }
        // The kernel tells an error only of the first message of a call.
        let errno = io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO);
        if errno == libc::EINTR {
            continue;
        }
        results.push(errno);
        let message = messages.list()[at];
        at += 1;
        if message.segments > 1 || message.connected {
            return false;
        }
    }
    true
}

/// Sends `run` messages of one socket from `at` on; how many went, or a negative number.
fn call(fd: RawFd, messages: &Messages, at: usize, run: usize) -> i32 {
    const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    if let (1, Some(simple)) = (run, messages.simple(at)) {
        let (bytes, len) = (simple.bytes.cast(), simple.len);
        // SAFETY: the name is the messages' own memory, or null with a length of 0, and the payload
        // lives until this returns.
        let sent = unsafe { libc::sendto(fd, bytes, len, FLAGS, simple.name, simple.name_len) };
        return if sent < 0 { -1 } else { 1 };
    }
    // SAFETY: `run` headers follow one another from `at`; what they point to is the messages' own
    // memory and payloads that live until this returns.
    unsafe { libc::sendmmsg(fd, messages.header(at), run as libc::c_uint, FLAGS as _) }
}
