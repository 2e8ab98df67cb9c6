//! `send` and `sendmsg` requests; what one socket has many of goes by `sendmmsg`.

use io_uring::{opcode, squeue, types};
use weirgate_shard::Path;

use super::completions::Operation;
use super::ring::Ring;
use crate::counters::IoCounters;
use crate::mmsg::{run_at, send_run};
use crate::outgoing::{Messages, Way, Wire};
use crate::socket::SocketTable;

/// No outcome yet.
const PENDING: i32 = -1;

/// From so many messages of one socket on, one call for them is cheaper than a request for each:
/// requests cost more, and nobody else gets the core while the kernel carries them out, its own packet
/// thread included. Messages of many sockets are cheaper as requests, all handed in by one call.
const LONG_RUN: usize = 8;

/// Sends by the registered files of a ring.
pub(super) struct UringWire<'a> {
    pub(super) ring: &'a mut Ring,
    pub(super) sockets: &'a mut SocketTable,
}

impl Wire for UringWire<'_> {
    fn way(&mut self, path: &Path) -> Option<Way> {
        self.sockets.way(path)
    }

    /// Sends a long run of one socket, or hands in all messages before the next such run by one call.
    /// They are carried out within it, in order: a request that may not wait (MSG_DONTWAIT) fails
    /// where it would have to, instead of being put off.
    fn transmit(
        &mut self,
        messages: &Messages,
        from: usize,
        results: &mut Vec<i32>,
        counters: &mut IoCounters,
    ) {
        let run = run_at(messages, from);
        if run >= LONG_RUN {
            let fd = self.sockets.fd(messages.list()[from].slot);
            send_run(fd, messages, from, run, results, counters);
            return;
        }
        let list = &messages.list()[from..before_long_run(messages, from)];
        results.resize(list.len(), PENDING);
        let mut pending = 0;
        for (index, message) in list.iter().enumerate() {
            let entry = request(messages, from + index, message.slot);
            let operation = Operation::Send(index as u32);
            if self.ring.push(entry, operation, counters).is_err() {
                break;
            }
            pending += 1;
        }
        let mut submitted = self.ring.submit(counters);
        while pending > 0 && submitted.is_ok() {
            self.ring.take_sends(|index, errno| {
                results[index as usize] = errno;
                pending -= 1;
            });
            if pending > 0 {
                submitted = self.ring.run_deferred(counters);
            }
        }
        // Only a ring that was given up leaves some without an outcome; it never sends them.
        for result in results.iter_mut().filter(|result| **result == PENDING) {
            *result = libc::EIO;
        }
    }
}

/// Where the next long run begins, or the end.
fn before_long_run(messages: &Messages, from: usize) -> usize {
    let mut at = from;
    while at < messages.list().len() {
        let run = run_at(messages, at);
        if run >= LONG_RUN {
            break;
        }
        at += run;
    }
    at
}

/// Sends message `index` by the socket in a slot.
fn request(messages: &Messages, index: usize, slot: u32) -> squeue::Entry {
    const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let socket = types::Fixed(slot);
    match messages.simple(index) {
        Some(simple) => opcode::Send::new(socket, simple.bytes, simple.len as u32)
            .dest_addr(simple.name)
            .dest_addr_len(simple.name_len)
            .flags(FLAGS)
            .build(),
        None => opcode::SendMsg::new(socket, messages.header(index).cast())
            .flags(FLAGS as u32)
            .build(),
    }
}
