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

    /// The symbols, the first one uppermost; how many bits each has, and how many there are from
    /// one to the next.
    const fn symbols(self) -> (u16, u8, u8) {
        match self.0 >> 14 {
            0 | 1 => (self.0 << 1 & 0xc000, 2, 0),
            2 => (self.0 << 2, 1, 1),
            _ => (self.0 << 2, 2, 2),
        }
    }

    /// Bytes of the deltas of the first `count` statuses, which it holds; `None` where one of them
    /// is the reserved symbol.
    const fn deltas_len(self, count: u16) -> Option<usize> {
        let (symbols, symbol_bits, step_bits) = self.symbols();
        if step_bits == 0 {
            return match Symbol::from_bits(symbols >> (16 - symbol_bits)) {
                Some(symbol) => Some(symbol.delta_len() * count as usize),
                None => None,
            };
        }
        // A symbol is the number of its bytes: all of them are added up at once.
        let counted = symbols & !(u16::MAX >> (count * step_bits as u16));
        let (low, high) = match symbol_bits {
            1 => (counted, 0),
            _ => (counted & 0x5555, counted >> 1 & 0x5555),
        };
        if low & high != 0 {
            return None;
        }
        Some((low.count_ones() + 2 * high.count_ones()) as usize)
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
        deltas_len += chunk.deltas_len(used)?;
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

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
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
            self.walk.skip_lost_run();
            if let (sequence, Some(delta)) = self.walk.step()? {
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
    sequence: u16,
    /// Statuses behind the chunk under way.
    left: u16,
    /// Statuses left of the chunk under way.
    in_chunk: u16,
    /// Their symbols, the next one uppermost.
    symbols: u16,
    /// Bits of a symbol.
    symbol_bits: u8,
    /// Bits from one symbol to the next: none in a run.
    step_bits: u8,
}

impl<'a> Walk<'a> {
    const fn new(feedback: &TransportFeedback<'a>) -> Self {
        Self {
            chunks: feedback.chunks,
            deltas: feedback.deltas,
            sequence: feedback.base_sequence,
            left: feedback.status_count,
            in_chunk: 0,
            symbols: 0,
            symbol_bits: 1,
            step_bits: 0,
        }
    }

    /// Goes on to the next chunk that has statuses; `None` at the end.
    fn next_chunk(&mut self) -> Option<()> {
        while self.in_chunk == 0 && self.left > 0 {
            let chunk = Chunk(u16_at(self.chunks, 0)?);
            self.chunks = &self.chunks[CHUNK_LEN..];
            self.in_chunk = chunk.len().min(self.left);
            self.left -= self.in_chunk;
            (self.symbols, self.symbol_bits, self.step_bits) = chunk.symbols();
        }
        (self.in_chunk > 0).then_some(())
    }

    /// Takes the next status.
    #[inline]
    fn step(&mut self) -> Option<(u16, Option<i16>)> {
        if self.in_chunk == 0 {
            self.next_chunk()?;
        }
        let symbol = self.symbols >> (16 - self.symbol_bits);
        self.symbols <<= self.step_bits;
        self.in_chunk -= 1;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let delta = match (Symbol::from_bits(symbol)?, self.deltas) {
            (Symbol::NotReceived, _) => None,
            (Symbol::SmallDelta, &[small, ref rest @ ..]) => {
                self.deltas = rest;
                Some(i16::from(small))
            }
            (Symbol::LargeDelta, &[high, low, ref rest @ ..]) => {
                self.deltas = rest;
                Some(i16::from_be_bytes([high, low]))
            }
            _ => return None,
        };
        Some((sequence, delta))
    }

    /// Takes all statuses that are left of the next chunk if it is a run of lost packets.
    fn skip_lost_run(&mut self) {
        while self.next_chunk().is_some() && self.step_bits == 0 && self.symbols == 0 {
            self.sequence = self.sequence.wrapping_add(self.in_chunk);
            self.in_chunk = 0;
        }
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
    fn padding_of_less_than_a_word_is_taken_as_browsers_send_it() {
        for padding in 1..=3u8 {
            // One run of small deltas, as many as leave that much of the last word.
            let count = 6 - padding;
            let mut bytes = vec![0xaf, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2];
            bytes.extend([0, 10, 0, count, 0, 0, 0, 0, 0x20, count]);
            bytes.extend(std::iter::repeat_n(4, usize::from(count)));
            bytes.extend(vec![0; usize::from(padding)]);
            *bytes.last_mut().unwrap() = padding;
            assert_eq!(bytes.len(), 28);
            let feedback = parse(&bytes).unwrap();
            assert_eq!(feedback.received().count(), usize::from(count));
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
