//! Which shard a new transport goes to.

use weirgate_shard::ShardNo;

/// Load up to which a shard counts as free: transports are spread by number alone.
const FREE_LOAD: f32 = 0.5;

/// What is known of a shard when a transport is placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    /// Transports it owns.
    pub(crate) transports: u32,
    /// Part of the last second it worked, 0.0–1.0.
    pub(crate) load: f32,
}

/// The shard with the fewest transports, where each of a busy shard's counts for up to two.
pub(crate) fn place(seats: impl Iterator<Item = Seat>) -> ShardNo {
    let mut best = (0, f32::INFINITY);
    for (shard, seat) in (0..).zip(seats) {
        let busy = ((seat.load - FREE_LOAD) / (1.0 - FREE_LOAD)).clamp(0.0, 1.0);
        let cost = (seat.transports + 1) as f32 * (1.0 + busy);
        if cost < best.1 {
            best = (shard, cost);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(seats: &[(u32, f32)]) -> ShardNo {
        place(
            seats
                .iter()
                .map(|&(transports, load)| Seat { transports, load }),
        )
    }

    #[test]
    fn the_emptiest_shard_gets_the_transport_whatever_a_light_load() {
        assert_eq!(placed(&[(0, 0.0), (0, 0.0)]), 0);
        assert_eq!(placed(&[(1, 0.0), (0, 0.4)]), 1);
        assert_eq!(placed(&[(3, 0.4), (3, 0.0), (4, 0.0)]), 0);
    }

    #[test]
    fn a_busy_shard_is_spared() {
        assert_eq!(placed(&[(5, 1.0), (8, 0.2)]), 1);
        assert_eq!(placed(&[(5, 1.0), (20, 0.2)]), 0);
    }
}
