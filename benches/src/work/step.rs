//! Whole turns of the engine's loop: time passes, datagrams come, what they cause leaves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Work;
use crate::call::{Burst, Call, Rehearsal, Scenario};

/// Turns before anything is measured: tables have grown and each consumer has sent.
const WARM_UP_TURNS: usize = 20;

/// One turn is a burst of one sender, and what RTCP of receivers comes with it.
pub struct Step {
    call: Call,
    rehearsal: Rehearsal,
    turns: VecDeque<Vec<Burst>>,
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
            rehearsal: Rehearsal::new(scenario),
            turns: VecDeque::new(),
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
            split.timers += passed - started;
            for burst in self.next_turn() {
                let started = Instant::now();
                self.call.hand_in(burst);
                let handed_in = Instant::now();
                self.call.send(&mut |_, _| ());
                split.transmit += handed_in.elapsed();
                split.handle += handed_in - started;
            }
            split.units += self.units_per_turn;
        }
        split
    }

    fn next_turn(&mut self) -> Vec<Burst> {
        self.turns.pop_front().expect("more turns than prepared")
    }
}

impl Work for Step {
    fn prepare(&mut self, turns: usize) {
        while self.turns.len() < turns {
            let turn = self.rehearsal.next_turn();
            self.turns.push_back(turn);
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            self.call.pass(self.call.interval());
            for burst in self.next_turn() {
                self.call.take(burst);
            }
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
            let before = step.call.counter("rtp_packets_sent");
            step.prepare(30);
            let mut units = step.run(20);
            units += step.run_split(10).units;
            assert_eq!(step.call.counter("rtp_packets_sent") - before, units);
        }
    }

    #[test]
    fn a_call_goes_as_it_was_rehearsed() {
        let mut step = Step::new(Scenario::new(Topology::OneTo(7), MediaKind::Video));
        step.prepare(60);
        step.run(60);
        for counter in ["datagrams_sent", "rtp_packets_sent", "rtcp_received"] {
            let rehearsed = step.rehearsal.call().counter(counter);
            assert_eq!(step.call.counter(counter), rehearsed, "{counter}");
        }
        // Two seconds with feedback ten times a second, and a report each.
        assert!(step.call.counter("rtcp_received") > 7 * 20);
        for counter in ["srtp_auth_failures", "srtp_replays", "rtcp_malformed"] {
            assert_eq!(step.call.counter(counter), 0, "{counter}");
        }
    }
}
