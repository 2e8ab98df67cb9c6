//! The rate that the delay allows: up while it stays, by a share far from the capacity and by
//! about a packet per response time near it; down to a share of what arrives when a queue grows
//! (draft-ietf-rmcat-gcc-02 section 5.5).

use super::link_capacity::LinkCapacity;
use super::overuse::Usage;
use crate::millis;

/// The share of the arriving rate that remains after overuse.
const BETA: f64 = 0.85;
/// Growth per second away from the capacity.
const GROWTH: f64 = 1.08;
const MIN_GROWTH_BPS: f64 = 1_000.0;
/// The estimate does not grow past what this allows over the arriving rate: what was never sent shows
/// no queue, and layers chosen by it would. Probes tell of more.
const THROUGHPUT_FACTOR: f64 = 1.25;
const THROUGHPUT_OFFSET_BPS: f64 = 10_000.0;
/// The same while a queue stands that does not grow: others keep the path full, so that all that is
/// to be found is what share of it one gets.
const SHARED_THROUGHPUT_FACTOR: f64 = 2.0;
/// From this share of that on it is hardly growing.
const CAPPED_SHARE: f64 = 0.9;
/// Growth near the capacity, by second, is at least this.
const MIN_NEAR_GROWTH_BPS: f64 = 4_000.0;
/// Frames per second and packet size that the growth near the capacity reckons with.
const FRAMES_PER_SECOND: f64 = 30.0;
const PACKET_BITS: f64 = 1_200.0 * 8.0;
/// Until overuse shows after a change: a round trip and this.
const DETECTION_US: u64 = millis(100);
/// A second decrease waits for a round trip, within these bounds, but where less than this share of
/// the estimate arrives.
const FAR_SHARE: f64 = 0.7;
const MIN_DECREASE_INTERVAL_US: u64 = millis(10);
const MAX_DECREASE_INTERVAL_US: u64 = millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Hold,
    Increase,
    Decrease,
}

/// Additive increase, multiplicative decrease.
#[derive(Debug)]
pub(super) struct RateControl {
    estimate_bps: f64,
    phase: Phase,
    capacity: LinkCapacity,
    latest_throughput_bps: f64,
    changed_us: Option<u64>,
    decreased_us: Option<u64>,
    is_shared: bool,
    rtt_us: u64,
}

impl RateControl {
    pub(super) fn new(initial_bps: f64) -> Self {
        Self {
            estimate_bps: initial_bps,
            phase: Phase::Hold,
            capacity: LinkCapacity::default(),
            latest_throughput_bps: initial_bps,
            changed_us: None,
            decreased_us: None,
            is_shared: false,
            rtt_us: millis(200),
        }
    }

    pub(super) const fn estimate_bps(&self) -> f64 {
        self.estimate_bps
    }

    pub(super) fn is_capacity_known(&self) -> bool {
        self.capacity.mean_bps().is_some()
    }

    /// It could grow no further, for want of what arrives.
    pub(super) fn is_capped(&self) -> bool {
        self.estimate_bps >= CAPPED_SHARE * self.limit_bps(self.latest_throughput_bps)
    }

    /// What the estimate may grow to while that much arrives.
    fn limit_bps(&self, throughput_bps: f64) -> f64 {
        let factor = if self.is_shared {
            SHARED_THROUGHPUT_FACTOR
        } else {
            THROUGHPUT_FACTOR
        };
        factor * throughput_bps + THROUGHPUT_OFFSET_BPS
    }

    /// Others keep the path full, or do not.
    pub(super) const fn set_shared(&mut self, is_shared: bool) {
        self.is_shared = is_shared;
    }

    pub(super) const fn set_rtt(&mut self, rtt_us: u64) {
        self.rtt_us = rtt_us;
    }

    /// Takes a rate found otherwise: by a probe, or a limit.
    pub(super) const fn set_estimate(&mut self, now_us: u64, bps: f64) {
        self.estimate_bps = bps;
        self.changed_us = Some(now_us);
    }

    /// That much arrives without a queue.
    pub(super) fn carries(&mut self, now_us: u64, bps: f64) {
        if bps > self.estimate_bps {
            self.set_estimate(now_us, bps);
        }
    }

    /// True where the last decrease had the time to show, or did not help at all.
    pub(super) fn may_decrease(&self, now_us: u64, throughput_bps: Option<f64>) -> bool {
        let interval_us = self
            .rtt_us
            .clamp(MIN_DECREASE_INTERVAL_US, MAX_DECREASE_INTERVAL_US);
        let has_shown = self
            .decreased_us
            .is_none_or(|at_us| now_us.saturating_sub(at_us) >= interval_us);
        let is_far = |bps| bps < FAR_SHARE * self.estimate_bps;
        has_shown || throughput_bps.is_some_and(is_far)
    }

    /// Decreases where nothing is known of what arrives.
    pub(super) fn halve(&mut self, now_us: u64) {
        self.set_estimate(now_us, self.estimate_bps / 2.0);
        self.decreased_us = Some(now_us);
        self.phase = Phase::Hold;
    }

    pub(super) fn update(&mut self, now_us: u64, usage: Usage, throughput_bps: Option<f64>) {
        let throughput_bps = throughput_bps.unwrap_or(self.latest_throughput_bps);
        self.latest_throughput_bps = throughput_bps;
        match usage {
            Usage::Normal if self.phase == Phase::Hold => {
                self.changed_us = Some(now_us);
                self.phase = Phase::Increase;
            }
            Usage::Normal => {}
            Usage::Over => self.phase = Phase::Decrease,
            Usage::Under => self.phase = Phase::Hold,
        }
        match self.phase {
            Phase::Hold => {}
            Phase::Increase => self.increase(now_us, throughput_bps),
            Phase::Decrease => self.decrease(now_us, throughput_bps),
        }
    }

