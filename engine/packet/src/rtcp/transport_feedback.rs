//! Transport-wide congestion feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01
//! section 3.1).

use crate::bytes::{u16_at, u24_at};

use super::report::sign_extend_24;

/// Base sequence, status count, reference time, feedback count.
const HEAD_LEN: usize = 8;
const CHUNK_LEN: usize = 2;
/// Statuses of the longest run.
pub(super) const MAX_RUN: u16 = (1 << 13) - 1;
/// Statuses of a vector chunk with one bit each.
pub(super) const ONE_BIT_STATUSES: u16 = 14;
/// Statuses of a vector chunk with two bits each.
pub(super) const TWO_BIT_STATUSES: u16 = 7;

/// What is known of one packet's arrival, without its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    NotReceived,
    SmallDelta,
    LargeDelta,
}

impl Symbol {
    const fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            0 => Some(Self::NotReceived),
            1 => Some(Self::SmallDelta),
            2 => Some(Self::LargeDelta),
            _ => None,
        }
    }

    pub(super) const fn bits(self) -> u16 {
        match self {
            Self::NotReceived => 0,
            Self::SmallDelta => 1,
            Self::LargeDelta => 2,
        }
    }

    /// Bytes of its arrival delta.
    pub(super) const fn delta_len(self) -> usize {
        self.bits() as usize
    }
}

/// A packet status chunk.
#[derive(Debug, Clone, Copy)]
struct Chunk(u16);

impl Chunk {
    /// How many statuses it holds.
    const fn len(self) -> u16 {
        match self.0 >> 14 {
            0 | 1 => self.0 & MAX_RUN,
            2 => ONE_BIT_STATUSES,
            _ => TWO_BIT_STATUSES,
        }
    }

    /// The status at `index`, which is below [`Self::len`]; `None` for the reserved symbol.
    const fn symbol(self, index: u16) -> Option<Symbol> {
        let bits = match self.0 >> 14 {
            0 | 1 => self.0 >> 13 & 3,
            2 => self.0 >> (ONE_BIT_STATUSES - 1 - index) & 1,
            _ => self.0 >> (2 * (TWO_BIT_STATUSES - 1 - index)) & 3,
        };
        Symbol::from_bits(bits)
    }

    /// True where every status is the same, so that a run can be taken in one step.
    const fn is_run(self) -> bool {
        self.0 >> 15 == 0
    }
}

/// When the packets of a transport arrived, by transport-wide sequence number. Its chunks and
/// deltas are all there, and none has the reserved symbol.
#[derive(Debug, Clone, Copy)]
pub struct TransportFeedback<'a> {
    /// Who reports.
    pub sender: u32,
    /// A source of the transport reported on.
    pub media: u32,
    /// Sequence number of the first status.
    pub base_sequence: u16,
    /// How many packets have a status here, received or not.
    pub status_count: u16,
    /// The time that the first delta counts from, in units of 64 ms; a signed 24-bit number that
    /// wraps.
    pub reference_time: i32,
    /// Counts the feedback packets, modulo 256.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    /// `control` is what follows sender and media source.
    pub(super) fn parse(sender: u32, media: u32, control: &'a [u8]) -> Option<Self> {
        let (head, rest) = control.split_at_checked(HEAD_LEN)?;
        let status_count = u16_at(head, 2)?;
        let (chunks_len, deltas_len) = measure(rest, status_count)?;
        let (chunks, rest) = rest.split_at_checked(chunks_len)?;
        Some(Self {
            sender,
            media,
            base_sequence: u16_at(head, 0)?,
            status_count,
            reference_time: sign_extend_24(u24_at(head, 4)?),
            feedback_count: head[7],
            chunks,
            deltas: rest.get(..deltas_len)?,
        })
    }

    /// Every status in order: `(sequence, delta)`, where the delta is in units of 250 µs from the
    /// received packet before it (the first from the reference time), `None` for a packet that
    /// was not received. May go on for 65,535 packets, whatever the datagram's length.
    pub const fn statuses(&self) -> StatusIter<'a> {
        StatusIter {
            walk: Walk::new(self),
        }
    }

    /// The received packets in order: `(sequence, delta)`. Runs of lost packets cost nothing, so
    /// that this takes no longer than the datagram is long.
    pub const fn received(&self) -> ReceivedIter<'a> {
        ReceivedIter {
            walk: Walk::new(self),
        }
    }
}

/// Bytes of the chunks and of the deltas that `status_count` statuses take; `None` where the
/// chunks are not all there or have the reserved symbol.
fn measure(bytes: &[u8], status_count: u16) -> Option<(usize, usize)> {
    let mut left = status_count;
    let mut chunks_len = 0;
    let mut deltas_len = 0;
    while left > 0 {
        let chunk = Chunk(u16_at(bytes, chunks_len)?);
        chunks_len += CHUNK_LEN;
        let used = chunk.len().min(left);
        left -= used;
        if chunk.is_run() {
            deltas_len += chunk.symbol(0)?.delta_len() * usize::from(used);
            continue;
        }
        for index in 0..used {
            deltas_len += chunk.symbol(index)?.delta_len();
        }
    }
    Some((chunks_len, deltas_len))
}

/// Yields `(sequence, delta)` for every packet; see [`TransportFeedback::statuses`].
#[derive(Debug, Clone)]
pub struct StatusIter<'a> {
    walk: Walk<'a>,
}

impl Iterator for StatusIter<'_> {
    type Item = (u16, Option<i16>);

    fn next(&mut self) -> Option<Self::Item> {
        self.walk.chunk()?;
        self.walk.step()
    }
}

/// Yields `(sequence, delta)` for received packets; see [`TransportFeedback::received`].
#[derive(Debug, Clone)]
pub struct ReceivedIter<'a> {
    walk: Walk<'a>,
}

