//! Packets sealed in a batch are, byte for byte, what they are when sealed one by one.
#![allow(clippy::unwrap_used, reason = "a test that can not set up has failed")]

mod common;

use common::{SSRC, key, rtp, rtp_with_extension, seal_rtp};
use proptest::prelude::*;
use proptest::sample::select;
use weirgate_srtp::{Sealer, SrtpSuite, TagBatch};

/// Room around each packet in the arena, which nothing may be written to.
const GAP_BYTES: usize = 5;

/// One packet of a batch.
#[derive(Debug, Clone)]
struct Case {
    suite: SrtpSuite,
    seed: u8,
    index: u64,
    payload_len: usize,
    has_extension: bool,
}

impl Case {
    fn packet(&self) -> (Vec<u8>, usize) {
        if self.has_extension {
            let packet = rtp_with_extension(SSRC, self.index as u16, self.payload_len);
            (packet, 28)
        } else {
            (rtp(SSRC, self.index as u16, self.payload_len), 12)
        }
    }
}

/// Indices on both sides of a rollover, and of the last one.
fn index() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..0x1_8000,
        0xffff_fff0u64..0x1_0000_0010,
        (1u64 << 48) - 10..1 << 48,
    ]
}

fn case() -> impl Strategy<Value = Case> {
    // Frames have packets of almost one length, audio is of any.
    let payload_len = prop_oneof![1_100usize..1_110, 0usize..1_400];
    let suites = select(SrtpSuite::ALL.to_vec());
    (suites, any::<u8>(), index(), payload_len, any::<bool>()).prop_map(
        |(suite, seed, index, payload_len, has_extension)| Case {
            suite,
            seed,
            index,
            payload_len,
            has_extension,
        },
    )
}

/// All of them in one arena, with the gaps between them; the batch is finished when it is full if
/// `finish_when_full`.
fn seal_in_batch(cases: &[Case], batch: &mut TagBatch, finish_when_full: bool) -> Vec<u8> {
    let mut arena = Vec::new();
    let mut places = Vec::new();
    for case in cases {
        let (packet, header_len) = case.packet();
        places.push((arena.len(), header_len, packet.len()));
        arena.extend(packet);
        arena.resize(arena.len() + overhead(case) + GAP_BYTES, 0xee);
    }
    for (case, (offset, header_len, len)) in cases.iter().zip(places) {
        if finish_when_full && !batch.has_room() {
            batch.finish(&mut arena);
        }
        let sealer = Sealer::new(&key(case.suite, case.seed)).unwrap();
        let slot = &mut arena[offset..];
        let sealed = sealer.seal_rtp_in_batch(slot, header_len, len, case.index, offset, batch);
        assert_eq!(sealed, Some(len + sealer.rtp_overhead()));
    }
    batch.finish(&mut arena);
    assert!(batch.is_empty());
    arena
}

fn overhead(case: &Case) -> usize {
    let sealer = Sealer::new(&key(case.suite, case.seed)).unwrap();
    sealer.rtp_overhead()
}

fn seal_one_by_one(cases: &[Case]) -> Vec<u8> {
    let mut arena = Vec::new();
    for case in cases {
        let sealer = Sealer::new(&key(case.suite, case.seed)).unwrap();
        let (packet, header_len) = case.packet();
        arena.extend(seal_rtp(&sealer, &packet, header_len, case.index));
        arena.resize(arena.len() + GAP_BYTES, 0xee);
    }
    arena
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_mix_of_packets(
        batches in prop::collection::vec(prop::collection::vec(case(), 0..150), 1..3),
        finish_when_full: bool,
    ) {
        let mut batch = TagBatch::new();
        for cases in &batches {
            let sealed = seal_in_batch(cases, &mut batch, finish_when_full);
            prop_assert_eq!(sealed, seal_one_by_one(cases));
        }
    }

    #[test]
    fn a_frame_for_many_receivers(
        suite in select(SrtpSuite::ALL.to_vec()),
        payload_len in 0usize..1_400,
        receivers in 1u8..40,
        index in index(),
    ) {
        let cases: Vec<_> = (0..receivers)
            .map(|seed| Case { suite, seed, index, payload_len, has_extension: true })
            .collect();
        let sealed = seal_in_batch(&cases, &mut TagBatch::new(), true);
        prop_assert_eq!(sealed, seal_one_by_one(&cases));
    }
}

#[test]
fn what_is_refused_leaves_packet_and_batch_as_they_were() {
    let mut batch = TagBatch::new();
    for suite in SrtpSuite::ALL {
        let sealer = Sealer::new(&key(suite, 1)).unwrap();
        let packet = rtp(SSRC, 7, 100);
        let mut short = [&packet[..], &vec![0; sealer.rtp_overhead() - 1]].concat();
        let before = short.clone();
        let len = packet.len();
        let mut seal = |header_len, len, index| {
            sealer.seal_rtp_in_batch(&mut short, header_len, len, index, 0, &mut batch)
        };
        assert_eq!(seal(12, len, 7), None, "no room for the tag");
        assert_eq!(seal(12, len - 50, 8), None, "another sequence number");
        assert_eq!(seal(12, len - 50, 7 + (1 << 48)), None, "no such index");
        assert_eq!(seal(11, len - 50, 7), None, "a header too short");
        assert_eq!(seal(60, 50, 7), None, "a header longer than the packet");
        assert_eq!(short, before);
        assert!(batch.is_empty());
    }
}

/// Offsets are the caller's; wrong ones must not end the shard.
#[test]
fn an_arena_that_is_too_short_is_no_panic() {
    let mut batch = TagBatch::new();
    let sealer = Sealer::new(&key(SrtpSuite::AesCm128HmacSha1_80, 1)).unwrap();
    for offset in [0, 90, 100, usize::MAX / 2] {
        let mut packet = [&rtp(SSRC, 1, 80)[..], &[0; 10]].concat();
        sealer.seal_rtp_in_batch(&mut packet, 12, 92, 1, offset, &mut batch);
    }
    batch.finish(&mut [0; 100]);
    assert!(batch.is_empty());
}
