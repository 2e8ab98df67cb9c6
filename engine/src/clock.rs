//! The clock all shards share: their times are compared when packets cross.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weirgate_shard::Timestamp;

/// Reads the monotonic clock as [`Timestamp`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

/// Age of the origin when the clock starts, so that no time is 0.
const HEAD_START: Duration = Duration::from_secs(1);

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        #[cfg(test)]
        reads::note();
        Timestamp::ZERO + HEAD_START + self.origin.elapsed()
    }

    /// Time since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Unix time at the origin of [`Timestamp`].
    pub(crate) fn wall_clock_offset(&self) -> Duration {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        unix.saturating_sub(HEAD_START + self.origin.elapsed())
    }
}

/// How often this thread has read the clock, for tests.
#[cfg(test)]
pub(crate) mod reads {
    use std::cell::Cell;

    thread_local! {
        static READS: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn note() {
        READS.set(READS.get() + 1);
    }

    /// Since this was asked last.
    pub(crate) fn take() -> u32 {
        READS.take()
    }
}
