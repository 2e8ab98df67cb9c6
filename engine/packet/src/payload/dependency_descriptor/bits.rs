//! Reads of single bits, most significant first.

/// Reads bits from the front and knows how far it came.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next bit as a flag.
    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// The next `count` bits, at most 32, as a number.
    pub(super) fn number(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// A number below `limit`, which is over 0: `ns(n)` of the AV1 specification, section 4.10.7.
    pub(super) fn below(&mut self, limit: u32) -> Option<u32> {
        let width = u32::BITS - limit.leading_zeros();
        let short_values = (1 << width) - limit;
        let value = self.number(width - 1)?;
        if value < short_values {
            return Some(value);
        }
        Some((value << 1) - short_values + self.number(1)?)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        let end = self.position.checked_add(count)?;
        if end > self.bytes.len() * 8 {
            return None;
        }
        self.position = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_over_byte_borders() {
        let mut bits = Bits::new(&[0b1010_1100, 0b0111_0000]);
        assert_eq!(bits.flag(), Some(true));
        assert_eq!(bits.number(9), Some(0b0_1011_0001));
        assert_eq!(bits.skip(5), Some(()));
        assert_eq!(bits.number(2), None);
        assert_eq!(Bits::new(&[0]).skip(9), None);
    }

    #[test]
    fn numbers_below_a_limit() {
        // Of five values the first three take two bits, the others three.
        let read = |byte: u8| Bits::new(&[byte]).below(5);
        assert_eq!(read(0b0000_0000), Some(0));
        assert_eq!(read(0b1000_0000), Some(2));
        assert_eq!(read(0b1100_0000), Some(3));
        assert_eq!(read(0b1110_0000), Some(4));
        assert_eq!(Bits::new(&[]).below(1), Some(0), "nothing to tell");
    }
}
