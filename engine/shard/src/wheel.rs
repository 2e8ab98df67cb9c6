//! Deadlines of transports, in steps of 5 ms. A transport has at most one live entry; a moved
//! deadline leaves its old entry behind, which is passed over when it comes up. Deadlines over
//! 5 s ahead come up early and have to be set again.

use crate::Timestamp;

const SLOTS: usize = 1024;
const STEP_MICROS: u64 = 5_000;

/// A timer wheel over `u32` keys.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<u32>>,
    occupied: [u64; SLOTS / 64],
    /// Step up to which (not including) everything has come up.
    cursor: u64,
}

impl Wheel {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS],
            occupied: [0; SLOTS / 64],
            cursor: now.as_micros() / STEP_MICROS,
        }
    }

    /// Adds an entry; returns the time at which it comes up.
    pub(crate) fn insert(&mut self, key: u32, at: Timestamp) -> Timestamp {
        // Rounded up: never early.
        let step = at.as_micros().div_ceil(STEP_MICROS);
        let step = step.clamp(self.cursor, self.cursor + SLOTS as u64 - 1);
        let slot = (step % SLOTS as u64) as usize;
        self.slots[slot].push(key);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        Timestamp::from_micros(step * STEP_MICROS)
    }

    /// Moves the keys of one due slot into `due`; false when nothing more is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp, due: &mut Vec<u32>) -> bool {
        let Some(step) = self.next_step() else {
            self.cursor = self.cursor.max(now.as_micros() / STEP_MICROS);
            return false;
        };
        if step * STEP_MICROS > now.as_micros() {
            self.cursor = self.cursor.max(now.as_micros() / STEP_MICROS);
            return false;
        }
        let slot = (step % SLOTS as u64) as usize;
        due.append(&mut self.slots[slot]);
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        self.cursor = step;
        true
    }

    /// When the next entry comes up.
    pub(crate) fn next(&self) -> Timestamp {
        self.next_step().map_or(Timestamp::NEVER, |step| {
            Timestamp::from_micros(step * STEP_MICROS)
        })
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

    proptest! {
        #[test]
        fn every_entry_comes_up_once_at_its_time(
            start in 1u64..1_000_000_000,
            offsets in proptest::collection::vec(0u64..5_000_000, 1..60),
            step in 1_000u64..700_000,
        ) {
            let mut wheel = Wheel::new(Timestamp::from_micros(start));
            for (key, offset) in offsets.iter().enumerate() {
                wheel.insert(key as u32, Timestamp::from_micros(start + offset));
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
            for (came_up, offset) in came_up.iter().zip(&offsets) {
                let at = came_up.expect("came up");
                prop_assert!(at >= start + offset);
                prop_assert!(at <= start + offset + 5_000 + step);
            }
        }
    }
}
