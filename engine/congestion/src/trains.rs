//! The rate at which packets that left together arrive: what the path carries at that moment, however
//! little is sent in all.

use crate::{millis, rate_bps};

/// Packets that leave with less than this between them are one train.
const MAX_GAP_US: u64 = millis(25);
/// A longer one is taken as several.
const MAX_TRAIN_US: u64 = millis(150);
/// The rate of a train with so many packets, that took so long, can be told.
const MIN_PACKETS: u32 = 5;
const MIN_TRAIN_US: u64 = millis(10);
/// The rate of a train is not that of the path any more after this long.
const MAX_AGE_US: u64 = millis(300);

#[derive(Debug, Default)]
pub(crate) struct Trains {
    /// The one under way.
    last_sent_us: u64,
    first_us: u64,
    last_us: u64,
    packets: u32,
    /// Without the first packet: its time is not in the span.
    bytes: u64,
    /// Rate of the last whole one, and when it ended; by the receiver's clock, as all arrivals.
    whole_bps: f64,
    whole_us: u64,
}

impl Trains {
    /// A packet arrived.
    #[inline]
    pub(crate) fn arrived(&mut self, sent_us: u64, arrival_us: u64, bytes: u64) {
        let goes_on = sent_us.wrapping_sub(self.last_sent_us) < MAX_GAP_US
            && arrival_us.wrapping_sub(self.first_us) < MAX_TRAIN_US;
        if goes_on {
            self.bytes += bytes;
            self.packets += 1;
            self.last_us = self.last_us.max(arrival_us);
        } else {
            self.begin(arrival_us);
        }
        self.last_sent_us = sent_us;
    }

    fn begin(&mut self, arrival_us: u64) {
        let bps = self.under_way_bps();
        if bps > 0.0 {
            (self.whole_bps, self.whole_us) = (bps, self.last_us);
        }
        (self.first_us, self.last_us) = (arrival_us, arrival_us);
        self.packets = 1;
        self.bytes = 0;
    }

    /// Rate of the latest train; 0 where there was none of late.
    pub(crate) fn bps(&self) -> f64 {
        let bps = self.under_way_bps();
        if bps > 0.0 {
            return bps;
        }
        let is_fresh = self.last_us.saturating_sub(self.whole_us) < MAX_AGE_US;
        if is_fresh { self.whole_bps } else { 0.0 }
    }

    fn under_way_bps(&self) -> f64 {
        let span_us = self.last_us.saturating_sub(self.first_us);
        if self.packets < MIN_PACKETS || span_us < MIN_TRAIN_US {
            return 0.0;
        }
        rate_bps(self.bytes as f64, span_us as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of eight packets that leave 2 ms apart and arrive `step_us` apart.
    fn feed(trains: &mut Trains, from_us: u64, frames: u64, step_us: u64) {
        for frame in 0..frames {
            let sent_us = from_us + frame * millis(100);
            for packet in 0..8 {
                let arrival_us = sent_us + millis(50) + packet * step_us;
                trains.arrived(sent_us + packet * millis(2), arrival_us, 1_250);
            }
        }
    }

    #[test]
    fn the_rate_is_that_of_the_path_not_of_what_is_sent() {
        let mut trains = Trains::default();
        assert!(trains.bps() < 1.0);
        feed(&mut trains, 0, 10, millis(5));
        let bps = trains.bps();
        assert!((bps - 2_000_000.0).abs() < 1.0, "{bps}");
        feed(&mut trains, millis(1_000), 1, millis(10));
        let bps = trains.bps();
        assert!((bps - 1_000_000.0).abs() < 1.0, "{bps}");
    }

    #[test]
    fn single_packets_tell_nothing_and_trains_are_forgotten() {
        let mut trains = Trains::default();
        feed(&mut trains, 0, 1, millis(5));
        for index in 1..10 {
            let sent_us = index * millis(100);
            trains.arrived(sent_us, sent_us + millis(50), 1_250);
        }
        assert!(trains.bps() < 1.0);
    }
}
