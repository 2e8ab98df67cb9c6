//! A greedy flow with TCP's congestion window: Cubic's growth, loss found by later
//! acknowledgements (RFC 9438).

use std::collections::{BTreeSet, VecDeque};

use super::{Flow, MS, Packet};

const BYTES: u16 = 1_500;
/// Cubic's constants.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Later packets acknowledged after which one is lost.
const REORDERING: u64 = 3;
/// Nothing acknowledged for this long: begin again.
const TIMEOUT_US: u64 = 1_000 * MS;

pub(crate) struct TcpFlow {
    window: f64,
    slow_start: bool,
    window_max: f64,
    reduced_us: u64,
    next_id: u64,
    unacknowledged: BTreeSet<u64>,
    /// Losses of packets sent before this one are of the same congestion.
    recover: u64,
    back_us: u64,
    /// On their way back: time and number.
    acknowledgements: VecDeque<(u64, u64)>,
    progress_us: u64,
    delivered: Vec<(u64, u16)>,
}

impl TcpFlow {
    /// `back_us` is how long acknowledgements take.
    pub(crate) fn new(back_us: u64) -> Self {
        Self {
            window: 10.0,
            slow_start: true,
            window_max: 0.0,
            reduced_us: 0,
            next_id: 0,
            unacknowledged: BTreeSet::new(),
            recover: 0,
            back_us,
            acknowledgements: VecDeque::new(),
            progress_us: 0,
            delivered: Vec::new(),
        }
    }

    pub(crate) fn delivered_bps(&self, from_us: u64, until_us: u64) -> u64 {
        super::media::rate(&self.delivered, from_us, until_us)
    }

    fn acknowledge(&mut self, now_us: u64, id: u64) {
        self.progress_us = now_us;
        self.unacknowledged.remove(&id);
        let lost: Vec<u64> = self
            .unacknowledged
            .range(..id.saturating_sub(REORDERING))
            .copied()
            .collect();
        for id in lost {
            self.unacknowledged.remove(&id);
            if id >= self.recover {
                self.reduce(now_us);
            }
        }
        if self.slow_start {
            self.window += 1.0;
            return;
        }
        let k = (self.window_max * (1.0 - BETA) / C).cbrt();
        let since_s = (now_us - self.reduced_us) as f64 / 1e6;
        let cubic = C * (since_s - k).powi(3) + self.window_max;
        let rtt_s = 0.1;
        let friendly = self.window_max * BETA + 3.0 * (1.0 - BETA) / (1.0 + BETA) * since_s / rtt_s;
        let goal = cubic.max(friendly);
        if goal > self.window {
            self.window += (goal - self.window) / self.window;
        }
    }

    fn reduce(&mut self, now_us: u64) {
        self.slow_start = false;
        self.window_max = self.window;
        self.window = (self.window * BETA).max(2.0);
        self.reduced_us = now_us;
        self.recover = self.next_id;
    }
}

impl Flow for TcpFlow {
    fn deliver(&mut self, at_us: u64, packet: Packet) {
        self.delivered.push((at_us, packet.bytes));
        self.acknowledgements
            .push_back((at_us + self.back_us, packet.id));
    }

    fn tick(&mut self, now_us: u64, out: &mut Vec<(u64, u16)>) {
        while let Some(&(at_us, id)) = self.acknowledgements.front() {
            if at_us > now_us {
                break;
            }
            self.acknowledgements.pop_front();
            self.acknowledge(now_us, id);
        }
        if now_us.saturating_sub(self.progress_us) > TIMEOUT_US {
            self.unacknowledged.clear();
            self.progress_us = now_us;
        }
        while (self.unacknowledged.len() as f64) < self.window {
            self.unacknowledged.insert(self.next_id);
            out.push((self.next_id, BYTES));
            self.next_id += 1;
        }
    }
}
