//! The rate of bytes that pass, over about half a second.

use crate::{millis, rate_bps};

const WINDOW_US: u64 = millis(250);

/// The mean of the last whole window and the one under way.
#[derive(Debug, Default)]
pub(crate) struct RateMeter {
    window_start_us: u64,
    bytes: u64,
    previous_bytes: u64,
}

impl RateMeter {
    #[inline]
    pub(crate) fn add(&mut self, now_us: u64, bytes: u64) {
        self.advance(now_us);
        self.bytes += bytes;
    }

    /// Bit/s.
    pub(crate) fn rate_bps(&mut self, now_us: u64) -> u64 {
        self.advance(now_us);
        let elapsed_us = now_us.saturating_sub(self.window_start_us);
        let bytes = self.previous_bytes + self.bytes;
        rate_bps(bytes as f64, (WINDOW_US + elapsed_us) as f64) as u64
    }

    #[inline]
    fn advance(&mut self, now_us: u64) {
        let elapsed_us = now_us.saturating_sub(self.window_start_us);
        if elapsed_us >= WINDOW_US {
            self.close(now_us, elapsed_us);
        }
    }

    fn close(&mut self, now_us: u64, elapsed_us: u64) {
        self.previous_bytes = if elapsed_us < 2 * WINDOW_US {
            self.bytes
        } else {
            0
        };
        self.bytes = 0;
        self.window_start_us = now_us - elapsed_us % WINDOW_US;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_measured_and_forgotten() {
        let mut meter = RateMeter::default();
        for step in 0..1_000 {
            meter.add(step * millis(1), 125);
        }
        let measured = meter.rate_bps(millis(1_000));
        assert!((950_000..=1_050_000).contains(&measured), "{measured}");
        assert_eq!(meter.rate_bps(millis(2_000)), 0);
    }
}
