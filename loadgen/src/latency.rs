//! Histograms of nanoseconds.

use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;

use crate::clock::NS_PER_S;

/// Longer ones are counted as this.
const MAX_NS: u64 = 60 * NS_PER_S;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Arrival minus intended send time of many flows.
pub type LatencySink = Arc<Mutex<Latencies>>;

/// An empty histogram up to a minute; record with `saturating_record`.
pub fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, MAX_NS, SIGNIFICANT_DIGITS) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("the bounds are constants that the package takes"),
    }
}

/// An empty one for many flows to fill.
pub fn sink() -> LatencySink {
    Arc::new(Mutex::new(Latencies {
        settled: histogram(),
        recent: histogram(),
    }))
}

/// Latencies of a run, and of a part of it.
#[derive(Debug, Clone)]
pub struct Latencies {
    settled: Histogram<u64>,
    recent: Histogram<u64>,
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, ns: u64) {
        self.recent.saturating_record(ns);
    }

    /// Those since the last call, which stay part of the whole.
    pub fn take_recent(&mut self) -> Histogram<u64> {
        let recent = std::mem::replace(&mut self.recent, histogram());
        add(&mut self.settled, &recent);
        recent
    }

    /// All so far.
    pub fn all(&self) -> Histogram<u64> {
        let mut all = self.settled.clone();
        add(&mut all, &self.recent);
        all
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.settled.reset();
        self.recent.reset();
    }
}

/// Adds the values of one histogram to another, both made by [`histogram`].
pub fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    // Fails only where bounds differ.
    let _ = to.add(from);
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

    #[test]
    fn what_was_taken_stays_part_of_the_whole() {
        let sink = sink();
        let mut latencies = sink.lock().unwrap();
        latencies.record(1000);
        assert_eq!(latencies.take_recent().len(), 1);
        latencies.record(2000);
        assert_eq!(latencies.all().len(), 2);
        assert_eq!(latencies.take_recent().len(), 1);
        assert_eq!(latencies.all().max(), 2000);
    }
}
