//! The receive buffers and the ring by which the kernel gets them.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::ring::Ring;
use crate::memory::{Buffers, Slab};

/// Buffers of one ring. Each is either the kernel's, or taken from a completion until
/// [`Self::give_back`].
pub(super) struct Pool {
    entries: Slab<u8>,
    buffers: Buffers,
    mask: u16,
    tail: u16,
    taken: Vec<u16>,
}

impl Pool {
    /// Number of the buffer group.
    pub(super) const GROUP: u16 = 0;

    const ENTRY_LEN: usize = size_of::<BufRingEntry>();

    /// `count` buffers, a power of two, all given to the kernel.
    pub(super) fn new(ring: &Ring, count: u16) -> io::Result<Self> {
        assert!(count.is_power_of_two());
        let no_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let len = usize::from(count) * Self::ENTRY_LEN;
        let mut pool = Self {
            // The kernel wants it at the start of a page.
            entries: Slab::new(len, 4096).ok_or_else(no_memory)?,
            buffers: Buffers::new(count.into()).ok_or_else(no_memory)?,
            mask: count - 1,
            tail: 0,
            taken: Vec::with_capacity(count.into()),
        };
        // SAFETY: the entries live in the pool, which whoever owns both drops after the ring.
        unsafe { ring.register_buffers(pool.entries.at(0) as u64, count, Self::GROUP)? };
        pool.taken.extend(0..count);
        pool.give_back();
        Ok(pool)
    }

    /// The first `len` bytes of a buffer that a completion names.
    ///
    /// # Safety
    /// The buffer was not taken since the kernel got it, and the slice is gone before
    /// [`Self::give_back`].
    pub(super) unsafe fn take<'b>(&mut self, buffer: u16, len: usize) -> &'b mut [u8] {
        self.taken.push(buffer);
        // SAFETY: by the caller's word the only reference, and the kernel does not have it.
        unsafe { self.buffers.take(buffer.into(), len) }
    }

    /// Gives all taken buffers to the kernel.
    pub(super) fn give_back(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let base: *mut BufRingEntry = self.entries.at(0).cast();
        for buffer in self.taken.drain(..) {
            let index = usize::from(self.tail & self.mask);
            // SAFETY: inside the slab by the mask; the kernel does not read entries that are not
            // published. The fields are written one by one, as the tail lies in the first entry.
            let entry = unsafe { &mut *base.add(index) };
            entry.set_addr(self.buffers.at(buffer.into()) as u64);
            entry.set_len(Buffers::LEN as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
        }
        // SAFETY: the slab holds entries, the address of the first gives that of the tail, which is
        // aligned and lives as long; the kernel reads it atomically as well.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
