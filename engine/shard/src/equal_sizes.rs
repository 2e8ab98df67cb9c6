//! Equal sizes: the datagrams of a train have one size, and only the last may be shorter. Encoders cut
//! a frame into packets that differ by a byte or so, so the shorter ones are padded (RFC 3550 section
//! 5.1) where that is next to nothing.

/// A packet grows by less than this, in percent.
const LIMIT_PERCENT: usize = 3;
/// The longest datagram that is padded to: no path of IPv6 carries less (RFC 8200 section 5), less
/// the headers of IP and UDP.
const MAX_DATAGRAM_BYTES: usize = 1_280 - 40 - 8;
/// The most that is added to a packet; RTP can count up to 255.
pub(crate) const MAX_PADDING_BYTES: usize = (MAX_DATAGRAM_BYTES * LIMIT_PERCENT - 1) / 100;

/// Bytes of padding that make a datagram of `len` bytes one of `wanted`; 0 where it is to stay as it
/// is.
pub(crate) fn padding(len: usize, wanted: usize) -> u8 {
    let missing = wanted.saturating_sub(len);
    if wanted > MAX_DATAGRAM_BYTES || missing * 100 >= wanted * LIMIT_PERCENT {
        return 0;
    }
    u8::try_from(missing).unwrap_or(0)
}

/// By how much the longest of packets in a row that are all about as long is over the first, where
/// `room_bytes` of them may leave. Sizes are `bytes`, the first's own among them.
pub(crate) fn lead(bytes: impl IntoIterator<Item = u16>, room_bytes: u64) -> usize {
    let mut bytes = bytes.into_iter();
    let Some(first) = bytes.next() else {
        return 0;
    };
    let mut longest = first;
    let mut room_bytes = room_bytes.saturating_sub(u64::from(first));
    for next in bytes {
        let (shorter, longer) = (next.min(first), next.max(longest));
        if room_bytes == 0 || padding(shorter.into(), longer.into()) == 0 && shorter != longer {
            break;
        }
        longest = longer;
        room_bytes = room_bytes.saturating_sub(u64::from(next));
    }
    usize::from(longest - first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_about_equal_are_made_equal() {
        assert_eq!(padding(1_099, 1_100), 1);
        assert_eq!(padding(1_100, 1_100), 0);
        assert_eq!(padding(1_068, 1_100), 32);
        assert_eq!(padding(1_067, 1_100), 0, "3 %");
        assert_eq!(padding(1_231, 1_233), 0, "too long for some paths");
        assert_eq!(padding(1_200, 1_100), 0);
    }

    #[test]
    fn the_longest_that_leaves_too_leads() {
        assert_eq!(lead([1_000, 999, 1_001, 1_000], u64::MAX), 1);
        assert_eq!(lead([1_000, 400, 1_001], u64::MAX), 0, "a train ends there");
        assert_eq!(lead([400, 1_000], u64::MAX), 0);
        assert_eq!(lead([1_000, 1_000, 1_001], 2_000), 0, "stays for later");
        assert_eq!(lead([1_000, 1_000, 1_001], 2_001), 1);
        assert_eq!(lead([], u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn padding_is_little_and_all_or_nothing(len in 1usize..2_000, wanted in 1usize..2_000) {
            let padding = usize::from(padding(len, wanted));
            prop_assert!(padding <= MAX_PADDING_BYTES);
            prop_assert!(padding == 0 || len + padding == wanted);
            prop_assert!(padding * 100 < 3 * wanted);
            prop_assert!(padding == 0 || wanted <= 1_232);
        }

        #[test]
        fn whoever_leads_is_reached(sizes in prop::collection::vec(1u16..1_300, 1..20)) {
            let first = usize::from(sizes[0]);
            let lead = lead(sizes, u64::MAX);
            prop_assert_eq!(usize::from(padding(first, first + lead)), lead);
        }
    }
}
