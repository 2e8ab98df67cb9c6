//! The ring itself: requests in, completions out, one thread.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Napi, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, squeue};

use super::completions::{Completion, Operation};
use crate::counters::IoCounters;
use crate::outgoing::Sender;

/// Requests handed in at once: all messages of a send, and some.
const REQUESTS: u32 = 512;
/// Completions the kernel can leave us before it has to keep them aside.
const COMPLETIONS: u32 = 4096;
/// Sockets with something that end a sleep before its time.
const GATHERED: usize = 64;
/// Attempts at a call that fails for want of memory or room, before the ring is given up.
const ATTEMPTS: u32 = 1000;

const _: () = assert!(Sender::capacity() < REQUESTS as usize);

/// See the module.
pub(super) struct Ring {
    ring: IoUring,
    /// Completions taken from the ring while looking for those of sends.
    aside: VecDeque<Completion>,
    /// The kernel can let completions gather (Linux 6.12).
    can_gather: bool,
    /// The ring can not be used any more: errno. Nothing is handed in then, so that requests that
    /// stayed behind are never carried out.
    broken: Option<i32>,
}

impl Ring {
    /// A ring with room for `files` registered files, to be used by this thread alone.
    pub(super) fn new(files: u32) -> io::Result<Self> {
        let ring = builder().setup_cqsize(COMPLETIONS).build(REQUESTS)?;
        ring.submitter()
            .register_files_sparse(files.min(file_limit()))?;
        Ok(Self {
            can_gather: ring.params().is_feature_min_timeout(),
            ring,
            aside: VecDeque::with_capacity(COMPLETIONS as usize),
            broken: None,
        })
    }

    /// Puts `fd` into the table of registered files, or takes out what is there (-1).
    pub(super) fn set_file(&self, slot: u32, fd: RawFd) -> io::Result<()> {
        let submitter = self.ring.submitter();
        submitter.register_files_update(slot, &[fd]).map(drop)
    }

    /// Has waits look for arrivals themselves for that long before they sleep.
    pub(super) fn poll_busily(&self, time: Duration) -> io::Result<()> {
        let mut napi = Napi::new()
            .set_busy_poll_timeout(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
            .set_prefer_busy_poll(true);
        let registered = self.ring.submitter().register_napi(&mut napi);
        registered.map_err(|error| {
            let text = format!("busy polling by io_uring (Linux 6.9) is refused: {error}");
            io::Error::new(error.kind(), text)
        })
    }

    /// Registers a ring of provided buffers.
    ///
    /// # Safety
    /// `address` is that of `count` entries, at the start of a page, that outlive this.
    pub(super) unsafe fn register_buffers(
        &self,
        address: u64,
        count: u16,
        group: u16,
    ) -> io::Result<()> {
        // SAFETY: the caller's word.
        unsafe {
            self.ring
                .submitter()
                .register_buf_ring_with_flags(address, count, group, 0)
        }
    }

    /// Queues a request; it goes in with the next call. What it points to must live until then, and
    /// the payload of a send until its completion.
    pub(super) fn push(
        &mut self,
        entry: squeue::Entry,
        operation: Operation,
        counters: &mut IoCounters,
    ) -> io::Result<()> {
        let entry = entry.user_data(operation.user_data());
        if self.ring.submission().is_full() {
            self.submit(counters)?;
        }
        // SAFETY: requests are built in this module's neighbours: receives point to the template
        // and the pool, which the owner drops after this, and sends to messages that `transmit`
        // waits for, or that are never handed in (`broken`).
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(|_| self.give_up(libc::EBUSY))
    }

    /// Hands in what is queued. Sends are carried out at once.
    pub(super) fn submit(&mut self, counters: &mut IoCounters) -> io::Result<()> {
        self.check()?;
        for _ in 0..ATTEMPTS {
            if self.ring.submission().is_empty() {
                return Ok(());
            }
            counters.syscalls += 1;
            match self.ring.submit() {
                Ok(_) => {}
                Err(e) if may_pass(&e) => self.put_aside(),
                Err(e) => return Err(self.give_up(e.raw_os_error().unwrap_or(libc::EIO))),
            }
        }
        Err(self.give_up(libc::EBUSY))
    }

    /// Lets the kernel do what it has put off until asked, without sleeping.
    pub(super) fn run_deferred(&mut self, counters: &mut IoCounters) -> io::Result<()> {
        self.check()?;
        let queued = self.ring.submission().len() as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        counters.syscalls += 1;
        // SAFETY: no argument is given to the kernel.
        let entered = unsafe {
            let submitter = self.ring.submitter();
            submitter.enter::<libc::sigset_t>(queued, 0, flags, None)
        };
        self.judge(entered)
    }

    /// Whether the kernel has put something off.
    pub(super) fn has_deferred(&mut self) -> bool {
        let submission = self.ring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    /// As [`Self::run_deferred`], until nothing is put off: one call does some twenty pieces of
    /// work.
    pub(super) fn run_all_deferred(&mut self, counters: &mut IoCounters) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            self.run_deferred(counters)?;
            if !self.has_deferred() {
                break;
            }
        }
        Ok(())
    }

