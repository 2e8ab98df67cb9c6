//! Choice of chunks for transport-wide feedback, in one pass over the statuses.
//!
//! Deltas are written behind the chunks at once, while the last chunk stays open; when it is
//! closed, it goes in front of them. So no buffer beside the slot is needed.

use crate::bytes::SlotWriter;

use super::transport_feedback::{MAX_RUN, ONE_BIT_STATUSES, Symbol, TWO_BIT_STATUSES};

const CHUNK_LEN: usize = 2;
const ONE_BIT_VECTOR: u16 = 0x8000;
const TWO_BIT_VECTOR: u16 = 0xc000;

/// Writes chunks and deltas as far as they fit, and answers how many statuses they hold.
pub(super) fn put_statuses(
    out: &mut SlotWriter<'_>,
    statuses: impl Iterator<Item = Option<i32>>,
) -> Option<u16> {
    let mut count = 0u16;
    let mut chunks_end = out.len();
    let mut open = OpenChunk::default();
    for status in statuses {
        let Some((symbol, delta)) = encode(status) else {
            break;
        };
        let closes = !open.takes(symbol);
        let chunks_to_come = if closes { 2 } else { 1 } * CHUNK_LEN;
        let end = out.len() + chunks_to_come + symbol.delta_len();
        if count == u16::MAX || end.next_multiple_of(4) > out.capacity() {
            break;
        }
        if closes {
            out.insert(chunks_end, &open.make_room().to_be_bytes())?;
            chunks_end += CHUNK_LEN;
        }
        open.push(symbol);
        out.put(&delta[2 - symbol.delta_len()..])?;
        count += 1;
    }
    if count > 0 {
        out.insert(chunks_end, &open.close().to_be_bytes())?;
    }
    Some(count)
}

/// The symbol of a status, and its delta in the last bytes; `None` where the delta is too large.
fn encode(status: Option<i32>) -> Option<(Symbol, [u8; 2])> {
    let Some(delta) = status else {
        return Some((Symbol::NotReceived, [0; 2]));
    };
    let bytes = i16::try_from(delta).ok()?.to_be_bytes();
    let symbol = if bytes[0] == 0 {
        Symbol::SmallDelta
    } else {
        Symbol::LargeDelta
    };
    Some((symbol, bytes))
}

/// Statuses of which it is not yet known what chunk they go into. They always fit into one chunk:
/// a run, up to 14 without a large delta, or up to 7 of any kind.
#[derive(Debug)]
struct OpenChunk {
    /// The first of the statuses; all are as the first where there are more.
    symbols: [Symbol; ONE_BIT_STATUSES as usize],
    len: u16,
    uniform: bool,
    has_large: bool,
}

impl Default for OpenChunk {
    fn default() -> Self {
        Self {
            symbols: [Symbol::NotReceived; ONE_BIT_STATUSES as usize],
            len: 0,
            uniform: true,
            has_large: false,
        }
    }
}

impl OpenChunk {
    /// True where one chunk can still hold all with `symbol` added.
    fn takes(&self, symbol: Symbol) -> bool {
        let is_large = symbol == Symbol::LargeDelta;
        self.len < TWO_BIT_STATUSES
            || (self.len < ONE_BIT_STATUSES && !self.has_large && !is_large)
            || (self.len < MAX_RUN && self.uniform && symbol == self.symbols[0])
    }

    fn push(&mut self, symbol: Symbol) {
        if let Some(place) = self.symbols.get_mut(usize::from(self.len)) {
            *place = symbol;
        }
        self.len += 1;
        self.uniform &= symbol == self.symbols[0];
        self.has_large |= symbol == Symbol::LargeDelta;
    }

    /// The chunk that holds all.
    fn close(&mut self) -> u16 {
        let chunk = if self.uniform {
            self.symbols[0].bits() << 13 | self.len
        } else if self.has_large {
            self.vector(TWO_BIT_VECTOR, 2, TWO_BIT_STATUSES)
        } else {
            self.vector(ONE_BIT_VECTOR, 1, ONE_BIT_STATUSES)
        };
        *self = Self::default();
        chunk
    }

