//! When to probe, and how fast: at the start, further while a probe gets through, from time to
//! time while more is wanted than is known to fit, and after a drop that may have been none.

use super::{ClusterId, ProbeCluster};
use crate::loss::LossState;
use crate::millis;

/// The first probes, by the initial rate.
const FIRST_FACTORS: [f64; 2] = [3.0, 6.0];
/// The next probe, by what the last one found.
const FURTHER_FACTOR: f64 = 2.0;
/// A probe that brings the target to this share of its rate is followed by a faster one.
const FURTHER_THRESHOLD: f64 = 0.7;
/// Probes from time to time: while the application uses little of the target, while it uses all,
/// and while losses limit the target.
const LIMITED_FACTOR: f64 = 2.0;
const USED_FACTOR: f64 = 1.5;
/// The first probe after more is wanted.
const WANTED_FACTOR: f64 = 3.0;
const INTERVAL_US: u64 = millis(5_000);
/// A target in full use is only probed above where it has not been too much for this long; longer
/// while it is about what the path was last seen to carry.
const CALM_US: u64 = millis(3_000);
const CALM_AT_CAPACITY_US: u64 = millis(8_000);
/// Nothing is probed while what is sent waits this long: a probe would find the queue's end.
const MAX_STANDING_US: u64 = millis(80);
/// Between a probe and one asked for by a change of what is wanted.
const MIN_INTERVAL_US: u64 = millis(1_000);
/// The result of a probe is waited for this long.
const WAIT_US: u64 = millis(1_000);
/// The first probes wait this long for media to go with.
const START_US: u64 = millis(1_000);

/// A target below this share of what it was has dropped.
const DROP_SHARE: f64 = 0.66;
/// The probe after a drop, by what was before.
const RECOVERY_FACTOR: f64 = 0.85;
/// It is only sent where it could show this share of its rate.
const RECOVERY_EXPECTED: f64 = 0.95;
const RECOVERY_US: u64 = millis(5_000);

/// What is wanted has to fit with this to spare before probing ends, and is probed up to that.
const GOAL_FACTOR: f64 = 1.1;
const CAP_FACTOR: f64 = 1.3;

const MIN_PACKETS: u32 = 5;
/// Long enough that a driver which wakes every 5 ms still sends at about the rate.
const DURATION_US: u64 = millis(25);

/// What the schedule has to know of the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeContext {
    pub(crate) target_bps: f64,
    pub(crate) max_bps: f64,
    /// What consumers would take; `None` for all there is.
    pub(crate) wanted_bps: Option<f64>,
    /// A queue grows on the path, or did so last at this time.
    pub(crate) is_overused: bool,
    pub(crate) overused_us: Option<u64>,
    /// How long what is sent waits on the path at least.
    pub(crate) standing_us: u64,
    /// The target is about what the path was last seen to carry.
    pub(crate) is_capacity_known: bool,
    pub(crate) loss: LossState,
    /// The application sends much less than it may, now, or did so lately.
    pub(crate) is_limited: bool,
    pub(crate) was_limited: bool,
    /// It sends nothing: nothing fits.
    pub(crate) is_silent: bool,
}

impl ProbeContext {
    fn wants_more(&self) -> bool {
        let goal = self
            .wanted_bps
            .map_or(self.max_bps, |bps| bps * GOAL_FACTOR);
        self.target_bps < goal.min(self.max_bps)
    }

    fn is_fit(&self) -> bool {
        !self.is_overused
            && self.standing_us < MAX_STANDING_US
            && self.loss != LossState::Decreasing
            && self.wants_more()
    }

    /// Using all of the target has not been too much for a while.
    fn is_calm(&self, now_us: u64) -> bool {
        let calm_us = if self.is_capacity_known {
            CALM_AT_CAPACITY_US
        } else {
            CALM_US
        };
        self.overused_us
            .is_none_or(|at_us| now_us.saturating_sub(at_us) >= calm_us)
    }

    /// Faster is of no use.
    fn most_bps(&self) -> f64 {
        let most_bps = self.wanted_bps.map_or(self.max_bps, |bps| bps * CAP_FACTOR);
        most_bps.min(self.max_bps)
    }

