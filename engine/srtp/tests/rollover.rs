//! The index follows the sender through every wrap, whatever is lost or overtaken.

mod common;

use common::{SSRC, pair, sealed_rtp};
use proptest::prelude::*;
use weirgate_srtp::{OpenError, Opener, Sealer, SrtpSuite};

/// RTP packets the replay list of an [`Opener`] tells apart.
const WINDOW: u64 = 1024;
const SUITE: SrtpSuite = SrtpSuite::AeadAes128Gcm;

/// Every packet opens as the index it was sealed with; only what the replay list can not tell any
/// more is refused.
fn assert_in_step(sealer: &Sealer, opener: &mut Opener, arrivals: &[u64]) {
    let mut highest = None;
    for &index in arrivals {
        let opened = opener.open_rtp(&mut sealed_rtp(sealer, SSRC, index));
        if highest.is_some_and(|highest| index + WINDOW <= highest) {
            assert_eq!(
                opened,
                Err(OpenError::Replayed),
                "{index} behind {highest:?}"
            );
        } else {
            assert_eq!(
                opened.map(|opened| opened.index),
                Ok(index),
                "after {highest:?}"
            );
        }
        highest = highest.max(Some(index));
    }
}

/// Indices from `start` on, the steps between them repeating `steps`, over at least two wraps.
fn sent(start: u16, steps: &[u64]) -> Vec<u64> {
    let mut index = u64::from(start);
    let mut sent = vec![index];
    for step in steps.iter().cycle() {
        index += step;
        if index > u64::from(start) + (2 << 16) + 0x8000 {
            return sent;
        }
        sent.push(index);
    }
    sent
}

/// Every `group` packets in reverse, where that puts none 2^15 away from the one before.
fn overtaken(sent: &[u64], group: usize) -> Vec<u64> {
    let mut arrivals = sent.to_vec();
    if sent
        .windows(group + 1)
        .all(|span| span[group] - span[0] < 0x8000)
    {
        arrivals.chunks_mut(group).for_each(<[u64]>::reverse);
    }
    arrivals
}

#[test]
fn every_class_of_first_sequence_number_times_loss_times_order() {
    let starts = [0, 1, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
    let losses: [&[u64]; 5] = [&[61], &[1, 1, 900], &[0x7fff], &[0x7ffe, 1], &[0x4000, 3]];
    for start in starts {
        for steps in losses {
            let sent = sent(start, steps);
            for lost_at_first in 0..3 {
                let in_order = &sent[lost_at_first..];
                for arrivals in [
                    in_order.to_vec(),
                    overtaken(in_order, 2),
                    overtaken(in_order, 4),
                ] {
                    if arrivals[0] >= (1 << 16) + 0x8000 {
                        continue; // Half the sequence space lost before the first arrival.
                    }
                    let (sealer, mut opener) = pair(SUITE);
                    assert_in_step(&sealer, &mut opener, &arrivals);
                }
            }
        }
    }
}

/// The first arrival is behind the wrap already, since the one packet before it was lost.
#[test]
fn a_stream_that_starts_at_the_wrap_survives_the_loss_of_its_first_packet() {
    for suite in SrtpSuite::ALL {
        let (sealer, mut opener) = pair(suite);
        let mut first = sealed_rtp(&sealer, SSRC, 0x1_0000);
        let opened = opener.open_rtp(&mut first).unwrap();
        assert_eq!(opened.index, 0x1_0000);
        assert_eq!(first[..opened.len], common::rtp(SSRC, 0, 20));
        let opened = opener.open_rtp(&mut sealed_rtp(&sealer, SSRC, 0xffff));
        assert_eq!(opened.unwrap().index, 0xffff, "it was only late");
    }
}

#[test]
fn streams_of_one_key_roll_over_apart() {
    let (sealer, mut opener) = pair(SUITE);
    for index in 0xfff0..0x1_0010 {
        opener.open_rtp(&mut sealed_rtp(&sealer, 1, index)).unwrap();
        let opened = opener.open_rtp(&mut sealed_rtp(&sealer, 2, index - 0xfff0));
        assert_eq!(opened.unwrap().index, index - 0xfff0);
    }
    assert_eq!(opener.ssrc_count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Gaps and lateness of up to 2^14 − 1 each put no arrival 2^15 away from the highest.
    #[test]
    fn any_start_with_any_loss_and_order(
        start: u16,
        packets in prop::collection::vec(
            (prop_oneof![4 => 1u64..4, 1 => 1u64..0x4000], prop_oneof![4 => 0u64..8, 1 => 0u64..0x4000]),
            1..300,
        ),
    ) {
        let mut index = u64::from(start);
        let mut arrivals: Vec<(u64, u64)> = packets
            .into_iter()
            .map(|(gap, late)| {
                let sent = index;
                index += gap;
                (sent + late, sent)
            })
            .collect();
        arrivals.sort_unstable();
        let arrivals: Vec<u64> = arrivals.into_iter().map(|(_, index)| index).collect();
        let (sealer, mut opener) = pair(SUITE);
        assert_in_step(&sealer, &mut opener, &arrivals);
    }
}
