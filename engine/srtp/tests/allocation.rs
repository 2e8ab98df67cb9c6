//! Nothing is allocated per packet, neither for authentic ones nor for a flood of forged ones.

mod common;

use allocation_counter::measure;
use common::{SSRC, pair, rtcp, seal_rtcp, sealed_rtp};
use weirgate_srtp::SrtpSuite;

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
