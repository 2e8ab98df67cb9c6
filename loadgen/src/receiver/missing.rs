//! Sequence numbers that are missing, and when to ask for them again.

use std::collections::BTreeMap;

use crate::clock::NS_PER_MS;

/// Asked for at most so often.
const MAX_TRIES: u32 = 10;
/// The same time is waited twice where nothing is asked for, before the picture is given up.
const TRIES_UNASKED: u32 = 2;
/// Between two requests for the same packet.
const RETRY_NS: u64 = 100 * NS_PER_MS;
/// Missing packets kept; more at a time are given up, as browsers do.
const MAX_MISSING: usize = 1000;
/// Time for packets that merely overtook each other.
const REORDERING_NS: u64 = 5 * NS_PER_MS;

/// Missing packets of a flow by extended sequence number.
#[derive(Debug, Default)]
pub(super) struct Missing {
    wanted: BTreeMap<u64, Wanted>,
}

#[derive(Debug)]
struct Wanted {
    due_ns: u64,
    tries: u32,
}

/// What is to be done about missing packets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// To be asked for now.
    pub(super) asked: Vec<u16>,
    /// Some will not come any more.
    pub(super) gave_up: bool,
}

impl Missing {
    /// Everything from `from` up to `to`, exclusive, was skipped.
    pub(super) fn skipped(&mut self, from: u64, to: u64, now_ns: u64) {
        for sequence in from..to {
            if self.wanted.len() == MAX_MISSING {
                self.wanted.clear();
            }
            self.wanted.insert(
                sequence,
                Wanted {
                    due_ns: now_ns + REORDERING_NS,
                    tries: 0,
                },
            );
        }
    }

    /// It came.
    pub(super) fn arrived(&mut self, sequence: u64) {
        self.wanted.remove(&sequence);
    }

    /// Whether anything is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// What is due now; `asks` says whether anything may be asked for.
    pub(super) fn take_due(&mut self, now_ns: u64, asks: bool) -> Due {
        let max_tries = if asks { MAX_TRIES } else { TRIES_UNASKED };
        let mut due = Due::default();
        self.wanted.retain(|&sequence, wanted| {
            if now_ns < wanted.due_ns {
                return true;
            }
            if wanted.tries == max_tries {
                due.gave_up = true;
                return false;
            }
            wanted.tries += 1;
            wanted.due_ns = now_ns + RETRY_NS;
            if asks {
                due.asked.push(sequence as u16);
            }
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_packet_is_asked_for_until_it_comes_or_is_given_up() {
        let mut missing = Missing::default();
        missing.skipped(65_535, 65_538, 0);
        let asked = |missing: &mut Missing, now_ns| missing.take_due(now_ns, true).asked;
        assert!(asked(&mut missing, REORDERING_NS - 1).is_empty());
        missing.arrived(65_536);
        assert_eq!(asked(&mut missing, REORDERING_NS), [65_535, 1]);
        assert!(asked(&mut missing, REORDERING_NS + 1).is_empty());
        missing.arrived(65_537);
        let mut count = 0;
        let mut gave_up = 0;
        for round in 1..100 {
            let due = missing.take_due(round * 2 * RETRY_NS, true);
            count += due.asked.len() as u32;
            gave_up += u32::from(due.gave_up);
        }
        assert_eq!((count, gave_up), (MAX_TRIES - 1, 1));
        assert!(missing.is_empty());
    }

    #[test]
    fn without_asking_it_is_given_up_after_two_tenths_of_a_second() {
        let mut missing = Missing::default();
        missing.skipped(7, 8, 0);
        let mut at_ms = 0;
        loop {
            let due = missing.take_due(at_ms * NS_PER_MS, false);
            assert!(due.asked.is_empty());
            if due.gave_up {
                break;
            }
            at_ms += 1;
        }
        assert_eq!(at_ms, 205);
    }
}
