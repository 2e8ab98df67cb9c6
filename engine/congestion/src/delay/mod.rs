//! The bandwidth as the delay of arrivals tells it: groups of packets, the trend of their delay,
//! the detector of overuse, and the rate control it steers.

mod groups;
mod link_capacity;
mod overuse;
mod rate_control;
mod standing;
mod trendline;

use crate::millis;
use groups::Groups;
use overuse::{OveruseDetector, Usage};
use rate_control::RateControl;
use standing::StandingQueue;
use trendline::Trendline;

/// Feedback after a silence this long says nothing of the trend before.
const STALE_US: u64 = millis(2_000);
/// What stood this long ago has drained.
const STANDING_STALE_US: u64 = millis(1_000);
/// A queue that stands for less than this is none: what arrives then, the path carries.
const EMPTY_US: u64 = millis(10);
/// The estimate is at least what arrives where there has been none for this long: before, what had
/// waited still arrives.
const EMPTY_FOR_US: u64 = millis(400);
/// One that stands for more than this, for so long, without growing is others' doing.
const SHARED_US: u64 = millis(30);
const SHARED_FOR_US: u64 = millis(1_000);
/// One that stands for more than this, most of it new, is overuse before a trend shows it.
const SUDDEN_US: u64 = millis(40);

#[derive(Debug)]
pub(crate) struct DelayEstimate {
    groups: Groups,
    trendline: Trendline,
    detector: OveruseDetector,
    standing: StandingQueue,
    empty_since_us: Option<u64>,
    shared_since_us: Option<u64>,
    rate: RateControl,
    /// When a packet was last reported as arrived.
    reported_us: u64,
    overused_us: Option<u64>,
    usage: Usage,
}

/// What arrived.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Throughput {
    /// The rate that arrives.
    pub(crate) acknowledged_bps: Option<f64>,
    /// The same if the link is full.
    pub(crate) full_bps: Option<f64>,
    /// What a probe found.
    pub(crate) probe_bps: Option<f64>,
}

/// What an update came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DelayUpdate {
    /// The queue that had grown is drained.
    pub(crate) recovered: bool,
}

impl DelayEstimate {
    pub(crate) fn new(now_us: u64, initial_bps: f64) -> Self {
        Self {
            groups: Groups::default(),
            trendline: Trendline::default(),
            detector: OveruseDetector::default(),
            standing: StandingQueue::default(),
            empty_since_us: None,
            shared_since_us: None,
            rate: RateControl::new(initial_bps),
            reported_us: now_us,
            overused_us: None,
            usage: Usage::Normal,
        }
    }

    pub(crate) const fn bps(&self) -> f64 {
        self.rate.estimate_bps()
    }

    /// A queue grows, as far as is known: what was long ago no longer counts.
    pub(crate) const fn is_overused(&self, now_us: u64) -> bool {
        matches!(self.usage, Usage::Over) && now_us.saturating_sub(self.reported_us) < STALE_US
    }

    /// Overuse was last seen then.
    pub(crate) const fn overused_us(&self) -> Option<u64> {
        self.overused_us
    }

    /// How long what is sent waits on the path at least.
    pub(crate) fn standing_us(&self, now_us: u64) -> u64 {
        if now_us.saturating_sub(self.reported_us) < STANDING_STALE_US {
            self.standing.standing_us()
        } else {
            0
        }
    }

    /// The estimate is near what the path was last seen to carry.
    pub(crate) fn is_capacity_known(&self) -> bool {
        self.rate.is_capacity_known()
    }

    /// The estimate can only grow where more is sent, or by a probe.
    pub(crate) fn is_capped(&self) -> bool {
        self.rate.is_capped()
    }

    pub(crate) const fn set_rtt(&mut self, rtt_us: u64) {
        self.rate.set_rtt(rtt_us);
    }

    /// Keeps the estimate within limits, or replaces it.
    pub(crate) const fn set_bps(&mut self, now_us: u64, bps: f64) {
        self.rate.set_estimate(now_us, bps);
    }

