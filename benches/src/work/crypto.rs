//! SRTP alone.

use std::collections::VecDeque;
use std::hint::black_box;

use weirgate_srtp::{Opener, Sealer};
use weirgate_wire::SrtpSuite;

use super::Work;
use crate::{RTP_HEADER_BYTES, rtp_packet, srtp_key};

const SSRC: u32 = 0x1234_5678;
/// Before the tag.
const PACKET_BYTES: usize = 1200;
const OVERHEAD_BYTES: usize = 16;

/// A turn seals one packet where it lies.
pub struct Seal {
    sealer: Sealer,
    packet: Vec<u8>,
    next_index: u64,
}

impl Seal {
    /// With one key of the suite.
    pub fn new(suite: SrtpSuite) -> Self {
        Self {
            sealer: Sealer::new(&srtp_key(suite, 1)).unwrap(),
            packet: rtp_packet(SSRC, 0, PACKET_BYTES + OVERHEAD_BYTES),
            next_index: 0,
        }
    }

    fn seal_next(&mut self) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        self.packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        self.sealer
            .seal_rtp(&mut self.packet, RTP_HEADER_BYTES, PACKET_BYTES, index)
            .unwrap()
    }
}

impl Work for Seal {
    fn prepare(&mut self, _turns: usize) {}

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            black_box(self.seal_next());
        }
        turns as u64
    }
}

/// A turn checks for replay, authenticates and decrypts one packet.
pub struct Open {
    opener: Opener,
    source: Seal,
    packets: VecDeque<Vec<u8>>,
}

impl Open {
    /// With one key of the suite; the stream is known already.
    pub fn new(suite: SrtpSuite) -> Self {
        let mut open = Self {
            opener: Opener::new(&srtp_key(suite, 1), 1).unwrap(),
            source: Seal::new(suite),
            packets: VecDeque::new(),
        };
        open.prepare(1);
        open.run(1);
        open
    }
}

impl Work for Open {
    fn prepare(&mut self, turns: usize) {
        while self.packets.len() < turns {
            self.source.packet = rtp_packet(SSRC, 0, PACKET_BYTES + OVERHEAD_BYTES);
            let len = self.source.seal_next();
            self.packets.push_back(self.source.packet[..len].to_vec());
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            let mut packet = self.packets.pop_front().expect("more turns than prepared");
            black_box(self.opener.open_rtp(&mut packet).unwrap());
        }
        turns as u64
    }
}
