//! A TCP flow beside the call: a download without end whose rate losses alone hold back (CUBIC,
//! RFC 9438), so that it keeps the queue of its link full.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::link::Link;

/// With TCP's header; the link adds that of IPv4, and 8 bytes.
const SEGMENT_BYTES: usize = 1_460;
const FIRST_WINDOW: f64 = 10.0;
const MIN_WINDOW: f64 = 2.0;
/// Segments acknowledged after one that is not: that is lost.
const REORDERED: u64 = 3;
/// Share of the window that remains after a loss, and the speed of its growth.
const BETA: f64 = 0.7;
const C: f64 = 0.4;
/// Segments of growth per round trip with which a flow of the older kind would be as fast.
const RENO_GROWTH: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
const TIMEOUT_US: u64 = 1_000_000;

/// A segment sent again is counted as one more.
#[derive(Debug)]
pub struct TcpFlow {
    pub remote: SocketAddr,
    pub link: usize,
    /// `(time, bytes)` of what arrived.
    arrivals: Vec<(u64, usize)>,
    window: f64,
    threshold: f64,
    /// Segments on the way: number, and when they left.
    in_flight: VecDeque<(u64, u64)>,
    next: u64,
    /// Acknowledgements on their way back.
    back: VecDeque<(u64, u64)>,
    back_us: u64,
    acknowledged_us: u64,
    round_trip_us: f64,
    least_round_trip_us: f64,
    /// The window is not lowered again for what left before this segment.
    recovers_at: u64,
    /// Window before the last loss, and when that was.
    before_loss: f64,
    lost_us: u64,
    reno_window: f64,
}

impl TcpFlow {
    /// Over that link; what is acknowledged takes `back_us` for the way back.
    pub fn new(now_us: u64, remote: SocketAddr, link: usize, back_us: u64) -> Self {
        Self {
            remote,
            link,
            arrivals: Vec::new(),
            window: FIRST_WINDOW,
            threshold: f64::INFINITY,
            in_flight: VecDeque::new(),
            next: 0,
            back: VecDeque::new(),
            back_us,
            acknowledged_us: now_us,
            round_trip_us: 0.0,
            least_round_trip_us: f64::INFINITY,
            recovers_at: 0,
            before_loss: FIRST_WINDOW,
            lost_us: now_us,
            reno_window: FIRST_WINDOW,
        }
    }

    /// Sends what the window has room for.
    pub fn step(&mut self, now_us: u64, link: &mut Link) {
        while let Some((_, number)) = self.back.pop_front_if(|back| back.0 <= now_us) {
            self.acknowledged(now_us, number);
        }
        if !self.in_flight.is_empty() && now_us - self.acknowledged_us > TIMEOUT_US {
            self.in_flight.clear();
            self.lost(now_us);
            self.window = MIN_WINDOW;
            self.acknowledged_us = now_us;
        }
        while (self.in_flight.len() as f64) < self.window {
            let mut segment = vec![0; SEGMENT_BYTES];
            segment[..8].copy_from_slice(&self.next.to_be_bytes());
            link.send(now_us, self.remote, segment);
            self.in_flight.push_back((self.next, now_us));
            self.next += 1;
        }
    }

    /// A segment arrives.
    pub fn arrive(&mut self, now_us: u64, segment: &[u8]) {
        let number = u64::from_be_bytes(segment[..8].try_into().expect("eight bytes"));
        self.arrivals.push((now_us, segment.len()));
        self.back.push_back((now_us + self.back_us, number));
    }

    fn acknowledged(&mut self, now_us: u64, number: u64) {
        self.acknowledged_us = now_us;
        let sent = self.in_flight.iter().position(|&(it, _)| it == number);
        let Some((_, sent_us)) = sent.and_then(|index| self.in_flight.remove(index)) else {
            return;
        };
        let sample_us = (now_us - sent_us) as f64;
        self.least_round_trip_us = self.least_round_trip_us.min(sample_us);
        self.round_trip_us += (sample_us - self.round_trip_us) / 8.0;
        let before = self.in_flight.len();
        self.in_flight.retain(|&(it, _)| it + REORDERED > number);
        if self.in_flight.len() < before && number >= self.recovers_at {
            self.lost(now_us);
        } else if number >= self.recovers_at {
            self.grow(now_us, sample_us);
        }
    }

    fn lost(&mut self, now_us: u64) {
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
        self.recovers_at = self.next;
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

    /// What arrived within a time.
    pub fn bps(&self, from_us: u64, until_us: u64) -> u64 {
        let within = self
            .arrivals
            .iter()
            .filter(|(at_us, _)| (from_us..until_us).contains(at_us));
        let bytes: usize = within.map(|(_, bytes)| bytes).sum();
        bytes as u64 * 8_000_000 / (until_us - from_us)
    }
}
