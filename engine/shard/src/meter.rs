//! Rates over about the last second.

use std::time::Duration;

use crate::Timestamp;

const WINDOW: Duration = Duration::from_secs(1);

/// Bytes and packets counted, and their rate over the last whole window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// A window after it began.
    window_end: Timestamp,
    window_bytes: u64,
    rate_bps: u64,
}

impl Meter {
    /// Counts a packet.
    #[inline]
    pub(crate) fn add(&mut self, now: Timestamp, bytes: usize) {
        self.add_all(now, 1, bytes as u64);
    }

    /// Counts so many packets, of `bytes` together.
    #[inline]
    pub(crate) fn add_all(&mut self, now: Timestamp, packets: u64, bytes: u64) {
        if now >= self.window_end {
            self.roll(now);
        }
        self.packets += packets;
        self.bytes += bytes;
        self.window_bytes += bytes;
    }

    pub(crate) fn rate_bps(&mut self, now: Timestamp) -> u64 {
        self.roll(now);
        self.rate_bps
    }

    fn roll(&mut self, now: Timestamp) {
        if now < self.window_end {
            return;
        }
        let elapsed = now.since(self.window_end) + WINDOW;
        // After a silence longer than two windows the last one was empty.
        self.rate_bps = if elapsed >= WINDOW * 2 {
            0
        } else {
            self.window_bytes * 8_000_000 / elapsed.as_micros() as u64
        };
        self.window_bytes = 0;
        self.window_end = now + WINDOW;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_a_silent_one_has_none() {
        let mut meter = Meter::default();
        for ms in 0..3000u64 {
            meter.add(Timestamp::from_micros(1_000_000 + ms * 1000), 125);
        }
        let rate = meter.rate_bps(Timestamp::from_micros(4_000_000));
        assert!((950_000..=1_050_000).contains(&rate), "{rate}");
        assert_eq!(meter.rate_bps(Timestamp::from_micros(9_000_000)), 0);
        assert_eq!((meter.packets, meter.bytes), (3000, 375_000));
    }
}
