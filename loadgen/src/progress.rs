//! The progress bar.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use weirgate_loadgen::outcome::Tally;
use weirgate_loadgen::scenario::Progress;

/// A bar on standard error, where that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// An empty bar.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn joining(&self, joined: usize, wanted: usize) {
        self.0.set_length(wanted as u64);
        self.0.set_position(joined as u64);
        self.0.set_message(format!("{joined} of {wanted} joined"));
    }

    fn running(&self, elapsed: Duration, total: Duration, tally: &Tally, p99: Duration) {
        self.0.set_length(total.as_millis() as u64);
        self.0.set_position(elapsed.as_millis() as u64);
        let megabits = tally.wire_bytes as f64 * 8.0 / 1e6 / elapsed.as_secs_f64().max(0.001);
        self.0.set_message(format!(
            "{:.0} s  {megabits:.1} Mbit/s  loss {:.3} %  p99 {:.1} ms",
            elapsed.as_secs_f64(),
            tally.loss() * 100.0,
            p99.as_secs_f64() * 1000.0
        ));
    }
}
