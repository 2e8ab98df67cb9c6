//! How long a busy shard that woke lets more datagrams gather before it sends: one turn for many of
//! them costs less than many turns, and what then leaves for one receiver leaves together.

use std::time::Duration;

/// Over about how long load and rate are looked at.
const WINDOW: Duration = Duration::from_millis(100);
/// A shard that works less than this part of its time is idle, and waits for nothing.
const IDLE: f32 = 0.05;
/// A wait is a sleep more, which pays from about so many datagrams on. Fewer that come at one time,
/// such as the packets of a frame, are taken together without it.
const WORTHWHILE_DATAGRAMS: f32 = 4.0;

/// Follows how busy a shard is, and how much comes.
#[derive(Debug)]
pub(super) struct Gathering {
    max: Duration,
    /// Part of the time spent working, 0 to 1.
    load: f32,
    /// Datagrams that come in a second.
    rate: f32,
}

impl Gathering {
    /// Waits of at most `max`; zero for none.
    pub(super) const fn new(max: Duration) -> Self {
        Self {
            max,
            load: 0.0,
            rate: 0.0,
        }
    }

    /// A turn of the loop in which so many datagrams came took `busy`, without what it `slept`.
    pub(super) fn turn(&mut self, datagrams: usize, busy: Duration, slept: Duration) {
        let took = busy + slept;
        if took.is_zero() {
            return;
        }
        let weight = took.div_duration_f32(WINDOW).min(1.0);
        self.load += (busy.div_duration_f32(took) - self.load) * weight;
        self.rate += (datagrams as f32 / took.as_secs_f32() - self.rate) * weight;
    }

    /// How long to wait after the first datagrams that ended a sleep.
    pub(super) fn wait(&self) -> Duration {
        let wait = self.max.mul_f32(self.load.clamp(0.0, 1.0));
        if self.load < IDLE || self.rate * wait.as_secs_f32() < WORTHWHILE_DATAGRAMS {
            return Duration::ZERO;
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What it waits after turns that each had ten datagrams.
    fn after(gathering: &mut Gathering, busy: Duration, slept: Duration, turns: u32) -> Duration {
        (0..turns).for_each(|_| gathering.turn(10, busy, slept));
        gathering.wait()
    }

    #[test]
    fn it_waits_longer_the_busier_it_is_and_not_at_all_when_idle() {
        let mut gathering = Gathering::new(2 * MS);
        assert_eq!(gathering.wait(), Duration::ZERO);
        assert_eq!(after(&mut gathering, MS / 50, MS, 500), Duration::ZERO);
        let some = after(&mut gathering, MS * 3 / 10, MS * 7 / 10, 2_000);
        assert!((MS / 2..MS).contains(&some), "{some:?}");
        let most = after(&mut gathering, MS, Duration::ZERO, 2_000);
        assert!((MS * 19 / 10..=2 * MS).contains(&most), "{most:?}");
        // One long sleep is enough to be idle again.
        let idle = after(&mut gathering, Duration::ZERO, 200 * MS, 1);
        assert_eq!(idle, Duration::ZERO);
    }

    #[test]
    fn it_does_not_wait_for_what_comes_in_few_bursts() {
        let mut gathering = Gathering::new(2 * MS);
        // Frames of ten packets 30 times a second, with many receivers.
        let wait = after(&mut gathering, 16 * MS, 17 * MS, 200);
        assert_eq!(wait, Duration::ZERO);
    }

    #[test]
    fn it_can_be_switched_off() {
        let mut gathering = Gathering::new(Duration::ZERO);
        assert_eq!(after(&mut gathering, MS, MS, 1_000), Duration::ZERO);
    }
}
