//! A shard that can not keep up sheds video: upper layers first, then whole consumers, before their
//! packets are numbered, so that receivers see a pause and no loss. Those of low priority go first,
//! always the same ones, and they come back at key frames.
//!
//! A turn of the driver's loop takes in what came during the one before, so a shard that can not keep
//! up has longer and longer turns. When all that came is queued, and before any of it leaves, it is
//! known how much is to leave, and turns before told what that takes: what does not fit into a turn of
//! bearable length is shed in this very turn. How busy a shard is says little: the longer its turns,
//! the longer its trains and the less it takes for a packet. So turns are let grow to that length, and
//! what is shed comes back as far as it fits into turns that are somewhat shorter.

use std::time::Duration;

use weirgate_wire::MediaKind;

use crate::Timestamp;
use crate::shedding::{Level, PARTS};

/// What is to leave in a turn takes no longer than this: what came during the turn before has waited
/// for as long when it leaves.
const BOUND: Duration = Duration::from_millis(50);
/// Nor than this after a sleep: a key frame to many is no overload if there is time after it.
const RESTED_BOUND: Duration = Duration::from_millis(100);
/// Nor than this part of the turn before: what has piled up goes down by itself.
const LESS: f32 = 0.75;
/// A turn that slept for more than this share of it was followed by a rest, in percent.
const NAP_PERCENT: u128 = 2;
/// What is shed comes back as far as it fits into turns of this length.
const ROOM: Duration = Duration::from_millis(30);
/// And into such a share of what the driver takes in at once.
const ROOM_TO_TAKE: f32 = 0.75;
/// A train takes as long as so many packets of it.
const PACKETS_PER_TRAIN: f32 = 7.0;
/// How far a turn moves what a packet is thought to take: its median is found, as a turn may be long by
/// chance.
const LEARNING: f32 = 1.0 / 16.0;
/// Shorter turns tell of much that is no packet.
const TELLING_TURN: Duration = Duration::from_millis(5);
/// Of what is kept, the share that is shed at a time until the rest fits.
const STEP: u16 = 32;
/// So many of them are shed where more came than the driver takes at once for as long as a turn may be.
const BEHIND_STEPS: u16 = 6;
/// What came back shows after its key frames: for so long after a change nothing more comes back.
const SETTLING: Duration = Duration::from_millis(200);
/// At most so many times what is kept, and at least so many parts, come back at a time.
const MOST_BACK: f32 = 4.0;
const LEAST_BACK: u16 = 8;

#[derive(Debug)]
pub(crate) struct Overload {
    /// Parts that are shed.
    shed: u16,
    /// What a packet takes, in seconds; nothing before turns told.
    cost: f32,
    /// What it took in the last turn that told.
    last_cost: f32,
    /// What is to leave in this turn.
    work: Work,
    /// That was looked at, or no driver tells of turns.
    is_weighed: bool,
    /// The last turn, its end, and whether it was one with a sleep.
    last_turn: Duration,
    last_end: Timestamp,
    is_rested: bool,
    /// In how long a time more came than the driver takes at once.
    behind: Duration,
    changed_at: Timestamp,
    window: Window,
}

