//! How long a sleep of a busy shard lasts at least, so that datagrams gather meanwhile: one turn for
//! many of them costs less than many turns, and what then leaves for one receiver leaves together.

use std::time::Duration;

/// Over about how long the load is looked at.
const WINDOW: Duration = Duration::from_millis(100);
/// A shard that works less than this part of its time is idle, and lets nothing wait.
const IDLE: f32 = 0.05;
/// One that works this part of its time lets datagrams wait as long as it may.
const BUSY: f32 = 0.5;

/// How long a shard that is not idle lets what is no media wait: receivers' feedback, connectivity checks,
/// handshakes. Round trips look longer by that, and repairs come later; with 10 ms pictures freeze more where
/// a tenth of all packets is lost (`engine/shard/tests/losses.rs`).
const PATIENCE: Duration = Duration::from_millis(5);

/// Follows how busy a shard is.
#[derive(Debug)]
pub(super) struct Gathering {
    max: Duration,
    /// Part of the time spent working, 0 to 1.
    load: f32,
}

impl Gathering {
    /// Waits of at most `max`; zero for none.
    pub(super) const fn new(max: Duration) -> Self {
        Self { max, load: 0.0 }
    }

    /// A turn of the loop took `busy`, without what it `slept`.
    pub(super) fn turn(&mut self, busy: Duration, slept: Duration) {
        let took = busy + slept;
        if took.is_zero() {
            return;
        }
        let weight = took.div_duration_f32(WINDOW).min(1.0);
        self.load += (busy.div_duration_f32(took) - self.load) * weight;
    }

    /// How long what is no media may wait for something else to end the sleep, if it may at all.
    pub(super) fn patience(&self) -> Option<Duration> {
        let may = self.load >= IDLE && !self.max.is_zero();
        may.then_some(PATIENCE)
    }

    /// How long the next sleep is to last at least.
    pub(super) fn wait(&self) -> Duration {
        if self.load < IDLE {
            return Duration::ZERO;
        }
        self.max.mul_f32((self.load / BUSY).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What it waits after so many turns.
    fn after(gathering: &mut Gathering, busy: Duration, slept: Duration, turns: u32) -> Duration {
        (0..turns).for_each(|_| gathering.turn(busy, slept));
        gathering.wait()
    }

    #[test]
    fn it_waits_longer_the_busier_it_is_and_not_at_all_when_idle() {
        let mut gathering = Gathering::new(2 * MS);
        assert_eq!(gathering.wait(), Duration::ZERO);
        assert_eq!(after(&mut gathering, MS / 50, MS, 500), Duration::ZERO);
        assert_eq!(gathering.patience(), None);
        let some = after(&mut gathering, MS / 4, MS * 3 / 4, 2_000);
        assert!((MS / 2..MS * 3 / 2).contains(&some), "{some:?}");
        let most = after(&mut gathering, MS, Duration::ZERO, 2_000);
        assert_eq!(most, 2 * MS);
        assert_eq!(gathering.patience(), Some(PATIENCE));
        // One long sleep is enough to be idle again.
        let idle = after(&mut gathering, Duration::ZERO, 200 * MS, 1);
        assert_eq!(idle, Duration::ZERO);
        assert_eq!(gathering.patience(), None);
    }

    #[test]
    fn it_can_be_switched_off() {
        let mut gathering = Gathering::new(Duration::ZERO);
        assert_eq!(after(&mut gathering, MS, MS, 1_000), Duration::ZERO);
        assert_eq!(gathering.patience(), None);
    }
}
