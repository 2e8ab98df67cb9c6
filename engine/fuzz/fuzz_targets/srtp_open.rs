#![no_main]
//! A datagram opened as SRTP or SRTCP; or a packet in the clear, sealed, opened, and refused when
//! it comes again or with any bit changed.

use libfuzzer_sys::fuzz_target;
use weirgate_fuzz::srtp::{RTCP_BIT, SEAL_BIT, key, seal, suite};
use weirgate_srtp::{Opener, Sealer};

const MAX_SSRCS: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let Some((selector, packet)) = bytes.split_first() else {
        return;
    };
    let is_rtcp = selector & RTCP_BIT != 0;
    let mut opener = Opener::new(&key(suite(*selector)), MAX_SSRCS).unwrap();
    if selector & SEAL_BIT == 0 {
        let mut packet = packet.to_vec();
        if let Some(len) = open(&mut opener, &mut packet, is_rtcp) {
            assert!(len < packet.len());
        }
        return;
    }
    let mut sealer = Sealer::new(&key(suite(*selector))).unwrap();
    let Some(sealed) = seal(&mut sealer, packet, is_rtcp) else {
        return;
    };
    let changed_byte = usize::from(packet[packet.len() - 1]) % sealed.len();
    let mut forged = sealed.clone();
    forged[changed_byte] ^= 0x40;
    assert_eq!(open(&mut opener, &mut forged, is_rtcp), None);

    let mut opened = sealed.clone();
    let len = open(&mut opener, &mut opened, is_rtcp);
    assert_eq!(len.map(|len| &opened[..len]), Some(packet));
    let mut again = sealed;
    assert_eq!(open(&mut opener, &mut again, is_rtcp), None);
});

fn open(opener: &mut Opener, packet: &mut [u8], is_rtcp: bool) -> Option<usize> {
    if is_rtcp {
        opener.open_rtcp(packet).ok()
    } else {
        opener.open_rtp(packet).ok().map(|opened| opened.len)
    }
}
