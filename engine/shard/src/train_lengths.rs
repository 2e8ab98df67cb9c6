//! How many datagrams leave together: what a datagram costs the kernel follows from that.

use weirgate_wire::Histogram;

use crate::net::TxBatch;

/// 1, 2, up to 4, 8, 16, 32, and 64 datagrams.
const BUCKETS: usize = TxBatch::MAX_SEGMENTS.ilog2() as usize + 1;

/// Trains by the number of their datagrams.
#[derive(Debug, Default)]
pub(crate) struct TrainLengths {
    trains: [u64; BUCKETS],
    datagrams: u64,
}

impl TrainLengths {
    /// A train of that many datagrams leaves.
    pub(crate) fn add(&mut self, datagrams: u16) {
        let bucket = u16::BITS - datagrams.saturating_sub(1).leading_zeros();
        let bucket = (bucket as usize).min(BUCKETS - 1);
        self.trains[bucket] += 1;
        self.datagrams += u64::from(datagrams);
    }

    pub(crate) fn histogram(&self, name: &str) -> Histogram {
        let buckets = self.trains.iter().enumerate();
        Histogram {
            name: name.to_owned(),
            buckets: buckets
                .map(|(power, &trains)| (1 << power, trains))
                .collect(),
            sum: self.datagrams,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_in_the_bucket_that_ends_with_it_or_above() {
        for datagrams in 1..=TxBatch::MAX_SEGMENTS {
            let mut lengths = TrainLengths::default();
            lengths.add(datagrams);
            let histogram = lengths.histogram("trains");
            let (largest, _) = *histogram.buckets.iter().find(|(_, n)| *n == 1).unwrap();
            assert_eq!(largest, u64::from(datagrams.next_power_of_two()));
            assert_eq!(histogram.sum, u64::from(datagrams));
        }
    }
}
