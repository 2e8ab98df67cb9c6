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
        while let Some(rest) = messages.list().get(at..).filter(|rest| !rest.is_empty()) {
            let slot = rest[0].slot;
            let run = rest.iter().take_while(|next| next.slot == slot).count();
            let Some(fd) = self.sockets.fd(slot) else {
                results.extend(std::iter::repeat_n(libc::EBADF, run));
                at += run;
                continue;
            };
            counters.syscalls += 1;
            if let Ok(sent @ 1..) = usize::try_from(call(fd, messages, at, run)) {
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
            at += 1;
            if rest[0].segments > 1 || rest[0].connected {
                // It may have to go again, before the next messages.
                return;
            }
        }
    }
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
