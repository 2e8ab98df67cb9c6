//! The loudest of some producers, as mediasoup's `AudioLevelObserver` tells them.

use std::collections::HashMap;

use uuid::Uuid;

use super::Observed;

/// Levels since the last look.
#[derive(Debug, Default)]
pub(super) struct AudioLevels {
    /// Sum and number of each producer's.
    heard: HashMap<Uuid, (i32, i32)>,
    /// Somebody was loud at the last look.
    was_loud: bool,
}

impl AudioLevels {
    pub(super) fn hear(&mut self, producer: Uuid, dbov: i8) {
        let (sum, count) = self.heard.entry(producer).or_default();
        *sum += i32::from(dbov);
        *count += 1;
    }

    pub(super) fn forget(&mut self, producer: Uuid) {
        self.heard.remove(&producer);
    }

    /// At most `max_entries` whose mean is `threshold` or more.
    pub(super) fn look(&mut self, max_entries: usize, threshold: i8) -> Option<Observed> {
        let means = self.heard.drain();
        let means = means.map(|(producer, (sum, count))| (producer, (sum / count) as i8));
        let mut loud: Vec<(Uuid, i8)> = means.filter(|(_, dbov)| *dbov >= threshold).collect();
        loud.sort_by_key(|(producer, dbov)| (-i16::from(*dbov), *producer));
        loud.truncate(max_entries);
        let was_loud = std::mem::replace(&mut self.was_loud, !loud.is_empty());
        if loud.is_empty() {
            return was_loud.then_some(Observed::Silence);
        }
        Some(Observed::Volumes(loud))
    }
}
