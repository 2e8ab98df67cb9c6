//! Sent packets in the clear, kept for retransmission.

use std::collections::VecDeque;

/// Packets kept per stream.
const MAX_PACKETS: usize = 512;

/// The last packets of one stream by RTP sequence number.
#[derive(Debug, Default)]
pub(super) struct History {
    /// `(sequence number, offset of the payload, packet)`, oldest first.
    packets: VecDeque<(u16, usize, Vec<u8>)>,
}

impl History {
    /// Keeps a packet, and forgets the oldest where there are too many.
    pub(super) fn keep(&mut self, sequence: u16, payload_at: usize, packet: Vec<u8>) {
        if self.packets.len() == MAX_PACKETS {
            self.packets.pop_front();
        }
        self.packets.push_back((sequence, payload_at, packet));
    }

    /// Offset of the payload and the packet, if it is still known.
    pub(super) fn find(&self, sequence: u16) -> Option<(usize, &[u8])> {
        let found = self
            .packets
            .iter()
            .rev()
            .find(|(known, ..)| *known == sequence)?;
        Some((found.1, &found.2))
    }
}
