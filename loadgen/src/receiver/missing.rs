//! Sequence numbers that are missing, and when to ask for them again.

use std::collections::BTreeMap;

use crate::clock::NS_PER_MS;

/// Asked for at most so often.
const MAX_TRIES: u32 = 10;
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

    /// It came; true where it had been asked for.
    pub(super) fn arrived(&mut self, sequence: u64) -> bool {
        self.wanted
            .remove(&sequence)
            .is_some_and(|wanted| wanted.tries > 0)
    }

    /// Whether anything is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// What is to be asked for now.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Vec<u16> {
        let mut due = Vec::new();
        self.wanted.retain(|&sequence, wanted| {
            if now_ns < wanted.due_ns {
                return true;
            }
            if wanted.tries == MAX_TRIES {
                return false;
            }
            wanted.tries += 1;
            wanted.due_ns = now_ns + RETRY_NS;
            due.push(sequence as u16);
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
        assert!(missing.take_due(REORDERING_NS - 1).is_empty());
        assert!(!missing.arrived(65_536));
        assert_eq!(missing.take_due(REORDERING_NS), [65_535, 1]);
        assert!(missing.take_due(REORDERING_NS + 1).is_empty());
        assert!(missing.arrived(65_537));
        let asked: usize = (1..100)
            .map(|round| missing.take_due(round * 2 * RETRY_NS).len())
            .sum();
        assert_eq!(asked as u32, MAX_TRIES - 1);
        assert!(missing.wanted.is_empty());
    }
}
