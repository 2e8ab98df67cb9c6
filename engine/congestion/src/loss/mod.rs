//! The bandwidth as losses tell it.
//!
//! A path is held to have two properties: a share of packets that it loses whatever is sent, and a
//! bandwidth above which the rest is lost too. Of a few candidates for the bandwidth, each with
//! the inherent loss that fits it best, the one is taken under which the losses seen were most
//! likely. So loss that does not depend on the rate does not bring the rate down, and loss from a
//! queue without room does. libwebrtc's second loss-based estimator works so.

mod channel;
mod observations;

use crate::millis;
use channel::{Channel, Evidence};
use observations::Observations;

/// Observations before the first conclusion.
const MIN_OBSERVATIONS: usize = 3;
/// Candidates relative to the present bandwidth.
const FACTORS: [f64; 3] = [1.02, 1.0, 0.95];
/// While losses limit the rate, it does not go further above what arrives than this; less right
/// after a decrease.
const RAMP_UP_FACTOR: f64 = 1.5;
const RAMP_UP_FACTOR_IN_HOLD: f64 = 1.2;
/// What arrives is over the held rate by this: the hold is past.
const HOLD_FACTOR: f64 = 1.3;
/// Growth within [`INCREASE_WINDOW_US`] at most.
const INCREASE_FACTOR: f64 = 1.3;
const INCREASE_WINDOW_US: u64 = millis(300);
const FIRST_HOLD_US: u64 = millis(300);
const MAX_HOLD_US: u64 = millis(60_000);
/// Losses are of long ago where nothing was observed for this long.
const STALE_US: u64 = millis(3_000);
/// Loss over this limits the rate at once, to `BALANCE / (loss - OFFSET)`.
const UPPER_OFFSET: f64 = 0.05;
const UPPER_BALANCE_BPS: f64 = 100_000.0;

/// Whether losses limit the rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LossState {
    /// They do not.
    #[default]
    Unlimited,
    /// They do, and the rate goes up again.
    Increasing,
    /// They do, and the rate is down.
    Decreasing,
}

/// What the rest of the estimator knows when losses are weighed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossContext {
    /// The rate the delay, or the receiver, allows.
    pub(crate) ceiling_bps: f64,
    pub(crate) acknowledged_bps: Option<f64>,
    pub(crate) application_limited: bool,
    pub(crate) min_bps: f64,
    pub(crate) max_bps: f64,
}

/// After a decrease the rate is held for a time, twice as long with every decrease that follows.
#[derive(Debug)]
struct Hold {
    until_us: u64,
    duration_us: u64,
    bps: f64,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            until_us: 0,
            duration_us: FIRST_HOLD_US,
            bps: f64::INFINITY,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct LossEstimate {
    observations: Observations,
    /// `None` before the first observation.
    best: Option<Channel>,
    state: LossState,
    bps: f64,
    hold: Hold,
    /// How far the bandwidth may grow until then.
    increase: Option<(u64, f64)>,
}

impl LossEstimate {
    /// The limit, where losses set one.
    pub(crate) fn limit_bps(&self) -> Option<f64> {
        let is_ready = self.observations.count() >= MIN_OBSERVATIONS;
        (is_ready && self.state != LossState::Unlimited).then_some(self.bps)
    }

    pub(crate) fn state(&self) -> LossState {
        match self.limit_bps() {
            Some(_) => self.state,
            None => LossState::Unlimited,
        }
    }

    /// Losses limit the rate, and are of long ago: nothing was sent since.
    pub(crate) fn is_stale(&self, now_us: u64) -> bool {
        let age_us = now_us.saturating_sub(self.observations.time_us());
        self.limit_bps().is_some() && age_us > STALE_US
    }

    /// Average share of bytes lost, over the last seconds.
    pub(crate) const fn average_loss(&self) -> f64 {
        self.observations.average_loss()
    }

    /// A packet was reported for the first time.
    #[inline]
    pub(crate) fn packet(&mut self, sent_us: u64, bytes: u64, lost: bool) {
        self.observations.packet(sent_us, bytes, lost);
    }

    /// A packet that was reported as lost came after all.
    pub(crate) fn found(&mut self, sent_us: u64, bytes: u64) {
        self.observations.found(sent_us, bytes);
    }

    /// What a receiver reported of a stretch of time.
    pub(crate) fn stretch(&mut self, from_us: u64, until_us: u64, bytes: u64, loss: f64) {
        self.observations.stretch(from_us, until_us, bytes, loss);
    }

