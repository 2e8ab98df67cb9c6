//! Who gives up what where a shard can not keep up: upper layers first, then the video of whole
//! receivers, before packets are numbered, so that they see a pause and no loss. It is receivers,
//! always the same ones, and not some consumers of each: a packet costs the less the longer the
//! train it leaves in, and trains are what leaves for one receiver at one time.
//!
//! Decided when the level changes: when all that came in a turn is queued and none of it has left, where
//! that is too much, else at the end of a turn. A consumer that is shed is idle: its packets are not
//! looked at.

use weirgate_wire::MediaKind;

use crate::Timestamp;
use crate::shard::Shard;

/// Parts that receivers are divided into.
pub(crate) const PARTS: u16 = 1024;
/// Parts of all for which consumers of a higher priority than the default go later.
const RESERVE: u16 = PARTS / 2;

/// What an overload leaves of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    All,
    /// The lowest layer.
    Lowest,
    Nothing,
}

/// How many of the [`PARTS`] are shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Level(pub(crate) u16);

impl Level {
    /// In thousandths of all.
    pub(crate) fn permille(self) -> u32 {
        u32::from(self.0) * 1000 / u32::from(PARTS)
    }

    /// What is left for a video consumer of that transport and priority. Those of the lowest
    /// priority, which is the default, go first; where a source has layers, the upper ones of all of
    /// them go before anything else of one.
    pub(crate) fn share(self, transport: u32, priority: u8, has_layers: bool) -> Share {
        let reserve = if priority > 1 { RESERVE } else { 0 };
        let part = part(transport) + reserve;
        let shed = self.0;
        match has_layers {
            false if part < shed => Share::Nothing,
            true if part + PARTS < shed * 2 => Share::Nothing,
            true if part < shed * 2 => Share::Lowest,
            _ => Share::All,
        }
    }

    /// No consumer of that transport can tell the two levels from each other.
    fn is_alike(self, other: Self, transport: u32) -> bool {
        let kinds = [(1, false), (1, true), (2, false), (2, true)];
        kinds.iter().all(|&(priority, has_layers)| {
            self.share(transport, priority, has_layers)
                == other.share(transport, priority, has_layers)
        })
    }
}

/// The part that a transport is in: any run of transports, and any that are as far from each other,
/// are spread evenly over all parts.
fn part(transport: u32) -> u16 {
    // Multiples of the square root of 2 are, less whole numbers.
    (transport.wrapping_mul(0x6A09_E667) >> 22) as u16
}

impl Shard {
    /// Before anything leaves in a turn: has shed of what is queued what would make it too long.
    pub(crate) fn fit_turn(&mut self, now: Timestamp) {
        let (packets, takers) = self.still_to_offer();
        let trains = self.dirty.len().max(takers);
        if self.overload.is_too_much(trains, packets) {
            self.fan_out();
            while self.overload.is_too_much(self.trains(), 0) {
                let before = self.overload.level();
                self.overload.shed_more(now);
                self.shed_since(now, before);
            }
        }
        self.overload.weighed();
    }

    /// Transports that have something queued.
    fn trains(&self) -> usize {
        let has_some = |index: &&u32| {
            let transport = self.transports.get(**index as usize);
            transport.is_some_and(|transport| transport.queue.len() > 0)
        };
        self.dirty.iter().filter(has_some).count()
    }

    /// Has every consumer follow the level that there is now.
    pub(crate) fn shed_since(&mut self, now: Timestamp, before: Level) {
        let level = self.overload.level();
        if level == before {
            return;
        }
        // Lists of who takes what change.
        self.finish_fan_out();
        for index in 0..self.transports.capacity() as u32 {
            if level.is_alike(before, index) {
                continue;
            }
            let nth = |shard: &Self, position: usize| {
                let transport = shard.transports.get(index as usize)?;
                transport.consumers.get(position).copied()
            };
            let mut position = 0;
            while let Some(consumer) = nth(self, position) {
                position += 1;
                self.share_out(now, consumer);
            }
        }
    }

    /// Has a consumer follow the level.
    pub(crate) fn share_out(&mut self, now: Timestamp, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        if consumer.kind != MediaKind::Video {
            return;
        }
        let (priority, has_layers) = (consumer.config.priority, consumer.has_layers());
        let level = self.overload.level();
        let transport = consumer.transport;
        let share = level.share(transport, priority, has_layers);
        let had = std::mem::replace(&mut consumer.share, share);
        if share == had {
            return;
        }
        if share == Share::Lowest && consumer.aim_lower() {
            self.forget_queued(index);
        }
        self.list_taker(index);
        self.allocate_soon(now, transport);
        if share == Share::Nothing {
            self.forget_queued(index);
            self.interrupt(index);
        } else {
            self.start_consumer(now, index);
        }
    }

    /// What a consumer has queued does not leave.
    fn forget_queued(&mut self, index: u32) {
        let consumer = self.consumers.get(index as usize);
        let transport = consumer.map(|consumer| consumer.transport as usize);
        if let Some(transport) = transport.and_then(|index| self.transports.get_mut(index)) {
            let packets = transport.queue.remove(index);
            self.counters.packets_shed += packets as u64;
            self.overload.note_dropped(packets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_of_low_priority_go_first_and_upper_layers_before_anybody() {
        let level = Level(424);
        let left = |priority, has_layers, share| {
            let has_it = |&transport: &u32| level.share(transport, priority, has_layers) == share;
            (0..1_000).filter(has_it).count()
        };
        let shed_of = |priority| left(priority, false, Share::Nothing);
        assert!((400..430).contains(&shed_of(1)), "{}", shed_of(1));
        assert_eq!(shed_of(2), 0);
        let lowest = left(1, true, Share::Lowest);
        assert!((810..850).contains(&lowest), "{lowest}");
        assert_eq!(left(1, true, Share::Nothing), 0);
    }

    /// Who shed at one level is shed at all above.
    #[test]
    fn always_the_same_ones_go() {
        for transport in 0..300 {
            for (priority, has_layers) in [(1, false), (1, true), (2, false), (2, true)] {
                let shares = (0..=PARTS).map(|n| Level(n).share(transport, priority, has_layers));
                let shares: Vec<_> = shares.collect();
                assert_eq!(shares[0], Share::All);
                assert!(shares.is_sorted_by_key(|&share| share as u8));
            }
        }
    }

    #[test]
    fn receivers_at_any_distance_are_spread_evenly() {
        for step in 1..40 {
            let shed = (0..100).filter(|n| part(n * step) < PARTS / 2).count();
            assert!((40..=60).contains(&shed), "{step}: {shed}");
        }
    }
}
