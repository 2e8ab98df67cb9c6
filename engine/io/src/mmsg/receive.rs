//! `recvmmsg` into buffers of its own.

use std::io;
use std::os::fd::RawFd;
use std::ptr;

use crate::address::{self, ADDRESS_LEN};
use crate::cmsg;
use crate::counters::IoCounters;
use crate::incoming::Delivery;
use crate::memory::{Buffers, Slab, Zeroable};
use crate::socket::{SocketTable, Token};

/// Buffers and the headers that point to them.
#[derive(Debug)]
pub(super) struct Receiver {
    count: usize,
    headers: Slab<libc::mmsghdr>,
    parts: Slab<Parts>,
    payloads: Slab<libc::iovec>,
    buffers: Buffers,
}

/// What the kernel fills beside the payload.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
struct Parts {
    control: [u8; cmsg::RECEIVE_LEN],
    name: [u8; ADDRESS_LEN],
}

// SAFETY: bytes.
unsafe impl Zeroable for Parts {}

impl Receiver {
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let no_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let receiver = Self {
            count,
            headers: Slab::new(count, align_of::<libc::mmsghdr>()).ok_or_else(no_memory)?,
            parts: Slab::new(count, align_of::<Parts>()).ok_or_else(no_memory)?,
            payloads: Slab::new(count, align_of::<libc::iovec>()).ok_or_else(no_memory)?,
            buffers: Buffers::new(count).ok_or_else(no_memory)?,
        };
        for index in 0..count {
            let parts = receiver.parts.at(index);
            let payload = receiver.payloads.at(index);
            // SAFETY: pointers into live slabs that nobody else uses; only field addresses of
            // `parts` are taken.
            unsafe {
                (*payload).iov_base = receiver.buffers.at(index).cast();
                (*payload).iov_len = Buffers::LEN;
                let header = &mut (*receiver.headers.at(index)).msg_hdr;
                header.msg_name = ptr::addr_of_mut!((*parts).name).cast();
                header.msg_iov = payload;
                header.msg_iovlen = 1;
                header.msg_control = ptr::addr_of_mut!((*parts).control).cast();
            }
            receiver.reset(index);
        }
        Ok(receiver)
    }

    /// Takes what one call gives from a socket; true where more may be waiting.
    pub(super) fn receive<'b>(
        &'b mut self,
        token: Token,
        sockets: &mut SocketTable,
        delivery: &mut Delivery<'b, '_>,
        counters: &mut IoCounters,
    ) -> bool {
        if !sockets.is_current(token) {
            return false;
        }
        let Some(fd) = sockets.fd(token.slot) else {
            return false;
        };
        counters.syscalls += 1;
        let messages = match self.call(fd) {
            Ok(messages) => messages,
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock => return false,
                io::ErrorKind::Interrupted => return true,
                _ => {
                    // A pending error of the socket, which asking for it has cleared.
                    counters.receive_errors += 1;
                    return false;
                }
            },
        };
        for index in 0..messages {
            self.deliver(index, token, sockets, delivery, counters);
            self.reset(index);
        }
        messages == self.count
    }

    fn call(&self, fd: RawFd) -> io::Result<usize> {
        // SAFETY: `count` headers follow one another in the slab and point to parts and buffers
        // that live as long as this; no reference to any of them exists.
        let result = unsafe {
            libc::recvmmsg(
                fd,
                self.headers.at(0),
                self.count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    fn deliver<'b>(
        &'b self,
        index: usize,
        token: Token,
        sockets: &mut SocketTable,
        delivery: &mut Delivery<'b, '_>,
        counters: &mut IoCounters,
    ) {
        // SAFETY: initialised memory that the kernel has filled and does not have any more; the
        // header is copied, the parts are only read.
        let (header, parts) = unsafe { (*self.headers.at(index), &*self.parts.at(index)) };
        if header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            counters.receive_truncated += 1;
            return;
        }
        let name_len = (header.msg_hdr.msg_namelen as usize).min(ADDRESS_LEN);
        let control_len: usize = header.msg_hdr.msg_controllen as _;
        let Some(remote) = address::read(&parts.name[..name_len]) else {
            counters.receive_errors += 1;
            return;
        };
        let received = cmsg::read(&parts.control[..control_len.min(cmsg::RECEIVE_LEN)]);
        let Some(path) = sockets.path(token, remote, &received, counters) else {
            return;
        };
        // SAFETY: the kernel is done with the buffer until the next call, which borrows this
        // exclusively; each index is taken once per call.
        let bytes = unsafe { self.buffers.take(index, header.msg_len as usize) };
        sockets.came(token, bytes);
        delivery.message(path, bytes, &received, counters);
    }

    /// Makes a header ready for the next call.
    fn reset(&self, index: usize) {
        // SAFETY: a pointer into the live slab; no reference to the header exists.
        let header = unsafe { &mut (*self.headers.at(index)).msg_hdr };
        header.msg_namelen = ADDRESS_LEN as _;
        header.msg_controllen = cmsg::RECEIVE_LEN as _;
        header.msg_flags = 0;
    }
}
