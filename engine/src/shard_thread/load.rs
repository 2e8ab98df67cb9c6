//! How busy a shard is.

use std::time::Duration;

use weirgate_shard::Timestamp;

/// Over how long the load is measured.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// Adds up the time a shard slept.
#[derive(Debug)]
pub(super) struct LoadMeter {
    window_start: Timestamp,
    slept: Duration,
}

impl LoadMeter {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            window_start: now,
            slept: Duration::ZERO,
        }
    }

    /// Notes a sleep.
    pub(super) fn slept(&mut self, from: Timestamp, until: Timestamp) {
        self.slept += until.since(from);
    }

    /// When the window ends.
    pub(super) fn deadline(&self) -> Timestamp {
        self.window_start + WINDOW
    }

    /// The load in thousandths, once per window.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<u32> {
        if now < self.deadline() {
            return None;
        }
        let window = now.since(self.window_start).as_micros().max(1);
        let awake = window.saturating_sub(self.slept.as_micros());
        *self = Self::new(now);
        u32::try_from(awake * 1000 / window).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_part_of_a_window_that_was_not_slept() {
        let at = |ms: u64| Timestamp::from_micros(1_000_000 + ms * 1_000);
        let mut meter = LoadMeter::new(at(0));
        meter.slept(at(0), at(500));
        assert_eq!(meter.take(at(600)), None);
        meter.slept(at(700), at(950));
        assert_eq!(meter.take(at(1_000)), Some(250));
        assert_eq!(meter.deadline(), at(2_000));
        meter.slept(at(1_000), at(2_500));
        assert_eq!(meter.take(at(2_500)), Some(0));
        assert_eq!(meter.take(at(4_000)), Some(1_000));
    }
}
