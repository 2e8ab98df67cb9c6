//! Who hears how a run goes while it goes.

use std::time::Duration;

use crate::outcome::Tally;

/// Hears how a run goes.
pub trait Progress: Send + Sync {
    /// So many of so many have joined.
    fn joining(&self, joined: usize, wanted: usize);
    /// Figures so far.
    fn running(&self, elapsed: Duration, total: Duration, tally: &Tally, p99: Duration);
    /// Something that is to stay, such as what a trial showed.
    fn line(&self, line: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn joining(&self, _joined: usize, _wanted: usize) {}
    fn running(&self, _elapsed: Duration, _total: Duration, _tally: &Tally, _p99: Duration) {}
    fn line(&self, _line: &str) {}
}
