//! Counters that wrap, made into counters that do not.

/// Widens 16-bit sequence numbers: each is taken as the one of its kind nearest to the newest
/// (RFC 3711 section 3.3.1). The first is put in the second round (65,536 is added), so that
/// packets from before it have numbers too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SequenceExtender(Extender<16>);

impl SequenceExtender {
    /// The wide number of `sequence`, which becomes the newest where it is higher than all before.
    pub const fn extend(&mut self, sequence: u16) -> u64 {
        self.0.extend(sequence as u64)
    }

    /// The wide number of `sequence`, with nothing remembered.
    pub const fn peek(&self, sequence: u16) -> u64 {
        self.0.peek(sequence as u64)
    }

    /// The highest number so far.
    pub const fn newest(&self) -> Option<u64> {
        self.0.newest
    }
}

/// Widens 32-bit RTP timestamps as [`SequenceExtender`] does sequence numbers; 2^32 is added to
/// the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimestampExtender(Extender<32>);

impl TimestampExtender {
    /// The wide form of `timestamp`, which becomes the newest where it is higher than all before.
    pub const fn extend(&mut self, timestamp: u32) -> u64 {
        self.0.extend(timestamp as u64)
    }

    /// The wide form of `timestamp`, with nothing remembered.
    pub const fn peek(&self, timestamp: u32) -> u64 {
        self.0.peek(timestamp as u64)
    }

    /// The highest timestamp so far.
    pub const fn newest(&self) -> Option<u64> {
        self.0.newest
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Extender<const BITS: u32> {
    newest: Option<u64>,
}

impl<const BITS: u32> Extender<BITS> {
    const ROUND: u64 = 1 << BITS;

    const fn extend(&mut self, value: u64) -> u64 {
        let wide = self.peek(value);
        match self.newest {
            Some(newest) if wide <= newest => {}
            _ => self.newest = Some(wide),
        }
        wide
    }

    const fn peek(&self, value: u64) -> u64 {
        let Some(newest) = self.newest else {
            return Self::ROUND + value;
        };
        let ahead = value.wrapping_sub(newest) & (Self::ROUND - 1);
        if ahead <= Self::ROUND / 2 {
            newest + ahead
        } else {
            // The newest is never below the first round, so this does not go below zero.
            newest + ahead - Self::ROUND
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_through_the_wrap_and_back() {
        let mut sequence = SequenceExtender::default();
        let start = 65_536;
        assert_eq!(sequence.extend(65_534), start + 65_534);
        assert_eq!(sequence.extend(1), start + 65_537);
        assert_eq!(sequence.extend(65_535), start + 65_535);
        assert_eq!(sequence.newest(), Some(start + 65_537));
        assert_eq!(sequence.peek(2), start + 65_538);
        assert_eq!(sequence.newest(), Some(start + 65_537));
    }

    #[test]
    fn packets_from_before_the_first_have_lower_numbers() {
        let mut sequence = SequenceExtender::default();
        assert_eq!(sequence.extend(0), 65_536);
        assert_eq!(sequence.extend(65_535), 65_535);
        assert_eq!(sequence.extend(32_769), 32_769);
    }

    #[test]
    fn every_gap_under_half_a_round_is_forward() {
        for gap in [1u16, 100, 32_767, 32_768] {
            let mut sequence = SequenceExtender::default();
            let first = sequence.extend(60_000);
            let next = sequence.extend(60_000u16.wrapping_add(gap));
            assert_eq!(next, first + u64::from(gap), "gap {gap}");
        }
    }

    #[test]
    fn timestamps_wrap_too() {
        let mut timestamp = TimestampExtender::default();
        let first = timestamp.extend(u32::MAX);
        assert_eq!(timestamp.extend(2_999), first + 3_000);
        assert_eq!(timestamp.extend(u32::MAX - 10), first - 10);
    }
}