    /// Waits for a completion, and after `gather` at the earliest, where the kernel can do so; hands
    /// in what is queued on the way. Does not sleep where completions are there, or `timeout` is zero.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        gather: Duration,
        counters: &mut IoCounters,
    ) -> io::Result<()> {
        self.check()?;
        let at_hand = !self.aside.is_empty() || !self.ring.completion().is_empty();
        if at_hand || timeout == Some(Duration::ZERO) {
            return if self.has_deferred() || !self.ring.submission().is_empty() {
                self.run_deferred(counters)
            } else {
                Ok(())
            };
        }
        counters.syscalls += 1;
        let entered = match timeout {
            None => self.ring.submit_and_wait(1),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                let args = SubmitArgs::new().timespec(&timeout);
                let submitter = self.ring.submitter();
                match u32::try_from(gather.as_micros()) {
                    Ok(gather @ 1..) if self.can_gather => {
                        submitter.submit_with_args(GATHERED, &args.min_wait_usec(gather))
                    }
                    _ => submitter.submit_with_args(1, &args),
                }
            }
        };
        self.judge(entered)
    }

    /// The next completion at hand.
    pub(super) fn next(&mut self) -> Option<Completion> {
        self.aside
            .pop_front()
            .or_else(|| self.ring.completion().next().map(Completion::from))
    }

    /// Gives the completions of sends at hand to `each`, keeps the others for [`Self::next`].
    pub(super) fn take_sends(&mut self, mut each: impl FnMut(u32, i32)) {
        for entry in self.ring.completion() {
            let completion = Completion::from(entry);
            match completion.operation() {
                Some(Operation::Send(index)) => each(index, completion.error()),
                _ => self.aside.push_back(completion),
            }
        }
    }

    /// Ends all requests and lets go of all files.
    pub(super) fn shut_down(&mut self) {
        // Nothing can be done where this fails: closing the ring does the same, only later.
        let everything = CancelBuilder::any().all();
        let submitter = self.ring.submitter();
        let _ = submitter.register_sync_cancel(Some(Timespec::new().sec(1)), everything);
        let _ = self.run_all_deferred(&mut IoCounters::default());
        let _ = self.ring.submitter().unregister_files();
    }

    fn put_aside(&mut self) {
        self.aside
            .extend(self.ring.completion().map(Completion::from));
    }

    fn check(&self) -> io::Result<()> {
        match self.broken {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }

    fn judge(&mut self, entered: io::Result<usize>) -> io::Result<()> {
        match entered {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::ETIME) || may_pass(&e) => Ok(()),
            Err(e) => Err(self.give_up(e.raw_os_error().unwrap_or(libc::EIO))),
        }
    }

    fn give_up(&mut self, errno: i32) -> io::Error {
        self.broken = Some(errno);
        io::Error::from_raw_os_error(errno)
    }
}

fn builder() -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all();
    builder
}

/// Errors of a call that may be over when it is made again: a signal, no memory, no room for
/// completions.
fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
    )
}

/// The kernel registers no more files than this process may open.
fn file_limit() -> u32 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes one live struct.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    match result {
        0 => u32::try_from(limit.rlim_cur).unwrap_or(u32::MAX).max(1),
        _ => 1024,
    }
}
