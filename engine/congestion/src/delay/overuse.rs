//! Compares the slope of the delay with a threshold that adapts, so that neither jitter nor a
//! flow that fills the queue stops us (draft-ietf-rmcat-gcc-02 section 5.4).

use super::trendline::Trend;
use crate::millis;

/// Slopes are amplified by this, and by how many variations they rest on.
const GAIN: f64 = 4.0;
const MAX_VARIATIONS: usize = 60;
/// How fast the threshold follows a slope above it, and one below, per millisecond. Down, it takes
/// seconds (the draft has 0.00018): a threshold that is low again between two waves of a flow that
/// fills the queue, as TCP does, leaves that flow most of the link.
const K_UP: f64 = 0.01;
const K_DOWN: f64 = 0.0004;
const FIRST_THRESHOLD: f64 = 12.5;
const MIN_THRESHOLD: f64 = 6.0;
const MAX_THRESHOLD: f64 = 600.0;
/// A slope this far over the threshold is a spike that the threshold does not follow.
const SPIKE: f64 = 15.0;
/// The threshold moves by no more than what this time brings.
const MAX_STEP_US: u64 = millis(100);
/// The slope has to be over the threshold for longer than this.
const OVERUSE_MS: f64 = 10.0;

/// What the delay says of the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// The delay stays.
    #[default]
    Normal,
    /// A queue grows.
    Over,
    /// A queue drains.
    Under,
}

#[derive(Debug)]
pub(super) struct OveruseDetector {
    threshold: f64,
    updated_us: Option<u64>,
    /// For how long the slope has been over the threshold, and in how many groups.
    over: Option<(f64, u32)>,
    last_slope: f64,
    usage: Usage,
}

impl Default for OveruseDetector {
    fn default() -> Self {
        Self {
            threshold: FIRST_THRESHOLD,
            updated_us: None,
            over: None,
            last_slope: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl OveruseDetector {
    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes the slope after a group that arrived at `arrival_us`, sent `sent_us` after the one
    /// before.
    pub(super) fn update(&mut self, arrival_us: u64, sent_us: u64, trend: &Trend) {
        if trend.variations < 2 {
            return;
        }
        let slope = trend.slope;
        let amplified = trend.variations.min(MAX_VARIATIONS) as f64 * slope * GAIN;
        if amplified > self.threshold {
            self.slope_over(slope, sent_us as f64 / 1_000.0);
        } else {
            self.over = None;
            self.usage = if amplified < -self.threshold.min(FIRST_THRESHOLD) {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.last_slope = slope;
        self.adapt(arrival_us, amplified);
    }

    fn slope_over(&mut self, slope: f64, sent_ms: f64) {
        let (over_ms, groups) = match self.over {
            // It went over somewhere between the two groups.
            None => (sent_ms / 2.0, 1),
            Some((over_ms, groups)) => (over_ms + sent_ms, groups + 1),
        };
        self.over = Some((over_ms, groups));
        if over_ms > OVERUSE_MS && groups > 1 && slope >= self.last_slope {
            self.over = Some((0.0, 0));
            self.usage = Usage::Over;
        }
    }

    fn adapt(&mut self, arrival_us: u64, amplified: f64) {
        let elapsed_us = arrival_us.saturating_sub(self.updated_us.unwrap_or(arrival_us));
        self.updated_us = Some(arrival_us);
        let distance = amplified.abs() - self.threshold;
        if distance > SPIKE {
            return;
        }
        let k = if distance < 0.0 { K_DOWN } else { K_UP };
        let elapsed_ms = elapsed_us.min(MAX_STEP_US) as f64 / 1_000.0;
        self.threshold =
            (self.threshold + k * distance * elapsed_ms).clamp(MIN_THRESHOLD, MAX_THRESHOLD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP_US: u64 = 20_000;

    /// Usages after groups every 20 ms with these slopes.
    fn usages(detector: &mut OveruseDetector, from_us: u64, slopes: &[f64]) -> Vec<Usage> {
        let mut at_us = from_us;
        let update = |&slope: &f64| {
            at_us += GROUP_US;
            let trend = Trend {
                slope,
                variations: 60,
            };
            detector.update(at_us, GROUP_US, &trend);
            detector.usage()
        };
        slopes.iter().map(update).collect()
    }

    #[test]
    fn a_growing_slope_is_overuse_after_two_groups() {
        let mut detector = OveruseDetector::default();
        let seen = usages(&mut detector, 0, &[0.0, 0.06, 0.07, 0.08]);
        assert_eq!(seen[..2], [Usage::Normal, Usage::Normal]);
        assert_eq!(seen[2..], [Usage::Over, Usage::Over]);
    }

    #[test]
    fn a_falling_slope_is_not() {
        let mut detector = OveruseDetector::default();
        let seen = usages(&mut detector, 0, &[0.12, 0.10, 0.08, 0.07, 0.06]);
        assert!(seen.iter().all(|&usage| usage == Usage::Normal), "{seen:?}");
    }

    #[test]
    fn a_draining_queue_is_underuse() {
        let mut detector = OveruseDetector::default();
        assert_eq!(usages(&mut detector, 0, &[-0.1]), [Usage::Under]);
    }

    #[test]
    fn the_threshold_follows_lasting_jitter_and_comes_back() {
        let mut detector = OveruseDetector::default();
        let jitter: Vec<_> = (0..500)
            .map(|index| if index % 2 == 0 { 0.06 } else { -0.06 })
            .collect();
        usages(&mut detector, 0, &jitter);
        assert!(detector.threshold > 13.5, "{}", detector.threshold);
        usages(&mut detector, 500 * GROUP_US, &[0.0; 500]);
        assert!((detector.threshold - MIN_THRESHOLD).abs() < 1e-9);
    }
}
