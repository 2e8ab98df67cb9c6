//! Histograms of nanoseconds.

use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;

use crate::clock::NS_PER_S;

/// Longer ones are counted as this.
const MAX_NS: u64 = 60 * NS_PER_S;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Values of many flows, arrival minus intended send time.
pub type LatencySink = Arc<Mutex<Histogram<u64>>>;

/// An empty histogram up to a minute; record with `saturating_record`.
pub fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, MAX_NS, SIGNIFICANT_DIGITS) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("the bounds are constants that the package takes"),
    }
}

/// An empty histogram for many to fill.
pub fn sink() -> LatencySink {
    Arc::new(Mutex::new(histogram()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_three_digits_and_the_longest_is_a_minute() {
        let mut histogram = histogram();
        for value in [1_234_567, 2 * MAX_NS] {
            histogram.saturating_record(value);
        }
        assert!(histogram.value_at_quantile(0.5).abs_diff(1_234_567) < 1_500);
        assert!(histogram.max().abs_diff(MAX_NS) < MAX_NS / 1000);
    }
}
