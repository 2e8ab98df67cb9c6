//! Gives a receiver's bandwidth to its consumers: audio first, then video layer by layer, in rounds
//! in which those of higher priority go first. In the first round each takes one step, in those after
//! it as many as its priority says, as in mediasoup.
//!
//! Down is at once. Up is only where the layer fits with a margin and has for a time, and for
//! longer after a step to another spatial layer that did not last, so that an estimate which swings does not
//! make the picture swing. A consumer that had all it wanted and wants more now does not wait; nor does one that had all
//! there was and now there is more.

use crate::{NEVER_US, millis};

/// What is left of the target for steps up: those to another spatial layer begin with a key frame.
const CLIMB_SHARE: f64 = 0.95;
const SPATIAL_CLIMB_SHARE: f64 = 0.90;
/// A step up has to fit for this long.
const HOLD_US: u64 = millis(500);
const MAX_HOLD_US: u64 = millis(8_000);
/// A step to what is this much less than the target is a small one, and is not held for long.
const SMALL_STEP: u64 = 2;
const MAX_SMALL_HOLD_US: u64 = millis(2_000);
/// A step up that is taken back within this time did not last: the next is held twice as long.
const FLAP_US: u64 = millis(10_000);

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gets its rate whatever the target is.
    Audio,
    /// Gets what is left.
    Video,
}

/// A layer of a source that is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerRate {
    /// Spatial layer, or simulcast stream.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// What sending it takes, the layers it depends on included, in bit/s; averaged over a second
    /// or so by the caller.
    pub bps: u64,
}

/// What one consumer would like.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Higher goes first, and this is how many steps it takes in a round; at least one.
    pub priority: u8,
    /// Audio or video.
    pub kind: Kind,
    /// It, or its source, is paused.
    pub paused: bool,
    /// Layers there are now, in ascending order of spatial and then temporal layer.
    pub layers: &'a [LayerRate],
    /// The highest spatial and temporal layer it wants, of those that its source can have; `None`
    /// for the highest of `layers`.
    pub preferred: Option<(u8, u8)>,
}

/// Why a consumer has its layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reason {
    /// A higher one would not fit.
    Bandwidth,
    /// It is what the consumer wants.
    Preferred,
    /// The source does not send what the consumer wants.
    SourceAbsent,
    /// The consumer or its source is paused.
    #[default]
    Paused,
}

/// What one consumer gets, and what the next allocation has to know. To be kept with the consumer
/// between calls; [`Default`] for a new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Index among the layers of its demand; `None` for nothing.
    pub layer: Option<usize>,
    /// What that takes, in bit/s.
    pub bps: u64,
    /// Why.
    pub reason: Reason,
    /// The layer as such: indices change when layers come and go.
    id: Option<(u8, u8)>,
    /// What it wanted.
    preferred: Option<(u8, u8)>,
    /// Since when a higher layer fits.
    fits_since_us: Option<u64>,
    climbed_us: Option<u64>,
    /// Steps up that did not last, in a row, and when the last one was taken back.
    flaps: u8,
    flapped_us: u64,
    /// A result in the making.
    trial: Option<usize>,
}

/// What an allocation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// All of it together, in bit/s. Over the target only where audio alone is.
    pub bps: u64,
    /// When a step up may be due, to allocate again; [`NEVER_US`] where none is waiting.
    pub again_us: u64,
}

