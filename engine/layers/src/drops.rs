//! Which of the last items of a row were left out, and so what number each of the others gets.

/// Items of a word.
const WORD: u64 = 64;

/// Remembers `WORDS * 64` items of a row counted from 0. An item's number is how many before it
/// were not left out.
#[derive(Debug)]
pub(crate) struct Drops<const WORDS: usize> {
    /// A bit for each item left out, by item modulo the window.
    words: [u64; WORDS],
    /// How many were left out before each word.
    before: [u32; WORDS],
    /// Index of the newest word in the whole row.
    newest: u64,
}

impl<const WORDS: usize> Drops<WORDS> {
    pub(crate) const fn new() -> Self {
        Self {
            words: [0; WORDS],
            before: [0; WORDS],
            newest: 0,
        }
    }

    /// Moves the window up to an item.
    pub(crate) fn reach(&mut self, item: u64) {
        let word = item / WORD;
        if word <= self.newest {
            return;
        }
        let last = slot::<WORDS>(self.newest);
        let total = self.before[last] + self.words[last].count_ones();
        let fresh = (word - self.newest).min(WORDS as u64);
        for back in 0..fresh {
            let slot = slot::<WORDS>(word - back);
            self.words[slot] = 0;
            self.before[slot] = total;
        }
        self.newest = word;
    }

    /// The item is in the window.
    pub(crate) const fn knows(&self, item: u64) -> bool {
        let word = item / WORD;
        word <= self.newest && word + WORDS as u64 > self.newest
    }

    /// The item was left out.
    pub(crate) const fn has(&self, item: u64) -> bool {
        self.knows(item) && self.words[slot::<WORDS>(item / WORD)] >> (item % WORD) & 1 == 1
    }

    /// Leaves an item out; whatever is after it moves down by one. False where the item is too old.
    pub(crate) fn leave_out(&mut self, item: u64) -> bool {
        self.reach(item);
        if !self.knows(item) {
            return false;
        }
        let word = item / WORD;
        let bit = 1 << (item % WORD);
        let bits = &mut self.words[slot::<WORDS>(word)];
        if *bits & bit == 0 {
            *bits |= bit;
            for later in word + 1..=self.newest {
                self.before[slot::<WORDS>(later)] += 1;
            }
        }
        true
    }

    /// The number of an item; `None` where it was left out or is too old. Items above the window
    /// have the number they get if nothing more is left out.
    pub(crate) fn number(&self, item: u64) -> Option<u64> {
        let word = item / WORD;
        if word > self.newest {
            let last = slot::<WORDS>(self.newest);
            let total = self.before[last] + self.words[last].count_ones();
            return Some(item - u64::from(total));
        }
        if !self.knows(item) || self.has(item) {
            return None;
        }
        let slot = slot::<WORDS>(word);
        let below = self.words[slot] & ((1 << (item % WORD)) - 1);
        Some(item - u64::from(self.before[slot] + below.count_ones()))
    }

    /// The item with that number.
    pub(crate) fn item(&self, number: u64) -> Option<u64> {
        let oldest = (self.newest + 1).saturating_sub(WORDS as u64);
        let word = (oldest..=self.newest)
            .rev()
            .find(|&word| self.first_number(word) <= number)?;
        let mut left = number - self.first_number(word);
        let mut kept = !self.words[slot::<WORDS>(word)];
        while kept != 0 {
            let bit = u64::from(kept.trailing_zeros());
            if left == 0 {
                return Some(word * WORD + bit);
            }
            kept &= kept - 1;
            left -= 1;
        }
        // Beyond the window.
        (word == self.newest).then(|| (word + 1) * WORD + left)
    }

    /// The number the first item of a word has, if it was not left out.
    const fn first_number(&self, word: u64) -> u64 {
        word * WORD - self.before[slot::<WORDS>(word)] as u64
    }
}

/// A mark on some of the last `WORDS * 64` items of a row, which moves up with [`Drops`].
#[derive(Debug)]
pub(crate) struct Marks<const WORDS: usize> {
    words: [u64; WORDS],
}

impl<const WORDS: usize> Marks<WORDS> {
    pub(crate) const fn new() -> Self {
        Self { words: [0; WORDS] }
    }

    pub(crate) const fn has(&self, item: u64) -> bool {
        self.words[slot::<WORDS>(item / WORD)] >> (item % WORD) & 1 == 1
    }

    pub(crate) fn set(&mut self, item: u64, is_marked: bool) {
        let word = &mut self.words[slot::<WORDS>(item / WORD)];
        let bit = 1 << (item % WORD);
        *word = if is_marked { *word | bit } else { *word & !bit };
    }
}

const fn slot<const WORDS: usize>(word: u64) -> usize {
    word as usize % WORDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Compared with counting.
        #[test]
        fn numbers_are_those_of_counting(
            steps in proptest::collection::vec((1u64..40, any::<bool>(), 0u64..70), 1..60)
        ) {
            let mut drops = Drops::<4>::new();
            let mut left_out = std::collections::BTreeSet::new();
            let mut head = 0;
            for (ahead, far, back) in steps {
                head += if far { ahead * 7 } else { ahead };
                drops.reach(head);
                let item = head.saturating_sub(back);
                prop_assert_eq!(drops.leave_out(item), drops.knows(item));
                if drops.knows(item) {
                    left_out.insert(item);
                }
                let oldest = head.saturating_sub(300);
                let mut out_before = left_out.range(..oldest).count() as u64;
                for item in oldest..head + 70 {
                    let number = drops.number(item);
                    let counted = item - out_before;
                    out_before += u64::from(left_out.contains(&item));
                    if item > head || drops.knows(item) {
                        let expected = (!left_out.contains(&item)).then_some(counted);
                        prop_assert_eq!(number, expected, "{}", item);
                        prop_assert!(number.is_none_or(|n| drops.item(n) == Some(item)));
                    } else {
                        prop_assert_eq!(number, None);
                    }
                }
            }
        }
    }

    #[test]
    fn marks_stay_with_their_items() {
        let mut marks = Marks::<2>::new();
        marks.set(5, true);
        assert!(marks.has(5) && !marks.has(6));
        marks.set(5 + 128, false);
        assert!(!marks.has(5));
    }
}
