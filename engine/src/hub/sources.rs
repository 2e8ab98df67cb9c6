//! Numbers of producers.

use weirgate_shard::SourceNo;

/// Hands out [`SourceNo`]s: low indices, because shards use them in dense tables, and another
/// generation each time an index comes again.
#[derive(Debug, Default)]
pub(super) struct SourceNumbers {
    /// Generation of each index handed out so far.
    generations: Vec<u32>,
    free: Vec<usize>,
}

impl SourceNumbers {
    pub(super) fn take(&mut self) -> SourceNo {
        let index = self.free.pop().unwrap_or_else(|| {
            self.generations.push(0);
            self.generations.len() - 1
        });
        SourceNo::new(index as u32, self.generations[index])
    }

    /// Takes a number back.
    pub(super) fn give(&mut self, source: SourceNo) {
        if let Some(generation) = self.generations.get_mut(source.index()) {
            *generation = generation.wrapping_add(1);
            self.free.push(source.index());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_comes_again_in_another_generation() {
        let mut numbers = SourceNumbers::default();
        let (first, second) = (numbers.take(), numbers.take());
        assert_eq!((first.index(), second.index()), (0, 1));
        numbers.give(first);
        let again = numbers.take();
        assert_eq!(again.index(), 0);
        assert_ne!(again, first);
    }
}
