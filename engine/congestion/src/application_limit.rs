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
        let most = self.window_bytes();
        self.unused_bytes = self.unused_bytes.clamp(-most, most);
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
    pub(crate) fn sent(&mut self, now_us: u64, bytes: u64) -> bool {
        self.unused_bytes -= bytes as f64;
        self.update(now_us)
    }

    /// Lets time pass; true where a limited time ends.
    pub(crate) fn update(&mut self, now_us: u64) -> bool {
        let elapsed_us = now_us.saturating_sub(self.updated_us);
        self.updated_us = self.updated_us.max(now_us);
        let most = self.window_bytes();
        let unused = self.unused_bytes + self.budget_bytes_per_us * elapsed_us as f64;
        self.unused_bytes = unused.clamp(-most, most);
        let was_limited = self.is_limited;
        if self.unused_bytes > BEGIN_UNUSED * most {
            self.is_limited = true;
        } else if self.unused_bytes < END_UNUSED * most {
            self.is_limited = false;
        }
        let has_ended = was_limited && !self.is_limited;
        if has_ended {
            self.ended_us = Some(now_us);
        }
        has_ended
    }

    fn window_bytes(&self) -> f64 {
        self.budget_bytes_per_us * WINDOW_US as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(limit: &mut ApplicationLimit, from_ms: u64, until_ms: u64, bytes_per_ms: u64) {
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
