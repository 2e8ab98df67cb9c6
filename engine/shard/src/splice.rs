//! How a consumer's own sequence numbers and timestamps follow from its source streams'.
//!
//! The outgoing stream is a row of splices, each a run of one source stream moved by a constant.
//! A new splice begins at the start, after a pause, at a switch of streams and when the source
//! restarted. Losses of the source stay visible as holes; whatever was left out between two
//! splices leaves none.

/// Splices remembered, for late packets and NACKs.
const REMEMBERED: usize = 8;

/// One run of a source stream in the outgoing stream.
#[derive(Debug, Clone, Copy)]
struct Splice {
    encoding: u8,
    first_in: u64,
    /// `u64::MAX` while the splice is the current one.
    last_in: u64,
    first_out: u64,
    timestamp_delta: u32,
}

/// Where a source packet goes in the outgoing stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Extended outgoing sequence number: SRTP's ROC and SEQ.
    pub(crate) sequence: u64,
    /// Added to the source's timestamp.
    pub(crate) timestamp_delta: u32,
}

#[derive(Debug)]
pub(crate) struct Splices {
    ring: [Option<Splice>; REMEMBERED],
    /// Splices ever begun; the current one is at `(begun - 1) % REMEMBERED`.
    begun: usize,
    next_out: u64,
    open: bool,
}

impl Splices {
    /// `first_out` is the first outgoing sequence number, below 2^15 so that a receiver that
    /// misses the first packets still guesses the ROC right.
    pub(crate) const fn new(first_out: u16) -> Self {
        Self {
            ring: [None; REMEMBERED],
            begun: 0,
            next_out: first_out as u64,
            open: false,
        }
    }

    /// Encoding of the current splice.
    pub(crate) fn encoding(&self) -> Option<u8> {
        self.current().map(|splice| splice.encoding)
    }

    /// There is a current splice.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// Encoding of the newest splice, open or not.
    pub(crate) fn newest_encoding(&self) -> Option<u8> {
        self.newest().map(|splice| splice.encoding)
    }

    /// Timestamp offset of the newest splice, open or not.
    pub(crate) fn timestamp_delta(&self) -> Option<u32> {
        self.newest().map(|splice| splice.timestamp_delta)
    }

    /// One past the highest outgoing sequence number given.
    pub(crate) const fn next_out(&self) -> u64 {
        self.next_out
    }

    /// Begins a splice at `first_in`; it continues the outgoing numbers without a hole.
    pub(crate) fn begin(&mut self, encoding: u8, first_in: u64, timestamp_delta: u32) {
        self.end();
        self.ring[self.begun % REMEMBERED] = Some(Splice {
            encoding,
            first_in,
            last_in: u64::MAX,
            first_out: self.next_out,
            timestamp_delta,
        });
        self.begun += 1;
        self.open = true;
    }

    /// Ends the current splice: what comes later in its source does not go out.
    pub(crate) fn end(&mut self) {
        if !self.open {
            return;
        }
        let next_out = self.next_out;
        if let Some(splice) = self.newest_mut() {
            // Everything up to the highest given out stays good for late packets and NACKs.
            splice.last_in = (splice.first_in + (next_out - splice.first_out)).wrapping_sub(1);
        }
        self.open = false;
    }

    /// Where the packet goes; `None` where it is not part of the outgoing stream.
    pub(crate) fn place(&mut self, encoding: u8, sequence: u64) -> Option<Place> {
        let place = self.find(encoding, sequence)?;
        self.next_out = self.next_out.max(place.sequence + 1);
        Some(place)
    }

    /// The source packet (encoding, extended sequence) that went out, or will, with that number,
    /// taken as the nearest to the highest given.
    pub(crate) fn source_of(&self, sequence: u16) -> Option<(u8, u64, u64)> {
        let newest = self.next_out.checked_sub(1)?;
        let behind = (newest as u16).wrapping_sub(sequence);
        let out = newest.checked_sub(u64::from(behind))?;
        let splice = self
            .remembered()
            .find(|splice| out >= splice.first_out && splice.first_out < self.next_out)?;
        let input = splice.first_in + (out - splice.first_out);
        (input <= splice.last_in).then_some((splice.encoding, input, out))
    }