    fn increase(&mut self, now_us: u64, throughput_bps: f64) {
        if self.capacity.is_below(throughput_bps) {
            self.capacity.forget();
        }
        let limit_bps = self.limit_bps(throughput_bps);
        let elapsed_us = now_us.saturating_sub(self.changed_us.unwrap_or(now_us));
        self.changed_us = Some(now_us);
        if self.estimate_bps >= limit_bps {
            return;
        }
        let elapsed_s = elapsed_us as f64 / 1e6;
        let growth_bps = match self.capacity.mean_bps() {
            Some(_) => self.near_growth_bps() * elapsed_s,
            None => {
                (self.estimate_bps * (GROWTH.powf(elapsed_s.min(1.0)) - 1.0)).max(MIN_GROWTH_BPS)
            }
        };
        let growth_bps = match self.is_shared {
            true => growth_bps.max(self.shared_growth_bps() * elapsed_s.min(1.0)),
            false => growth_bps,
        };
        self.estimate_bps = (self.estimate_bps + growth_bps).min(limit_bps);
    }

    /// Growth per second near the capacity.
    fn near_growth_bps(&self) -> f64 {
        let frame_bits = self.estimate_bps / FRAMES_PER_SECOND;
        let packets_per_frame = (frame_bits / PACKET_BITS).ceil().max(1.0);
        let packet_bits = frame_bits / packets_per_frame;
        let response_s = (self.rtt_us + DETECTION_US) as f64 / 1e6;
        (packet_bits / response_s).max(MIN_NEAR_GROWTH_BPS)
    }

    /// Growth per second beside others who keep the path full: a packet per round trip, as a TCP flow
    /// grows, for each response time.
    fn shared_growth_bps(&self) -> f64 {
        let round_trip_s = self.rtt_us as f64 / 1e6;
        let response_s = (self.rtt_us + DETECTION_US) as f64 / 1e6;
        PACKET_BITS / round_trip_s.max(0.01) / response_s
    }

    fn decrease(&mut self, now_us: u64, throughput_bps: f64) {
        let mut decreased_bps = BETA * throughput_bps;
        if decreased_bps > self.estimate_bps
            && let Some(capacity_bps) = self.capacity.mean_bps()
        {
            decreased_bps = BETA * capacity_bps;
        }
        self.estimate_bps = self.estimate_bps.min(decreased_bps);
        if self.capacity.is_above(throughput_bps) {
            self.capacity.forget();
        }
        self.capacity.full_at(throughput_bps);
        self.changed_us = Some(now_us);
        self.decreased_us = Some(now_us);
        self.phase = Phase::Hold;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(control: &mut RateControl, from_ms: u64, until_ms: u64, throughput_bps: f64) {
        for at_ms in (from_ms..until_ms).step_by(100) {
            control.update(millis(at_ms), Usage::Normal, Some(throughput_bps));
        }
    }

    #[test]
    fn it_grows_eight_percent_in_a_second() {
        let mut control = RateControl::new(1_000_000.0);
        run(&mut control, 0, 1_001, 1_000_000.0);
        let estimate = control.estimate_bps();
        assert!((1_079_000.0..1_082_000.0).contains(&estimate), "{estimate}");
    }

    #[test]
    fn it_does_not_outgrow_what_arrives() {
        let mut control = RateControl::new(600_000.0);
        run(&mut control, 0, 60_000, 500_000.0);
        assert!((control.estimate_bps() - 635_000.0).abs() < 1.0);
        run(&mut control, 60_000, 70_000, 100_000.0);
        assert!(
            (control.estimate_bps() - 635_000.0).abs() < 1.0,
            "nor shrinks with it"
        );
    }

    #[test]
    fn overuse_goes_below_what_arrives_and_growth_is_slow_after() {
        let mut control = RateControl::new(2_000_000.0);
        control.set_rtt(millis(100));
        control.update(0, Usage::Over, Some(1_000_000.0));
        assert!((control.estimate_bps() - 850_000.0).abs() < 1.0);
        run(&mut control, 100, 1_201, 900_000.0);
        let grown = control.estimate_bps() - 850_000.0;
        assert!((20_000.0..60_000.0).contains(&grown), "{grown}");
    }

    #[test]
    fn more_than_the_known_capacity_makes_growth_fast_again() {
        let mut control = RateControl::new(1_000_000.0);
        control.update(0, Usage::Over, Some(1_000_000.0));
        run(&mut control, 100, 1_201, 1_500_000.0);
        assert!(control.estimate_bps() > 910_000.0);
    }

    #[test]
    fn a_drained_queue_holds() {
        let mut control = RateControl::new(1_000_000.0);
        control.update(0, Usage::Under, Some(1_000_000.0));
        control.update(millis(900), Usage::Under, Some(1_000_000.0));
        assert!((control.estimate_bps() - 1_000_000.0).abs() < 1.0);
    }

    #[test]
    fn decreases_wait_for_a_round_trip() {
        let mut control = RateControl::new(1_000_000.0);
        control.set_rtt(millis(80));
        assert!(control.may_decrease(0, Some(900_000.0)));
        control.update(0, Usage::Over, Some(900_000.0));
        assert!(!control.may_decrease(millis(79), Some(700_000.0)));
        assert!(control.may_decrease(millis(79), Some(500_000.0)));
        assert!(control.may_decrease(millis(80), Some(700_000.0)));
    }
}