impl Iterator for ReceivedIter<'_> {
    type Item = (u16, i16);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let chunk = self.walk.chunk()?;
            if chunk.is_run() && chunk.symbol(0) == Some(Symbol::NotReceived) {
                self.walk.skip_chunk(chunk);
            } else if let (sequence, Some(delta)) = self.walk.step()? {
                return Some((sequence, delta));
            }
        }
    }
}

/// A place among the statuses.
#[derive(Debug, Clone)]
struct Walk<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    /// Statuses already taken from the chunk in front.
    index: u16,
    sequence: u16,
    left: u16,
}

impl<'a> Walk<'a> {
    const fn new(feedback: &TransportFeedback<'a>) -> Self {
        Self {
            chunks: feedback.chunks,
            deltas: feedback.deltas,
            index: 0,
            sequence: feedback.base_sequence,
            left: feedback.status_count,
        }
    }

    /// The chunk with the next status; `None` at the end.
    fn chunk(&mut self) -> Option<Chunk> {
        if self.left == 0 {
            return None;
        }
        loop {
            let chunk = Chunk(u16_at(self.chunks, 0)?);
            if self.index < chunk.len() {
                return Some(chunk);
            }
            self.chunks = &self.chunks[CHUNK_LEN..];
            self.index = 0;
        }
    }

    /// Takes the next status.
    fn step(&mut self) -> Option<(u16, Option<i16>)> {
        let symbol = self.chunk()?.symbol(self.index)?;
        let (delta, rest) = self.deltas.split_at_checked(symbol.delta_len())?;
        let delta = match *delta {
            [small] => Some(i16::from(small)),
            [high, low] => Some(i16::from_be_bytes([high, low])),
            _ => None,
        };
        self.deltas = rest;
        self.index += 1;
        self.left -= 1;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Some((sequence, delta))
    }

    /// Takes all statuses that are left of `chunk`, the one in front, whose packets were all lost.
    const fn skip_chunk(&mut self, chunk: Chunk) {
        let in_chunk = chunk.len() - self.index;
        let skipped = if in_chunk < self.left {
            in_chunk
        } else {
            self.left
        };
        self.index += skipped;
        self.left -= skipped;
        self.sequence = self.sequence.wrapping_add(skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{RtcpPacket, packets};

    /// One packet of each chunk kind: a run of two small deltas, a run of three lost, a vector of
    /// one-bit statuses, one of two-bit statuses of which only three count.
    const FEEDBACK: [u8; 40] = [
        0x8f, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, // sources
        0xff, 0xfe, 0, 22, 0xff, 0xff, 0xff, 7, // base, count, reference -1, feedback count
        0x20, 2, 0x00, 3, 0xa0, 1, 0xd8, 0, // chunks
        1, 2, 3, 4, 5, 0xff, 0xff, 0, 0, 0, 0, 0, // deltas and padding
    ];

    fn parse(bytes: &[u8]) -> Option<TransportFeedback<'_>> {
        match packets(bytes).next()? {
            RtcpPacket::TransportFeedback(feedback) => Some(feedback),
            _ => None,
        }
    }

    #[test]
    fn every_kind_of_chunk_is_read() {
        let feedback = parse(&FEEDBACK).unwrap();
        assert_eq!((feedback.sender, feedback.media), (1, 2));
        assert_eq!(feedback.base_sequence, 65_534);
        assert_eq!(feedback.status_count, 22);
        assert_eq!(feedback.reference_time, -1);
        assert_eq!(feedback.feedback_count, 7);
        let received: Vec<_> = feedback
            .statuses()
            .filter_map(|(sequence, delta)| Some((sequence, delta?)))
            .collect();
        // The one-bit vector starts at 3, its statuses 0 and 13 are set; the two-bit one at 17.
        let expected = [(65_534, 1), (65_535, 2), (3, 3), (16, 4), (17, 5), (18, -1)];
        assert_eq!(received, expected);
        assert_eq!(feedback.received().collect::<Vec<_>>(), expected);
        let sequences: Vec<_> = feedback.statuses().map(|(sequence, _)| sequence).collect();
        let all: Vec<_> = (0..22).map(|index| 65_534u16.wrapping_add(index)).collect();
        assert_eq!(sequences, all);
    }

    #[test]
    fn feedback_with_too_few_chunks_or_deltas_is_malformed() {
        let mut bytes = FEEDBACK;
        bytes[14] = 255;
        assert!(parse(&bytes).is_none(), "statuses without chunks");
        let mut bytes = FEEDBACK;
        bytes[20..22].copy_from_slice(&[0x20, 8]);
        assert!(parse(&bytes).is_some(), "six more deltas, of one byte each");
        bytes[20..22].copy_from_slice(&[0x40, 8]);
        assert!(
            parse(&bytes).is_none(),
            "six more deltas, of two bytes each"
        );
    }

    #[test]
    fn the_reserved_symbol_is_malformed_where_it_counts() {
        let mut bytes = FEEDBACK;
        bytes[26] = 0xdc;
        assert!(parse(&bytes).is_none());
        let mut bytes = FEEDBACK;
        bytes[27] = 0xff;
        assert!(parse(&bytes).is_some(), "behind the last status");
        let mut bytes = FEEDBACK;
        bytes[20] = 0x60;
        assert!(parse(&bytes).is_none());
    }

    #[test]
    fn runs_of_no_packets_are_passed_over() {
        let mut bytes = FEEDBACK;
        bytes[22..24].copy_from_slice(&[0, 0]);
        bytes[15] = 19;
        let feedback = parse(&bytes).unwrap();
        assert_eq!(feedback.statuses().count(), 19);
        assert_eq!(feedback.received().nth(2), Some((0, 3)));
    }
}
