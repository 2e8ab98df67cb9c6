//! A shard that can not keep up sheds video: upper layers first, then whole consumers, before their
//! packets are numbered, so that receivers see a pause and no loss. Those of low priority go first,
//! always the same ones, and they come back at key frames.
//!
//! How much is too much is told by turns of the driver's loop. A turn takes in what came during the
//! one before, so without a sleep in between their lengths are to each other as the load is to what
//! the shard can carry: turns that grow are an overload, and by how much they grow says what has to
//! go. A long turn alone, as after a key frame to many receivers, is none. How busy a shard is says
//! little: the longer its turns, the longer its trains and the less it takes for a packet. So turns
//! are let grow to some 22 ms, and what is shed comes back while they are shorter.

use std::time::Duration;

use crate::Timestamp;
use crate::shedding::{Level, PARTS};

/// Turns, and what is offered, are looked at over this long.
const WINDOW: Duration = Duration::from_millis(40);
/// Turns of a shard that keeps up are shorter.
const LONG_TURN: Duration = Duration::from_millis(10);
/// A turn that slept for more than this share of it shows that there is time left, in percent.
const NAP_PERCENT: u128 = 2;
/// Without time left for so long, in so many turns that follow a long one without a sleep, before
/// anything is shed.
const PATIENCE: Duration = Duration::from_millis(60);
const PATIENCE_TURNS: u32 = 2;
/// By the length of a turn, which is how much waits: at how much more of a load than that, in
/// percent of what the shard can carry, something is shed, and how much of all is kept at least, in
/// percent. The more waits, the more has to go, so that it is done with soon; where little waits a
/// growth may be a hiccup of the machine.
const STEPS: [(Duration, u64, u64); 3] = [
    (Duration::from_millis(25), 115, 92),
    (Duration::from_millis(40), 100, 90),
    (Duration::from_millis(60), 88, 75),
];
const LAST_STEP: (u64, u64) = (75, 10);
/// Two long turns alone may be a key frame to many after something else: so much is kept then.
const SUSPICION: (u32, u64) = (2, 40);
/// Growth that is taken for granted where the driver's bound keeps turns from growing, in percent.
const BOUNDED_GROWTH_PERCENT: u64 = 125;
/// And what such a turn counts as at least: what was left behind waits too.
const BOUNDED_WAIT: Duration = Duration::from_millis(40);
/// With turns shorter than this on average there is room, and that much more is kept, in percent: a
/// fourth of the load makes turns about twice as long.
const BACK: [(Duration, u64); 3] = [
    (Duration::from_millis(10), 125),
    (Duration::from_millis(15), 112),
    (Duration::from_millis(22), 104),
];
/// A shard that works for a smaller share of its time than this, in percent, takes back as many percent
/// more as it is below it. What comes back may take longer than that to show, upper layers above all.
const IDLE_PERCENT: u64 = 60;
/// At least so many parts come back at a time.
const LEAST_BACK: u64 = 8;
/// What came back shows after its key frames: for so long after a change nothing more comes back.
const SETTLING: Duration = Duration::from_millis(300);
/// Where so much less is offered than there was, what is kept of it is as much as before, in percent.
const LESS_PERCENT: u64 = 75;

#[derive(Debug)]
pub(crate) struct Overload {
    /// Parts that are shed.
    shed: u16,
    /// The end of the last turn, and how long that was.
    last_end: Timestamp,
    last_turn: Duration,
    streak: Streak,
    /// Long turns without a sleep between them up to now.
    in_a_row: u32,
    window: Window,
    /// Packets offered to video consumers per second, over about the last 150 ms, and when it was
    /// decided how many of them are kept.
    offered: u64,
    offered_then: u64,
    /// Share of time it works, over about the last 150 ms, in percent.
    used_percent: u64,
    changed_at: Timestamp,
}

#[derive(Debug)]
struct Window {
    since: Timestamp,
    turns: u32,
    busy: Duration,
    offered: u64,
}

impl Window {
    const fn new(since: Timestamp) -> Self {
        Self {
            since,
            turns: 0,
            busy: Duration::ZERO,
            offered: 0,
        }
    }
}

/// Long turns without a sleep between them, since something was last concluded from them.
#[derive(Debug, Default)]
struct Streak {
    turns: u32,
    busy: Duration,
    /// Those of them that follow another long one, together, and those that they follow.
    grown: Duration,
    before: Duration,
}

