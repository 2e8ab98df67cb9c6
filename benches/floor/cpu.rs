//! CPU time, and where it is spent.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Keeps this thread, and those it starts from now on, on one core.
pub(crate) fn pin(core: Option<usize>) -> Result<()> {
    let Some(core) = core else {
        return Ok(());
    };
    let mut set = CpuSet::new();
    set.set(core)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .with_context(|| format!("no core {core} for this process"))
}

/// Of all threads of this process, kernel threads working for it (io_uring) included.
pub(crate) fn process_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Of this thread.
pub(crate) fn thread_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// Of the kernel threads that take packets in where their senders were not made to, since the
/// machine started: nobody's CPU time, and other programs' packets are in it too. `None` where they
/// can not be seen.
pub(crate) fn softirq_time() -> Option<Duration> {
    let threads = fs::read_dir("/proc").ok()?.flatten().filter(|process| {
        let name = fs::read_to_string(process.path().join("comm"));
        name.is_ok_and(|name| name.starts_with("ksoftirqd/"))
    });
    let times = threads.map(|thread| {
        let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse().ok()
    });
    let nanos: Option<Vec<u64>> = times.collect();
    let nanos = nanos.filter(|nanos| !nanos.is_empty())?;
    Some(Duration::from_nanos(nanos.into_iter().sum()))
}
