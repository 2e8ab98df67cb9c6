//! What was sent and lost in the last few quarters of a second.

use crate::{millis, rate_bps};

/// Observations kept.
pub(super) const WINDOW: usize = 15;
/// Time an observation takes at least, by the times the packets were sent.
const MIN_DURATION_US: u64 = millis(250);
/// Weight of an observation, relative to the one after it.
const AGING: f64 = 0.9;
/// The observation with the highest loss counts all the same where it sent more than this times
/// the median rate: a sudden rate explains its loss.
const SUDDEN_FACTOR: f64 = 2.0;
/// Fewer observations are not stripped of their extremes.
const MIN_STRIPPED: usize = 4;

/// One stretch of time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Observation {
    pub(super) sent_bps: f64,
    pub(super) bytes: f64,
    pub(super) lost_bytes: f64,
}

impl Observation {
    fn loss(&self) -> f64 {
        if self.bytes > 0.0 {
            self.lost_bytes / self.bytes
        } else {
            0.0
        }
    }
}

/// A ring of observations and the one under way.
#[derive(Debug, Default)]
pub(super) struct Observations {
    ring: [Observation; WINDOW],
    /// Observations ever made.
    count: usize,
    bytes: u64,
    lost_bytes: u64,
    /// When the newest packet of the last observation was sent.
    closed_us: Option<u64>,
    latest_us: u64,
    average_loss: f64,
}

impl Observations {
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// When the newest packet observed was sent.
    pub(super) fn time_us(&self) -> u64 {
        self.closed_us.unwrap_or(0)
    }

    /// Share of bytes lost, newer ones counting more, without the best and the worst observation.
    pub(super) const fn average_loss(&self) -> f64 {
        self.average_loss
    }

    /// Observations with their weights.
    pub(super) fn weighted(&self) -> impl Iterator<Item = (f64, &Observation)> {
        let kept = self.count.min(WINDOW);
        let newest_first = (0..kept).map(|age| &self.ring[(self.count - 1 - age) % WINDOW]);
        let weights = std::iter::successors(Some(1.0), |weight| Some(weight * AGING));
        weights.zip(newest_first)
    }

    /// A packet was reported for the first time.
    #[inline]
    pub(super) fn packet(&mut self, sent_us: u64, bytes: u64, lost: bool) {
        self.closed_us.get_or_insert(sent_us);
        self.latest_us = self.latest_us.max(sent_us);
        self.bytes += bytes;
        if lost {
            self.lost_bytes += bytes;
        }
    }

    /// A packet that was reported as lost came after all.
    pub(super) fn found(&mut self, sent_us: u64, bytes: u64) {
        if sent_us > self.time_us() {
            self.lost_bytes = self.lost_bytes.saturating_sub(bytes);
        }
    }

    /// A stretch known only as a whole.
    pub(super) fn stretch(&mut self, from_us: u64, until_us: u64, bytes: u64, loss: f64) {
        self.closed_us = Some(from_us);
        self.latest_us = until_us;
        self.bytes = bytes;
        self.lost_bytes = (bytes as f64 * loss) as u64;
    }

    /// Ends the observation under way if it is long enough.
    pub(super) fn close(&mut self) -> bool {
        let duration_us = self.latest_us.saturating_sub(self.time_us());
        if self.closed_us.is_none() || duration_us < MIN_DURATION_US || self.bytes == 0 {
            return false;
        }
        let bytes = std::mem::take(&mut self.bytes) as f64;
        let lost_bytes = std::mem::take(&mut self.lost_bytes) as f64;
        self.ring[self.count % WINDOW] = Observation {
            sent_bps: rate_bps(bytes, duration_us as f64),
            bytes,
            lost_bytes,
        };
        self.count += 1;
        self.closed_us = Some(self.latest_us);
        self.average_loss = self.average();
        true
    }

    fn average(&self) -> f64 {
        let mut total = Observation::default();
        let mut best = (f64::INFINITY, Observation::default());
        let mut worst = (0.0, Observation::default());
        let mut worst_sent_bps = 0.0;
        for (weight, observation) in self.weighted() {
            let weighted = Observation {
                sent_bps: 0.0,
                bytes: weight * observation.bytes,
                lost_bytes: weight * observation.lost_bytes,
            };
            total.bytes += weighted.bytes;
            total.lost_bytes += weighted.lost_bytes;
            let loss = observation.loss();
            if loss < best.0 {
                best = (loss, weighted);
            }
            if loss > worst.0 {
                worst = (loss, weighted);
                worst_sent_bps = observation.sent_bps;
            }
        }
        let is_sudden = worst_sent_bps > SUDDEN_FACTOR * self.median_sent_bps();
        if self.count < MIN_STRIPPED || is_sudden {
            return total.loss();
        }
        let stripped = Observation {
            sent_bps: 0.0,
            bytes: total.bytes - best.1.bytes - worst.1.bytes,
            lost_bytes: (total.lost_bytes - best.1.lost_bytes - worst.1.lost_bytes).max(0.0),
        };
        stripped.loss().min(1.0)
    }

    fn median_sent_bps(&self) -> f64 {
        let kept = self.count.min(WINDOW);
        let mut rates = [0.0; WINDOW];
        for (rate, observation) in rates.iter_mut().zip(&self.ring[..kept]) {
            *rate = observation.sent_bps;
        }
        let rates = &mut rates[..kept];
        rates.sort_unstable_by(f64::total_cmp);
        rates.get(kept / 2).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet every 10 ms; every `lost_every`th is lost.
    fn feed(observations: &mut Observations, from_ms: u64, until_ms: u64, lost_every: u64) {
        for index in from_ms / 10..until_ms / 10 {
            let lost = lost_every > 0 && index % lost_every == 0;
            observations.packet(millis(index * 10), 1_250, lost);
            observations.close();
        }
    }

    #[test]
    fn an_observation_takes_a_quarter_of_a_second() {
        let mut observations = Observations::default();
        feed(&mut observations, 0, 250, 0);
        assert_eq!(observations.count(), 0);
        feed(&mut observations, 250, 1_260, 10);
        assert_eq!(observations.count(), 5);
        let (weight, newest) = observations.weighted().next().unwrap();
        assert!((weight - 1.0).abs() < f64::EPSILON);
        assert!((newest.sent_bps - 1_000_000.0).abs() < 1.0);
        assert!((0.05..0.15).contains(&observations.average_loss()));
    }

    #[test]
    fn a_spike_of_loss_is_not_the_average() {
        let mut observations = Observations::default();
        feed(&mut observations, 0, 2_000, 0);
        feed(&mut observations, 2_000, 2_010, 0);
        feed(&mut observations, 2_010, 2_110, 1);
        feed(&mut observations, 2_110, 4_000, 0);
        assert!(observations.average_loss() < 0.001);
    }

    #[test]
    fn a_late_packet_is_not_lost_until_its_observation_is_closed() {
        let mut observations = Observations::default();
        observations.packet(0, 1_250, false);
        observations.packet(millis(10), 1_250, true);
        observations.found(millis(10), 1_250);
        observations.packet(millis(250), 1_250, true);
        observations.close();
        observations.found(millis(250), 1_250);
        let (_, newest) = observations.weighted().next().unwrap();
        assert!((newest.lost_bytes - 1_250.0).abs() < f64::EPSILON);
    }
}