    /// A probe got through at a rate: the bandwidth is no lower.
    pub(crate) fn probed(&mut self, bps: f64) {
        self.bps = self.bps.max(bps);
        if let Some(best) = &mut self.best {
            best.bandwidth_bps = best.bandwidth_bps.max(bps);
        }
        if let Some((_, limit_bps)) = &mut self.increase {
            *limit_bps = limit_bps.max(bps);
        }
        if self.hold.bps < bps {
            self.hold = Hold::default();
        }
    }

    /// Draws the conclusion if there is a new observation.
    pub(crate) fn update(&mut self, context: &LossContext) {
        if !self.observations.close() {
            return;
        }
        let best = *self.best.get_or_insert(Channel {
            inherent_loss: channel::FIRST_INHERENT_LOSS,
            bandwidth_bps: context.ceiling_bps,
        });
        let candidate = self.likeliest(best, context);
        let candidate = self.restrain(best, candidate, context);
        let bounded_bps = candidate
            .bandwidth_bps
            .min(self.upper_bound_bps(context))
            .min(context.ceiling_bps)
            .max(lower_bound_bps(context));
        self.best = Some(if bounded_bps < candidate.bandwidth_bps {
            // Something else explains what was lost.
            Channel {
                inherent_loss: 0.0,
                bandwidth_bps: bounded_bps,
            }
        } else {
            Channel {
                bandwidth_bps: candidate.bandwidth_bps.max(lower_bound_bps(context)),
                ..candidate
            }
        });
        self.conclude(bounded_bps, context);
    }

    fn likeliest(&self, best: Channel, context: &LossContext) -> Channel {
        let evidence = Evidence::new(&self.observations);
        let relative = FACTORS.map(|factor| Some(factor * best.bandwidth_bps));
        let acknowledged = context
            .acknowledged_bps
            .filter(|_| !context.application_limited);
        let ceiling = Some(context.ceiling_bps).filter(|&bps| bps > best.bandwidth_bps);
        let most_bps = match self.increase {
            Some((_, limit_bps)) if self.state != LossState::Unlimited => limit_bps,
            _ => context.max_bps,
        };
        let mut likeliest = best;
        let mut highest = f64::NEG_INFINITY;
        for bps in relative
            .into_iter()
            .chain([acknowledged, ceiling])
            .flatten()
        {
            let (candidate, likelihood) = evidence.judge(Channel {
                bandwidth_bps: bps.min(most_bps.max(best.bandwidth_bps)),
                ..best
            });
            if likelihood > highest {
                (likeliest, highest) = (candidate, likelihood);
            }
        }
        likeliest
    }

    /// Growth waits until losses are explained, and is in steps while losses limit the rate.
    fn restrain(&self, best: Channel, mut candidate: Channel, context: &LossContext) -> Channel {
        let average_loss = self.observations.average_loss();
        if average_loss > candidate.inherent_loss {
            candidate.bandwidth_bps = candidate.bandwidth_bps.min(best.bandwidth_bps);
        }
        if self.state == LossState::Unlimited {
            return candidate;
        }
        if let Some((until_us, limit_bps)) = self.increase
            && until_us > self.observations.time_us()
        {
            candidate.bandwidth_bps = candidate.bandwidth_bps.min(limit_bps);
        }
        let increases = candidate.bandwidth_bps > best.bandwidth_bps
            || (candidate.bandwidth_bps >= best.bandwidth_bps
                && self.state == LossState::Increasing);
        let acknowledged_bps = context
            .acknowledged_bps
            .filter(|_| !context.application_limited);
        if let (true, Some(acknowledged_bps)) = (increases, acknowledged_bps) {
            let factor = if acknowledged_bps < HOLD_FACTOR * self.hold.bps {
                RAMP_UP_FACTOR_IN_HOLD
            } else {
                RAMP_UP_FACTOR
            };
            candidate.bandwidth_bps = candidate
                .bandwidth_bps
                .min(factor * acknowledged_bps)
                .max(best.bandwidth_bps);
            if self.state == LossState::Decreasing && candidate.bandwidth_bps <= best.bandwidth_bps
            {
                // Bound by what arrives, not by losses: that is no decrease.
                candidate.bandwidth_bps = best.bandwidth_bps + 1.0;
            }
        }
        candidate
    }