    /// As [`Self::place`], without taking the number as given out.
    pub(crate) fn find(&self, encoding: u8, sequence: u64) -> Option<Place> {
        let splice = self.remembered().find(|splice| {
            splice.encoding == encoding
                && (splice.first_in..=splice.last_in).contains(&sequence)
                // An ended splice that nothing left by has no range.
                && splice.last_in != splice.first_in.wrapping_sub(1)
        })?;
        Some(Place {
            sequence: splice.first_out + (sequence - splice.first_in),
            timestamp_delta: splice.timestamp_delta,
        })
    }

    fn current(&self) -> Option<&Splice> {
        if self.open { self.newest() } else { None }
    }

    fn newest(&self) -> Option<&Splice> {
        self.ring[self.begun.checked_sub(1)? % REMEMBERED].as_ref()
    }

    fn newest_mut(&mut self) -> Option<&mut Splice> {
        self.ring[self.begun.checked_sub(1)? % REMEMBERED].as_mut()
    }

    /// From the newest to the oldest.
    fn remembered(&self) -> impl Iterator<Item = &Splice> {
        let begun = self.begun;
        (1..=begun.min(REMEMBERED))
            .filter_map(move |back| self.ring[(begun - back) % REMEMBERED].as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_loss_of_the_source_stays_a_hole_and_a_pause_leaves_none() {
        let mut splices = Splices::new(10);
        splices.begin(0, 1000, 0);
        assert_eq!(splices.place(0, 1000).unwrap().sequence, 10);
        assert_eq!(splices.place(0, 1002).unwrap().sequence, 12);
        assert_eq!(splices.place(0, 1001).unwrap().sequence, 11);
        assert_eq!(splices.place(0, 999), None);
        splices.end();
        assert_eq!(splices.place(0, 1003), None);
        splices.begin(0, 1500, 7);
        assert_eq!(
            splices.place(0, 1500).unwrap(),
            Place {
                sequence: 13,
                timestamp_delta: 7
            }
        );
        assert_eq!(splices.place(0, 1001).unwrap().sequence, 11);
        assert_eq!(splices.source_of(11), Some((0, 1001, 11)));
        assert_eq!(splices.source_of(13), Some((0, 1500, 13)));
        assert_eq!(splices.source_of(9), None);
        assert_eq!(splices.source_of(14), None);
    }

    #[test]
    fn a_splice_by_which_nothing_left_has_no_range() {
        let mut splices = Splices::new(0);
        splices.begin(0, 0, 0);
        splices.end();
        assert_eq!(splices.find(0, 0), None);
        assert_eq!(splices.find(0, u64::MAX), None);
        splices.begin(1, 5, 0);
        assert_eq!(splices.place(1, 5).unwrap().sequence, 0);
        assert_eq!(splices.source_of(0), Some((1, 5, 0)));
    }

    proptest! {
        /// For any input of losses, reordering, switches and pauses: no outgoing number twice for
        /// different packets, no hole that the input did not have.
        #[test]
        fn numbers_never_repeat_and_only_losses_make_holes(
            steps in proptest::collection::vec((0u8..3, 1usize..20, any::<u64>(), any::<bool>()), 1..7)
        ) {
            let mut splices = Splices::new(7);
            let mut heads = [1u64 << 20, 1 << 30, 1 << 40];
            let mut seen = std::collections::BTreeMap::new();
            let mut lost = std::collections::BTreeSet::new();
            for (encoding, count, losses, pause) in steps {
                let head = &mut heads[usize::from(encoding)];
                *head += 5;
                let first = *head;
                splices.begin(encoding, first, 0);
                let mut order: Vec<u64> = (first..first + count as u64).collect();
                let swaps = order.len();
                for i in 1..swaps.saturating_sub(1) {
                    if (losses >> (i + 20)) & 1 == 1 { order.swap(i, i + 1); }
                }
                for (i, sequence) in order.iter().enumerate() {
                    // First and last arrive, so that the range is known.
                    let edge = *sequence == first || *sequence == first + count as u64 - 1;
                    let is_lost = !edge && (losses >> (i % 20)) & 1 == 1;
                    if is_lost {
                        lost.insert(splices.find(encoding, *sequence).unwrap().sequence);
                        continue;
                    }
                    let place = splices.place(encoding, *sequence).unwrap();
                    prop_assert!(seen.insert(place.sequence, (encoding, *sequence)).is_none());
                    prop_assert_eq!(
                        splices.source_of(place.sequence as u16),
                        Some((encoding, *sequence, place.sequence))
                    );
                }
                *head += count as u64;
                if pause { splices.end(); }
            }
            for out in 7..splices.next_out() {
                prop_assert!(seen.contains_key(&out) != lost.contains(&out), "{}", out);
            }
        }
    }
}
