//! What consumers want of a source: the highest layer that any of them takes, or could take soon.
//! The consumers of each shard are counted there; what shards want comes together at the source's
//! own, which tells control.

use std::time::Duration;

use weirgate_wire::{Event, MediaKind};

use crate::shard::Shard;
use crate::{CrossingKind, ShardNo, Timestamp};

/// Layers of one source that are told apart; higher ones count as the highest.
const LAYERS: usize = 8;
/// Less is told after this long, so that somebody who looks away for a moment costs no restart.
const HOLD: Duration = Duration::from_secs(3);
/// A shard says what it wants again after this long: a crossing can be lost.
const REPEAT: Duration = Duration::from_secs(2);
/// What a shard said is forgotten where it is not repeated for this long.
const VALID: Duration = Duration::from_secs(10);

/// The highest layer wanted; `None` where nothing is.
pub(crate) type Highest = Option<u8>;

#[derive(Debug)]
pub(crate) struct Wanted {
    /// Consumers on this shard by the highest layer each wants.
    here: [u32; LAYERS],
    /// Other shards, what they said, and when.
    abroad: Vec<(ShardNo, Highest, Timestamp)>,
    /// What was told last: to control, or to the source's own shard.
    told: Highest,
    told_at: Timestamp,
    /// Since when less is wanted than was told.
    less_since: Option<Timestamp>,
}

impl Wanted {
    /// At first all is taken for wanted, `top` being the highest.
    pub(crate) fn new(top: u8, now: Timestamp) -> Self {
        Self {
            here: [0; LAYERS],
            abroad: Vec::new(),
            told: Some(top),
            told_at: now,
            less_since: None,
        }
    }

    /// Of another shard's source, which that shard takes for not wanted here until told.
    pub(crate) fn abroad(now: Timestamp) -> Self {
        Self {
            told: None,
            ..Self::new(0, now)
        }
    }

    /// A consumer here wants something else than before.
    pub(crate) fn change(&mut self, before: Highest, after: Highest) {
        let slot = |layer: u8| usize::from(layer).min(LAYERS - 1);
        if let Some(before) = before {
            let count = &mut self.here[slot(before)];
            *count = count.saturating_sub(1);
        }
        if let Some(after) = after {
            self.here[slot(after)] += 1;
        }
    }

    /// Takes what another shard wants.
    pub(crate) fn set_abroad(&mut self, now: Timestamp, shard: ShardNo, highest: Highest) {
        self.forget_abroad(shard);
        self.abroad.push((shard, highest, now));
    }

    /// A shard has no consumers any more.
    pub(crate) fn forget_abroad(&mut self, shard: ShardNo) {
        self.abroad.retain(|&(known, ..)| known != shard);
    }

    /// What is wanted now.
    fn highest(&self, now: Timestamp) -> Highest {
        let here = self.here.iter().rposition(|&count| count > 0);
        let abroad = self
            .abroad
            .iter()
            .filter(|&&(.., at)| now.since(at) < VALID)
            .filter_map(|&(_, highest, _)| highest)
            .max();
        here.map(|layer| layer as u8).max(abroad)
    }

    /// What control is to be told now, if anything; else when it may be due.
    fn news(&mut self, now: Timestamp) -> Result<Highest, Timestamp> {
        let highest = self.highest(now);
        if highest == self.told {
            self.less_since = None;
            return Err(Timestamp::NEVER);
        }
        if highest < self.told {
            let due = *self.less_since.get_or_insert(now) + HOLD;
            if now < due {
                return Err(due);
            }
        }
        self.less_since = None;
        self.told = highest;
        self.told_at = now;
        Ok(highest)
    }

    /// What the source's own shard is to be told now, if anything.
    fn news_abroad(&mut self, now: Timestamp) -> Option<Highest> {
        let highest = self.highest(now);
        if highest == self.told && now.since(self.told_at) < REPEAT {
            return None;
        }
        self.told = highest;
        self.told_at = now;
        Some(highest)
    }
}

impl Shard {
    /// Takes note of what a consumer wants now.
    pub(crate) fn note_wants(&mut self, now: Timestamp, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        if consumer.kind != MediaKind::Video {
            return;
        }
        let Some(source) = self.sources.get_mut(consumer.source as usize) else {
            return;
        };
        let wants = consumer.wants(source);
        let before = std::mem::replace(&mut consumer.wants, wants);
        if before != wants {
            source.wanted.change(before, wants);
            let source = consumer.source;
            self.tell_wanted(now, source);
        }
    }

    /// Tells what is wanted of a source where that is news; when it may be due.
    pub(crate) fn tell_wanted(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        if source.is_audio() {
            return Timestamp::NEVER;
        }
        if let Some(origin) = source.origin {
            if let Some(highest) = source.wanted.news_abroad(now) {
                let kind = CrossingKind::Wanted {
                    source: source.no,
                    highest,
                };
                if !self.port.send(origin, kind, &[]) {
                    self.counters.crossings_dropped += 1;
                }
            }
            return Timestamp::NEVER;
        }
        let (transport, producer) = (source.transport, source.id());
        match source.wanted.news(now) {
            Ok(spatial) => {
                self.emit(Event::ProducerWanted { producer, spatial });
                Timestamp::NEVER
            }
            Err(due) => {
                if let Some(transport) = transport {
                    self.schedule(transport, due);
                }
                due
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1_000)
    }

    #[test]
    fn less_is_told_after_a_while_more_at_once() {
        let mut wanted = Wanted::new(2, at(0));
        assert_eq!(wanted.news(at(0)), Err(at(3_000)));
        wanted.change(None, Some(2));
        assert_eq!(wanted.news(at(1_000)), Err(Timestamp::NEVER));
        wanted.change(Some(2), Some(1));
        assert_eq!(wanted.news(at(2_000)), Err(at(5_000)));
        assert_eq!(wanted.news(at(5_000)), Ok(Some(1)));
        wanted.change(Some(1), None);
        assert_eq!(wanted.news(at(6_000)), Err(at(9_000)));
        assert_eq!(wanted.news(at(9_000)), Ok(None));
        wanted.change(None, Some(2));
        assert_eq!(wanted.news(at(9_001)), Ok(Some(2)));
    }

    #[test]
    fn the_highest_of_all_shards_counts() {
        let mut wanted = Wanted::new(0, at(0));
        wanted.change(None, Some(0));
        wanted.set_abroad(at(0), 1, Some(2));
        wanted.set_abroad(at(0), 2, Some(1));
        assert_eq!(wanted.news(at(0)), Ok(Some(2)));
        wanted.set_abroad(at(1), 1, None);
        assert_eq!(wanted.news(at(1)), Err(at(3_001)));
        assert_eq!(wanted.news(at(3_001)), Ok(Some(1)));
        wanted.forget_abroad(2);
        assert_eq!(wanted.news(at(4_000)), Err(at(7_000)));
    }

    #[test]
    fn another_shard_repeats_what_it_wants() {
        let mut wanted = Wanted::abroad(at(0));
        assert_eq!(wanted.news_abroad(at(0)), None);
        wanted.change(None, Some(2));
        assert_eq!(
            wanted.news_abroad(at(100)),
            Some(Some(2)),
            "the first consumer"
        );
        assert_eq!(wanted.news_abroad(at(150)), None);
        wanted.change(Some(2), Some(1));
        assert_eq!(wanted.news_abroad(at(200)), Some(Some(1)));
        assert_eq!(wanted.news_abroad(at(2_200)), Some(Some(1)));
    }
}
