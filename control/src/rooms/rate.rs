//! A limit on how often something may happen.

use std::time::Instant;

/// A bucket of tokens that fills at a steady rate.
#[derive(Debug)]
pub(super) struct RateLimit {
    burst: f64,
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

impl RateLimit {
    /// Full at `now`.
    pub(super) const fn new(burst: f64, per_second: f64, now: Instant) -> Self {
        Self {
            burst,
            per_second,
            tokens: burst,
            filled_at: now,
        }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = now.duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + since * self.per_second).min(self.burst);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut limit = RateLimit::new(3.0, 10.0, start);
        let taken = |limit: &mut RateLimit, at| (0..10).filter(|_| limit.take(at)).count();
        assert_eq!(taken(&mut limit, start), 3);
        assert_eq!(taken(&mut limit, start + Duration::from_millis(250)), 2);
        assert_eq!(taken(&mut limit, start + Duration::from_secs(60)), 3);
    }
}
