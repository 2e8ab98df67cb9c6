//! Replayed, forged, cut and flipped packets: refused, and nothing is kept of them.

mod common;

use common::{SSRC, pair, rtcp, rtp_with_extension, seal_rtcp, seal_rtp, sealed_rtp};
use proptest::prelude::*;
use weirgate_srtp::{MAX_PACKET_BYTES, OpenError, Opener, Sealer, SrtpSuite};

/// The length of [`rtp_with_extension`]'s header.
const HEADER_LEN: usize = 28;

#[test]
fn a_replayed_rtp_packet_is_refused_and_untouched() {
    for suite in SrtpSuite::ALL {
        let (sealer, mut opener) = pair(suite);
        let sealed = sealed_rtp(&sealer, SSRC, 500);
        opener.open_rtp(&mut sealed.clone()).unwrap();
        for later in [500, 501, 1500, 1523, 1524, 70_000] {
            opener.open_rtp(&mut sealed_rtp(&sealer, SSRC, later)).ok();
            let mut again = sealed.clone();
            assert!(opener.open_rtp(&mut again).is_err());
            assert_eq!(again, sealed, "after {later}");
        }
    }
}

/// Late retransmissions are no replays while the list can tell.
#[test]
fn a_late_packet_opens_once() {
    let (sealer, mut opener) = pair(SrtpSuite::AeadAes128Gcm);
    opener.open_rtp(&mut sealed_rtp(&sealer, SSRC, 0)).unwrap();
    opener
        .open_rtp(&mut sealed_rtp(&sealer, SSRC, 1024))
        .unwrap();
    let mut late = sealed_rtp(&sealer, SSRC, 1);
    let mut again = late.clone();
    assert_eq!(opener.open_rtp(&mut late).unwrap().index, 1);
    assert_eq!(opener.open_rtp(&mut again), Err(OpenError::Replayed));
}

#[test]
fn a_replayed_rtcp_packet_is_refused() {
    for suite in SrtpSuite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let packets: Vec<_> = (0..200)
            .map(|_| seal_rtcp(&mut sealer, &rtcp(SSRC)))
            .collect();
        for index in [3, 0, 1, 199] {
            opener.open_rtcp(&mut packets[index].clone()).unwrap();
        }
        // 71 is too old to tell, 72 is the oldest of the 128.
        for index in [0, 1, 2, 3, 71, 199] {
            let refused = opener.open_rtcp(&mut packets[index].clone());
            assert_eq!(refused, Err(OpenError::Replayed), "{index}");
        }
        opener.open_rtcp(&mut packets[72].clone()).unwrap();
    }
}

#[test]
fn a_packet_cut_at_any_byte_is_refused_and_leaves_nothing() {
    for suite in SrtpSuite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let rtp = seal_rtp(&sealer, &rtp_with_extension(SSRC, 9, 40), HEADER_LEN, 9);
        for len in 0..rtp.len() {
            let cut = opener.open_rtp(&mut rtp[..len].to_vec());
            assert!(cut.is_err(), "{} bytes", len);
        }
        let rtcp = seal_rtcp(&mut sealer, &rtcp(SSRC));
        for len in 0..rtcp.len() {
            let cut = opener.open_rtcp(&mut rtcp[..len].to_vec());
            assert!(cut.is_err(), "{} bytes", len);
        }
        assert_eq!(opener.ssrc_count(), 0);
        opener.open_rtp(&mut rtp.clone()).unwrap();
        opener.open_rtcp(&mut rtcp.clone()).unwrap();
    }
}

#[test]
fn a_packet_with_any_bit_flipped_is_refused_and_leaves_nothing() {
    for suite in SrtpSuite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let rtp = seal_rtp(&sealer, &rtp_with_extension(SSRC, 9, 40), HEADER_LEN, 9);
        for bit in 0..rtp.len() * 8 {
            let mut flipped = rtp.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(opener.open_rtp(&mut flipped).is_err(), "bit {bit}");
        }
        let rtcp = seal_rtcp(&mut sealer, &rtcp(SSRC));
        for bit in 0..rtcp.len() * 8 {
            let mut flipped = rtcp.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(opener.open_rtcp(&mut flipped).is_err(), "bit {bit}");
        }
        assert_eq!(opener.ssrc_count(), 0);
        opener.open_rtp(&mut rtp.clone()).unwrap();
        opener.open_rtcp(&mut rtcp.clone()).unwrap();
    }
}

/// A forged packet far ahead must not pull the rollover counter or the replay list along.
#[test]
fn a_forged_packet_of_a_known_stream_moves_nothing() {
    for suite in SrtpSuite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        opener
            .open_rtp(&mut sealed_rtp(&sealer, SSRC, 0xff00))
            .unwrap();
        let mut rtcp_packets: Vec<_> = (0..2)
            .map(|_| seal_rtcp(&mut sealer, &rtcp(SSRC)))
            .collect();
        opener.open_rtcp(&mut rtcp_packets[0]).unwrap();
        for ahead in 1..0x7fff {
            let mut forged = common::rtp(SSRC, 0xff00u16.wrapping_add(ahead), 36);
            assert_eq!(opener.open_rtp(&mut forged), Err(OpenError::Authentication));
        }
        let mut forged = vec![0x5a; 60];
        forged[..8].copy_from_slice(&rtcp(SSRC)[..8]);
        assert_eq!(
            opener.open_rtcp(&mut forged),
            Err(OpenError::Authentication)
        );
        assert_eq!(
            opener
                .open_rtp(&mut sealed_rtp(&sealer, SSRC, 0xfeff))
                .unwrap()
                .index,
            0xfeff
        );
        assert_eq!(
            opener
                .open_rtp(&mut sealed_rtp(&sealer, SSRC, 0xff01))
                .unwrap()
                .index,
            0xff01
        );
        opener.open_rtcp(&mut rtcp_packets[1]).unwrap();
    }
}

