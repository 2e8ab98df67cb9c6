//! CUBIC (RFC 9438): losses alone hold the rate back, so that it keeps the queue of its link full.

use super::{Acknowledged, FIRST_WINDOW, MIN_WINDOW};

/// Share of the window that remains after a loss, and the speed of its growth.
const BETA: f64 = 0.7;
const C: f64 = 0.4;
/// Segments of growth per round trip with which a flow of the older kind would be as fast.
const RENO_GROWTH: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

#[derive(Debug)]
pub struct Cubic {
    pub window: f64,
    threshold: f64,
    round_trip_us: f64,
    least_round_trip_us: f64,
    /// Window before the last loss, and when that was.
    before_loss: f64,
    lost_us: u64,
    reno_window: f64,
}

impl Cubic {
    pub fn new(now_us: u64) -> Self {
        Self {
            window: FIRST_WINDOW,
            threshold: f64::INFINITY,
            round_trip_us: 0.0,
            least_round_trip_us: f64::INFINITY,
            before_loss: FIRST_WINDOW,
            lost_us: now_us,
            reno_window: FIRST_WINDOW,
        }
    }

    pub fn acknowledged(&mut self, ack: &Acknowledged) {
        let sample_us = ack.round_trip_us();
        self.least_round_trip_us = self.least_round_trip_us.min(sample_us);
        self.round_trip_us += (sample_us - self.round_trip_us) / 8.0;
        match ack.lost {
            _ if !ack.is_repaired => {}
            0 => self.grow(ack.now_us, sample_us),
            _ => self.lost(ack.now_us),
        }
    }

    pub fn lost(&mut self, now_us: u64) {
        // One that does not get back to where it was leaves room to others.
        let is_less = self.window < self.before_loss;
        self.before_loss = if is_less {
            self.window * (1.0 + BETA) / 2.0
        } else {
            self.window
        };
        self.window = (BETA * self.window).max(MIN_WINDOW);
        self.threshold = self.window;
        self.reno_window = self.window;
        self.lost_us = now_us;
    }

    fn grow(&mut self, now_us: u64, sample_us: f64) {
        if self.window < self.threshold {
            self.window += 1.0;
            // A queue that grows ends the slow start, as HyStart++ (RFC 9406) has it.
            let margin_us = (self.least_round_trip_us / 8.0).clamp(4_000.0, 16_000.0);
            if sample_us > self.least_round_trip_us + margin_us {
                self.threshold = self.window;
                self.before_loss = self.window;
                self.reno_window = self.window;
                self.lost_us = now_us;
            }
            return;
        }
        let since_s = (now_us - self.lost_us) as f64 / 1e6;
        let turn_s = ((self.before_loss - self.threshold).max(0.0) / C).cbrt();
        let ahead_s = since_s + self.round_trip_us / 1e6 - turn_s;
        let target = (C * ahead_s.powi(3) + self.before_loss).clamp(self.window, 1.5 * self.window);
        self.window += (target - self.window) / self.window;
        self.reno_window += RENO_GROWTH / self.reno_window;
        self.window = self.window.max(self.reno_window);
    }
}
