//! The rings between us and the kernel, in memory of the kernel's: one side fills, the other takes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the kernel has put a ring's parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Names the ring to `mmap`.
    pub(super) page_offset: u64,
    pub(super) offsets: libc::xdp_ring_offset,
    /// Entries, a power of two.
    pub(super) len: u32,
}

/// What both sides see of a ring.
#[derive(Debug)]
struct Shared<T> {
    base: NonNull<u8>,
    bytes: usize,
    offsets: libc::xdp_ring_offset,
    len: u32,
    entries: NonNull<T>,
}

impl<T: Copy> Shared<T> {
    fn map(socket: BorrowedFd<'_>, layout: &Layout) -> io::Result<Self> {
        assert!(layout.len.is_power_of_two());
        let bytes = layout.offsets.desc as usize + layout.len as usize * size_of::<T>();
        // SAFETY: a new mapping of what the kernel says the ring takes; nothing else is at the
        // address it chooses.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                socket.as_raw_fd(),
                layout.page_offset as libc::off_t,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            bytes,
            offsets: layout.offsets,
            len: layout.len,
            // SAFETY: inside the mapping, whose length was made of it.
            entries: unsafe { base.add(layout.offsets.desc as usize) }.cast(),
        })
    }

    fn producer(&self) -> &AtomicU32 {
        self.word(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.word(self.offsets.consumer)
    }

    fn flags(&self) -> u32 {
        self.word(self.offsets.flags).load(Ordering::Relaxed)
    }

    fn word(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: inside the mapping, aligned, and accessed as an atomic by both sides.
        unsafe { AtomicU32::from_ptr(self.base.add(offset as usize).as_ptr().cast()) }
    }

    fn entry(&self, number: u32) -> *mut T {
        let index = (number & (self.len - 1)) as usize;
        // SAFETY: the mask keeps it among the ring's entries.
        unsafe { self.entries.as_ptr().add(index) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `map`, of that length; nothing refers to it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// The end that fills.
#[derive(Debug)]
pub(super) struct Producer<T> {
    shared: Shared<T>,
    /// Entries written, published or not.
    written: u32,
    /// Entries the kernel had taken when last looked at.
    taken: u32,
}

impl<T: Copy> Producer<T> {
    pub(super) fn map(socket: BorrowedFd<'_>, layout: &Layout) -> io::Result<Self> {
        Ok(Self {
            shared: Shared::map(socket, layout)?,
            written: 0,
            taken: 0,
        })
    }

    /// Writes an entry, if there is room; the kernel sees it from [`Self::publish`] on.
    pub(super) fn push(&mut self, entry: T) -> bool {
        if self.written.wrapping_sub(self.taken) == self.shared.len {
            // Acquire: the kernel has read what is about to be written over.
            self.taken = self.shared.consumer().load(Ordering::Acquire);
            if self.written.wrapping_sub(self.taken) == self.shared.len {
                return false;
            }
        }
        // SAFETY: the entry is ours until published.
        unsafe { self.shared.entry(self.written).write(entry) };
        self.written = self.written.wrapping_add(1);
        true
    }

    /// Shows the kernel all entries.
    pub(super) fn publish(&mut self) {
        self.shared
            .producer()
            .store(self.written, Ordering::Release);
    }

    /// Entries the kernel has not taken.
    pub(super) fn waiting(&self) -> u32 {
        let taken = self.shared.consumer().load(Ordering::Relaxed);
        self.written.wrapping_sub(taken)
    }

    /// Whether the kernel wants to be told of new entries.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.shared.flags() & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// The end that takes.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    shared: Shared<T>,
    /// Entries taken, given back or not.
    taken: u32,
    /// Entries the kernel had written when last looked at.
    written: u32,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn map(socket: BorrowedFd<'_>, layout: &Layout) -> io::Result<Self> {
        Ok(Self {
            shared: Shared::map(socket, layout)?,
            taken: 0,
            written: 0,
        })
    }

    /// The next entry. Its place is the kernel's again after [`Self::release`].
    pub(super) fn next(&mut self) -> Option<T> {
        if self.taken == self.written {
            // Acquire: what the entries say is written before they are shown.
            self.written = self.shared.producer().load(Ordering::Acquire);
            if self.taken == self.written {
                return None;
            }
        }
        // SAFETY: written by the kernel and not given back.
        let entry = unsafe { self.shared.entry(self.taken).read() };
        self.taken = self.taken.wrapping_add(1);
        Some(entry)
    }

    /// Gives back the places of all entries taken.
    pub(super) fn release(&mut self) {
        self.shared.consumer().store(self.taken, Ordering::Release);
    }
}