    /// The chunk of the first statuses, so that any symbol can be added to the ones that stay.
    fn make_room(&mut self) -> u16 {
        if self.uniform || self.has_large || self.len == ONE_BIT_STATUSES {
            return self.close();
        }
        // A large delta follows on 7 to 13 that a vector of 14 can not be filled up with.
        let chunk = self.vector(TWO_BIT_VECTOR, 2, TWO_BIT_STATUSES);
        let old = std::mem::take(self);
        for symbol in &old.symbols[usize::from(TWO_BIT_STATUSES)..usize::from(old.len)] {
            self.push(*symbol);
        }
        chunk
    }

    /// A vector chunk with the first `capacity` statuses, the places after the last one zero.
    fn vector(&self, kind: u16, bits: u16, capacity: u16) -> u16 {
        let used = self.len.min(capacity);
        let symbols = &self.symbols[..usize::from(used)];
        (0u16..).zip(symbols).fold(kind, |chunk, (index, symbol)| {
            chunk | symbol.bits() << (bits * (capacity - 1 - index))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes written for `statuses`, and how many of them were written.
    fn put(capacity: usize, statuses: &[Option<i32>]) -> (Vec<u8>, u16) {
        let mut slot = vec![0xff; capacity];
        let mut out = SlotWriter::new(&mut slot);
        let count = put_statuses(&mut out, statuses.iter().copied()).unwrap();
        (out.written().to_vec(), count)
    }

    fn all(statuses: &[Option<i32>]) -> Vec<u8> {
        let (bytes, count) = put(4096, statuses);
        assert_eq!(usize::from(count), statuses.len());
        bytes
    }

    #[test]
    fn equal_statuses_make_a_run() {
        assert_eq!(all(&[None; 8191]), [0x1f, 0xff]);
        assert_eq!(all(&[None; 8192]), [0x1f, 0xff, 0x00, 0x01]);
        assert_eq!(all(&[Some(-1); 2]), [0x40, 2, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(all(&[Some(256), Some(255)])[..2], [0xe4, 0]);
    }

    #[test]
    fn fourteen_of_two_kinds_make_a_vector_of_single_bits() {
        let mut statuses = [None; 15];
        statuses[0] = Some(1);
        statuses[13] = Some(2);
        statuses[14] = Some(3);
        assert_eq!(all(&statuses), [0xa0, 1, 0x20, 1, 1, 2, 3]);
    }

    #[test]
    fn a_late_large_delta_splits_what_was_open() {
        let mut statuses = [None; 11];
        statuses[0] = Some(1);
        statuses[8] = Some(2);
        statuses[10] = Some(256);
        // Seven with two bits, then lost, small, lost, large.
        assert_eq!(all(&statuses), [0xd0, 0, 0xc4, 0x80, 1, 2, 1, 0]);
    }

    #[test]
    fn a_delta_over_16_bits_ends_the_packet() {
        let (bytes, count) = put(64, &[Some(1), None, Some(32_768), Some(1)]);
        assert_eq!((&bytes[..], count), (&[0xa0, 0, 1][..], 2));
        assert_eq!(put(64, &[Some(-32_769)]), (vec![], 0));
        assert_eq!(put(64, &[Some(32_767)]).1, 1);
    }

    #[test]
    fn a_full_slot_ends_the_packet_with_room_for_its_chunks() {
        let statuses: Vec<_> = (0..100)
            .map(|index| (index % 3 > 0).then_some(index * 20))
            .collect();
        let mut last = 0;
        for capacity in 0..200 {
            let (bytes, count) = put(capacity, &statuses);
            assert!(bytes.len().next_multiple_of(4) <= capacity);
            assert!(count >= last, "capacity {capacity}");
            last = count;
        }
        assert_eq!(last, 100);
    }
}
