//! What is played, and what is made of the figures.

mod livestream;
mod progress;
mod tally;

pub use livestream::{Livestream, Transport};
pub use progress::{Progress, Silent};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a running scenario to end with the figures it has.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
