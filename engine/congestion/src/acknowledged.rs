//! The rate that arrives, from the arrival times in feedback: a Bayesian average of short windows
//! that gives more weight to what fits the present estimate.

use crate::{millis, rate_bps};

/// The first window is longer, for an estimate to begin with.
const FIRST_WINDOW_US: u64 = millis(500);
const WINDOW_US: u64 = millis(150);
/// How much a sample's distance from the estimate counts against it.
const UNCERTAINTY: f64 = 10.0;
/// The same while the application sends less than it may: its rate then says less of the path.
const UNCERTAINTY_LIMITED: f64 = 20.0;
/// An arrival this much before the last is not reordering: the receiver's clock was set back.
const CLOCK_STEP_US: u64 = millis(1_000);
const FIRST_VARIANCE: f64 = 50.0;
/// How much less sure the estimate is with each window.
const VARIANCE_STEP: f64 = 5.0;
/// The same at a moment where the rate is about to jump.
const VARIANCE_JUMP: f64 = 200.0;

/// Windows whose highest rate is the recent rate.
const RECENT: usize = 3;

#[derive(Debug)]
pub(crate) struct AcknowledgedRate {
    estimate_bps: Option<f64>,
    /// The rates of the last windows.
    recent_bps: [f64; RECENT],
    variance: f64,
    /// Arrived in the window under way, which ends then, without silences.
    bytes: u64,
    window_end_us: u64,
    /// Before the first arrival too far from any to count.
    last_arrival_us: u64,
}

impl Default for AcknowledgedRate {
    fn default() -> Self {
        Self {
            estimate_bps: None,
            recent_bps: [0.0; RECENT],
            variance: FIRST_VARIANCE,
            bytes: 0,
            window_end_us: u64::MAX.wrapping_add(FIRST_WINDOW_US),
            last_arrival_us: u64::MAX,
        }
    }
}

impl AcknowledgedRate {
    /// Bit/s.
    pub(crate) const fn bps(&self) -> Option<f64> {
        self.estimate_bps
    }

    /// The rate while a queue is full: what arrives then is what the link carries, so that there
    /// is no need to be slow to believe in less.
    pub(crate) fn full_bps(&self) -> Option<f64> {
        let recent_bps = self.recent_bps.iter().copied().fold(0.0, f64::max);
        self.estimate_bps.map(|bps| bps.min(recent_bps))
    }

    /// The rate sent is about to jump: the next windows count for more.
    pub(crate) fn expect_jump(&mut self) {
        self.variance += VARIANCE_JUMP;
    }

    /// A packet arrived at `arrival_us`, on the receiver's clock.
    #[inline]
    pub(crate) fn arrived(&mut self, arrival_us: u64, bytes: u64, application_limited: bool) {
        if self.last_arrival_us <= arrival_us && arrival_us < self.window_end_us {
            self.last_arrival_us = arrival_us;
        } else {
            self.next_window(arrival_us, application_limited);
        }
        self.bytes += bytes;
    }

    /// Ends the window, if it is over with this arrival.
    fn next_window(&mut self, arrival_us: u64, application_limited: bool) {
        // Its length so far is what its end is not ahead of the last arrival.
        let ahead_us = self.window_end_us.wrapping_sub(self.last_arrival_us);
        let mut window_us = self.length_us().wrapping_sub(ahead_us);
        if let Some(sample) = self.close_window(&mut window_us, arrival_us) {
            self.take(sample, application_limited);
        }
        let ahead_us = self.length_us().wrapping_sub(window_us);
        self.window_end_us = self.last_arrival_us.wrapping_add(ahead_us);
    }

    /// How long a window is.
    const fn length_us(&self) -> u64 {
        match self.estimate_bps {
            Some(_) => WINDOW_US,
            None => FIRST_WINDOW_US,
        }
    }

    /// The rate of the window that ends with this arrival.
    fn close_window(&mut self, window_us: &mut u64, arrival_us: u64) -> Option<f64> {
        let length_us = self.length_us();
        let mut last_us = self.last_arrival_us;
        if last_us.saturating_sub(arrival_us) >= CLOCK_STEP_US {
            last_us = arrival_us;
        }
        let gap_us = arrival_us.saturating_sub(last_us);
        self.last_arrival_us = last_us.max(arrival_us);
        *window_us = window_us.saturating_add(gap_us);
        if gap_us > length_us {
            // A window in which nothing came says that nothing was sent, not what can be.
            self.bytes = 0;
            *window_us %= length_us;
        }
        if *window_us < length_us {
            return None;
        }
        *window_us -= length_us;
        let bytes = std::mem::take(&mut self.bytes);
        Some(rate_bps(bytes as f64, length_us as f64))
    }

    fn take(&mut self, sample_bps: f64, application_limited: bool) {
        let Some(estimate) = self.estimate_bps else {
            self.estimate_bps = Some(sample_bps);
            self.recent_bps = [sample_bps; RECENT];
            return;
        };
        self.recent_bps.rotate_left(1);
        self.recent_bps[RECENT - 1] = sample_bps;
        let weight = if application_limited && sample_bps < estimate {
            UNCERTAINTY_LIMITED
        } else {
            UNCERTAINTY
        };
        let uncertainty = weight * (estimate - sample_bps).abs() / estimate.max(1.0);
        let sample_variance = uncertainty * uncertainty;
        let prior_variance = self.variance + VARIANCE_STEP;
        let sum = sample_variance + prior_variance;
        self.estimate_bps = Some((sample_variance * estimate + prior_variance * sample_bps) / sum);
        self.variance = sample_variance * prior_variance / sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1,250 bytes at `bps` until `until_us`.
    fn feed(rate: &mut AcknowledgedRate, from_us: u64, until_us: u64, bps: u64) {
        let step_us = 10_000_000_000 / bps;
        let mut at_us = from_us;
        while at_us < until_us {
            rate.arrived(at_us, 1_250, false);
            at_us += step_us;
        }
    }

    #[test]
    fn there_is_no_rate_before_half_a_second() {
        let mut rate = AcknowledgedRate::default();
        feed(&mut rate, 0, millis(490), 1_000_000);
        assert_eq!(rate.bps(), None);
        feed(&mut rate, millis(490), millis(600), 1_000_000);
        let bps = rate.bps().unwrap();
        assert!((900_000.0..1_100_000.0).contains(&bps), "{bps}");
    }

    #[test]
    fn it_follows_the_rate() {
        let mut rate = AcknowledgedRate::default();
        feed(&mut rate, 0, millis(2_000), 2_000_000);
        feed(&mut rate, millis(2_000), millis(4_000), 500_000);
        let bps = rate.bps().unwrap();
        assert!((450_000.0..600_000.0).contains(&bps), "{bps}");
    }

    #[test]
    fn a_clock_set_back_does_not_stop_it() {
        let mut rate = AcknowledgedRate::default();
        feed(&mut rate, millis(60_000), millis(62_000), 2_000_000);
        feed(&mut rate, 0, millis(2_000), 500_000);
        let bps = rate.bps().unwrap();
        assert!((450_000.0..600_000.0).contains(&bps), "{bps}");
    }

    #[test]
    fn a_pause_is_no_rate() {
        let mut rate = AcknowledgedRate::default();
        feed(&mut rate, 0, millis(2_000), 1_000_000);
        let before = rate.bps().unwrap();
        feed(&mut rate, millis(9_000), millis(9_100), 1_000_000);
        let after = rate.bps().unwrap();
        assert!((after - before).abs() < 0.2 * before, "{before} {after}");
    }
}
