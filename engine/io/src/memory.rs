//! Memory the kernel writes into and reads from: reached by raw pointers only, so that no Rust
//! reference stands on it while a system call has it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Zeroed items at one address for life. `T` must be valid when all its bytes are zero.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    base: NonNull<T>,
    len: usize,
    layout: Layout,
}

impl<T: Zeroable> Slab<T> {
    /// `len` items, the first at a multiple of `align` bytes. `None` where that is out of range.
    pub(crate) fn new(len: usize, align: usize) -> Option<Self> {
        let layout = Layout::array::<T>(len).ok()?.align_to(align).ok()?;
        if layout.size() == 0 {
            return None;
        }
        // SAFETY: the layout is not of size zero.
        let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            handle_alloc_error(layout)
        };
        Some(Self {
            base: base.cast(),
            len,
            layout,
        })
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Pointer to item `index`.
    pub(crate) fn at(&self, index: usize) -> *mut T {
        assert!(index < self.len);
        // SAFETY: inside the allocation, as just checked.
        unsafe { self.base.as_ptr().add(index) }
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; items have no destructor (`Zeroable`).
        unsafe { dealloc(self.base.as_ptr().cast(), self.layout) }
    }
}

/// # Safety
/// All bytes zero is a valid value, and there is nothing to drop.
pub(crate) unsafe trait Zeroable: Copy {}

// SAFETY: numbers.
unsafe impl Zeroable for u8 {}
// SAFETY: numbers and pointers.
unsafe impl Zeroable for libc::mmsghdr {}
// SAFETY: numbers and pointers.
unsafe impl Zeroable for libc::iovec {}

/// Receive buffers.
#[derive(Debug)]
pub(crate) struct Buffers {
    bytes: Slab<u8>,
}

impl Buffers {
    /// Bytes of one: the longest UDP payload (65,527) with the headers io_uring puts before it,
    /// and so much more that the first lines of neighbours do not fall on the same cache sets.
    pub(crate) const LEN: usize = 65_536 + 1_408;

    pub(crate) fn new(count: usize) -> Option<Self> {
        let bytes = Slab::new(count.checked_mul(Self::LEN)?, 4096)?;
        Some(Self { bytes })
    }

    /// Pointer to the buffer `index`.
    pub(crate) fn at(&self, index: usize) -> *mut u8 {
        let start = index * Self::LEN;
        assert!(start + Self::LEN <= self.bytes.len());
        self.bytes.at(start)
    }

    /// The first `len` bytes of buffer `index`.
    ///
    /// # Safety
    /// The kernel does not have the buffer, and no other reference to it lives, until the
    /// returned one is gone.
    pub(crate) unsafe fn take<'a>(&self, index: usize, len: usize) -> &'a mut [u8] {
        let len = len.min(Self::LEN);
        // SAFETY: inside the allocation and initialised (zeroed); exclusive by the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.at(index), len) }
    }
}
