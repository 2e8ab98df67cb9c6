//! `sendmmsg`.

use std::io;

use weirgate_shard::SocketId;

use crate::counters::IoCounters;
use crate::outgoing::{Messages, Wire};
use crate::socket::SocketTable;

/// Sends by the sockets of a table.
pub(super) struct MmsgWire<'a> {
    pub(super) sockets: &'a mut SocketTable,
}

impl Wire for MmsgWire<'_> {
    fn slot(&mut self, id: SocketId) -> Option<u32> {
        self.sockets.slot(id)
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
            // SAFETY: `run` headers follow one another from `at`; what they point to is the
            // messages' own memory and payloads that live until this returns.
            let sent = unsafe {
                libc::sendmmsg(
                    fd,
                    messages.header(at),
                    run as libc::c_uint,
                    (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
                )
            };
            if let Ok(sent @ 1..) = usize::try_from(sent) {
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
            if rest[0].segments > 1 {
                // Its datagrams may have to go one by one, before the next messages.
                return;
            }
        }
    }
}
