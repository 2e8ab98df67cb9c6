//! The 48-bit packet index from a 16-bit sequence number (RFC 3711 section 3.3.1, appendix A).

/// Packet indices stay below this: 32 bits of rollover counter and 16 of sequence number.
pub(crate) const INDEX_LIMIT: u64 = 1 << 48;

const HALF: u16 = 1 << 15;

/// The index that is closest to `highest`, the highest authentic index so far, among those that
/// have this sequence number. `None` past the last index of a key.
///
/// The RFC takes the rollover counter modulo 2^32 and so guesses 2^32 − 1 for a packet far ahead
/// of the first one; an index before 0 was never sent, so this guesses 0.
pub(crate) fn estimate(highest: u64, sequence: u16) -> Option<u64> {
    let rollovers = highest >> 16;
    let last = highest as u16;
    let guess = if last < HALF {
        if sequence.saturating_sub(last) > HALF {
            rollovers.saturating_sub(1)
        } else {
            rollovers
        }
    } else if last - HALF > sequence {
        rollovers + 1
    } else {
        rollovers
    };
    let index = (guess << 16) | u64::from(sequence);
    (index < INDEX_LIMIT).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_counter_steps_at_the_wrap_in_both_directions() {
        assert_eq!(estimate(0x0000_ffff, 0x0000), Some(0x0001_0000));
        assert_eq!(estimate(0x0001_0000, 0xffff), Some(0x0000_ffff));
        assert_eq!(estimate(0x0001_7fff, 0xffff), Some(0x0001_ffff));
        assert_eq!(estimate(0x0001_7ffe, 0xffff), Some(0x0000_ffff));
        assert_eq!(estimate(0x0001_8000, 0x0000), Some(0x0001_0000));
        assert_eq!(estimate(0x0001_8001, 0x0000), Some(0x0002_0000));
    }

    #[test]
    fn there_is_nothing_before_index_0_and_nothing_past_the_last() {
        assert_eq!(estimate(0x0000_0001, 0x9000), Some(0x9000));
        assert_eq!(estimate(INDEX_LIMIT - 1, 0xfffe), Some(INDEX_LIMIT - 2));
        assert_eq!(estimate(INDEX_LIMIT - 1, 0x0000), None);
    }

    proptest! {
        #[test]
        fn any_index_within_half_the_sequence_space_is_found(
            highest in 0..INDEX_LIMIT,
            offset in -0x7fffi64..=0x7fff,
        ) {
            let index = highest.saturating_add_signed(offset);
            prop_assume!(index < INDEX_LIMIT && highest.checked_add_signed(offset).is_some());
            prop_assert_eq!(estimate(highest, index as u16), Some(index));
        }
    }
}
