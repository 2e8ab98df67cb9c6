//! How much of a leg's rate may be repairs: 15 %, with something saved up for a burst of losses.

/// Repairs by all that is sent, themselves included, in percent.
const SHARE_PERCENT: u64 = 15;
/// What is saved at most, and at the start: a key frame of a video. With less, a burst of losses in a
/// slow stream stays unrepaired until the next key frame.
const LEAST_BYTES: u64 = 30_000;
/// The share of this many seconds of a leg's rate is saved at most.
const SAVED_SECONDS: u64 = 5;

#[derive(Debug)]
pub(crate) struct RepairBudget {
    /// Hundredths of bytes, so that audio packets count in full.
    saved: u64,
    limit: u64,
}

impl Default for RepairBudget {
    fn default() -> Self {
        Self {
            saved: LEAST_BYTES * 100,
            limit: LEAST_BYTES * 100,
        }
    }
}

impl RepairBudget {
    /// Takes the leg's rate: what is sent, or less where the path carries less.
    pub(crate) fn set_rate(&mut self, bps: u64) {
        let bytes = bps / 8 * SAVED_SECONDS * SHARE_PERCENT / 100;
        self.limit = bytes.max(LEAST_BYTES) * 100;
        self.saved = self.saved.min(self.limit);
    }

    /// Packets leave, for the first time or again.
    pub(crate) fn earn(&mut self, bytes: u64) {
        self.saved = (self.saved + bytes * SHARE_PERCENT).min(self.limit);
    }

    /// A repair would not be too much.
    pub(crate) const fn allows(&self, bytes: u64) -> bool {
        self.saved >= bytes * 100
    }

    /// False where a repair would be too much.
    pub(crate) fn spend(&mut self, bytes: u64) -> bool {
        let is_allowed = self.allows(bytes);
        if is_allowed {
            self.saved -= bytes * 100;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_stay_under_their_share_whatever_is_asked_for() {
        let mut budget = RepairBudget::default();
        budget.set_rate(1_000_000);
        let (mut sent, mut repairs) = (0, 0);
        for _ in 0..10_000 {
            budget.earn(1_200);
            sent += 1_200;
            while budget.spend(1_200) {
                budget.earn(1_200);
                sent += 1_200;
                repairs += 1_200;
            }
        }
        assert!(repairs > sent * 14 / 100, "{repairs} of {sent}");
        assert!(
            repairs <= sent * 15 / 100 + LEAST_BYTES,
            "{repairs} of {sent}"
        );
    }

    #[test]
    fn a_burst_of_losses_is_repaired_at_once() {
        let mut budget = RepairBudget::default();
        budget.set_rate(2_000_000);
        for _ in 0..1_000 {
            budget.earn(1_200);
        }
        assert_eq!((0..1_000).filter(|_| budget.spend(1_200)).count(), 156);
    }
}
