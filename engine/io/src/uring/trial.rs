//! Trying out what the back end needs of the kernel.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::Template;
use super::completions::Operation;
use super::pool::Pool;
use super::ring::Ring;
use crate::counters::IoCounters;

/// Why there is no io_uring for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    step: &'static str,
    errno: i32,
}

impl Trouble {
    pub(crate) const fn new(step: &'static str, errno: i32) -> Self {
        Self { step, errno }
    }

    /// What the operator can do.
    pub(crate) fn advice(&self) -> &'static str {
        match self.errno {
            libc::EPERM | libc::EACCES => {
                "set the sysctl kernel.io_uring_disabled to 0 and let the container's seccomp \
                 profile pass io_uring_setup, io_uring_enter and io_uring_register"
            }
            libc::ENOMEM => "raise the limit of locked memory (LimitMEMLOCK, ulimit -l)",
            libc::EMFILE | libc::ENFILE => "raise the limit of open files (LimitNOFILE, ulimit -n)",
            _ => "use Linux 6.1 or newer",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.errno {
            libc::EPERM | libc::EACCES => "it is forbidden here",
            libc::ENOSYS => "the kernel has none",
            _ => "",
        };
        let error = io::Error::from_raw_os_error(self.errno);
        match why {
            "" => write!(f, "{} failed: {error}", self.step),
            why => write!(f, "{} failed, {why}: {error}", self.step),
        }
    }
}

/// Sets up a small ring as the back end does, and receives one message by it.
pub(crate) fn try_out() -> Result<(), Trouble> {
    let trouble =
        |step| move |e: io::Error| Trouble::new(step, e.raw_os_error().unwrap_or(libc::ENOSYS));
    let mut counters = IoCounters::default();
    let mut ring = Ring::new(1).map_err(trouble("setting up a ring"))?;
    // After the ring in the order of dropping: see `finish`.
    let pool = Pool::new(&ring, 2).map_err(trouble("registering receive buffers"))?;
    let template = Template::new();
    let (ours, theirs) = UnixDatagram::pair().map_err(trouble("making a socket pair"))?;
    ring.set_file(0, std::os::fd::AsRawFd::as_raw_fd(&ours))
        .map_err(trouble("registering a file"))?;
    let outcome = (|| {
        ring.push(template.receive(0), Operation::Wake, &mut counters)?;
        ring.submit(&mut counters)?;
        theirs.send(b"?")?;
        ring.wait(Some(Duration::from_secs(2)), Duration::ZERO, &mut counters)
    })();
    let completion = ring.next();
    finish(ring, pool);
    outcome.map_err(trouble("waiting for a message"))?;
    match completion {
        Some(completion) if completion.error() != 0 => {
            Err(Trouble::new("multishot receive", completion.error()))
        }
        Some(completion) if completion.buffer().is_some() && completion.more() => Ok(()),
        _ => Err(Trouble::new("multishot receive", libc::ENOSYS)),
    }
}

/// Requests end before the memory they write to goes.
fn finish(mut ring: Ring, pool: Pool) {
    ring.shut_down();
    drop(ring);
    drop(pool);
}
