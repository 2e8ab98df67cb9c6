//! The queue that stands: what delay remains over the least there was, also at the best moments of
//! the last frames. Frames that leave faster than the path carries fill its queue for a moment, and
//! the delay within them grows; a queue that is empty again before the next one is no overuse.

use crate::millis;

/// The least delay of so long, and of up to twice that, is the path's own.
const BASE_WINDOW_US: u64 = millis(10_000);
/// The least delay of so long, and of up to twice that, is what stands: a pause between two frames
/// is in it.
const RECENT_WINDOW_US: u64 = millis(100);
/// Nothing is taken for so long after a packet of a probe.
const PAUSE_US: u64 = millis(100);
/// Delays that differ by this much are of two clocks, or of one that was set.
const CLOCK_STEP_US: i64 = millis(3_000) as i64;

/// The minimum over one to two windows.
#[derive(Debug)]
struct WindowedMin {
    window_us: u64,
    began_us: u64,
    previous: i64,
    current: i64,
}

impl WindowedMin {
    const fn new(window_us: u64) -> Self {
        Self {
            window_us,
            began_us: 0,
            previous: i64::MAX,
            current: i64::MAX,
        }
    }

    /// Takes a value; true where a window ended before it.
    #[inline]
    fn add(&mut self, at_us: u64, value: i64) -> bool {
        let is_over = at_us.saturating_sub(self.began_us) >= self.window_us;
        if is_over {
            let is_next = at_us - self.began_us < 2 * self.window_us;
            self.previous = if is_next { self.current } else { i64::MAX };
            self.current = i64::MAX;
            self.began_us = at_us;
        }
        self.current = self.current.min(value);
        is_over
    }

    fn get(&self) -> i64 {
        self.previous.min(self.current)
    }
}

#[derive(Debug)]
pub(super) struct StandingQueue {
    base: WindowedMin,
    recent: WindowedMin,
    /// What stood when the last window of recent delays began; as much as can be before there was one.
    before_us: u64,
    /// Arrivals before this say nothing.
    paused_until_us: u64,
}

impl Default for StandingQueue {
    fn default() -> Self {
        Self {
            base: WindowedMin::new(BASE_WINDOW_US),
            recent: WindowedMin::new(RECENT_WINDOW_US),
            before_us: u64::MAX,
            paused_until_us: 0,
        }
    }
}

impl StandingQueue {
    /// Takes the first packet of a group: those after it waited for it too.
    pub(super) fn add(&mut self, sent_us: u64, arrival_us: u64) {
        if arrival_us < self.paused_until_us {
            return;
        }
        let delay_us = arrival_us.wrapping_sub(sent_us) as i64;
        let base_us = self.base.get();
        if base_us != i64::MAX && delay_us.wrapping_sub(base_us).saturating_abs() > CLOCK_STEP_US {
            *self = Self::default();
        }
        self.base.add(arrival_us, delay_us);
        let standing_us = self.standing_us();
        if self.recent.add(arrival_us, delay_us) {
            self.before_us = standing_us;
        }
    }

    /// A packet of a probe arrived: the queue it left is no news, and what it hides neither.
    pub(super) fn pause(&mut self, arrival_us: u64) {
        self.recent = WindowedMin::new(RECENT_WINDOW_US);
        self.before_us = u64::MAX;
        self.paused_until_us = arrival_us.saturating_add(PAUSE_US);
    }

    /// How long what is sent waits at least.
    pub(super) fn standing_us(&self) -> u64 {
        let (base_us, recent_us) = (self.base.get(), self.recent.get());
        if recent_us == i64::MAX {
            return 0;
        }
        recent_us.saturating_sub(base_us).max(0) as u64
    }

    /// How much of that came within the last windows.
    pub(super) fn grown_us(&self) -> u64 {
        self.standing_us().saturating_sub(self.before_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET_US: u64 = 1 << 40;

    /// Packets every 10 ms with delays in ms that repeat.
    fn feed(queue: &mut StandingQueue, from_ms: u64, until_ms: u64, delays_ms: &[u64]) {
        let delays = delays_ms.iter().cycle();
        for (at_ms, delay_ms) in (from_ms..until_ms).step_by(10).zip(delays) {
            queue.add(millis(at_ms), OFFSET_US + millis(at_ms + delay_ms));
        }
    }

    #[test]
    fn a_queue_that_empties_between_frames_does_not_stand() {
        let mut queue = StandingQueue::default();
        feed(&mut queue, 0, 3_000, &[20, 40, 60, 80, 30, 20]);
        assert_eq!(queue.standing_us(), 0);
    }

    #[test]
    fn a_queue_that_does_not_stands() {
        let mut queue = StandingQueue::default();
        feed(&mut queue, 0, 3_000, &[20]);
        feed(&mut queue, 3_000, 3_150, &[90, 120]);
        assert_eq!(queue.standing_us(), millis(70));
        assert_eq!(queue.grown_us(), millis(70));
        feed(&mut queue, 3_150, 3_510, &[90, 120]);
        assert_eq!(queue.grown_us(), 0);
        feed(&mut queue, 3_510, 3_520, &[20]);
        assert_eq!(queue.standing_us(), 0);
    }

    #[test]
    fn a_delay_that_stays_becomes_the_paths_own() {
        let mut queue = StandingQueue::default();
        feed(&mut queue, 0, 3_000, &[20]);
        feed(&mut queue, 3_000, 24_000, &[90]);
        assert_eq!(queue.standing_us(), 0);
    }

    #[test]
    fn a_clock_that_was_set_is_no_queue() {
        let mut queue = StandingQueue::default();
        feed(&mut queue, 0, 3_000, &[20]);
        feed(&mut queue, 3_000, 3_300, &[9_020]);
        assert_eq!(queue.standing_us(), 0);
    }
}