    /// A packet arrived. `now_us` is our time, `arrival_us` the receiver's.
    #[inline]
    pub(crate) fn arrived(&mut self, now_us: u64, sent_us: u64, arrival_us: u64) {
        if now_us != self.reported_us {
            self.reported(now_us);
        }
        if !self.groups.join(now_us, sent_us, arrival_us) {
            self.next_group(now_us, sent_us, arrival_us);
        }
    }

    /// The first arrival of another feedback message.
    fn reported(&mut self, now_us: u64) {
        self.forget_stale(now_us);
        self.reported_us = now_us;
    }

    fn forget_stale(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.reported_us) > STALE_US {
            self.groups = Groups::default();
            self.trendline = Trendline::default();
            self.detector = OveruseDetector::default();
        }
    }

    /// A packet arrived that begins a new group.
    fn next_group(&mut self, now_us: u64, sent_us: u64, arrival_us: u64) {
        self.standing.add(sent_us, arrival_us);
        if let Some(variation) = self.groups.begin(now_us, sent_us, arrival_us) {
            let trend = self.trendline.update(variation);
            self.detector.update(arrival_us, variation.sent_us, &trend);
        }
    }

    /// The packets of a probe are meant to fill the path: the delay they meet, and leave behind, is
    /// not compared with that before.
    pub(crate) fn interrupt(&mut self, arrival_us: u64) {
        self.groups = Groups::default();
        self.standing.pause(arrival_us);
    }

    /// That much arrives: without a queue, the path carries it.
    pub(crate) fn carries(&mut self, now_us: u64, bps: f64) {
        if self.usage == Usage::Over || self.standing.standing_us() >= EMPTY_US {
            self.empty_since_us = None;
            return;
        }
        let since_us = *self.empty_since_us.get_or_insert(now_us);
        if now_us.saturating_sub(since_us) >= EMPTY_FOR_US {
            self.rate.carries(now_us, bps);
        }
    }

    /// Draws the conclusion from the packets of one feedback message, or from a report by which
    /// nothing is known of delays. A probe's result is taken unless a queue grows.
    pub(crate) fn update(&mut self, now_us: u64, seen: &Throughput) -> DelayUpdate {
        // Where only probes came since, a queue that grew then is no news.
        self.forget_stale(now_us);
        let usage = self.usage_now();
        let before = std::mem::replace(&mut self.usage, usage);
        if self.usage == Usage::Over {
            self.overused_us = Some(now_us);
            if self.rate.may_decrease(now_us, seen.full_bps) {
                match seen.full_bps {
                    Some(bps) => self.rate.update(now_us, Usage::Over, Some(bps)),
                    // It is not known what arrives.
                    None if self.detector.usage() == Usage::Over => self.rate.halve(now_us),
                    None => {}
                }
            }
            return DelayUpdate::default();
        }
        let is_shared = self.sees_others(now_us);
        self.rate.set_shared(is_shared);
        match seen.probe_bps {
            Some(bps) => self.rate.set_estimate(now_us, bps),
            None => self.rate.update(now_us, self.usage, seen.acknowledged_bps),
        }
        DelayUpdate {
            recovered: before == Usage::Under && self.usage == Usage::Normal,
        }
    }

    /// What the trend says, where the queue bears it out.
    fn usage_now(&self) -> Usage {
        match self.detector.usage() {
            Usage::Over if self.standing.standing_us() < EMPTY_US => Usage::Normal,
            _ if self.is_sudden() => Usage::Over,
            usage => usage,
        }
    }

    /// Others keep the path full.
    fn sees_others(&mut self, now_us: u64) -> bool {
        if self.standing.standing_us() <= SHARED_US {
            self.shared_since_us = None;
            return false;
        }
        let since_us = *self.shared_since_us.get_or_insert(now_us);
        now_us.saturating_sub(since_us) >= SHARED_FOR_US
    }

    /// A queue has come from nothing: the path carries much less than before.
    pub(crate) fn is_sudden(&self) -> bool {
        let standing_us = self.standing.standing_us();
        standing_us > SUDDEN_US && 2 * self.standing.grown_us() > standing_us
    }
}
