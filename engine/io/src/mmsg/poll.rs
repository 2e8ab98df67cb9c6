//! epoll, with timeouts finer than a millisecond where the kernel has them.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// A set of descriptors to wait for.
#[derive(Debug)]
pub(crate) struct Poll {
    set: OwnedFd,
    events: Vec<libc::epoll_event>,
    coarse: bool,
    turn: usize,
}

/// `struct epoll_params`.
#[repr(C)]
struct Busy {
    micros: u32,
    /// Packets of a look; more than 64 take rights, and 8 is the kernel's choice elsewhere.
    budget: u16,
    prefer: u8,
    padding: u8,
}

/// `EPIOCSPARAMS`: to the kernel, 8 bytes, number 1 of those of 0x8a.
const SET_BUSY: u32 = 1 << 30 | (size_of::<Busy>() as u32) << 16 | 0x8a << 8 | 1;

impl Poll {
    /// Descriptors told ready by one wait, at most. Others are told next time.
    pub(crate) const EVENTS: usize = 256;

    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: just made, owned by nobody else.
            set: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![libc::epoll_event { events: 0, u64: 0 }; Self::EVENTS],
            coarse: false,
            turn: 0,
        })
    }

    /// Has waits look for arrivals themselves for that long before they sleep.
    pub(crate) fn set_busy(&self, time: Duration) -> io::Result<()> {
        let params = Busy {
            micros: u32::try_from(time.as_micros()).unwrap_or(u32::MAX),
            budget: 8,
            prefer: 1,
            padding: 0,
        };
        // SAFETY: the kernel reads one live struct of the size that the number says.
        let result = unsafe { libc::ioctl(self.set.as_raw_fd(), SET_BUSY as _, &raw const params) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        let text = format!("busy polling by epoll (Linux 6.9) is refused: {error}");
        Err(io::Error::new(error.kind(), text))
    }

    /// For a wait for this one's descriptors among others.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.set.as_raw_fd()
    }

    /// Waits for `fd` to have something to read, for as long as it has.
    pub(crate) fn add(&self, fd: RawFd, data: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32, data)
    }

    /// No longer waits for `fd`.
    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits for `fd` to get something to read: each arrival counts once, read or not.
    pub(crate) fn add_edges(&self, fd: RawFd, data: u64) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        self.control(libc::EPOLL_CTL_ADD, fd, events, data)
    }

    /// Waits, and gives the data of each descriptor that is ready, starting with another one each
    /// time. A signal ends the wait.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(u64),
    ) -> io::Result<()> {
        let ready = match self.call(timeout) {
            Ok(ready) => ready,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(e),
        };
        let ready = self.events.get(..ready).unwrap_or_default();
        self.turn = self.turn.wrapping_add(1);
        let (before, from) = ready.split_at(self.turn.checked_rem(ready.len()).unwrap_or(0));
        for event in from.iter().chain(before) {
            each(event.u64);
        }
        Ok(())
    }

    fn call(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if !self.coarse {
            match self.wait_fine(timeout) {
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.coarse = true;
                }
                result => return result,
            }
        }
        self.wait_coarse(timeout)
    }

    fn wait_fine(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let limit = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the kernel writes at most `EVENTS` events into the vector of that many, and reads
        // the timeout, which lives to the end of this function; there is no signal mask.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.set.as_raw_fd(),
                self.events.as_mut_ptr(),
                Self::EVENTS as libc::c_int,
                limit,
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    fn wait_coarse(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let millis = match timeout {
            // Rounded up, so that a timer that is nearly due does not make us spin.
            Some(timeout) => libc::c_int::try_from(timeout.as_micros().div_ceil(1000))
                .unwrap_or(libc::c_int::MAX),
            None => -1,
        };
        let events = self.events.as_mut_ptr();
        // SAFETY: the kernel writes at most `EVENTS` events into the vector of that many.
        let result = unsafe {
            libc::epoll_wait(
                self.set.as_raw_fd(),
                events,
                Self::EVENTS as libc::c_int,
                millis,
            )
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    fn control(&self, what: i32, fd: RawFd, events: u32, data: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: data };
        let set = self.set.as_raw_fd();
        // SAFETY: the kernel reads one live event.
        let result = unsafe { libc::epoll_ctl(set, what, fd, &raw mut event) };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