impl Overload {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            shed: 0,
            cost: 0.0,
            last_cost: 0.0,
            work: Work::NONE,
            is_weighed: true,
            last_turn: Duration::ZERO,
            last_end: now,
            is_rested: true,
            behind: Duration::ZERO,
            changed_at: now,
            window: Window::new(now),
        }
    }

    /// How much is shed now.
    pub(crate) const fn level(&self) -> Level {
        Level(self.shed)
    }

    /// So many packets were queued that have never left.
    pub(crate) fn note_queued(&mut self, kind: MediaKind, packets: u32) {
        let packets = packets as f32;
        match kind {
            MediaKind::Video => self.work.video += packets,
            MediaKind::Audio => self.work.other += packets,
        }
    }

    /// So many packets of video that were queued do not leave.
    pub(crate) fn note_dropped(&mut self, packets: usize) {
        self.work.video = (self.work.video - packets as f32).max(0.0);
    }

    /// Before anything leaves: whether so many trains, with what is queued and so many packets more,
    /// would take too long. Only what leaves first in a turn is asked about.
    pub(crate) fn is_too_much(&mut self, trains: usize, packets: usize) -> bool {
        if self.is_weighed {
            return false;
        }
        self.work.trains = trains as f32;
        let bound = if self.is_rested { RESTED_BOUND } else { BOUND };
        let bound = bound.max(self.last_turn.mul_f32(LESS));
        let may_shed = self.shed < PARTS && self.work.video + packets as f32 > 0.0;
        may_shed && self.seconds(self.work.all() + packets as f32) > bound.as_secs_f32()
    }

    /// What leaves in this turn is found to fit.
    pub(crate) const fn weighed(&mut self) {
        self.is_weighed = true;
    }

    /// Sheds somewhat more.
    pub(crate) fn shed_more(&mut self, now: Timestamp) {
        let kept = PARTS - self.shed;
        self.shed += kept.div_ceil(STEP);
        self.change(now);
    }

    /// A turn of the shard's loop took `busy`, without its sleep; it took in such a share of what the
    /// driver takes at once.
    pub(crate) fn turn(&mut self, now: Timestamp, busy: Duration, taken: f32) {
        let slept = now.since(self.last_end).saturating_sub(busy);
        self.last_end = now;
        self.last_turn = busy;
        self.is_rested = slept.as_micros() * 100 > busy.as_micros() * NAP_PERCENT;
        self.is_weighed = false;
        let work = std::mem::take(&mut self.work);
        self.learn(busy, work);
        self.fall_behind(now, busy, taken);
        let window = &mut self.window;
        window.turns += 1.0;
        window.busy += busy;
        window.work.add(&work);
        window.taken += taken;
        if now.since(self.changed_at.max(self.window.since)) >= SETTLING {
            self.take_back(now);
        }
    }

    fn learn(&mut self, busy: Duration, work: Work) {
        let packets = work.all();
        if packets <= 0.0 {
            return;
        }
        let took = busy.as_secs_f32() / packets;
        let tells = busy >= TELLING_TURN;
        if took < self.cost {
            self.cost *= 1.0 - LEARNING;
        } else if tells {
            // Two turns in a row that took twice as long are no chance.
            let least = took.min(self.last_cost) / 2.0;
            self.cost = least.max(self.cost * (1.0 + LEARNING));
        }
        if tells {
            self.last_cost = took;
        }
    }

    /// Where more comes than the driver takes at once, it is not known how much waits.
    fn fall_behind(&mut self, now: Timestamp, busy: Duration, taken: f32) {
        if taken < 1.0 {
            self.behind = Duration::ZERO;
            return;
        }
        self.behind += busy;
        if self.behind > BOUND {
            self.behind = Duration::ZERO;
            (0..BEHIND_STEPS).for_each(|_| self.shed_more(now));
        }
    }

    /// What is shed comes back as far as it fits, by half of that and once more.
    fn take_back(&mut self, now: Timestamp) {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        if self.shed == 0 {
            return;
        }
        let Window { turns, work, .. } = window;
        let elapsed = now.since(window.since).as_secs_f32();
        let turn = window.busy.as_secs_f32() / turns;
        let taken = (window.taken / turns).max(f32::EPSILON);
        let room = ROOM.as_secs_f32().min(turn * ROOM_TO_TAKE / taken);
        let trains = self.seconds(work.trains * PACKETS_PER_TRAIN) / turns;
        let video = self.seconds(work.video).max(f32::EPSILON);
        let for_video = elapsed * (1.0 - trains / room) - self.seconds(work.other);
        // Where trains alone take that long, what fits into sleeps comes back.
        let slept = elapsed - window.busy.as_secs_f32();
        let growth = (for_video / video).max(1.0 + slept / video);
        if growth > 1.0 {
            let kept = PARTS - self.shed;
            let more = f32::from(kept) * growth.sqrt().min(MOST_BACK);
            let kept = (more as u16).max(kept + LEAST_BACK).min(PARTS);
            self.shed = PARTS - kept;
            self.change(now);
        }
    }

    /// What so many packets take.
    fn seconds(&self, packets: f32) -> f32 {
        packets * self.cost
    }

    fn change(&mut self, now: Timestamp) {
        self.changed_at = now;
        self.window = Window::new(now);
    }
}

