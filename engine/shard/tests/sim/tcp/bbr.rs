//! BBR's first version (draft-cardwell-iccrg-bbr-congestion-control-00), which some systems have as
//! their default: it sends at the rate it was seen to get, has up to twice what the path holds on the way, and
//! heeds no loss. Once in ten seconds it all but stops, to see the path without its own queue.

use super::{Acknowledged, FIRST_WINDOW, SEGMENT_BITS};

/// Growth by which the path is found, which drains the queue that made, and the cycle afterwards, a
/// round trip each.
const HIGH_GAIN: f64 = 2.885;
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
const WINDOW_GAIN: f64 = 2.0;
/// Rounds of which the highest rate counts, and within which a rate that does not grow by this factor
/// is the path's.
const BANDWIDTH_ROUNDS: usize = 10;
const FULL_ROUNDS: u32 = 3;
const FULL_GROWTH: f64 = 1.25;
const ROUND_TRIP_US: u64 = 10_000_000;
const PROBE_US: u64 = 200_000;
const PROBE_WINDOW: f64 = 4.0;
/// On top of the window: three bursts of two, and what is acknowledged together.
const BURSTS: f64 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Startup,
    Drain,
    Cycle(usize),
    /// Until then, once so little is on the way.
    RoundTrip(Option<u64>),
}

#[derive(Debug)]
pub struct Bbr {
    mode: Mode,
    /// Segments delivered when the round ends.
    round_end: u64,
    /// Highest rate of each of the last rounds, the present one last, in segments per microsecond.
    rates: [f64; BANDWIDTH_ROUNDS],
    full_rate: f64,
    full_rounds: u32,
    is_full: bool,
    least_us: f64,
    least_at_us: u64,
    cycle_us: u64,
    /// While what was lost is repaired, for the rest of the round, no more leaves than arrives.
    conserves: bool,
    is_repairing: bool,
    before_loss: f64,
    pub window: f64,
}

impl Bbr {
    pub fn new(now_us: u64) -> Self {
        Self {
            mode: Mode::Startup,
            round_end: 0,
            rates: [0.0; BANDWIDTH_ROUNDS],
            full_rate: 0.0,
            full_rounds: 0,
            is_full: false,
            least_us: f64::INFINITY,
            least_at_us: now_us,
            cycle_us: now_us,
            conserves: false,
            is_repairing: false,
            before_loss: FIRST_WINDOW,
            window: FIRST_WINDOW,
        }
    }

    /// Bit/s; `None` before anything is known.
    pub fn pacing_bps(&self) -> Option<f64> {
        let gain = match self.mode {
            Mode::Startup => HIGH_GAIN,
            Mode::Drain => 1.0 / HIGH_GAIN,
            Mode::Cycle(phase) => CYCLE[phase],
            Mode::RoundTrip(_) => 1.0,
        };
        let rate = self.rate();
        (rate > 0.0).then_some(gain * rate * SEGMENT_BITS * 1e6)
    }

    pub fn acknowledged(&mut self, ack: &Acknowledged) {
        self.count_round(ack);
        let is_old = ack.now_us > self.least_at_us + ROUND_TRIP_US;
        if ack.round_trip_us() <= self.least_us || is_old {
            (self.least_us, self.least_at_us) = (ack.round_trip_us(), ack.now_us);
        }
        if is_old && !matches!(self.mode, Mode::RoundTrip(_)) {
            self.mode = Mode::RoundTrip(None);
        }
        self.change_mode(ack);
        self.set_window(ack);
    }

    /// The highest rate of late.
    fn rate(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    fn count_round(&mut self, ack: &Acknowledged) {
        let is_next = ack.segment.delivered >= self.round_end;
        if is_next {
            self.round_end = ack.delivered;
            self.conserves = false;
            self.rates.rotate_left(1);
            self.rates[BANDWIDTH_ROUNDS - 1] = 0.0;
        }
        let newest = &mut self.rates[BANDWIDTH_ROUNDS - 1];
        *newest = newest.max(ack.rate());
        if is_next && !self.is_full {
            let rate = self.rate();
            if rate >= FULL_GROWTH * self.full_rate {
                (self.full_rate, self.full_rounds) = (rate, 0);
            } else {
                self.full_rounds += 1;
                self.is_full = self.full_rounds >= FULL_ROUNDS;
            }
        }
    }

    fn change_mode(&mut self, ack: &Acknowledged) {
        let in_flight = ack.in_flight as f64;
        match self.mode {
            Mode::Startup if self.is_full => self.mode = Mode::Drain,
            Mode::Drain if in_flight <= self.held(1.0) => self.cycle(ack.now_us, 2),
            Mode::Cycle(phase) => {
                let is_over = (ack.now_us - self.cycle_us) as f64 > self.least_us;
                let is_done = match CYCLE[phase] {
                    gain if gain > 1.0 => is_over && (ack.lost > 0 || in_flight >= self.held(gain)),
                    gain if gain < 1.0 => is_over || in_flight <= self.held(1.0),
                    _ => is_over,
                };
                if is_done {
                    self.cycle(ack.now_us, (phase + 1) % CYCLE.len());
                }
            }
            Mode::RoundTrip(None) if in_flight <= PROBE_WINDOW => {
                self.mode = Mode::RoundTrip(Some(ack.now_us + PROBE_US));
            }
            Mode::RoundTrip(Some(until_us)) if ack.now_us > until_us => {
                self.least_at_us = ack.now_us;
                self.window = self.held(WINDOW_GAIN);
                match self.is_full {
                    true => self.cycle(ack.now_us, 2),
                    false => self.mode = Mode::Startup,
                }
            }
            _ => {}
        }
    }

    const fn cycle(&mut self, now_us: u64, phase: usize) {
        self.mode = Mode::Cycle(phase);
        self.cycle_us = now_us;
    }

    /// What the path holds, by that factor.
    fn held(&self, gain: f64) -> f64 {
        gain * self.rate() * self.least_us + BURSTS
    }

    fn set_window(&mut self, ack: &Acknowledged) {
        let most = match self.mode {
            Mode::RoundTrip(_) => PROBE_WINDOW,
            Mode::Startup | Mode::Drain => self.held(HIGH_GAIN),
            Mode::Cycle(_) => self.held(WINDOW_GAIN),
        };
        if ack.lost > 0 && ack.is_repaired {
            self.before_loss = self.window;
            self.conserves = true;
        } else if ack.is_repaired && ack.lost == 0 && self.is_repairing {
            self.window = self.window.max(self.before_loss);
        }
        self.is_repairing = !ack.is_repaired || ack.lost > 0;
        if self.conserves {
            self.window = ack.in_flight as f64 + 1.0;
            return;
        }
        let grown = self.window + 1.0 - ack.lost as f64;
        self.window = match self.mode {
            Mode::Startup if grown > most => self.window,
            _ => grown.min(most).max(PROBE_WINDOW),
        };
    }
}
