//! Tells when the application sends so much less than it may that the rate it sends says little
//! of the path.

use crate::millis;

/// The share of the target that counts as using it.
const USED_SHARE: f64 = 0.65;
/// The time over which the use is measured.
const WINDOW_US: u64 = millis(500);
/// Unused share of a window's budget at which a limited time begins, and at which it ends.
const BEGIN_UNUSED: f64 = 0.80;
const END_UNUSED: f64 = 0.50;

#[derive(Debug)]
pub(crate) struct ApplicationLimit {
    budget_bytes_per_us: f64,
    /// The budget of a window, and the parts of it unused at which a limited time begins and ends.
    window_bytes: f64,
    begin_bytes: f64,
    end_bytes: f64,
    /// What was not used; below zero where more was sent.
    unused_bytes: f64,
    updated_us: u64,
    is_limited: bool,
    ended_us: Option<u64>,
}

impl ApplicationLimit {
    pub(crate) fn new(now_us: u64, target_bps: f64) -> Self {
        let mut limit = Self {
            budget_bytes_per_us: 0.0,
            window_bytes: 0.0,
            begin_bytes: 0.0,
            end_bytes: 0.0,
            unused_bytes: 0.0,
            updated_us: now_us,
            is_limited: false,
            ended_us: None,
        };
        limit.set_target(target_bps);
        limit
    }

    pub(crate) fn set_target(&mut self, target_bps: f64) {
        self.budget_bytes_per_us = target_bps * USED_SHARE / 8_000_000.0;
        self.window_bytes = self.budget_bytes_per_us * WINDOW_US as f64;
        self.begin_bytes = BEGIN_UNUSED * self.window_bytes;
        self.end_bytes = END_UNUSED * self.window_bytes;
        self.bound();
    }

    pub(crate) const fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// It is so now, or was within `within_us`.
    pub(crate) fn was_limited(&self, now_us: u64, within_us: u64) -> bool {
        let ended_recently = self
            .ended_us
            .is_some_and(|ended_us| now_us.saturating_sub(ended_us) < within_us);
        self.is_limited || ended_recently
    }

    /// Counts what was sent; true where a limited time ends by it.
    #[inline]
    pub(crate) fn sent(&mut self, now_us: u64, bytes: u16) -> bool {
        self.unused_bytes -= f64::from(bytes);
        self.update(now_us)
    }

    /// Lets time pass; true where a limited time ends.
    #[inline]
    pub(crate) fn update(&mut self, now_us: u64) -> bool {
        if now_us > self.updated_us {
            let elapsed_us = (now_us - self.updated_us) as f64;
            self.updated_us = now_us;
            self.unused_bytes += self.budget_bytes_per_us * elapsed_us;
        }
        self.bound();
        if self.is_limited {
            if self.unused_bytes < self.end_bytes {
                self.is_limited = false;
                self.ended_us = Some(now_us);
                return true;
            }
        } else if self.unused_bytes > self.begin_bytes {
            self.is_limited = true;
        }
        false
    }

    /// No more is unused than a window's budget, and no more overdrawn.
    #[inline]
    fn bound(&mut self) {
        if self.unused_bytes > self.window_bytes {
            self.unused_bytes = self.window_bytes;
        } else if self.unused_bytes < -self.window_bytes {
            self.unused_bytes = -self.window_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(limit: &mut ApplicationLimit, from_ms: u64, until_ms: u64, bytes_per_ms: u16) {
        for at_ms in from_ms..until_ms {
            limit.sent(millis(at_ms), bytes_per_ms);
        }
    }

    #[test]
    fn half_the_target_is_limited_all_of_it_is_not() {
        let mut limit = ApplicationLimit::new(0, 1_000_000.0);
        send(&mut limit, 0, 2_000, 125);
        assert!(!limit.is_limited());
        send(&mut limit, 2_000, 7_000, 50);
        assert!(limit.is_limited());
        send(&mut limit, 7_000, 9_000, 125);
        assert!(!limit.is_limited());
        assert!(limit.was_limited(millis(9_000), millis(3_000)));
        assert!(!limit.was_limited(millis(19_000), millis(3_000)));
    }

    #[test]
    fn silence_is_limited() {
        let mut limit = ApplicationLimit::new(0, 1_000_000.0);
        send(&mut limit, 0, 1_000, 125);
        limit.update(millis(3_000));
        assert!(limit.is_limited());
    }
}
