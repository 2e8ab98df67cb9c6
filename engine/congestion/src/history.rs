//! Packets sent, by transport-wide sequence number, until feedback has told what became of them.

use crate::millis;
use crate::probing::ClusterId;

/// Packets remembered at first: a second of ordinary video.
const FIRST_CAPACITY: usize = 256;
/// Packets remembered at most: more than 20 Mbit/s over a round trip of a second.
const MAX_CAPACITY: usize = 4096;
/// The history is made larger rather than a packet this young forgotten.
const KEEP_US: u64 = millis(2_000);
/// After a pause this long nothing sent before it is still reported. The times kept are 32 bits
/// wide, 71 minutes.
const FORGET_AFTER_US: u64 = millis(60_000);

/// What is known of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing was sent with this number.
    #[default]
    Unsent,
    /// No feedback has spoken of it.
    Unreported,
    /// Reported as not received, so far.
    Lost,
    /// Reported as received.
    Received,
    /// Sent more than once under the number, so that its arrival tells no delay.
    Repeated,
}

/// A packet as [`History`] gives it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentPacket {
    pub(crate) sent_us: u64,
    pub(crate) bytes: u16,
    pub(crate) cluster: Option<ClusterId>,
    /// Before this report.
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Low bits of the time.
    sent_us: u32,
    bytes: u16,
    cluster: Option<ClusterId>,
    fate: Fate,
}

/// A ring of sent packets.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Empty before the first packet, then a power of two.
    ring: Vec<Entry>,
    /// Extended sequence number of the newest packet. Begins high enough that looking back never
    /// goes below zero.
    newest: u64,
    newest_us: u64,
}