/// Divides `target_bps`. `allocations` has what each consumer got last, and gets the new result.
pub fn allocate(
    now_us: u64,
    target_bps: u64,
    demands: &[Demand<'_>],
    allocations: &mut [Allocation],
) -> Summary {
    let climb_bps = (target_bps as f64 * CLIMB_SHARE) as u64;
    fill(
        climb_bps,
        demands,
        allocations,
        |demand, _| demand.top(),
        Allocation::climb_bps,
    );
    let mut again_us = NEVER_US;
    for (demand, allocation) in demands.iter().zip(allocations.iter_mut()) {
        again_us = again_us.min(allocation.consider(now_us, demand, target_bps));
    }
    fill(
        target_bps,
        demands,
        allocations,
        |_, allocation| allocation.layer,
        |_, layer| layer.bps,
    );
    let mut bps = 0;
    for (demand, allocation) in demands.iter().zip(allocations) {
        allocation.conclude(now_us, demand);
        bps += allocation.bps;
    }
    Summary { bps, again_us }
}

/// What all consumers would take if there was no limit, in bit/s: for
/// [`crate::SendSide::set_wanted`].
pub fn wanted_bps(demands: &[Demand<'_>]) -> u64 {
    demands
        .iter()
        .filter_map(|demand| Some(demand.layers[demand.top()?].bps))
        .sum()
}

/// What the consumers' present layers take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// All of it together, in bit/s.
    pub bps: u64,
    /// The same without the temporal layers that go and come at no cost.
    pub least_bps: u64,
}

/// What the consumers' present layers take, as far as they are still there.
pub fn taken(demands: &[Demand<'_>], allocations: &[Allocation]) -> Taken {
    let mut taken = Taken::default();
    for (demand, allocation) in demands.iter().zip(allocations) {
        let present = allocation.id.and_then(|id| demand.at_most(id));
        let Some(present) = present.min(demand.top()) else {
            continue;
        };
        let layer = demand.layers[present];
        let is_same = |other: &&LayerRate| other.spatial == layer.spatial;
        taken.bps += layer.bps;
        taken.least_bps += demand.layers.iter().find(is_same).map_or(0, |it| it.bps);
    }
    taken
}

/// Fills the trials of all consumers from nothing, each up to its limit; `cost` is what a layer takes
/// for this.
fn fill(
    target_bps: u64,
    demands: &[Demand<'_>],
    allocations: &mut [Allocation],
    limit: impl Fn(&Demand<'_>, &Allocation) -> Option<usize>,
    cost: impl Fn(&Allocation, &LayerRate) -> u64,
) {
    let mut left_bps = target_bps;
    for (demand, allocation) in demands.iter().zip(allocations.iter_mut()) {
        allocation.trial = match demand.kind {
            Kind::Audio => demand.top(),
            Kind::Video => None,
        };
        left_bps = left_bps.saturating_sub(demand.bps_at(allocation.trial));
    }
    let mut is_first = true;
    let mut has_stepped = true;
    while has_stepped {
        has_stepped = false;
        let mut below = u16::MAX;
        while let Some(priority) = next_priority(demands, below) {
            below = priority;
            for (demand, allocation) in demands.iter().zip(allocations.iter_mut()) {
                if u16::from(demand.priority) != priority || demand.kind != Kind::Video {
                    continue;
                }
                let limit = limit(demand, allocation);
                let cost = |index: usize| cost(allocation, &demand.layers[index]);
                let steps = if is_first { 1 } else { priority.max(1) };
                let mut trial = allocation.trial;
                for _ in 0..steps {
                    let room_bps = left_bps + trial.map_or(0, cost);
                    let Some(step) = demand.step(trial, limit, room_bps, cost) else {
                        break;
                    };
                    left_bps = room_bps - cost(step);
                    trial = Some(step);
                    has_stepped = true;
                }
                allocation.trial = trial;
            }
        }
        is_first = false;
    }
}

/// The highest priority of video below another.
fn next_priority(demands: &[Demand<'_>], below: u16) -> Option<u16> {
    demands
        .iter()
        .filter(|demand| demand.kind == Kind::Video)
        .map(|demand| u16::from(demand.priority))
        .filter(|&priority| priority < below)
        .max()
}

impl Demand<'_> {
    /// The highest layer that it wants and that is there.
    fn top(&self) -> Option<usize> {
        if self.paused {
            return None;
        }
        match self.preferred {
            Some(preferred) => self.at_most(preferred).or(self.first()),
            None => self.layers.len().checked_sub(1),
        }
    }

    /// The lowest layer, better than none.
    fn first(&self) -> Option<usize> {
        (!self.layers.is_empty()).then_some(0)
    }

    /// The highest layer not above another.
    fn at_most(&self, id: (u8, u8)) -> Option<usize> {
        self.layers.iter().rposition(|layer| layer.id() <= id)
    }

    fn bps_at(&self, index: Option<usize>) -> u64 {
        index.map_or(0, |index| self.layers[index].bps)
    }

    /// The next higher layer, up to the limit, that fits.
    fn step(
        &self,
        from: Option<usize>,
        limit: Option<usize>,
        room_bps: u64,
        cost: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let next = from.map_or(0, |from| from + 1);
        (next..=limit?).find(|&index| cost(index) <= room_bps)
    }
}

impl LayerRate {
    const fn id(&self) -> (u8, u8) {
        (self.spatial, self.temporal)
    }
}

impl Allocation {
    /// What a layer is reckoned to take where a step up to it is weighed.
    fn climb_bps(&self, layer: &LayerRate) -> u64 {
        let is_switch = self.id.is_some_and(|(spatial, _)| layer.spatial > spatial);
        if is_switch {
            (layer.bps as f64 * (CLIMB_SHARE / SPATIAL_CLIMB_SHARE)) as u64
        } else {
            layer.bps
        }
    }

    /// Sets `layer` to the highest layer it may have now: what it had, or, where the trial has
    /// found higher ones to fit for long enough, those. When to ask again.
    fn consider(&mut self, now_us: u64, demand: &Demand<'_>, target_bps: u64) -> u64 {
        let top = demand.top();
        let is_new =
            matches!(self.reason, Reason::Paused | Reason::SourceAbsent) && self.layer.is_none();
        if is_new || top.is_none() || demand.kind == Kind::Audio {
            self.fits_since_us = None;
            self.layer = self.trial.max(demand.first()).min(top);
            return NEVER_US;
        }
        self.layer = self.id.and_then(|id| demand.at_most(id)).min(top);
        if self.trial <= self.layer {
            self.fits_since_us = None;
            return NEVER_US;
        }
        let fits_since_us = *self.fits_since_us.get_or_insert(now_us);
        // Where a step did not last the next is the smallest there is: less of it is too much.
        let flaps = self.flaps(now_us);
        let step = match self.layer {
            Some(layer) if flaps > 0 => Some(layer + 1),
            _ => self.trial,
        };
        let is_small = demand.bps_at(step) * SMALL_STEP <= target_bps;
        let had_all = match self.reason {
            Reason::Preferred => self.preferred != demand.preferred,
            // There is more now.
            Reason::SourceAbsent => flaps == 0,
            Reason::Bandwidth | Reason::Paused => false,
        };
        let is_switch = step.map(|step| demand.layers[step].spatial) != self.id.map(|id| id.0);
        let due_us = match had_all {
            true => now_us,
            // It takes no key frame, and with each moment of waiting pictures are missed.
            false if !is_switch => fits_since_us + HOLD_US,
            false => fits_since_us + self.hold_us(flaps, is_small),
        };
        if now_us < due_us {
            return due_us;
        }
        self.layer = step;
        NEVER_US
    }

    /// Takes the trial as the result.
    fn conclude(&mut self, now_us: u64, demand: &Demand<'_>) {
        let before = self.id.and_then(|id| demand.at_most(id));
        let top = demand.top();
        if self.trial > before {
            self.climbed_us = Some(now_us);
            self.fits_since_us = None;
        } else if self.trial < before.min(top) {
            let is_flap = self
                .climbed_us
                .is_some_and(|at_us| now_us.saturating_sub(at_us) < FLAP_US);
            self.flaps = if is_flap {
                self.flaps(now_us).saturating_add(1)
            } else {
                0
            };
            self.flapped_us = now_us;
        }
        self.layer = self.trial;
        self.preferred = demand.preferred;
        self.bps = demand.bps_at(self.layer);
        self.id = self.layer.map(|index| demand.layers[index].id());
        self.reason = match (self.layer, top) {
            _ if demand.paused => Reason::Paused,
            (_, None) => Reason::SourceAbsent,
            (layer, top) if layer < top => Reason::Bandwidth,
            _ if demand
                .preferred
                .is_some_and(|wanted| self.id < Some(wanted)) =>
            {
                Reason::SourceAbsent
            }
            _ => Reason::Preferred,
        };
    }

    /// Steps up that did not last: with time they count for less.
    fn flaps(&self, now_us: u64) -> u8 {
        let passed = now_us.saturating_sub(self.flapped_us) / FLAP_US;
        self.flaps
            .saturating_sub(passed.min(u64::from(u8::MAX)) as u8)
    }

    /// How long a higher layer has to fit. One that has nothing waits no longer for having had more.
    fn hold_us(&self, flaps: u8, is_small: bool) -> u64 {
        if self.id.is_none() {
            return HOLD_US;
        }
        let most_us = if is_small {
            MAX_SMALL_HOLD_US
        } else {
            MAX_HOLD_US
        };
        HOLD_US.saturating_mul(1 << flaps.min(8)).min(most_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: [LayerRate; 3] = [layer(0, 100_000), layer(1, 500_000), layer(2, 1_500_000)];
    const VOICE: [LayerRate; 1] = [layer(0, 40_000)];

    const fn layer(spatial: u8, bps: u64) -> LayerRate {
        LayerRate {
            spatial,
            temporal: 0,
            bps,
        }
    }

    const fn video(priority: u8) -> Demand<'static> {
        Demand {
            priority,
            kind: Kind::Video,
            paused: false,
            layers: &CAMERA,
            preferred: None,
        }
    }

    const AUDIO: Demand<'static> = Demand {
        priority: 1,
        kind: Kind::Audio,
        paused: false,
        layers: &VOICE,
        preferred: None,
    };

    fn layers(allocations: &[Allocation]) -> Vec<Option<usize>> {
        allocations
            .iter()
            .map(|allocation| allocation.layer)
            .collect()
    }

    /// What new consumers get.
    fn fresh(target_bps: u64, demands: &[Demand<'_>]) -> (Vec<Option<usize>>, Summary) {
        let mut allocations = vec![Allocation::default(); demands.len()];
        let summary = allocate(0, target_bps, demands, &mut allocations);
        (layers(&allocations), summary)
    }

    #[test]
    fn audio_goes_first_even_over_the_target() {
        let (layers, summary) = fresh(30_000, &[video(255), AUDIO]);
        assert_eq!(layers, [None, Some(0)]);
        assert_eq!(summary.bps, 40_000);
    }

    #[test]
    fn everybody_gets_a_layer_before_anybody_gets_two() {
        let demands = [video(1), video(9), video(1)];
        assert_eq!(fresh(700_000, &demands).0, [Some(0), Some(0), Some(0)]);
        assert_eq!(fresh(800_000, &demands).0, [Some(0), Some(1), Some(0)]);
        assert_eq!(fresh(1_200_000, &demands).0, [Some(1), Some(1), Some(0)]);
        assert_eq!(fresh(220_000, &demands).0, [Some(0), Some(0), None]);
    }

    #[test]
    fn priority_is_how_many_steps_are_taken_in_a_round() {
        assert_eq!(
            fresh(1_700_000, &[video(1), video(2)]).0,
            [Some(0), Some(2)]
        );
        assert_eq!(
            fresh(1_700_000, &[video(1), video(1)]).0,
            [Some(1), Some(1)]
        );
        assert_eq!(
            fresh(700_000, &[video(1), video(255)]).0,
            [Some(0), Some(1)]
        );
        assert_eq!(
            fresh(2_200_000, &[video(1), video(9)]).0,
            [Some(1), Some(2)]
        );
    }

    #[test]
    fn what_the_first_cannot_use_the_next_gets() {
        let demands = [video(9), video(1)];
        assert_eq!(fresh(1_400_000, &demands).0, [Some(1), Some(1)]);
        assert_eq!(fresh(2_150_000, &demands).0, [Some(2), Some(1)]);
    }

    #[test]
    fn up_waits_for_room_and_time_down_does_not() {
        let demands = [video(1)];
        let mut allocations = [Allocation::default()];
        let mut run = |at_ms, target_bps| {
            let summary = allocate(millis(at_ms), target_bps, &demands, &mut allocations);
            (allocations[0].layer, summary.again_us)
        };
        assert_eq!(run(0, 300_000), (Some(0), NEVER_US));
        assert_eq!(run(100, 510_000), (Some(0), NEVER_US), "no margin");
        assert_eq!(run(200, 560_000), (Some(0), millis(700)));
        assert_eq!(run(699, 560_000), (Some(0), millis(700)));
        assert_eq!(run(700, 560_000), (Some(1), NEVER_US));
        assert_eq!(run(800, 501_000), (Some(1), NEVER_US), "still fits");
        assert_eq!(run(900, 499_000), (Some(0), NEVER_US));
        assert_eq!(
            run(1_000, 560_000),
            (Some(0), millis(2_000)),
            "it did not last"
        );
        assert_eq!(run(2_000, 560_000), (Some(1), NEVER_US));
        assert_eq!(run(20_000, 499_000), (Some(0), NEVER_US), "this one did");
        assert_eq!(run(20_100, 560_000), (Some(0), millis(20_600)));
    }

    #[test]
    fn who_had_all_and_wants_more_does_not_wait() {
        let wanting = |spatial| Demand {
            preferred: Some((spatial, 0)),
            ..video(1)
        };
        let mut allocations = [Allocation::default()];
        allocate(0, 9_000_000, &[wanting(0)], &mut allocations);
        allocate(millis(10), 9_000_000, &[wanting(2)], &mut allocations);
        assert_eq!(layers(&allocations), [Some(2)]);
        allocate(millis(20), 9_000_000, &[wanting(0)], &mut allocations);
        allocate(millis(30), 400_000, &[wanting(1)], &mut allocations);
        assert_eq!(layers(&allocations), [Some(0)], "no room");
        allocate(millis(40), 9_000_000, &[wanting(1)], &mut allocations);
        assert_eq!(layers(&allocations), [Some(0)], "room that is new is held");
    }

    #[test]
    fn room_that_goes_again_does_not_count() {
        let demands = [video(1)];
        let mut allocations = [Allocation::default()];
        for (at_ms, target_bps) in [(0, 300_000), (100, 600_000), (400, 400_000), (700, 600_000)] {
            allocate(millis(at_ms), target_bps, &demands, &mut allocations);
            assert_eq!(allocations[0].layer, Some(0), "{at_ms}");
        }
    }

    #[test]
    fn every_allocation_has_its_reason() {
        let reason = |demand: Demand<'_>, target_bps| {
            let mut allocations = [Allocation::default()];
            allocate(0, target_bps, &[demand], &mut allocations);
            (allocations[0].layer, allocations[0].reason)
        };
        let capped = |spatial| Demand {
            preferred: Some((spatial, 0)),
            ..video(1)
        };
        let two_layers = Demand {
            layers: &CAMERA[..2],
            ..capped(2)
        };
        let absent = Demand {
            layers: &[],
            ..video(1)
        };
        let paused = Demand {
            paused: true,
            ..video(1)
        };
        assert_eq!(reason(video(1), 9_000_000), (Some(2), Reason::Preferred));
        assert_eq!(reason(video(1), 900_000), (Some(1), Reason::Bandwidth));
        assert_eq!(reason(video(1), 90_000), (None, Reason::Bandwidth));
        assert_eq!(reason(capped(1), 9_000_000), (Some(1), Reason::Preferred));
        assert_eq!(
            reason(two_layers, 9_000_000),
            (Some(1), Reason::SourceAbsent)
        );
        assert_eq!(reason(two_layers, 400_000), (Some(0), Reason::Bandwidth));
        assert_eq!(reason(absent, 9_000_000), (None, Reason::SourceAbsent));
        assert_eq!(reason(paused, 9_000_000), (None, Reason::Paused));
    }

    #[test]
    fn a_layer_that_goes_takes_the_consumer_down_and_does_not_count_against_it() {
        let mut allocations = [Allocation::default()];
        allocate(0, 9_000_000, &[video(1)], &mut allocations);
        let shrunk = Demand {
            layers: &CAMERA[..2],
            ..video(1)
        };
        allocate(millis(100), 9_000_000, &[shrunk], &mut allocations);
        assert_eq!(allocations[0].layer, Some(1));
        let without_first = Demand {
            layers: &CAMERA[1..],
            ..video(1)
        };
        allocate(millis(200), 9_000_000, &[without_first], &mut allocations);
        assert_eq!(
            allocations[0].layer,
            Some(0),
            "the same layer at another index"
        );
        allocate(millis(700), 9_000_000, &[without_first], &mut allocations);
        assert_eq!(allocations[0].layer, Some(1));
    }

    #[test]
    fn what_is_wanted_is_the_top_of_all() {
        let capped = Demand {
            preferred: Some((1, 0)),
            ..video(1)
        };
        let paused = Demand {
            paused: true,
            ..video(1)
        };
        assert_eq!(wanted_bps(&[AUDIO, video(1), capped, paused]), 2_040_000);
        assert_eq!(wanted_bps(&[]), 0);
    }
}
