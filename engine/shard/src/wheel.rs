//! Deadlines of transports, in steps. A transport has at most one entry, which moves; deadlines
//! further ahead than the wheel reaches come up early and have to be set again.

use crate::Timestamp;

const SLOTS: usize = 1024;
/// No key, or no slot.
const NONE: u32 = u32::MAX;

/// An entry's place in the list of its slot.
#[derive(Debug, Clone, Copy)]
struct Node {
    previous: u32,
    next: u32,
    slot: u32,
}

const UNLISTED: Node = Node {
    previous: NONE,
    next: NONE,
    slot: NONE,
};

/// A timer wheel over small `u32` keys. Nothing is allocated once a key is known.
#[derive(Debug)]
pub(crate) struct Wheel {
    step_us: u64,
    /// First key of each slot.
    heads: Box<[u32]>,
    occupied: [u64; SLOTS / 64],
    /// By key.
    nodes: Vec<Node>,
    /// Step up to which (not including) everything has come up.
    cursor: u64,
}

impl Wheel {
    /// Entries come up at multiples of `step_us`.
    pub(crate) fn new(now: Timestamp, step_us: u64) -> Self {
        Self {
            step_us,
            heads: vec![NONE; SLOTS].into_boxed_slice(),
            occupied: [0; SLOTS / 64],
            nodes: Vec::new(),
            cursor: now.as_micros() / step_us,
        }
    }

    /// Sets a key's time; returns the time at which it comes up.
    pub(crate) fn insert(&mut self, key: u32, at: Timestamp) -> Timestamp {
        if self.nodes.len() <= key as usize {
            self.nodes.resize(key as usize + 1, UNLISTED);
        }
        self.unlink(key);
        // Rounded up: never early.
        let step = at.as_micros().div_ceil(self.step_us);
        let step = step.clamp(self.cursor, self.cursor + SLOTS as u64 - 1);
        self.link(key, (step % SLOTS as u64) as u32);
        Timestamp::from_micros(step * self.step_us)
    }

    /// Moves the keys of one due slot into `due`; false when nothing more is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp, due: &mut Vec<u32>) -> bool {
        let Some(step) = self
            .next_step()
            .filter(|step| step * self.step_us <= now.as_micros())
        else {
            self.cursor = self.cursor.max(now.as_micros() / self.step_us);
            return false;
        };
        self.cursor = step;
        let slot = (step % SLOTS as u64) as usize;
        while self.heads[slot] != NONE {
            due.push(self.heads[slot]);
            self.unlink(self.heads[slot]);
        }
        true
    }

    /// When the next entry comes up.
    pub(crate) fn next(&self) -> Timestamp {
        self.next_step().map_or(Timestamp::NEVER, |step| {
            Timestamp::from_micros(step * self.step_us)
        })
    }

    fn link(&mut self, key: u32, slot: u32) {
        let head = std::mem::replace(&mut self.heads[slot as usize], key);
        self.nodes[key as usize] = Node {
            previous: NONE,
            next: head,
            slot,
        };
        if let Some(node) = self.nodes.get_mut(head as usize) {
            node.previous = key;
        }
        self.occupied[slot as usize / 64] |= 1 << (slot % 64);
    }

    fn unlink(&mut self, key: u32) {
        let node = std::mem::replace(&mut self.nodes[key as usize], UNLISTED);
        if node.slot == NONE {
            return;
        }
        if let Some(next) = self.nodes.get_mut(node.next as usize) {
            next.previous = node.previous;
        }
        match self.nodes.get_mut(node.previous as usize) {
            Some(previous) => previous.next = node.next,
            None => self.heads[node.slot as usize] = node.next,
        }
        if self.heads[node.slot as usize] == NONE {
            self.occupied[node.slot as usize / 64] &= !(1 << (node.slot % 64));
        }
    }

    fn next_step(&self) -> Option<u64> {
        let start = (self.cursor % SLOTS as u64) as usize;
        let words = SLOTS / 64;
        // The first word is looked at twice: its upper bits first, its lower bits last.
        for i in 0..=words {
            let word = (start / 64 + i) % words;
            let mut bits = self.occupied[word];
            if i == 0 {
                bits &= u64::MAX << (start % 64);
            } else if i == words {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (slot + SLOTS - start) % SLOTS;
                return Some(self.cursor + ahead as u64);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP_US: u64 = 5_000;

    proptest! {
        #[test]
        fn every_entry_comes_up_once_at_the_time_set_last(
            start in 1u64..1_000_000_000,
            offsets in proptest::collection::vec((0u64..5_000_000, 0u64..5_000_000), 1..60),
            step in 1_000u64..700_000,
        ) {
            let mut wheel = Wheel::new(Timestamp::from_micros(start), STEP_US);
            for (key, (first, last)) in offsets.iter().enumerate() {
                wheel.insert(key as u32, Timestamp::from_micros(start + first));
                if key % 2 == 0 {
                    wheel.insert(key as u32, Timestamp::from_micros(start + last));
                }
            }
            let mut came_up = vec![None; offsets.len()];
            let mut now = start;
            while now < start + 6_000_000 {
                let next = wheel.next();
                let mut due = Vec::new();
                while wheel.pop_due(Timestamp::from_micros(now), &mut due) {}
                prop_assert_eq!(due.is_empty(), next > Timestamp::from_micros(now));
                for key in due {
                    prop_assert!(came_up[key as usize].replace(now).is_none());
                }
                now += step;
            }
            for (key, (first, last)) in offsets.iter().enumerate() {
                let at = came_up[key].expect("came up");
                let offset = if key % 2 == 0 { last } else { first };
                prop_assert!(at >= start + offset);
                prop_assert!(at <= start + offset + STEP_US + step);
            }
        }
    }

    #[test]
    fn an_entry_that_moves_leaves_nothing_behind() {
        let mut wheel = Wheel::new(Timestamp::ZERO, STEP_US);
        wheel.insert(3, Timestamp::from_micros(10_000));
        wheel.insert(4, Timestamp::from_micros(10_000));
        wheel.insert(3, Timestamp::from_micros(20_000));
        let mut due = Vec::new();
        while wheel.pop_due(Timestamp::from_micros(15_000), &mut due) {}
        assert_eq!(due, [4]);
        assert_eq!(wheel.next(), Timestamp::from_micros(20_000));
    }
}