impl Overload {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            shed: 0,
            last_end: now,
            last_turn: Duration::ZERO,
            streak: Streak {
                turns: 0,
                busy: Duration::ZERO,
                grown: Duration::ZERO,
                before: Duration::ZERO,
            },
            in_a_row: 0,
            window: Window::new(now),
            offered: 0,
            offered_then: 0,
            used_percent: 100,
            changed_at: now,
        }
    }

    /// How much is shed now.
    pub(crate) const fn level(&self) -> Level {
        Level(self.shed)
    }

    /// A turn of the shard's loop took `busy`, without its sleep; it took in all that had come, or
    /// as much as the driver takes at once.
    pub(crate) fn turn(&mut self, now: Timestamp, busy: Duration, took_all: bool) {
        let slept = now.since(self.last_end).saturating_sub(busy);
        let last_turn = std::mem::replace(&mut self.last_turn, busy);
        self.last_end = now;
        let is_rested = slept.as_micros() * 100 > busy.as_micros() * NAP_PERCENT;
        if is_rested || (busy < LONG_TURN && took_all) {
            self.streak = Streak::default();
            self.in_a_row = 0;
        } else {
            self.on_long_turn(now, busy, last_turn, took_all);
        }
        self.window.turns += 1;
        self.window.busy += busy;
        if now.since(self.window.since) >= WINDOW {
            self.look_back(now);
        }
    }

    /// So many packets were offered to a video consumer.
    pub(crate) const fn note_offers(&mut self, packets: usize) {
        self.window.offered += packets as u64;
    }

    fn look_back(&mut self, now: Timestamp) {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        let elapsed_us = now.since(window.since).as_micros().max(1) as u64;
        let offered = window.offered * 1_000_000 / elapsed_us;
        self.offered = (self.offered * 3 + offered) / 4;
        let used_percent = (window.busy.as_micros() as u64 * 100 / elapsed_us).min(100);
        self.used_percent = (self.used_percent * 3 + used_percent).div_ceil(4);
        if self.shed == 0 {
            return;
        }
        if self.offered * 100 < self.offered_then * LESS_PERCENT {
            self.keep(now, self.offered_then * 100 / self.offered.max(1));
        } else if now.since(self.changed_at) >= SETTLING {
            let turn = window.busy / window.turns.max(1);
            if self.used_percent < IDLE_PERCENT {
                self.keep(now, 100 + IDLE_PERCENT - self.used_percent);
            } else if let Some(&(_, percent)) = BACK.iter().find(|(limit, _)| turn < *limit) {
                self.keep(now, percent);
            }
        }
    }

    /// Nothing was slept since the turn before.
    fn on_long_turn(&mut self, now: Timestamp, busy: Duration, before: Duration, took_all: bool) {
        let streak = &mut self.streak;
        streak.turns += 1;
        streak.busy += busy;
        if self.in_a_row > 0 {
            streak.grown += busy;
            streak.before += before;
        }
        self.in_a_row += 1;
        if streak.busy < PATIENCE || streak.turns < PATIENCE_TURNS {
            return;
        }
        let (growth, wait) = if took_all {
            (streak.growth_percent(), busy)
        } else {
            (
                streak.growth_percent().max(BOUNDED_GROWTH_PERCENT),
                busy.max(BOUNDED_WAIT),
            )
        };
        *streak = Streak::default();
        let step = STEPS.iter().find(|(limit, ..)| wait < *limit);
        let (aim, mut least) = step.map_or(LAST_STEP, |&(_, aim, least)| (aim, least));
        if self.in_a_row <= SUSPICION.0 {
            least = least.max(SUSPICION.1);
        }
        if growth > aim {
            self.keep(now, (aim * 100 / growth).max(least));
        }
    }

    /// Keeps that share of what is kept.
    fn keep(&mut self, now: Timestamp, percent: u64) {
        let kept = u64::from(PARTS - self.shed);
        let kept = match percent {
            0..=100 => kept * percent / 100,
            _ => (kept * percent / 100).max(kept + LEAST_BACK),
        };
        self.shed = PARTS - kept.min(u64::from(PARTS)) as u16;
        self.changed_at = now;
        self.offered_then = self.offered;
    }
}

