#![no_main]
//! What follows the sources of a transport-wide feedback packet, read; and the same bytes taken
//! for arrivals, written and read back.

use libfuzzer_sys::fuzz_target;
use weirgate_fuzz::walk;
use weirgate_packet::rtcp::{RtcpPacket, RtcpWriter, packets};

const HEADER: [u8; 12] = [0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    write(bytes);
});

/// Puts a right header in front, so that every input comes to the parser in question.
fn read(bytes: &[u8]) {
    let mut packet = HEADER.to_vec();
    packet.extend_from_slice(bytes);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let Ok(words) = u16::try_from(packet.len() / 4 - 1) else {
        return;
    };
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    walk::rtcp(&packet);
}

fn write(bytes: &[u8]) {
    let [size, base, rest @ ..] = bytes else {
        return;
    };
    let statuses = rest.chunks(2).flat_map(arrivals);
    let base = u16::from_be_bytes([0xff, *base]);
    let mut slot = vec![0; usize::from(*size) * 8];
    let mut out = RtcpWriter::new(&mut slot);
    let count = out.transport_feedback(1, 2, base, -7, 3, statuses.clone());
    let len = out.len();
    let Some(RtcpPacket::TransportFeedback(feedback)) = packets(&slot[..len]).next() else {
        assert_eq!((count, len), (0, 0));
        return;
    };
    assert_eq!(usize::from(feedback.status_count), count);
    let read = feedback.statuses().map(|(_, delta)| delta.map(i32::from));
    assert!(read.eq(statuses.take(count)));
}

/// Two bytes stand for a row of lost packets, small deltas, or a large one that may be too large.
fn arrivals(pair: &[u8]) -> impl Iterator<Item = Option<i32>> + Clone {
    let low = pair.get(1).copied().unwrap_or(0);
    let (status, len) = match pair[0] {
        0..80 => (None, usize::from(low)),
        80..160 => (Some(i32::from(low)), 1),
        160..200 => (Some(i32::from(low)), usize::from(low)),
        high => (Some((i32::from(high) - 228) * 1300 + i32::from(low)), 1),
    };
    std::iter::repeat_n(status, len)
}