    fn cap(&self, bps: f64) -> f64 {
        let bps = bps.min(self.most_bps());
        match self.loss {
            LossState::Unlimited => bps,
            _ => bps.min(USED_FACTOR * self.target_bps),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was sent so far.
    New,
    /// A probe is under way.
    Waiting,
    Done,
}

#[derive(Debug)]
pub(crate) struct ProbeSchedule {
    phase: Phase,
    pending: [Option<f64>; 2],
    last_rate_bps: f64,
    /// When the last probe was planned or handed out.
    probed_us: u64,
    last_target_bps: f64,
    /// More is wanted than when the last probe was planned.
    is_wanted: bool,
    /// The target before it dropped, and when it did.
    drop: Option<(u64, f64)>,
    next_id: ClusterId,
}

impl ProbeSchedule {
    pub(crate) const fn new(now_us: u64, target_bps: f64) -> Self {
        Self {
            phase: Phase::New,
            pending: [None; 2],
            last_rate_bps: 0.0,
            probed_us: now_us,
            last_target_bps: target_bps,
            is_wanted: false,
            drop: None,
            next_id: ClusterId::FIRST,
        }
    }

    /// No probe was planned so far: the first media is to start them.
    pub(crate) fn is_new(&self) -> bool {
        self.phase == Phase::New
    }

    /// Plans the first probes.
    pub(crate) fn start(&mut self, now_us: u64, context: &ProbeContext) {
        let rates_bps = FIRST_FACTORS.map(|factor| factor * context.target_bps);
        self.plan(now_us, rates_bps, context);
    }

    /// [`Self::take`] has one.
    pub(crate) const fn has_probe(&self) -> bool {
        self.pending[0].is_some()
    }

    /// The next probe to send, if there is one.
    pub(crate) fn take(&mut self, now_us: u64) -> Option<ProbeCluster> {
        let rate_bps = self.pending[0].take()?;
        self.pending.swap(0, 1);
        self.probed_us = now_us;
        let id = self.next_id;
        self.next_id = id.next();
        Some(ProbeCluster {
            id,
            rate_bps: rate_bps as u64,
            min_packets: MIN_PACKETS,
            duration_us: DURATION_US,
        })
    }

    /// The target has a new value.
    pub(crate) fn target(&mut self, now_us: u64, context: &ProbeContext) {
        let before = std::mem::replace(&mut self.last_target_bps, context.target_bps);
        if context.target_bps < DROP_SHARE * before {
            self.drop = Some((now_us, before));
        }
        let got_through = self.pending[0].is_none()
            && context.target_bps > FURTHER_THRESHOLD * self.last_rate_bps;
        if self.phase == Phase::Waiting && got_through && context.is_fit() {
            self.plan(now_us, [FURTHER_FACTOR * context.target_bps], context);
        }
    }

    /// More is wanted than before: it is probed for as soon as the last probe is over.
    pub(crate) fn wanted(&mut self, now_us: u64, context: &ProbeContext) {
        self.is_wanted = true;
        self.poll(now_us, context);
    }

    /// A queue that had grown is drained: if it was not the path's, the rate from before still
    /// fits.
    pub(crate) fn recovered(&mut self, now_us: u64, context: &ProbeContext) {
        let Some((dropped_us, before_bps)) = self.drop else {
            return;
        };
        let rate_bps = RECOVERY_FACTOR * before_bps;
        let is_free = self.phase == Phase::Done && self.since_probe_us(now_us) >= INTERVAL_US;
        let is_recent = now_us.saturating_sub(dropped_us) < RECOVERY_US;
        let is_useful = RECOVERY_EXPECTED * rate_bps > context.target_bps;
        if is_free && is_recent && is_useful && context.was_limited && context.is_fit() {
            self.drop = None;
            self.plan(now_us, [rate_bps], context);
        }
    }

    /// Plans the probes that come from time to time; when to call again.
    pub(crate) fn poll(&mut self, now_us: u64, context: &ProbeContext) -> Option<u64> {
        if self.phase == Phase::Waiting {
            let until_us = self.probed_us + WAIT_US;
            if now_us < until_us {
                return Some(until_us);
            }
            self.phase = Phase::Done;
            self.pending = [None; 2];
        }
        if !context.wants_more() {
            return None;
        }
        if self.phase == Phase::New {
            // Where no layer fits into the first target there is no media before a probe.
            let due_us = self.probed_us + START_US;
            if context.wanted_bps.is_none() || now_us < due_us {
                return context.wanted_bps.map(|_| due_us);
            }
            self.start(now_us, context);
            return Some(now_us + WAIT_US);
        }
        let interval_us = if self.is_wanted || context.is_silent {
            MIN_INTERVAL_US
        } else {
            INTERVAL_US
        };
        let due_us = self.probed_us + interval_us;
        if now_us < due_us {
            return Some(due_us);
        }
        if !context.is_fit() {
            return None;
        }
        let factor = if self.is_wanted && context.is_calm(now_us) {
            WANTED_FACTOR
        } else if context.is_limited {
            LIMITED_FACTOR
        } else if context.is_calm(now_us) {
            USED_FACTOR
        } else {
            return None;
        };
        self.plan(now_us, [factor * context.target_bps], context);
        Some(now_us + WAIT_US)
    }

    fn since_probe_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.probed_us)
    }

