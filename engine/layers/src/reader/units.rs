//! Counters of pictures and frames that wrap, made into counters that do not.

/// The first value is put this high, so that ones before it have numbers too.
const START: u64 = 1 << 32;

/// Widens a counter that never goes back while RTP sequence numbers go forward: which way a new
/// value lies is told by the sequence number, however far it jumps.
#[derive(Debug, Default)]
pub(super) struct Units {
    newest: Option<Newest>,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: u64,
    unit: u64,
}

impl Units {
    /// The wide form of a counter of `bits` bits, whose low bits it keeps.
    pub(super) fn extend(&mut self, sequence: u64, value: u16, bits: u32) -> u64 {
        let mask = (1 << bits) - 1;
        let Some(newest) = self.newest else {
            let unit = START | u64::from(value);
            self.newest = Some(Newest { sequence, unit });
            return unit;
        };
        let value = u64::from(value);
        if sequence < newest.sequence {
            let back = newest.unit.wrapping_sub(value) & mask;
            return newest.unit.saturating_sub(back);
        }
        let ahead = value.wrapping_sub(newest.unit) & mask;
        let unit = newest.unit + ahead;
        self.newest = Some(Newest { sequence, unit });
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_forward_with_sequence_numbers_and_back_with_late_ones() {
        let mut units = Units::default();
        let first = units.extend(100, 126, 7);
        assert_eq!(units.extend(103, 1, 7), first + 3);
        assert_eq!(units.extend(101, 127, 7), first + 1);
        assert_eq!(units.extend(104, 1, 7), first + 3);
        // A jump back with a new sequence number is a jump forward.
        assert_eq!(units.extend(105, 0, 7), first + 3 + 127);
    }
}
