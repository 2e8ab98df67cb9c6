//! Which packets of a stream were seen: exact within a window, and counted beyond.

use std::collections::VecDeque;

/// Packets looked back over, enough for any reordering or repair.
const WINDOW: u64 = 4096;

/// What a packet is to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Above all before.
    Newest,
    /// New, but below one before.
    Late,
    /// Seen already.
    Duplicate,
    /// So old that it can not be told.
    TooOld,
}

/// Sliding bitmap over packet indexes.
#[derive(Debug, Default)]
pub(super) struct SeenWindow {
    /// Index of the bitmap's first bit.
    base: u64,
    seen: VecDeque<bool>,
    first: Option<u64>,
    unique: u64,
}

impl SeenWindow {
    /// Notes an index.
    pub(super) fn note(&mut self, index: u64) -> Arrival {
        let Some(first) = self.first else {
            self.first = Some(index);
            self.base = index.saturating_sub(WINDOW / 2);
            self.seen.resize((index - self.base) as usize, false);
            self.seen.push_back(true);
            self.unique = 1;
            return Arrival::Newest;
        };
        if index < self.base {
            return Arrival::TooOld;
        }
        let end = self.base + self.seen.len() as u64;
        if index >= end {
            // A jump longer than the window needs no bits of its own.
            let keep_from = (index + 1).saturating_sub(WINDOW).max(self.base);
            let drop = (keep_from - self.base).min(self.seen.len() as u64) as usize;
            self.seen.drain(..drop);
            self.base = keep_from;
            self.seen.resize((index - self.base) as usize, false);
            self.seen.push_back(true);
            self.unique += 1;
            return Arrival::Newest;
        }
        let bit = &mut self.seen[(index - self.base) as usize];
        if *bit {
            return Arrival::Duplicate;
        }
        *bit = true;
        self.unique += 1;
        self.first = Some(first.min(index));
        Arrival::Late
    }

    /// The lowest index seen.
    pub(super) fn first(&self) -> Option<u64> {
        self.first
    }

    /// One above the highest index seen.
    pub(super) fn end(&self) -> u64 {
        self.first.map_or(0, |_| self.base + self.seen.len() as u64)
    }

    /// Different indexes seen.
    pub(super) fn unique(&self) -> u64 {
        self.unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_doubled_and_old_packets_are_told_apart() {
        let mut window = SeenWindow::default();
        let arrivals: Vec<_> = [5, 7, 6, 7, 4, 100_000, 8]
            .into_iter()
            .map(|index| window.note(index))
            .collect();
        use Arrival::*;
        assert_eq!(
            arrivals,
            [Newest, Newest, Late, Duplicate, Late, Newest, TooOld]
        );
        assert_eq!(
            (window.first(), window.end(), window.unique()),
            (Some(4), 100_001, 5)
        );
    }

    #[test]
    fn a_long_run_keeps_every_count() {
        let mut window = SeenWindow::default();
        for index in 0..200_000 {
            if index % 10 != 3 {
                window.note(index);
            }
        }
        assert_eq!(window.unique(), 180_000);
        assert!(window.seen.len() as u64 <= WINDOW);
    }
}
