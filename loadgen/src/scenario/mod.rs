//! What is played, and what is made of the figures.

mod access;
mod cast;
mod crowd;
mod health;
mod joining;
mod load;
mod measure;
mod participant;
mod phases;
mod play;
mod processes;
mod progress;
mod run;
mod sampler;
mod tally;
mod traffic;
mod unread;

pub use access::SignalingKind;
pub use cast::Cast;
pub use load::{LoadProfile, LoadStep};
pub use participant::Transport;
pub use play::Scenario;
pub use progress::{Progress, Silent};
pub use traffic::Traffic;

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
