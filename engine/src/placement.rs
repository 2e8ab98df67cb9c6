//! Which shard a new transport goes to.

use weirgate_shard::{ShardNo, Timestamp};

/// Loads that are no further apart than this count as the same: then transports decide.
const NEAR: f32 = 0.05;
/// What a transport is taken for at least, where little is known of what transports do here: with
/// one percent of a shard's time a burst of creations is spread after five.
const LEAST_SHARE: f32 = 0.01;
/// A load is of the second before it was shown; a transport placed later than so long ago is not in
/// it yet.
const LAG_US: u64 = 2_000_000;

/// What is known of a shard when a transport is placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    /// Transports it owns.
    pub(crate) transports: u32,
    /// Part of the last second it worked, 0.0–1.0.
    pub(crate) load: f32,
}

/// Places transports, and remembers the latest: a load tells of them only later.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    recent: Vec<Recent>,
}

/// Transports placed on a shard lately, by halves of [`LAG_US`].
#[derive(Debug, Clone, Copy, Default)]
struct Recent {
    half: u64,
    now: u32,
    before: u32,
}

impl Placement {
    /// The least loaded shard, as far as that can be foreseen; of those near it the one with the
    /// fewest transports.
    pub(crate) fn place(&mut self, now: Timestamp, seats: &[Seat]) -> ShardNo {
        self.recent.resize(seats.len(), Recent::default());
        self.roll(now);
        let share = share(seats);
        let foreseen = |(seat, recent): (&Seat, &Recent)| {
            seat.load + (recent.now + recent.before) as f32 * share
        };
        let loads = || seats.iter().zip(&self.recent).map(foreseen);
        let lowest = loads().fold(f32::INFINITY, f32::min);
        let near = (0..seats.len()).zip(loads());
        let near = near.filter(|(_, load)| *load <= lowest + NEAR);
        let chosen = near.min_by_key(|&(shard, _)| seats[shard].transports);
        let chosen = chosen.map_or(0, |(shard, _)| shard);
        if let Some(recent) = self.recent.get_mut(chosen) {
            recent.now += 1;
        }
        ShardNo::try_from(chosen).unwrap_or_default()
    }

    fn roll(&mut self, now: Timestamp) {
        let half = now.as_micros() / (LAG_US / 2);
        for recent in &mut self.recent {
            let before = match half - recent.half.min(half) {
                0 => continue,
                1 => recent.now,
                _ => 0,
            };
            *recent = Recent {
                half,
                now: 0,
                before,
            };
        }
    }
}

/// What one more transport is expected to take of a shard's time: as much as those there are, which
/// are all alike as far as anybody knows.
fn share(seats: &[Seat]) -> f32 {
    let load: f32 = seats.iter().map(|seat| seat.load).sum();
    let transports: u32 = seats.iter().map(|seat| seat.transports).sum();
    (load / transports.max(1) as f32).clamp(LEAST_SHARE, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(of: &[(u32, f32)]) -> Vec<Seat> {
        let seat = |&(transports, load)| Seat { transports, load };
        of.iter().map(seat).collect()
    }

    fn placed(of: &[(u32, f32)]) -> ShardNo {
        Placement::default().place(Timestamp::from_micros(9_000_000), &seats(of))
    }

    #[test]
    fn the_least_loaded_shard_gets_the_transport() {
        assert_eq!(placed(&[(5, 0.6), (50, 0.2)]), 1);
        assert_eq!(placed(&[(1, 0.9), (2, 0.5), (3, 0.3)]), 2);
    }

    #[test]
    fn of_shards_alike_the_one_with_the_fewest_gets_it() {
        assert_eq!(placed(&[(0, 0.0), (0, 0.0)]), 0);
        assert_eq!(placed(&[(1, 0.0), (0, 0.04)]), 1);
        assert_eq!(placed(&[(3, 0.51), (2, 0.54), (1, 0.7)]), 1);
    }

    #[test]
    fn a_burst_does_not_all_go_to_the_least_loaded() {
        let now = Timestamp::from_micros(9_000_000);
        for (loads, least) in [([0.0, 0.0], 50), ([0.1, 0.2], 40), ([0.3, 0.5], 30)] {
            let mut seats = seats(&[(10, loads[0]), (10, loads[1])]);
            let mut placement = Placement::default();
            for _ in 0..100 {
                let shard = placement.place(now, &seats);
                seats[usize::from(shard)].transports += 1;
            }
            let got = seats[1].transports - 10;
            assert!((least..=50).contains(&got), "{loads:?}: {got}");
        }
    }

    #[test]
    fn what_the_load_shows_by_now_is_not_counted_twice() {
        let mut placement = Placement::default();
        let seats = seats(&[(10, 0.2), (10, 0.5)]);
        for at_us in [9_000_000, 9_100_000, 12_000_000, 15_000_000] {
            for _ in 0..5 {
                let shard = placement.place(Timestamp::from_micros(at_us), &seats);
                assert_eq!(shard, 0);
            }
        }
    }
}
