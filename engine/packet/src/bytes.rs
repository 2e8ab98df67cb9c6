//! Big-endian reads and writes that check their bounds.

/// The two bytes at `offset`.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_be_bytes)
}

/// The three bytes at `offset`.
pub(crate) fn u24_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at::<3>(bytes, offset).map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
}

/// The four bytes at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_be_bytes)
}

/// The eight bytes at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_be_bytes)
}

/// The `N` bytes at `offset`.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// Reads one byte after the other and knows how far it came.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    pub(crate) fn skip(&mut self, len: usize) -> Option<()> {
        if self.bytes.len() - self.position < len {
            return None;
        }
        self.position += len;
        Some(())
    }

    pub(crate) const fn position(&self) -> usize {
        self.position
    }
}

/// Appends to a slot of fixed size.
#[derive(Debug)]
pub(crate) struct SlotWriter<'a> {
    slot: &'a mut [u8],
    len: usize,
}

impl<'a> SlotWriter<'a> {
    pub(crate) const fn new(slot: &'a mut [u8]) -> Self {
        Self { slot, len: 0 }
    }

    /// Goes on after the first `len` bytes.
    #[inline]
    pub(crate) fn resume(slot: &'a mut [u8], len: usize) -> Self {
        let len = len.min(slot.len());
        Self { slot, len }
    }

    /// Appends `data`; `None`, with nothing written, where it does not fit.
    #[inline]
    pub(crate) fn put(&mut self, data: &[u8]) -> Option<()> {
        let end = self.len.checked_add(data.len())?;
        self.slot.get_mut(self.len..end)?.copy_from_slice(data);
        self.len = end;
        Some(())
    }

    /// Appends `len` zero bytes.
    #[inline]
    pub(crate) fn put_zeros(&mut self, len: usize) -> Option<()> {
        let end = self.len.checked_add(len)?;
        self.slot.get_mut(self.len..end)?.fill(0);
        self.len = end;
        Some(())
    }

    /// Overwrites what was written at `offset`.
    #[inline]
    pub(crate) fn patch(&mut self, offset: usize, data: &[u8]) -> Option<()> {
        let end = offset.checked_add(data.len())?;
        self.slot[..self.len]
            .get_mut(offset..end)?
            .copy_from_slice(data);
        Some(())
    }

    /// Sets bits of what was written at `offset`.
    #[inline]
    pub(crate) fn set(&mut self, offset: usize, bits: u8) -> Option<()> {
        *self.slot[..self.len].get_mut(offset)? |= bits;
        Some(())
    }

    /// Puts `data` at `offset` and moves what follows up.
    pub(crate) fn insert(&mut self, offset: usize, data: &[u8]) -> Option<()> {
        let end = self.len.checked_add(data.len())?;
        if offset > self.len || end > self.slot.len() {
            return None;
        }
        self.slot.copy_within(offset..self.len, offset + data.len());
        self.len = end;
        self.patch(offset, data)
    }

    /// Forgets everything after the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.slot[..self.len]
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.slot.len()
    }
}
