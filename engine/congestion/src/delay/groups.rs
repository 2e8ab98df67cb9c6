//! Packets sent in one burst are one group: the delay within it is the pacer's, not the path's
//! (draft-ietf-rmcat-gcc-02 section 5.2).

use crate::millis;

/// Packets sent within this time are one group.
const BURST_US: u64 = millis(5);
/// Packets that arrive this close together, faster than they were sent, waited together on the
/// way; so long as their group does not get longer than [`MAX_GROUP_US`].
const ARRIVAL_BURST_US: u64 = millis(5);
const MAX_GROUP_US: u64 = millis(100);
/// Groups that arrive before the one sent before them, in a row, after which the receiver's clock
/// is held to have been set back.
const MAX_BACKWARD: u32 = 3;
/// A step of the receiver's clock ahead of ours after which all starts anew.
const CLOCK_STEP_US: u64 = millis(3_000);

/// What two groups in a row show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variation {
    /// Between their departures.
    pub(super) sent_us: u64,
    /// Between their arrivals.
    pub(super) arrived_us: u64,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent_us: u64,
    last_sent_us: u64,
    first_arrival_us: u64,
    last_arrival_us: u64,
    /// When the feedback about it came.
    reported_us: u64,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    current: Option<Group>,
    previous: Option<Group>,
    backward: u32,
}

impl Groups {
    /// Takes a packet that arrived into the group under way, or passes over one that was sent
    /// before it. False where it is neither, and [`Self::begin`] has to follow.
    #[inline]
    pub(super) fn join(&mut self, now_us: u64, sent_us: u64, arrival_us: u64) -> bool {
        let Some(current) = &mut self.current else {
            return false;
        };
        if sent_us < current.first_sent_us {
            return true;
        }
        let takes = current.takes(sent_us, arrival_us);
        if takes {
            current.last_sent_us = current.last_sent_us.max(sent_us);
            current.last_arrival_us = current.last_arrival_us.max(arrival_us);
            current.reported_us = now_us;
        }
        takes
    }

    /// Begins a group with a packet that arrived, which completes the one before.
    pub(super) fn begin(
        &mut self,
        now_us: u64,
        sent_us: u64,
        arrival_us: u64,
    ) -> Option<Variation> {
        let completed = self.current.replace(Group {
            first_sent_us: sent_us,
            last_sent_us: sent_us,
            first_arrival_us: arrival_us,
            last_arrival_us: arrival_us,
            reported_us: now_us,
        })?;
        let before = self.previous.replace(completed)?;
        self.compare(before, completed)
    }

    fn compare(&mut self, before: Group, after: Group) -> Option<Variation> {
        let sent_us = after.last_sent_us.saturating_sub(before.last_sent_us);
        let Some(arrived_us) = after.last_arrival_us.checked_sub(before.last_arrival_us) else {
            self.backward += 1;
            if self.backward >= MAX_BACKWARD {
                *self = Self::default();
            }
            return None;
        };
        self.backward = 0;
        let reported_us = after.reported_us.saturating_sub(before.reported_us);
        if arrived_us > reported_us + CLOCK_STEP_US {
            *self = Self::default();
            return None;
        }
        Some(Variation {
            sent_us,
            arrived_us,
        })
    }
}

impl Group {
    #[inline]
    fn takes(&self, sent_us: u64, arrival_us: u64) -> bool {
        if sent_us.saturating_sub(self.first_sent_us) <= BURST_US {
            return true;
        }
        let Some(arrived_us) = arrival_us.checked_sub(self.last_arrival_us) else {
            return false;
        };
        arrived_us <= ARRIVAL_BURST_US
            && arrived_us < sent_us.saturating_sub(self.last_sent_us)
            && arrival_us.saturating_sub(self.first_arrival_us) < MAX_GROUP_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(
        groups: &mut Groups,
        now_us: u64,
        sent_us: u64,
        arrival_us: u64,
    ) -> Option<Variation> {
        if groups.join(now_us, sent_us, arrival_us) {
            return None;
        }
        groups.begin(now_us, sent_us, arrival_us)
    }

    fn feed(groups: &mut Groups, packets: &[(u64, u64)]) -> Vec<(u64, u64)> {
        packets
            .iter()
            .filter_map(|&(sent_us, arrival_us)| packet(groups, arrival_us, sent_us, arrival_us))
            .map(|variation| (variation.sent_us, variation.arrived_us))
            .collect()
    }

    #[test]
    fn a_burst_is_one_group() {
        let packets = [
            (0, 50_000),
            (1_000, 51_000),
            (5_000, 52_000),
            (20_000, 72_000),
            (21_000, 80_000),
            (40_000, 95_000),
        ];
        let variations = feed(&mut Groups::default(), &packets);
        assert_eq!(variations, [(16_000, 28_000)]);
    }

    #[test]
    fn packets_that_waited_together_are_one_group() {
        let packets = [
            (0, 50_000),
            (20_000, 70_000),
            (40_000, 100_000),
            (60_000, 100_500),
            (80_000, 101_000),
            (100_000, 150_000),
            (120_000, 170_000),
        ];
        let variations = feed(&mut Groups::default(), &packets);
        assert_eq!(
            variations,
            [(20_000, 20_000), (60_000, 31_000), (20_000, 49_000)]
        );
    }

    #[test]
    fn a_clock_set_back_or_ahead_starts_anew() {
        let mut groups = Groups::default();
        let mut packets: Vec<_> = (0..10)
            .map(|i| (i * 20_000, 9_000_000 + i * 20_000))
            .collect();
        packets.extend((10..20).map(|i| (i * 20_000, i * 20_000)));
        let variations = feed(&mut groups, &packets);
        assert!(
            variations
                .iter()
                .all(|&(_, arrived_us)| arrived_us == 20_000)
        );
        assert!(variations.len() > 10);

        let mut groups = Groups::default();
        for index in 0..20_u64 {
            let step_us = if index < 10 { 0 } else { 60_000_000 };
            let at_us = index * 20_000;
            if let Some(variation) = packet(&mut groups, at_us, at_us, at_us + step_us) {
                assert_eq!(variation.arrived_us, 20_000);
            }
        }
    }

    #[test]
    fn a_packet_sent_before_the_group_is_passed_over() {
        let packets = [(0, 0), (20_000, 20_000), (10_000, 30_000), (40_000, 40_000)];
        assert_eq!(feed(&mut Groups::default(), &packets), [(20_000, 20_000)]);
    }
}
