//! Ends a back end's sleep from another thread.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Ends the sleep of one back end's `receive`, or keeps its next one from sleeping. A system call:
/// only for shards that sleep. Wakes between two `receive`s become one.
#[derive(Debug, Clone)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, owned by nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            event: Arc::new(event),
        })
    }

    /// Wakes.
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // Fails only where the count would pass 2^64 - 2: nobody ever resets it, as both back ends
        // look at edges, and no process lives to see that.
        // SAFETY: writes eight bytes from a live array to a descriptor this holds open.
        unsafe { libc::write(self.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
