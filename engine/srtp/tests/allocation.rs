//! Nothing is allocated per packet, neither for authentic ones nor for a flood of forged ones.

mod common;

use allocation_counter::measure;
use common::{SSRC, pair, rtcp, seal_rtcp, sealed_rtp};
use weirgate_srtp::{SrtpSuite, TagBatch};

#[test]
fn sealing_and_opening_allocate_nothing() {
    for suite in SrtpSuite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        opener.open_rtp(&mut sealed_rtp(&sealer, SSRC, 0)).unwrap();
        opener
            .open_rtcp(&mut seal_rtcp(&mut sealer, &rtcp(SSRC)))
            .unwrap();

        let (rtp, rtcp) = (common::rtp(SSRC, 0, 1000), rtcp(SSRC));
        let mut buffer = [0; 1500];
        let mut run = || {
            for index in 1..0x1_0100u64 {
                if index % 0x100 != 0 {
                    continue;
                }
                buffer[..rtp.len()].copy_from_slice(&rtp);
                buffer[2..4].copy_from_slice(&(index as u16).to_be_bytes());
                let len = sealer.seal_rtp(&mut buffer, 12, rtp.len(), index).unwrap();
                opener.open_rtp(&mut buffer[..len]).unwrap();
                buffer[..rtcp.len()].copy_from_slice(&rtcp);
                let len = sealer.seal_rtcp(&mut buffer, rtcp.len()).unwrap();
                opener.open_rtcp(&mut buffer[..len]).unwrap();
            }
        };
        assert_eq!(measure(&mut run).count_total, 0, "{}", suite.name());
    }
}

#[test]
fn a_batch_allocates_nothing() {
    const PACKET_BYTES: usize = 1_000;
    let mut batch = TagBatch::new();
    let mut arena = vec![0; 100 * PACKET_BYTES];
    let sealers = SrtpSuite::ALL.map(|suite| pair(suite).0);
    let rtp = common::rtp(SSRC, 1, 900);
    let mut run = || {
        for (place, sealer) in sealers.iter().cycle().take(100).enumerate() {
            let offset = place * PACKET_BYTES;
            let slot = &mut arena[offset..][..PACKET_BYTES];
            slot[..rtp.len()].copy_from_slice(&rtp);
            let sealed = sealer.seal_rtp_in_batch(slot, 12, rtp.len(), 1, offset, &mut batch);
            assert!(sealed.is_some());
            if !batch.has_room() {
                batch.finish(&mut arena);
            }
        }
        batch.finish(&mut arena);
    };
    assert_eq!(measure(&mut run).count_total, 0);
}

#[test]
fn a_flood_of_forged_ssrcs_leaves_no_trace() {
    for suite in SrtpSuite::ALL {
        let (_, mut opener) = pair(suite);
        let mut packet = common::rtp(0, 0, 40);
        let mut flood = || {
            for number in 0..100_000u32 {
                packet.fill(number as u8);
                packet[0] = 0x80;
                packet[8..12].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
                assert!(opener.open_rtp(&mut packet).is_err());
                packet[4..8].copy_from_slice(&number.to_be_bytes());
                assert!(opener.open_rtcp(&mut packet).is_err());
            }
        };
        assert_eq!(measure(&mut flood).count_total, 0, "{}", suite.name());
        assert_eq!(opener.ssrc_count(), 0);
    }
}
