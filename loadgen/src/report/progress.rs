//! How a run goes while it goes, on standard error.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::numbers::{bitrate, ms, percent, rate};
use crate::outcome::Tally;
use crate::scenario::{Progress, Silent};

/// Plain lines come this often.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// A bar where standard error is a terminal, else a line now and then; nothing where quiet.
pub fn progress(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Silent)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bar::new())
    } else {
        Box::new(Lines::default())
    }
}

struct Bar {
    bar: ProgressBar,
    rate: Mutex<Rate>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(4));
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            rate: Mutex::default(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn joining(&self, joined: usize, wanted: usize) {
        self.bar.set_length(wanted as u64);
        self.bar.set_position(joined as u64);
        self.bar.set_message(format!("{joined} of {wanted} joined"));
    }

    fn running(&self, elapsed: Duration, total: Duration, tally: &Tally, p99: Duration) {
        self.bar.set_length(total.as_millis() as u64);
        self.bar.set_position(elapsed.as_millis() as u64);
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.update(elapsed, tally);
        self.bar.set_message(rate.line(elapsed, total, tally, p99));
    }

    fn line(&self, line: &str) {
        self.bar.println(line);
    }
}

#[derive(Default)]
struct Lines {
    rate: Mutex<Rate>,
}

impl Progress for Lines {
    fn joining(&self, joined: usize, wanted: usize) {
        if joined == wanted {
            self.line(&format!("{joined} of {wanted} joined"));
        }
    }

    fn running(&self, elapsed: Duration, total: Duration, tally: &Tally, p99: Duration) {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if elapsed < rate.elapsed || elapsed >= rate.elapsed + LINE_INTERVAL {
            rate.update(elapsed, tally);
            self.line(&rate.line(elapsed, total, tally, p99));
        }
    }

    fn line(&self, line: &str) {
        eprintln!("{line}");
    }
}

/// What came since the figures before.
#[derive(Debug, Default, Clone, Copy)]
struct Rate {
    elapsed: Duration,
    received: u64,
    wire_bytes: u64,
    packets_per_second: f64,
    bits_per_second: f64,
}

impl Rate {
    fn update(&mut self, elapsed: Duration, tally: &Tally) {
        // A new run begins anew.
        let before = if elapsed < self.elapsed {
            Self::default()
        } else {
            *self
        };
        let seconds = (elapsed - before.elapsed).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let of = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        *self = Self {
            elapsed,
            received: tally.received,
            wire_bytes: tally.wire_bytes,
            packets_per_second: of(tally.received, before.received),
            bits_per_second: of(tally.wire_bytes, before.wire_bytes) * 8.0,
        };
    }

    fn line(&self, elapsed: Duration, total: Duration, tally: &Tally, p99: Duration) -> String {
        format!(
            "{:.0} of {:.0} s  {} packets/s  {}  loss {}  p99 {} ms",
            elapsed.as_secs_f64(),
            total.as_secs_f64(),
            rate(self.packets_per_second),
            bitrate(self.bits_per_second),
            percent(tally.loss()),
            ms(p99.as_secs_f64() * 1000.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(received: u64) -> Tally {
        Tally {
            expected: received,
            received,
            wire_bytes: received * 1_000,
            ..Tally::default()
        }
    }

    #[test]
    fn the_rate_is_that_of_late() {
        let mut rate = Rate::default();
        rate.update(Duration::from_secs(10), &tally(1_000));
        assert_eq!(rate.packets_per_second, 100.0);
        rate.update(Duration::from_secs(11), &tally(1_500));
        assert_eq!(rate.packets_per_second, 500.0);
        assert_eq!(rate.bits_per_second, 4e6);
    }

    #[test]
    fn a_new_run_begins_anew() {
        let mut rate = Rate::default();
        rate.update(Duration::from_secs(10), &tally(1_000));
        rate.update(Duration::from_secs(1), &tally(70));
        assert_eq!(rate.packets_per_second, 70.0);
    }

    #[test]
    fn a_line_tells_all() {
        let mut rate = Rate::default();
        let seconds = Duration::from_secs;
        rate.update(seconds(10), &tally(50_000));
        let line = rate.line(
            seconds(10),
            seconds(30),
            &tally(50_000),
            Duration::from_micros(1_234),
        );
        assert_eq!(
            line,
            "10 of 30 s  5,000 packets/s  40.0 Mbit/s  loss 0 %  p99 1.23 ms"
        );
    }
}