impl Streak {
    /// Turns against those before them.
    fn growth_percent(&self) -> u64 {
        let before = self.before.as_micros().max(1);
        u64::try_from(self.grown.as_micros() * 100 / before).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard in which all that comes waits for the turn after.
    struct Machine {
        now: Timestamp,
        overload: Overload,
        waiting: Duration,
        longest_wait: Duration,
    }

    impl Machine {
        fn new() -> Self {
            let now = Timestamp::from_micros(1_000_000);
            Self {
                now,
                overload: Overload::new(now),
                waiting: Duration::ZERO,
                longest_wait: Duration::ZERO,
            }
        }

        fn kept(&self) -> f64 {
            1.0 - f64::from(self.overload.shed) / f64::from(PARTS)
        }

        /// Goes on for so long with so many times the load that it can carry; the share of time it
        /// works.
        fn run(&mut self, load: f64, time: Duration) -> f64 {
            const NAP: Duration = Duration::from_millis(1);
            let end = self.now + time;
            let mut worked = Duration::ZERO;
            self.longest_wait = Duration::ZERO;
            while self.now < end {
                let busy = self.waiting;
                let nap = NAP.saturating_sub(busy);
                self.now += busy + nap;
                worked += busy;
                self.longest_wait = self.longest_wait.max(busy);
                let offered = (busy + nap).mul_f64(load).as_micros() / 10;
                self.overload.note_offers(offered as usize);
                // Before what came meanwhile is taken in.
                self.overload.turn(self.now, busy, true);
                self.waiting = (busy + nap).mul_f64(load * self.kept());
            }
            worked.as_secs_f64() / time.as_secs_f64()
        }
    }

    #[test]
    fn what_is_too_much_is_shed_and_comes_back_soon() {
        for load in [1.2, 2.0, 3.0] {
            let mut machine = Machine::new();
            machine.run(0.9, Duration::from_secs(2));
            assert_eq!(machine.overload.shed, 0, "{load}");
            machine.run(load, Duration::from_secs(1));
            assert!(
                machine.longest_wait < Duration::from_millis(150),
                "{load}: {:?}",
                machine.longest_wait
            );
            let worked = machine.run(load, Duration::from_secs(5));
            assert!(worked > 0.95, "{load}: {worked}");
            assert!(
                machine.longest_wait < Duration::from_millis(60),
                "{load}: {:?}",
                machine.longest_wait
            );
            machine.run(0.5, Duration::from_millis(700));
            assert_eq!(machine.overload.shed, 0, "{load}");
        }
    }

    /// Each turn takes some time whatever there is to do, as trains do, so that long turns carry more; and
    /// now and then the machine stops for a moment.
    #[test]
    fn an_overload_with_hiccups_carries_nearly_as_much_as_the_peak() {
        const TURN: Duration = Duration::from_millis(4);
        const HICCUP: Duration = Duration::from_millis(25);
        let mut machine = Machine::new();
        let mut carried = |load: f64, hiccup_every: u32| {
            let mut packets = Duration::ZERO;
            let from = machine.now;
            for turn in 1.. {
                let arrived = machine.waiting.max(Duration::from_millis(1));
                let work = arrived.mul_f64(load * machine.kept());
                let is_hiccup = turn % hiccup_every == 0;
                let busy = work + TURN + if is_hiccup { HICCUP } else { Duration::ZERO };
                machine.now += busy;
                let offered = arrived.mul_f64(load).as_micros() / 10;
                machine.overload.note_offers(offered as usize);
                machine.overload.turn(machine.now, busy, true);
                machine.waiting = busy;
                packets += work;
                if machine.now > from + Duration::from_secs(20) {
                    return packets.as_secs_f64() / machine.now.since(from).as_secs_f64();
                }
            }
            unreachable!()
        };
        // Turns of 13 ms.
        let peak = carried(0.7, u32::MAX);
        let overload = carried(2.1, 100);
        assert!(overload > peak * 0.98, "{overload} of {peak}");
    }

    #[test]
    fn a_shard_that_just_keeps_up_sheds_nothing() {
        let mut machine = Machine::new();
        for _ in 0..20 {
            machine.run(0.97, Duration::from_millis(300));
            // A key frame to many.
            machine.waiting += Duration::from_millis(60);
            machine.run(0.7, Duration::from_secs(1));
            assert_eq!(machine.overload.shed, 0);
        }
        // Without any sleep, but with turns that are short.
        let mut overload = Overload::new(machine.now);
        for _ in 0..10_000 {
            machine.now += Duration::from_micros(400);
            overload.turn(machine.now, Duration::from_micros(400), true);
        }
        assert_eq!(overload.shed, 0);
    }

    #[test]
    fn turns_that_the_bound_keeps_short_are_an_overload() {
        let mut now = Timestamp::from_micros(1_000_000);
        let mut overload = Overload::new(now);
        for _ in 0..200 {
            now += Duration::from_millis(1);
            overload.turn(now, Duration::from_millis(1), false);
        }
        assert!(overload.level().permille() > 300);
    }
}