    fn conclude(&mut self, bounded_bps: f64, context: &LossContext) {
        let now_us = self.observations.time_us();
        let is_limiting = bounded_bps < context.ceiling_bps && bounded_bps < context.max_bps;
        if self.state == LossState::Decreasing && now_us < self.hold.until_us && is_limiting {
            self.hold.bps = self.hold.bps.max(lower_bound_bps(context));
            self.bps = bounded_bps.min(self.hold.bps);
            return;
        }
        let increases = bounded_bps > self.bps
            || (bounded_bps >= self.bps && self.state == LossState::Increasing);
        let was_limiting = self.state != LossState::Unlimited;
        self.state = match (is_limiting, was_limiting && increases) {
            (true, true) => LossState::Increasing,
            (true, false) => {
                if self.state != LossState::Decreasing {
                    let duration_us = self.hold.duration_us;
                    self.hold = Hold {
                        until_us: now_us + duration_us,
                        duration_us: (2 * duration_us).min(MAX_HOLD_US),
                        bps: bounded_bps,
                    };
                }
                LossState::Decreasing
            }
            (false, _) => {
                self.hold = Hold::default();
                LossState::Unlimited
            }
        };
        self.bps = bounded_bps;
        let is_window_over = self.increase.is_none_or(|(until_us, _)| until_us < now_us);
        if self.state != LossState::Unlimited && is_window_over {
            let bandwidth_bps = self.best.map_or(bounded_bps, |best| best.bandwidth_bps);
            self.increase = Some((now_us + INCREASE_WINDOW_US, bandwidth_bps * INCREASE_FACTOR));
        }
    }

    fn upper_bound_bps(&self, context: &LossContext) -> f64 {
        let excess = self.observations.average_loss() - UPPER_OFFSET;
        if excess > 0.0 {
            UPPER_BALANCE_BPS / excess
        } else {
            context.max_bps
        }
    }
}

/// What arrives gets through.
fn lower_bound_bps(context: &LossContext) -> f64 {
    context
        .acknowledged_bps
        .unwrap_or(0.0)
        .clamp(context.min_bps, context.max_bps.max(context.min_bps))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends at the estimate over a path of `link_bps` that loses `inherent`, in observations of
    /// 250 ms, with a ceiling; the estimate at the end.
    fn converge(
        estimate: &mut LossEstimate,
        ceiling_bps: f64,
        link_bps: f64,
        inherent: f64,
    ) -> f64 {
        let mut bps = estimate.limit_bps().unwrap_or(ceiling_bps).min(ceiling_bps);
        for _ in 0..120 {
            let from_us = estimate.observations.time_us();
            let until_us = from_us + millis(250);
            let through_bps = (bps * (1.0 - inherent)).min(link_bps);
            let loss = 1.0 - through_bps / bps;
            estimate.stretch(from_us, until_us, (bps / 32.0) as u64, loss);
            estimate.update(&LossContext {
                ceiling_bps,
                acknowledged_bps: Some(through_bps),
                application_limited: false,
                min_bps: 30_000.0,
                max_bps: 10_000_000.0,
            });
            bps = estimate.limit_bps().unwrap_or(ceiling_bps).min(ceiling_bps);
        }
        bps
    }

    #[test]
    fn no_loss_is_no_limit() {
        let mut estimate = LossEstimate::default();
        let bps = converge(&mut estimate, 2_000_000.0, 9_000_000.0, 0.0);
        assert!((bps - 2_000_000.0).abs() < 1.0);
        assert_eq!(estimate.state(), LossState::Unlimited);
    }

    #[test]
    fn loss_that_does_not_depend_on_the_rate_does_not_collapse_it() {
        for inherent in [0.02, 0.05] {
            let bps = converge(
                &mut LossEstimate::default(),
                2_000_000.0,
                9_000_000.0,
                inherent,
            );
            assert!(bps > 1_700_000.0, "{bps} at {inherent}");
        }
        let bps = converge(&mut LossEstimate::default(), 2_000_000.0, 9_000_000.0, 0.1);
        assert!(bps > 1_000_000.0, "{bps} at 0.1");
    }

    #[test]
    fn a_link_without_a_queue_limits_the_rate() {
        let mut estimate = LossEstimate::default();
        let bps = converge(&mut estimate, 3_000_000.0, 1_000_000.0, 0.0);
        assert!((900_000.0..1_250_000.0).contains(&bps), "{bps}");
        assert_ne!(estimate.state(), LossState::Unlimited);
        let now_us = estimate.observations.time_us();
        assert!(!estimate.is_stale(now_us) && estimate.is_stale(now_us + millis(4_000)));
        let bps = converge(&mut estimate, 3_000_000.0, 9_000_000.0, 0.0);
        assert!(bps > 2_900_000.0, "it grows again: {bps}");
    }
}
