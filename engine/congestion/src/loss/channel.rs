//! How likely what was observed is, on a path with certain properties.

use super::observations::{Observations, WINDOW};

pub(super) const FIRST_INHERENT_LOSS: f64 = 0.01;
const MIN_INHERENT_LOSS: f64 = 1e-3;
/// Inherent loss is at most this and `BALANCE / bandwidth`: the faster a path, the less it loses.
const INHERENT_LOSS_OFFSET: f64 = 0.05;
const INHERENT_LOSS_BALANCE_BPS: f64 = 100_000.0;
/// Of paths that explain the losses as well, the faster is preferred by this much, by the rate
/// and by its logarithm; at more loss than the threshold, the slower.
const RATE_BIAS: f64 = 0.0002;
const LOG_RATE_BIAS: f64 = 0.02;
const BIAS_THRESHOLD: f64 = 0.2;
const BIAS_SMOOTHING: f64 = 0.002;
const NEWTON_STEP: f64 = 0.75;
/// Loss is neither certain nor out of the question.
const MIN_PROBABILITY: f64 = 1e-6;

/// A path: what it always loses, and what it can carry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Channel {
    pub(super) inherent_loss: f64,
    pub(super) bandwidth_bps: f64,
}

impl Channel {
    /// The chance of loss for what is sent at a rate.
    fn loss_probability(self, sent_bps: f64) -> f64 {
        let overflow = if sent_bps > self.bandwidth_bps {
            (sent_bps - self.bandwidth_bps) / sent_bps
        } else {
            0.0
        };
        let loss = self.inherent_loss + (1.0 - self.inherent_loss) * overflow;
        loss.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
    }

    fn with_feasible_loss(self, inherent_loss: f64) -> Self {
        let most = INHERENT_LOSS_OFFSET + INHERENT_LOSS_BALANCE_BPS / self.bandwidth_bps.max(1.0);
        Self {
            inherent_loss: inherent_loss.max(MIN_INHERENT_LOSS).min(most.min(1.0)),
            ..self
        }
    }
}

/// The observations, and how much faster paths are preferred under them.
pub(super) struct Evidence {
    observed: [Weighed; WINDOW],
    /// Thousands of bytes sent, by weight.
    kilobytes: f64,
    preference: f64,
}

/// An observation, or several that have the same chance of loss, in thousands of bytes by weight.
#[derive(Debug, Clone, Copy, Default)]
struct Weighed {
    sent_bps: f64,
    lost: f64,
    received: f64,
}

impl Evidence {
    pub(super) fn new(observations: &Observations) -> Self {
        let below = BIAS_THRESHOLD - observations.average_loss();
        let mut evidence = Self {
            observed: [Weighed::default(); WINDOW],
            kilobytes: 0.0,
            preference: below / (BIAS_SMOOTHING + below.abs()),
        };
        let weighted = observations.weighted();
        for (observed, (weight, observation)) in evidence.observed.iter_mut().zip(weighted) {
            let scale = weight / 1_000.0;
            *observed = Weighed {
                sent_bps: observation.sent_bps,
                lost: scale * observation.lost_bytes,
                received: scale * (observation.bytes - observation.lost_bytes),
            };
            evidence.kilobytes += scale * observation.bytes;
        }
        evidence
    }

    /// The channel with an inherent loss nearer to what the observations say, by one step of
    /// Newton's method; and the logarithm of the likelihood of what was observed under it, with
    /// the preference.
    pub(super) fn judge(&self, channel: Channel) -> (Channel, f64) {
        let below = self.below(channel.bandwidth_bps);
        let fitted = self.fit(channel, &below);
        (fitted, self.likelihood(fitted, &below))
    }

    /// What was sent at no more than a bandwidth: all of it has the channel's inherent loss.
    fn below(&self, bandwidth_bps: f64) -> Weighed {
        let mut sum = Weighed::default();
        for observed in &self.observed {
            if observed.sent_bps <= bandwidth_bps {
                sum.lost += observed.lost;
                sum.received += observed.received;
            }
        }
        sum
    }

    /// What was sent at more than a bandwidth, and the rest as one.
    fn split<'a>(
        &'a self,
        bandwidth_bps: f64,
        below: &'a Weighed,
    ) -> impl Iterator<Item = &'a Weighed> {
        let above = self.observed.iter();
        above
            .filter(move |observed| observed.sent_bps > bandwidth_bps)
            .chain([below])
    }

    fn fit(&self, channel: Channel, below: &Weighed) -> Channel {
        let channel = channel.with_feasible_loss(channel.inherent_loss);
        let mut first = 0.0;
        let mut second = 0.0;
        for observed in self.split(channel.bandwidth_bps, below) {
            let loss = channel.loss_probability(observed.sent_bps);
            let lost = observed.lost / loss;
            let received = observed.received / (1.0 - loss);
            first += lost - received;
            second -= lost / loss + received / (1.0 - loss);
        }
        if second >= 0.0 {
            // Nothing was observed.
            return channel;
        }
        channel.with_feasible_loss(channel.inherent_loss - NEWTON_STEP * first / second)
    }

    fn likelihood(&self, channel: Channel, below: &Weighed) -> f64 {
        let kbps = channel.bandwidth_bps / 1_000.0;
        let bias = RATE_BIAS * kbps + LOG_RATE_BIAS * kbps.ln_1p();
        let mut likelihood = self.preference * bias * self.kilobytes;
        for observed in self.split(channel.bandwidth_bps, below) {
            let loss = channel.loss_probability(observed.sent_bps);
            if observed.lost > 0.0 {
                likelihood += observed.lost * loss.ln();
            }
            likelihood += observed.received * (1.0 - loss).ln();
        }
        likelihood
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::millis;

    fn observed(sent_bps: f64, loss: f64) -> Observations {
        let mut observations = Observations::default();
        for index in 0..15 {
            let from_us = index * millis(250);
            let bytes = (sent_bps / 32.0) as u64;
            observations.stretch(from_us, from_us + millis(250), bytes, loss);
            assert!(observations.close());
        }
        observations
    }

    #[test]
    fn inherent_loss_goes_to_what_is_lost_below_the_bandwidth() {
        let observations = observed(1_000_000.0, 0.08);
        let evidence = Evidence::new(&observations);
        let mut channel = Channel {
            inherent_loss: FIRST_INHERENT_LOSS,
            bandwidth_bps: 2_000_000.0,
        };
        for _ in 0..50 {
            channel = evidence.judge(channel).0;
        }
        assert!((channel.inherent_loss - 0.08).abs() < 0.003, "{channel:?}");
    }

    #[test]
    fn much_loss_makes_a_slow_path_likelier_than_a_fast_one() {
        let observations = observed(2_000_000.0, 0.5);
        let evidence = Evidence::new(&observations);
        let likelihood = |bandwidth_bps| {
            let channel = Channel {
                inherent_loss: FIRST_INHERENT_LOSS,
                bandwidth_bps,
            };
            evidence.judge(channel).1
        };
        assert!(likelihood(1_000_000.0) > likelihood(2_000_000.0));
        assert!(likelihood(1_000_000.0) > likelihood(300_000.0));
    }

    #[test]
    fn without_loss_the_faster_path_is_preferred() {
        let observations = observed(1_000_000.0, 0.0);
        let evidence = Evidence::new(&observations);
        let likelihood = |bandwidth_bps| {
            let channel = Channel {
                inherent_loss: MIN_INHERENT_LOSS,
                bandwidth_bps,
            };
            evidence.judge(channel).1
        };
        assert!(likelihood(1_020_000.0) > likelihood(1_000_000.0));
    }
}
