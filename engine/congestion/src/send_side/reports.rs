//! What receiver reports tell, where no transport-wide feedback comes.

use super::SendSide;
use crate::delay::Throughput;
use crate::loss::LossEstimate;
use crate::millis;

/// Receiver reports are weighed together over this time.
const REPORT_US: u64 = millis(500);
/// Share lost that does not speak against more.
const CLEAN_LOSS: f64 = 0.02;
/// Stretches of that in a row after which earlier losses are over.
const CLEAN_REPORTS: u32 = 5;
/// Receiver reports tell nothing new this soon after transport-wide feedback.
const FEEDBACK_FRESH_US: u64 = millis(5_000);

/// Receiver reports of the stretch of time under way.
#[derive(Debug, Default)]
pub(super) struct Reports {
    since_us: Option<u64>,
    packets: f64,
    lost: f64,
    bytes_sent: u64,
    /// Stretches almost without loss before this one, in a row.
    clean: u32,
}

impl Reports {
    /// A packet leaves.
    pub(super) fn sent(&mut self, now_us: u64, bytes: u16) {
        self.bytes_sent += u64::from(bytes);
        self.since_us.get_or_insert(now_us);
    }
}

impl SendSide {
    /// Takes a block of a receiver report: the share lost (RFC 3550, units of 1/256) of `packets`
    /// expected since the last one. Blocks of all streams count together. Not used while
    /// transport-wide feedback comes.
    pub fn loss_report(&mut self, now_us: u64, fraction_lost: u8, packets: u32) {
        let is_fresh = self
            .feedback_us
            .is_some_and(|at_us| now_us.saturating_sub(at_us) < FEEDBACK_FRESH_US);
        if is_fresh {
            self.reports = Reports::default();
            return;
        }
        self.reports.packets += f64::from(packets);
        self.reports.lost += f64::from(packets) * f64::from(fraction_lost) / 256.0;
        let since_us = *self.reports.since_us.get_or_insert(now_us);
        if now_us.saturating_sub(since_us) < REPORT_US {
            return;
        }
        let next = Reports {
            since_us: Some(now_us),
            clean: self.reports.clean,
            ..Reports::default()
        };
        let reports = std::mem::replace(&mut self.reports, next);
        if reports.packets > 0.0 && reports.bytes_sent > 0 {
            self.weigh_reports(now_us, since_us, &reports);
        }
    }

    fn weigh_reports(&mut self, now_us: u64, since_us: u64, reports: &Reports) {
        let loss = reports.lost / reports.packets;
        let elapsed_us = now_us.saturating_sub(since_us) as f64;
        let arrived_bps = crate::rate_bps(reports.bytes_sent as f64 * (1.0 - loss), elapsed_us);
        let is_clean = loss < CLEAN_LOSS;
        if is_clean && self.remb_bps.is_none() {
            // Nothing else could show that there is room.
            let seen = Throughput {
                acknowledged_bps: Some(arrived_bps.max(self.target_bps)),
                ..Throughput::default()
            };
            self.delay.update(now_us, &seen);
        }
        self.loss
            .stretch(since_us, now_us, reports.bytes_sent, loss);
        self.weigh_losses_at(Some(arrived_bps));
        self.reports.clean = if is_clean { reports.clean + 1 } else { 0 };
        if self.reports.clean >= CLEAN_REPORTS && self.loss.limit_bps().is_some() {
            // No probe can show that the losses are over: time does.
            if self.remb_bps.is_none() {
                self.delay.set_bps(now_us, self.target_bps);
            }
            self.loss = LossEstimate::default();
        }
        self.set_target(now_us);
    }
}