    /// Plans probes at these rates, as far as they are above the target and differ.
    fn plan<const N: usize>(&mut self, now_us: u64, rates_bps: [f64; N], context: &ProbeContext) {
        self.pending = [None; 2];
        let mut highest_bps = context.target_bps;
        let mut count = 0;
        for rate_bps in rates_bps {
            let bps = context.cap(rate_bps);
            if bps > highest_bps && count < self.pending.len() {
                self.pending[count] = Some(bps);
                // One that was as fast as is of use is not followed by another, whatever it finds.
                let is_most = rate_bps > context.most_bps();
                self.last_rate_bps = if is_most { f64::INFINITY } else { bps };
                highest_bps = bps;
                count += 1;
            }
        }
        self.phase = if count > 0 {
            Phase::Waiting
        } else {
            Phase::Done
        };
        self.probed_us = now_us;
        self.is_wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: ProbeContext = ProbeContext {
        target_bps: 600_000.0,
        max_bps: 10_000_000.0,
        wanted_bps: None,
        is_overused: false,
        overused_us: None,
        standing_us: 0,
        is_capacity_known: false,
        loss: LossState::Unlimited,
        is_limited: true,
        was_limited: true,
        is_silent: false,
    };

    fn taken(schedule: &mut ProbeSchedule, now_us: u64) -> Vec<u64> {
        std::iter::from_fn(|| schedule.take(now_us))
            .map(|probe| probe.rate_bps)
            .collect()
    }

    fn with_target(target_bps: f64) -> ProbeContext {
        ProbeContext {
            target_bps,
            ..CONTEXT
        }
    }

    /// After the first probes, which found nothing.
    fn started() -> ProbeSchedule {
        let mut schedule = ProbeSchedule::new(0, CONTEXT.target_bps);
        schedule.start(0, &CONTEXT);
        taken(&mut schedule, 0);
        schedule.poll(WAIT_US, &CONTEXT);
        schedule
    }

    #[test]
    fn the_first_media_starts_two_probes() {
        let mut schedule = ProbeSchedule::new(0, CONTEXT.target_bps);
        assert_eq!(taken(&mut schedule, 0), []);
        schedule.start(0, &CONTEXT);
        assert_eq!(taken(&mut schedule, 0), [1_800_000, 3_600_000]);
    }

    #[test]
    fn probes_are_not_faster_than_what_is_wanted() {
        let context = ProbeContext {
            wanted_bps: Some(1_000_000.0),
            ..CONTEXT
        };
        let mut schedule = ProbeSchedule::new(0, context.target_bps);
        schedule.start(0, &context);
        assert_eq!(taken(&mut schedule, 0), [1_300_000]);
        let enough = ProbeContext {
            target_bps: 1_150_000.0,
            ..context
        };
        schedule.target(millis(100), &enough);
        assert_eq!(taken(&mut schedule, millis(100)), []);
        assert_eq!(schedule.poll(WAIT_US, &enough), None);
    }

    #[test]
    fn a_probe_that_gets_through_is_followed_by_a_faster_one() {
        let mut schedule = ProbeSchedule::new(0, CONTEXT.target_bps);
        schedule.start(0, &CONTEXT);
        taken(&mut schedule, 0);
        schedule.target(millis(100), &with_target(1_800_000.0));
        assert_eq!(taken(&mut schedule, millis(100)), [], "half of the second");
        schedule.target(millis(200), &with_target(3_600_000.0));
        assert_eq!(taken(&mut schedule, millis(200)), [7_200_000]);
    }

    #[test]
    fn a_probe_as_fast_as_is_of_use_is_not_followed_by_another() {
        let context = ProbeContext {
            wanted_bps: Some(1_000_000.0),
            ..CONTEXT
        };
        let mut schedule = ProbeSchedule::new(0, context.target_bps);
        schedule.start(0, &context);
        assert_eq!(taken(&mut schedule, 0), [1_300_000]);
        let nearly = ProbeContext {
            target_bps: 1_000_000.0,
            ..context
        };
        schedule.target(millis(100), &nearly);
        assert_eq!(taken(&mut schedule, millis(100)), []);
    }

    #[test]
    fn more_is_looked_for_every_five_seconds() {
        let mut schedule = started();
        assert_eq!(schedule.poll(millis(4_999), &CONTEXT), Some(INTERVAL_US));
        assert_eq!(taken(&mut schedule, millis(4_999)), []);
        schedule.poll(millis(5_000), &CONTEXT);
        assert_eq!(taken(&mut schedule, millis(5_000)), [1_200_000]);
    }

    #[test]
    fn a_full_path_is_left_alone() {
        let overused = ProbeContext {
            is_overused: true,
            ..CONTEXT
        };
        let just_overused = ProbeContext {
            is_limited: false,
            overused_us: Some(millis(2_500)),
            ..CONTEXT
        };
        let lossy = ProbeContext {
            loss: LossState::Decreasing,
            ..CONTEXT
        };
        for context in [overused, just_overused, lossy] {
            let mut schedule = started();
            schedule.poll(millis(5_000), &context);
            assert_eq!(taken(&mut schedule, millis(5_000)), [], "{context:?}");
        }
        let mut schedule = started();
        schedule.poll(millis(5_500), &just_overused);
        assert_eq!(taken(&mut schedule, millis(5_500)), [900_000]);
    }

    #[test]
    fn where_nothing_fits_probes_start_without_media() {
        let mut schedule = ProbeSchedule::new(0, CONTEXT.target_bps);
        assert_eq!(schedule.poll(0, &CONTEXT), None);
        let context = ProbeContext {
            wanted_bps: Some(9_000_000.0),
            ..CONTEXT
        };
        assert_eq!(schedule.poll(0, &context), Some(START_US));
        assert_eq!(schedule.poll(START_US, &context), Some(START_US + WAIT_US));
        assert_eq!(taken(&mut schedule, START_US), [1_800_000, 3_600_000]);
    }

    #[test]
    fn after_a_drop_the_rate_from_before_is_tried() {
        let mut schedule = started();
        schedule.target(millis(6_000), &with_target(3_000_000.0));
        schedule.target(millis(7_000), &with_target(1_000_000.0));
        schedule.recovered(millis(7_500), &with_target(1_000_000.0));
        assert_eq!(taken(&mut schedule, millis(7_500)), [2_550_000]);
    }

    #[test]
    fn more_wanted_is_tried_at_once() {
        let mut schedule = started();
        schedule.wanted(millis(2_000), &CONTEXT);
        assert_eq!(taken(&mut schedule, millis(2_000)), [1_800_000]);
        schedule.wanted(millis(2_500), &CONTEXT);
        assert_eq!(taken(&mut schedule, millis(2_500)), [], "one is under way");
        schedule.poll(millis(3_000), &CONTEXT);
        assert_eq!(taken(&mut schedule, millis(3_000)), [1_800_000]);
    }
}