impl History {
    /// Remembers a packet. False where the number was used before.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        now_us: u64,
        sequence: u16,
        bytes: u16,
        cluster: Option<ClusterId>,
    ) -> bool {
        let next = self.newest.wrapping_add(1);
        let is_soon = now_us.saturating_sub(self.newest_us) <= FORGET_AFTER_US;
        if sequence != next as u16 || !is_soon || self.needs_room(now_us, next) {
            return self.insert_anywhere(now_us, sequence, bytes, cluster);
        }
        self.put(now_us, next, bytes, cluster);
        true
    }

    /// Remembers a packet that is not simply the next, or that a larger ring has to be made for.
    #[cold]
    fn insert_anywhere(
        &mut self,
        now_us: u64,
        sequence: u16,
        bytes: u16,
        cluster: Option<ClusterId>,
    ) -> bool {
        if self.ring.is_empty() {
            self.ring = vec![Entry::default(); FIRST_CAPACITY];
            self.newest = (1 << 32) + u64::from(sequence) - 1;
        } else if now_us.saturating_sub(self.newest_us) > FORGET_AFTER_US {
            self.ring.fill(Entry::default());
        }
        let extended = self.extend(sequence);
        if extended <= self.newest {
            if let Some(entry) = self.entry(sequence)
                && entry.fate != Fate::Unsent
            {
                entry.fate = Fate::Repeated;
            }
            return false;
        }
        if self.needs_room(now_us, extended) {
            self.grow();
        }
        self.skip_to(extended);
        self.put(now_us, extended, bytes, cluster);
        true
    }

    /// Forgets a packet that did not leave; its bytes.
    pub(crate) fn remove(&mut self, sequence: u16) -> Option<u16> {
        let entry = self.entry(sequence)?;
        let removed = std::mem::take(entry);
        (removed.fate == Fate::Unreported).then_some(removed.bytes)
    }

    /// Notes what feedback says of a packet; what was known of it before, `None` where it is not
    /// remembered.
    #[inline]
    pub(crate) fn report(&mut self, sequence: u16, received: bool) -> Option<SentPacket> {
        let newest_us = self.newest_us;
        let entry = self.entry(sequence)?;
        let before = *entry;
        entry.fate = match (before.fate, received) {
            (Fate::Unsent, _) => return None,
            (Fate::Unreported, false) => Fate::Lost,
            (_, true) => Fate::Received,
            (fate, false) => fate,
        };
        let age_us = (newest_us as u32).wrapping_sub(before.sent_us);
        Some(SentPacket {
            sent_us: newest_us - u64::from(age_us),
            bytes: before.bytes,
            cluster: before.cluster,
            fate: before.fate,
        })
    }

    /// The extended number nearest to the newest.
    fn extend(&self, sequence: u16) -> u64 {
        let ahead = sequence.wrapping_sub(self.newest as u16) as i16;
        self.newest.wrapping_add_signed(i64::from(ahead))
    }

    /// The place of a number that is not ahead of the newest, and not too far behind.
    #[inline]
    fn entry(&mut self, sequence: u16) -> Option<&mut Entry> {
        // A number ahead is one far behind: further than any ring is long.
        const { assert!(MAX_CAPACITY < 1 << 15) }
        let behind = u64::from((self.newest as u16).wrapping_sub(sequence));
        let index = self.index(self.newest.wrapping_sub(behind));
        let is_kept = behind < self.ring.len() as u64;
        self.ring.get_mut(index).filter(|_| is_kept)
    }

    #[inline]
    fn index(&self, extended: u64) -> usize {
        extended as usize & self.ring.len().wrapping_sub(1)
    }

    /// True where a packet that may still be reported is in the place of `next`, and the ring may
    /// become larger; or where there is no ring.
    #[inline]
    fn needs_room(&self, now_us: u64, next: u64) -> bool {
        let Some(oldest) = self.ring.get(self.index(next)) else {
            return true;
        };
        let age_us = (now_us as u32).wrapping_sub(oldest.sent_us);
        oldest.fate == Fate::Unreported
            && u64::from(age_us) < KEEP_US
            && self.ring.len() < MAX_CAPACITY
    }

    #[inline]
    fn put(&mut self, now_us: u64, extended: u64, bytes: u16, cluster: Option<ClusterId>) {
        self.newest = extended;
        self.newest_us = self.newest_us.max(now_us);
        let index = self.index(extended);
        if let Some(entry) = self.ring.get_mut(index) {
            *entry = Entry {
                sent_us: self.newest_us as u32,
                bytes,
                cluster,
                fate: Fate::Unreported,
            };
        }
    }

    /// Clears the places between the newest and `next`.
    fn skip_to(&mut self, next: u64) {
        let skipped = (next - self.newest - 1).min(self.ring.len() as u64);
        for extended in next - skipped..next {
            let index = self.index(extended);
            self.ring[index] = Entry::default();
        }
    }

    fn grow(&mut self) {
        let old_len = self.ring.len() as u64;
        let mut larger = vec![Entry::default(); self.ring.len() * 2];
        for extended in self.newest + 1 - old_len..=self.newest {
            let to = extended as usize & (larger.len() - 1);
            larger[to] = self.ring[self.index(extended)];
        }
        self.ring = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_found_over_the_wrap_of_its_number() {
        let mut history = History::default();
        for (index, sequence) in (65_500..=65_535).chain(0..36).enumerate() {
            assert!(history.insert(1_000 * index as u64, sequence, 100 + sequence % 7, None));
        }
        let first = history.report(65_500, true).unwrap();
        assert_eq!((first.sent_us, first.bytes), (0, 101));
        let last = history.report(35, false).unwrap();
        assert_eq!((last.sent_us, last.bytes), (71_000, 100));
        assert_eq!(history.report(36, true), None, "not sent yet");
        assert_eq!(history.report(65_499, true), None, "never sent");
    }

    #[test]
    fn what_is_known_of_a_packet_only_improves() {
        let mut history = History::default();
        history.insert(0, 7, 1200, None);
        assert_eq!(history.report(7, false).unwrap().fate, Fate::Unreported);
        assert_eq!(history.report(7, false).unwrap().fate, Fate::Lost);
        assert_eq!(history.report(7, true).unwrap().fate, Fate::Lost);
        assert_eq!(history.report(7, true).unwrap().fate, Fate::Received);
        assert_eq!(history.report(7, false).unwrap().fate, Fate::Received);
    }

    #[test]
    fn a_number_used_twice_tells_no_delay() {
        let mut history = History::default();
        assert!(history.insert(0, 7, 1200, None));
        assert!(history.insert(1, 8, 1200, None));
        assert!(!history.insert(90_000, 7, 1200, None));
        assert_eq!(history.report(7, true).unwrap().fate, Fate::Repeated);
    }

    #[test]
    fn it_grows_with_what_is_in_flight_up_to_its_limit() {
        let mut history = History::default();
        for index in 0..3 * MAX_CAPACITY as u64 {
            history.insert(index * 10, index as u16, 1200, None);
        }
        assert_eq!(history.ring.len(), MAX_CAPACITY);
        let oldest = 2 * MAX_CAPACITY as u64;
        assert_eq!(
            history.report(oldest as u16, true).unwrap().sent_us,
            oldest * 10
        );
        assert_eq!(history.report(oldest as u16 - 1, true), None);
    }

    #[test]
    fn it_stays_small_where_feedback_comes() {
        let mut history = History::default();
        for index in 0..50_000_u64 {
            history.insert(index * 1_000, index as u16, 1200, None);
            if let Some(reported) = index.checked_sub(100) {
                history.report(reported as u16, true);
            }
        }
        assert_eq!(history.ring.len(), FIRST_CAPACITY);
    }

    #[test]
    fn numbers_passed_over_are_not_sent() {
        let mut history = History::default();
        for sequence in 0..300 {
            history.insert(0, sequence, 1200, None);
        }
        history.insert(0, 20_000, 1200, None);
        assert_eq!(history.report(19_999, true), None);
        assert!(history.report(20_000, true).is_some());
        history.insert(0, 20_001, 900, None);
        assert_eq!(history.remove(20_001), Some(900));
        assert_eq!(history.report(20_001, true), None);
    }

    #[test]
    fn a_long_pause_ends_what_is_remembered() {
        let mut history = History::default();
        history.insert(0, 1, 1200, None);
        history.insert(u64::from(u32::MAX) + 50, 2, 1200, None);
        assert_eq!(history.report(1, true), None);
        assert!(history.report(2, true).is_some());
    }
}
