//! The replay list of one stream (RFC 3711 section 3.3.2).

/// The newest `64 * WORDS` indices up to the highest authentic one, a bit for each that came.
#[derive(Debug, Clone)]
pub(crate) struct ReplayWindow<const WORDS: usize> {
    highest: u64,
    /// Bit `index % Self::SIZE`; bits of indices that were never sent yet are clear.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    /// Indices the window covers.
    pub(crate) const SIZE: u64 = 64 * WORDS as u64;

    /// A window that has seen `index` and nothing else.
    pub(crate) fn starting_at(index: u64) -> Self {
        let mut window = Self {
            highest: index,
            seen: [0; WORDS],
        };
        window.set(index);
        window
    }

    /// The highest authentic index.
    pub(crate) const fn highest(&self) -> u64 {
        self.highest
    }

    /// True for an index that did not come yet and is not too old to tell.
    pub(crate) fn is_fresh(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        let (word, bit) = Self::place(index);
        self.highest - index < Self::SIZE && self.seen[word] & bit == 0
    }

    /// Takes a fresh index whose packet is authentic.
    pub(crate) fn commit(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= Self::SIZE {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..index {
                    let (word, bit) = Self::place(skipped);
                    self.seen[word] &= !bit;
                }
            }
            self.highest = index;
        }
        self.set(index);
    }

    const fn set(&mut self, index: u64) {
        let (word, bit) = Self::place(index);
        self.seen[word] |= bit;
    }

    const fn place(index: u64) -> (usize, u64) {
        let place = index % Self::SIZE;
        ((place / 64) as usize, 1 << (place % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    type Window = ReplayWindow<2>;

    #[test]
    fn the_window_is_exact_at_both_ends() {
        let mut window = Window::starting_at(1000);
        window.commit(1000 + Window::SIZE - 1);
        assert!(!window.is_fresh(1000));
        assert!(window.is_fresh(1001));
        window.commit(1000 + Window::SIZE);
        assert!(!window.is_fresh(1000), "too old to tell");
        assert!(window.is_fresh(1001), "the oldest that is still known");
    }

    #[test]
    fn a_leap_forgets_everything_before() {
        let mut window = Window::starting_at(5);
        window.commit(5 + 10 * Window::SIZE);
        for index in 5 + 9 * Window::SIZE + 1..5 + 10 * Window::SIZE {
            assert!(window.is_fresh(index));
        }
        assert!(!window.is_fresh(5 + 9 * Window::SIZE));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_all_indices(
            steps in proptest::collection::vec(-200i64..200, 1..400),
        ) {
            let mut window = Window::starting_at(10_000);
            let mut all = HashSet::from([10_000u64]);
            let mut highest = 10_000u64;
            for step in steps {
                let index = highest.saturating_add_signed(step);
                let known_old = highest.saturating_sub(index) >= Window::SIZE;
                let fresh = !known_old && !all.contains(&index);
                prop_assert_eq!(window.is_fresh(index), fresh);
                if fresh {
                    window.commit(index);
                    all.insert(index);
                    highest = highest.max(index);
                }
                prop_assert_eq!(window.highest(), highest);
            }
        }
    }
}
