//! Whether the one-way delay grows: the slope of a line through its smoothed course.

use super::groups::Variation;

/// Points the line goes through.
const WINDOW: usize = 20;
/// The share of the old value in the smoothed delay.
const SMOOTHING: f64 = 0.9;

/// What the delay does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trend {
    /// Milliseconds of delay per millisecond; 0 before the window is full.
    pub(super) slope: f64,
    /// Variations it rests on.
    pub(super) variations: usize,
}

/// A point of the smoothed course, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    at_ms: f64,
    delay_ms: f64,
}

/// Accumulates delay variations and fits a line by least squares.
#[derive(Debug, Default)]
pub(super) struct Trendline {
    points: [Point; WINDOW],
    /// Points taken; the ring is full from [`WINDOW`] on.
    count: usize,
    elapsed_ms: f64,
    accumulated_ms: f64,
    smoothed_ms: f64,
    slope: f64,
}

impl Trendline {
    /// Takes a variation.
    pub(super) fn update(&mut self, variation: Variation) -> Trend {
        let arrived_ms = variation.arrived_us as f64 / 1_000.0;
        let sent_ms = variation.sent_us as f64 / 1_000.0;
        self.elapsed_ms += arrived_ms;
        self.accumulated_ms += arrived_ms - sent_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        self.points[self.count % WINDOW] = Point {
            at_ms: self.elapsed_ms,
            delay_ms: self.smoothed_ms,
        };
        self.count += 1;
        if self.count >= WINDOW
            && let Some(slope) = self.fit()
        {
            self.slope = slope;
        }
        Trend {
            slope: self.slope,
            variations: self.count,
        }
    }

    /// `None` where all points are of one moment.
    fn fit(&self) -> Option<f64> {
        // Both sums of a pass go side by side in one register.
        let mut sums = [0.0; 2];
        for point in &self.points {
            sums = [sums[0] + point.at_ms, sums[1] + point.delay_ms];
        }
        let [mean_at, mean_delay] = sums.map(|sum| sum / WINDOW as f64);
        let mut squares = [0.0; 2];
        for point in &self.points {
            let at = point.at_ms - mean_at;
            let delay = point.delay_ms - mean_delay;
            squares = [squares[0] + at * at, squares[1] + at * delay];
        }
        let [denominator, numerator] = squares;
        (denominator > 0.0).then(|| numerator / denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slope_after(arrived_us: u64, sent_us: u64, count: usize) -> f64 {
        let mut trendline = Trendline::default();
        let variation = Variation {
            sent_us,
            arrived_us,
        };
        (0..count).fold(0.0, |_, _| trendline.update(variation).slope)
    }

    #[test]
    fn no_slope_before_the_window_is_full() {
        assert!(slope_after(22_000, 20_000, WINDOW - 1).abs() < f64::EPSILON);
        assert!(slope_after(22_000, 20_000, WINDOW) > 0.0);
    }

    #[test]
    fn the_slope_goes_to_the_share_by_which_delay_grows() {
        assert!((slope_after(22_000, 20_000, 200) - 2.0 / 22.0).abs() < 1e-3);
        assert!((slope_after(18_000, 20_000, 200) + 2.0 / 18.0).abs() < 1e-3);
        assert!(slope_after(20_000, 20_000, 200).abs() < 1e-9);
    }

    #[test]
    fn arrivals_of_one_moment_have_no_slope() {
        assert!(slope_after(0, 20_000, 100).abs() < f64::EPSILON);
    }
}