/// What is to leave, in packets.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    video: f32,
    /// What is never shed.
    other: f32,
    /// Counted as themselves here.
    trains: f32,
}

/// Turns that were looked at together.
#[derive(Debug)]
struct Window {
    since: Timestamp,
    turns: f32,
    busy: Duration,
    work: Work,
    /// Share of what the driver takes in at once that came, over all of them.
    taken: f32,
}

impl Window {
    const fn new(since: Timestamp) -> Self {
        Self {
            since,
            turns: 0.0,
            busy: Duration::ZERO,
            work: Work::NONE,
            taken: 0.0,
        }
    }
}

impl Work {
    const NONE: Self = Self {
        video: 0.0,
        other: 0.0,
        trains: 0.0,
    };

    fn fixed(&self) -> f32 {
        self.other + self.trains * PACKETS_PER_TRAIN
    }

    fn all(&self) -> f32 {
        self.video + self.fixed()
    }

    fn add(&mut self, other: &Self) {
        self.video += other.video;
        self.other += other.other;
        self.trains += other.trains;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// Receivers.
    const TRAINS: usize = 500;
    /// Packets a second that it carries in long turns.
    const FULL: f64 = 1e6;

    /// A shard in which all that comes waits for the turn after, in packets of a microsecond.
    struct Machine {
        now: Timestamp,
        overload: Overload,
        last_turn: Duration,
        /// That come at once beside what comes all the time.
        burst: f64,
        longest_turn: Duration,
        turns: u32,
    }

    impl Machine {
        fn new() -> Self {
            let now = Timestamp::from_micros(1_000_000);
            Self {
                now,
                overload: Overload::new(now),
                last_turn: MS,
                burst: 0.0,
                longest_turn: Duration::ZERO,
                turns: 0,
            }
        }

        fn kept(&self) -> f64 {
            1.0 - f64::from(self.overload.shed) / f64::from(PARTS)
        }

        /// A turn that also takes so much; packets that left.
        fn turn(&mut self, load: f64, hiccup: Duration) -> f64 {
            let arrived =
                self.last_turn.as_secs_f64() * load * FULL + std::mem::take(&mut self.burst);
            let kept = self.kept();
            let queued = (arrived * kept) as u32;
            self.overload.note_queued(MediaKind::Video, queued);
            while self.overload.is_too_much(TRAINS, 0) {
                let before = self.kept();
                self.overload.shed_more(self.now);
                let dropped = arrived * (before - self.kept());
                self.overload.note_dropped(dropped as usize);
            }
            self.overload.weighed();
            let packets = arrived * self.kept();
            let trains = TRAINS as f64 * f64::from(PACKETS_PER_TRAIN);
            let busy = Duration::from_secs_f64((packets + trains) / FULL) + hiccup;
            self.longest_turn = self.longest_turn.max(busy);
            self.last_turn = busy.max(5 * MS);
            self.now += self.last_turn;
            self.turns += 1;
            self.overload.turn(self.now, busy, 0.0);
            packets
        }

        /// Goes on for so long; the packets that left, in a second. Now and then it stops for a moment.
        fn run(&mut self, load: f64, time: Duration, hiccup_every: u32) -> f64 {
            const HICCUP: Duration = Duration::from_millis(25);
            let from = self.now;
            let mut packets = 0.0;
            self.longest_turn = Duration::ZERO;
            while self.now < from + time {
                let is_hiccup = self.turns % hiccup_every == hiccup_every - 1;
                packets += self.turn(load, if is_hiccup { HICCUP } else { Duration::ZERO });
            }
            packets / self.now.since(from).as_secs_f64()
        }
    }

    #[test]
    fn what_is_too_much_is_shed_and_comes_back_soon() {
        for load in [1.2, 2.0, 3.0, 10.0] {
            let mut machine = Machine::new();
            let peak = machine.run(0.75, Duration::from_secs(2), u32::MAX);
            assert_eq!(machine.overload.shed, 0, "{load}");
            let over = machine.run(load, Duration::from_secs(5), u32::MAX);
            assert!(over > peak, "{load}: {over} of {peak}");
            let longest = machine.longest_turn;
            assert!(longest < BOUND * 11 / 10, "{load}: {longest:?}");
            machine.run(0.3, Duration::from_millis(700), u32::MAX);
            assert_eq!(machine.overload.shed, 0, "{load}");
        }
    }

    /// Those who join begin with a key frame each, to all at once.
    #[test]
    fn the_turn_in_which_an_overload_begins_is_no_longer_than_others() {
        let mut machine = Machine::new();
        machine.run(0.75, Duration::from_secs(2), u32::MAX);
        machine.burst = 0.15 * FULL;
        machine.turn(2.2, Duration::ZERO);
        let longest = machine.longest_turn;
        assert!(longest < BOUND * 11 / 10, "{longest:?}");
        let kept = machine.kept();
        assert!((0.2..0.35).contains(&kept), "{kept}: what fits is kept");
    }

    #[test]
    fn an_overload_with_hiccups_carries_nearly_as_much_as_the_peak() {
        let mut machine = Machine::new();
        let peak = machine.run(0.75, Duration::from_secs(20), u32::MAX);
        let overload = machine.run(2.2, Duration::from_secs(20), 100);
        assert!(overload > peak * 0.98, "{overload} of {peak}");
    }

    #[test]
    fn a_shard_that_just_keeps_up_sheds_nothing() {
        let mut machine = Machine::new();
        for _ in 0..20 {
            machine.run(0.85, Duration::from_millis(300), 20);
            assert_eq!(machine.overload.shed, 0);
            machine.run(0.2, Duration::from_millis(100), u32::MAX);
            // A key frame to many, and time after it.
            machine.burst = 0.07 * FULL;
            machine.run(0.6, Duration::from_millis(300), u32::MAX);
            assert_eq!(machine.overload.shed, 0);
        }
    }

    /// What takes time and is no packet does not make packets look dear for long.
    #[test]
    fn what_packets_take_is_learnt_again() {
        let mut machine = Machine::new();
        for _ in 0..1_000 {
            machine.overload.note_queued(MediaKind::Audio, 10);
            machine.now += 20 * MS;
            machine.overload.turn(machine.now, 10 * MS, 0.0);
        }
        machine.run(0.3, Duration::from_secs(2), u32::MAX);
        assert_eq!(machine.overload.shed, 0);
        machine.burst = 0.07 * FULL;
        machine.run(0.3, Duration::from_secs(1), u32::MAX);
        assert_eq!(machine.overload.shed, 0);
    }

    #[test]
    fn what_is_shed_comes_back_to_many_who_seldom_get_anything() {
        let mut now = Timestamp::from_micros(1_000_000);
        let mut overload = Overload::new(now);
        overload.shed = PARTS / 2;
        for _ in 0..10 {
            overload.note_queued(MediaKind::Video, 1_000);
            assert!(!overload.is_too_much(6_000, 0));
            overload.weighed();
            now += 500 * MS;
            overload.turn(now, 43 * MS, 0.0);
        }
        assert_eq!(overload.shed, 0);
    }

    #[test]
    fn turns_that_the_drivers_bound_keeps_short_are_an_overload() {
        let mut now = Timestamp::from_micros(1_000_000);
        let mut overload = Overload::new(now);
        for _ in 0..200 {
            now += MS;
            overload.turn(now, MS, 1.0);
        }
        assert!(overload.level().permille() > 300);
    }
}
