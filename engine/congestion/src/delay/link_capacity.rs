//! What the link was seen to carry at the moments it was full, and how sure that is.

/// Weight of a new sample.
const WEIGHT: f64 = 0.05;
const FIRST_DEVIATION: f64 = 0.4;
const MIN_DEVIATION: f64 = 0.4;
const MAX_DEVIATION: f64 = 2.5;
/// Standard deviations on either side that still fit.
const RANGE: f64 = 3.0;

/// Mean and variance, in kbit/s; the variance is kept relative to the mean.
#[derive(Debug)]
pub(super) struct LinkCapacity {
    mean_kbps: Option<f64>,
    deviation: f64,
}

impl Default for LinkCapacity {
    fn default() -> Self {
        Self {
            mean_kbps: None,
            deviation: FIRST_DEVIATION,
        }
    }
}

impl LinkCapacity {
    pub(super) fn mean_bps(&self) -> Option<f64> {
        self.mean_kbps.map(|kbps| kbps * 1_000.0)
    }

    /// A rate above what fits.
    pub(super) fn is_below(&self, bps: f64) -> bool {
        self.mean_kbps
            .is_some_and(|mean| bps / 1_000.0 > mean + RANGE * self.spread_kbps(mean))
    }

    /// A rate below what fits.
    pub(super) fn is_above(&self, bps: f64) -> bool {
        self.mean_kbps
            .is_some_and(|mean| bps / 1_000.0 < mean - RANGE * self.spread_kbps(mean))
    }

    pub(super) fn forget(&mut self) {
        self.mean_kbps = None;
    }

    /// `bps` arrived while the link was full.
    pub(super) fn full_at(&mut self, bps: f64) {
        let sample = bps / 1_000.0;
        let mean = match self.mean_kbps {
            Some(mean) => (1.0 - WEIGHT) * mean + WEIGHT * sample,
            None => sample,
        };
        let error = mean - sample;
        let relative = error * error / mean.max(1.0);
        self.deviation = ((1.0 - WEIGHT) * self.deviation + WEIGHT * relative)
            .clamp(MIN_DEVIATION, MAX_DEVIATION);
        self.mean_kbps = Some(mean);
    }

    fn spread_kbps(&self, mean_kbps: f64) -> f64 {
        (self.deviation * mean_kbps).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_samples_make_a_narrow_range() {
        let mut capacity = LinkCapacity::default();
        assert!(
            !capacity.is_below(1e9) && !capacity.is_above(0.0),
            "nothing known"
        );
        for _ in 0..50 {
            capacity.full_at(1_000_000.0);
        }
        assert!(capacity.is_below(1_070_000.0) && !capacity.is_below(1_050_000.0));
        assert!(capacity.is_above(930_000.0) && !capacity.is_above(950_000.0));
        capacity.forget();
        assert_eq!(capacity.mean_bps(), None);
    }
}
