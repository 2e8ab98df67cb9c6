//! Counts bytes against a limit.

use weirgate_wire::Refusal;

use super::{limits, refuse};

/// Opaque bytes kept for control.
#[derive(Debug)]
pub(super) struct BlobBudget {
    used: usize,
    limit: usize,
}

impl BlobBudget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { used: 0, limit }
    }

    /// Bytes taken.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Takes `len` bytes for one blob.
    pub(super) fn take(&mut self, len: usize) -> Result<(), Refusal> {
        if len > limits::BLOB_BYTES {
            return Err(refuse::invalid(format_args!(
                "blob: {len} bytes are over the limit of {}",
                limits::BLOB_BYTES
            )));
        }
        if self.used + len > self.limit {
            return Err(refuse::over_capacity(format_args!(
                "blob: the {} bytes for blobs are used up",
                self.limit
            )));
        }
        self.used += len;
        Ok(())
    }

    /// Gives bytes back that were taken.
    pub(super) fn give(&mut self, len: usize) {
        self.used = self.used.saturating_sub(len);
    }
}