#[test]
fn another_key_opens_nothing() {
    for suite in SrtpSuite::ALL {
        let (mut sealer, _) = pair(suite);
        let mut opener = Opener::new(&common::key(suite, 1), 4).unwrap();
        let rtp = opener.open_rtp(&mut sealed_rtp(&sealer, SSRC, 5));
        assert_eq!(rtp, Err(OpenError::Authentication));
        let rtcp = opener.open_rtcp(&mut seal_rtcp(&mut sealer, &rtcp(SSRC)));
        assert_eq!(rtcp, Err(OpenError::Authentication));
    }
}

#[test]
fn a_full_table_refuses_new_ssrcs_and_goes_on_with_the_old() {
    let key = common::key(SrtpSuite::AeadAes128Gcm, 0);
    let mut sealer = Sealer::new(&key).unwrap();
    let mut opener = Opener::new(&key, 2).unwrap();
    opener.open_rtp(&mut sealed_rtp(&sealer, 1, 10)).unwrap();
    opener
        .open_rtcp(&mut seal_rtcp(&mut sealer, &rtcp(2)))
        .unwrap();

    let new = sealed_rtp(&sealer, 3, 10);
    let mut refused = new.clone();
    assert_eq!(opener.open_rtp(&mut refused), Err(OpenError::TooManySsrcs));
    assert_eq!(refused, new);
    let refused = opener.open_rtcp(&mut seal_rtcp(&mut sealer, &rtcp(3)));
    assert_eq!(refused, Err(OpenError::TooManySsrcs));

    opener.open_rtp(&mut sealed_rtp(&sealer, 1, 11)).unwrap();
    opener.open_rtp(&mut sealed_rtp(&sealer, 2, 11)).unwrap();
    opener
        .open_rtcp(&mut seal_rtcp(&mut sealer, &rtcp(1)))
        .unwrap();
    assert_eq!(opener.ssrc_count(), 2);
}

#[test]
fn a_sealer_refuses_what_does_not_fit() {
    for suite in SrtpSuite::ALL {
        let (mut sealer, _) = pair(suite);
        let overhead = sealer.rtp_overhead();
        let mut packet = rtp_with_extension(SSRC, 9, 40);
        let len = packet.len();
        packet.resize(len + overhead, 0xee);
        let before = packet.clone();
        for (header_len, len, index) in [
            (HEADER_LEN, len + 1, 9),        // no room for the tag
            (HEADER_LEN, HEADER_LEN - 1, 9), // shorter than its header
            (11, len, 9),                    // no RTP header
            (HEADER_LEN, len, 8),            // another packet's index
            (HEADER_LEN, len, (1 << 48) + 9),
        ] {
            assert_eq!(sealer.seal_rtp(&mut packet, header_len, len, index), None);
        }
        assert_eq!(sealer.seal_rtp(&mut [0x80; 11], 11, 11, 0x8080), None);
        assert_eq!(sealer.seal_rtcp(&mut packet, len + overhead), None);
        assert_eq!(sealer.seal_rtcp(&mut packet, 7), None);
        assert_eq!(packet, before);
        assert_eq!(sealer.next_rtcp_index(), 0);

        let last = (1 << 48) - (1 << 16) + 9;
        assert!(
            sealer
                .seal_rtp(&mut packet, HEADER_LEN, len, last)
                .is_some()
        );
    }
}

#[test]
fn the_longest_packet_goes_through_and_a_longer_one_does_not() {
    for suite in SrtpSuite::ALL {
        let (sealer, mut opener) = pair(suite);
        let plain = common::rtp(SSRC, 9, MAX_PACKET_BYTES - 12 - sealer.rtp_overhead());
        let mut sealed = seal_rtp(&sealer, &plain, 12, 9);
        assert_eq!(sealed.len(), MAX_PACKET_BYTES);
        assert_eq!(opener.open_rtp(&mut sealed).unwrap().len, plain.len());
        assert_eq!(sealed[..plain.len()], plain);

        let mut longer = common::rtp(SSRC, 10, MAX_PACKET_BYTES - 11);
        assert_eq!(opener.open_rtp(&mut longer), Err(OpenError::Malformed));
        assert_eq!(sealer.seal_rtp(&mut longer, 12, plain.len() + 1, 10), None);
    }
}

#[test]
fn srtcp_indices_end_and_never_start_again() {
    for suite in SrtpSuite::ALL {
        let key = common::key(suite, 0);
        let last = (1 << 31) - 1;
        let mut sealer = Sealer::with_rtcp_index(&key, last).unwrap();
        let mut sealed = seal_rtcp(&mut sealer, &rtcp(SSRC));
        Opener::new(&key, 1)
            .unwrap()
            .open_rtcp(&mut sealed)
            .unwrap();
        for mut used_up in [sealer, Sealer::with_rtcp_index(&key, u32::MAX).unwrap()] {
            assert_eq!(used_up.seal_rtcp(&mut [0x80; 100], 8), None);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_open(
        suite in proptest::sample::select(SrtpSuite::ALL.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        version_2: bool,
    ) {
        let (_, mut opener) = pair(suite);
        let mut bytes = bytes;
        if let (Some(first), true) = (bytes.first_mut(), version_2) {
            *first = *first & 0x3f | 0x80;
        }
        prop_assert!(opener.open_rtp(&mut bytes.clone()).is_err());
        prop_assert!(opener.open_rtcp(&mut bytes).is_err());
        prop_assert_eq!(opener.ssrc_count(), 0);
    }
}
