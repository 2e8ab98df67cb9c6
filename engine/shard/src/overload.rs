//! A shard that can not keep up sheds video: whole consumers, before their packets are numbered, so
//! that receivers see a pause and no loss. Those of low priority go first, always the same ones, and
//! they come back one part after the other, each at a key frame.

use std::time::Duration;

use crate::Timestamp;

/// Parts that consumers are divided into.
pub(crate) const PARTS: u8 = 64;
/// The load is weighed over this long.
const WINDOW: Duration = Duration::from_millis(50);
/// A shard that sleeps less than this share of a window has no time left, in percent.
const FULL_PERCENT: u128 = 98;
/// One that sleeps more than this has room for more.
const ROOM_PERCENT: u128 = 85;
/// Turns of a shard that keeps up are shorter.
const LONG_TURN: Duration = Duration::from_millis(8);
/// Windows without time left before anything is shed, with long turns and with short ones: a key
/// frame to many receivers is no overload.
const PATIENCE: u32 = 2;
const LONG_PATIENCE: u32 = 4;
/// What is kept of what was there is at least, and at most, this, by window.
const LEAST_KEPT_PERCENT: u128 = 60;
const MOST_KEPT_PERCENT: u128 = 92;
/// Parts that come back by window.
const BACK: u8 = 4;

#[derive(Debug)]
pub(crate) struct Overload {
    /// Parts that are shed.
    shed: u8,
    since: Timestamp,
    busy: Duration,
    turns: u32,
    full_windows: u32,
}

impl Overload {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            shed: 0,
            since: now,
            busy: Duration::ZERO,
            turns: 0,
            full_windows: 0,
        }
    }

    /// Parts that are shed now.
    pub(crate) const fn shed(&self) -> u8 {
        self.shed
    }

    /// A video consumer of that number and priority is shed. Those of the lowest priority, which is
    /// the default, go first.
    pub(crate) fn sheds(&self, number: u32, priority: u8) -> bool {
        if self.shed == 0 {
            return false;
        }
        let part = (number.wrapping_mul(0x9E37_79B1) >> 16) as u8 % PARTS;
        let reserve = if priority > 1 { PARTS / 2 } else { 0 };
        part + reserve < self.shed
    }

    /// A turn of the shard's loop took `busy`, without its sleep.
    pub(crate) fn turn(&mut self, now: Timestamp, busy: Duration) {
        self.busy += busy;
        self.turns += 1;
        let elapsed = now.since(self.since);
        if elapsed < WINDOW {
            return;
        }
        let used_percent = self.busy.as_micros() * 100 / elapsed.as_micros().max(1);
        let turn = self.busy / self.turns.max(1);
        self.full_windows = if used_percent >= FULL_PERCENT {
            self.full_windows + 1
        } else {
            0
        };
        let patience = if turn >= LONG_TURN {
            PATIENCE
        } else {
            LONG_PATIENCE
        };
        if self.full_windows >= patience {
            let kept = u128::from(PARTS - self.shed);
            let percent = LONG_TURN.as_micros() * 100 / turn.as_micros().max(1);
            let percent = percent.clamp(LEAST_KEPT_PERCENT, MOST_KEPT_PERCENT);
            self.shed = PARTS - (kept * percent / 100) as u8;
        } else if used_percent < ROOM_PERCENT {
            self.shed = self.shed.saturating_sub(BACK);
        }
        self.since = now;
        self.busy = Duration::ZERO;
        self.turns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard whose turns take what is kept of `load` times the machine; how much is kept.
    fn run(overload: &mut Overload, now: &mut Timestamp, load: f64, time: Duration) -> f64 {
        let end = *now + time;
        let kept = |overload: &Overload| 1.0 - f64::from(overload.shed()) / f64::from(PARTS);
        let mut sum = 0.0;
        let mut turns = 0.0;
        while *now < end {
            let work = load * kept(overload);
            // Over capacity turns grow to what the receive bound allows; under it they are short.
            let (busy, sleep) = if work >= 1.0 {
                (Duration::from_millis(20).mul_f64(work), Duration::ZERO)
            } else {
                let busy = Duration::from_millis(2).mul_f64(work);
                (busy, Duration::from_millis(2) - busy)
            };
            *now += busy + sleep;
            overload.turn(*now, busy);
            sum += kept(overload);
            turns += 1.0;
        }
        sum / turns
    }

    #[test]
    fn what_is_too_much_is_shed_and_comes_back_within_a_second() {
        let mut now = Timestamp::from_micros(1_000_000);
        let mut overload = Overload::new(now);
        run(&mut overload, &mut now, 0.8, Duration::from_secs(2));
        assert_eq!(overload.shed(), 0);
        run(&mut overload, &mut now, 3.0, Duration::from_secs(1));
        let kept = run(&mut overload, &mut now, 3.0, Duration::from_secs(5));
        assert!((0.25..0.45).contains(&kept), "{kept}");
        run(&mut overload, &mut now, 0.5, Duration::from_millis(950));
        assert_eq!(overload.shed(), 0);
    }

    #[test]
    fn one_long_turn_is_no_overload() {
        let mut now = Timestamp::from_micros(1_000_000);
        let mut overload = Overload::new(now);
        for _ in 0..10 {
            now += Duration::from_millis(60);
            overload.turn(now, Duration::from_millis(60));
            run(&mut overload, &mut now, 0.7, Duration::from_millis(500));
            assert_eq!(overload.shed(), 0);
        }
    }

    #[test]
    fn consumers_of_low_priority_go_first_and_always_the_same() {
        let mut now = Timestamp::from_micros(1_000_000);
        let mut overload = Overload::new(now);
        run(&mut overload, &mut now, 1.6, Duration::from_secs(2));
        let shed = |priority| (0..1_000).filter(|&n| overload.sheds(n, priority)).count();
        assert!(shed(1) > 300, "{}", shed(1));
        assert!(shed(200) * 2 < shed(1), "{}", shed(200));
    }
}
