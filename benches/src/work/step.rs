//! Whole turns of the engine's loop: time passes, a burst comes, what it causes leaves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Work;
use crate::call::{Burst, Call, Scenario};

/// Turns before anything is measured: tables have grown and each consumer has sent.
const WARM_UP_TURNS: usize = 40;

/// One turn is a burst of one sender.
pub struct Step {
    call: Call,
    bursts: VecDeque<Burst>,
    units_per_turn: u64,
}

/// Where the time of some turns went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Split {
    /// Timers: reports and the like.
    pub timers: Duration,
    /// Demultiplexing, opening, history, and each consumer's choice.
    pub handle: Duration,
    /// Numbering, writing and sealing, and the building of trains.
    pub transmit: Duration,
    /// Units done.
    pub units: u64,
}

impl Step {
    /// The call, warmed up.
    pub fn new(scenario: Scenario) -> Self {
        let copies = if scenario.paused {
            1
        } else {
            scenario.topology.fan_out()
        };
        let mut step = Self {
            call: Call::new(scenario),
            bursts: VecDeque::new(),
            units_per_turn: (scenario.burst() * copies) as u64,
        };
        step.prepare(WARM_UP_TURNS);
        step.run(WARM_UP_TURNS);
        step
    }

    /// As [`Work::run`], with clock readings between the parts.
    pub fn run_split(&mut self, turns: usize) -> Split {
        let mut split = Split::default();
        for _ in 0..turns {
            let started = Instant::now();
            self.call.pass(self.call.interval());
            let passed = Instant::now();
            let burst = self.bursts.pop_front().expect("more turns than prepared");
            self.call.hand_in(burst);
            let handed_in = Instant::now();
            self.call.send(|_| ());
            split.transmit += handed_in.elapsed();
            split.handle += handed_in - passed;
            split.timers += passed - started;
            split.units += self.units_per_turn;
        }
        split
    }

    /// Packets the shard has sent so far.
    pub fn packets_sent(&mut self) -> u64 {
        self.call.counter("rtp_packets_sent")
    }
}

impl Work for Step {
    fn prepare(&mut self, turns: usize) {
        while self.bursts.len() < turns {
            let burst = self.call.next_burst();
            self.bursts.push_back(burst);
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            self.call.pass(self.call.interval());
            let burst = self.bursts.pop_front().expect("more turns than prepared");
            self.call.take(burst);
        }
        turns as u64 * self.units_per_turn
    }
}

#[cfg(test)]
mod tests {
    use weirgate_wire::MediaKind;

    use super::*;
    use crate::call::Topology;

    #[test]
    fn units_are_the_packets_that_left() {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let mut step = Step::new(Scenario::new(Topology::Meeting(5), kind));
            let before = step.packets_sent();
            step.prepare(30);
            let mut units = step.run(20);
            units += step.run_split(10).units;
            assert_eq!(step.packets_sent() - before, units);
        }
    }
}
