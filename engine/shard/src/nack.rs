//! Which packets of one received stream are missing, and when to ask for them (RFC 4585 section
//! 6.2.1).

use std::time::Duration;

use crate::Timestamp;

/// Missing packets kept; a larger gap is given up for a key frame.
const MAX_MISSING: usize = 256;
/// A packet is only overtaken, not lost, for this long.
const REORDER_TOLERANCE: Duration = Duration::from_millis(10);
const MAX_RETRIES: u8 = 10;
/// Assumed until something was repaired.
const INITIAL_RTT: Duration = Duration::from_millis(100);
const MIN_RETRY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
struct Missing {
    sequence: u64,
    next_ask: Timestamp,
    last_ask: Timestamp,
    retries: u8,
}

/// What a received packet was to the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next or a later one.
    InOrder,
    /// One that was missing.
    Repaired,
    /// A late one that was not being waited for.
    Late,
    /// So many are missing that asking is no use.
    GaveUp,
}

#[derive(Debug)]
pub(crate) struct NackList {
    missing: Vec<Missing>,
    highest: Option<u64>,
    /// Round trip to the sender: what it told, else the time from asking to repair.
    rtt: Option<Duration>,
    is_told: bool,
}

impl NackList {
    pub(crate) fn new() -> Self {
        Self {
            missing: Vec::with_capacity(MAX_MISSING),
            highest: None,
            rtt: None,
            is_told: false,
        }
    }

    /// Takes note of a packet that came.
    pub(crate) fn received(&mut self, now: Timestamp, sequence: u64) -> Arrival {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return Arrival::InOrder;
        };
        if sequence <= highest {
            return self.fill(now, sequence);
        }
        self.highest = Some(sequence);
        let gap = (sequence - highest - 1) as usize;
        if self.missing.len() + gap > MAX_MISSING {
            self.missing.clear();
            return Arrival::GaveUp;
        }
        for lost in highest + 1..sequence {
            self.missing.push(Missing {
                sequence: lost,
                next_ask: now + REORDER_TOLERANCE,
                last_ask: Timestamp::ZERO,
                retries: 0,
            });
        }
        Arrival::InOrder
    }

    /// When something is next to be asked for.
    pub(crate) fn next_ask(&self) -> Timestamp {
        self.missing
            .iter()
            .map(|missing| missing.next_ask)
            .min()
            .unwrap_or(Timestamp::NEVER)
    }

    /// Puts the sequence numbers to ask for now into `out`, ascending; true where some were given
    /// up after too many tries.
    pub(crate) fn ask(&mut self, now: Timestamp, out: &mut Vec<u16>) -> bool {
        let rtt = self.rtt.unwrap_or(INITIAL_RTT);
        let retry = MIN_RETRY.max(rtt + rtt / 4);
        let before = self.missing.len();
        self.missing.retain_mut(|missing| {
            if missing.next_ask > now {
                return true;
            }
            if missing.retries == MAX_RETRIES {
                return false;
            }
            missing.retries += 1;
            missing.last_ask = now;
            missing.next_ask = now + retry;
            out.push(missing.sequence as u16);
            true
        });
        self.missing.len() < before
    }

    /// Forgets what is missing and starts over with the next packet.
    pub(crate) fn restart(&mut self) {
        self.missing.clear();
        self.highest = None;
    }

    /// Takes the round trip that the sender's reports tell. Repairs tell less: packets that senders repeat to
    /// probe their path are taken for them.
    pub(crate) fn tell_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.is_told = true;
    }

    /// Round trip to the sender, once it is known.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    fn fill(&mut self, now: Timestamp, sequence: u64) -> Arrival {
        let Ok(index) = self
            .missing
            .binary_search_by_key(&sequence, |missing| missing.sequence)
        else {
            return Arrival::Late;
        };
        let missing = self.missing.remove(index);
        if missing.retries == 1 && !self.is_told {
            self.rtt = Some(smoothed(self.rtt, now.since(missing.last_ask)));
        }
        if missing.retries == 0 {
            Arrival::Late
        } else {
            Arrival::Repaired
        }
    }
}

/// With another sample; the first is taken whole (RFC 6298 section 2.2).
pub(crate) fn smoothed(rtt: Option<Duration>, sample: Duration) -> Duration {
    rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + ms * 1000)
    }

    #[test]
    fn asks_after_the_reordering_tolerance_and_again_until_repaired() {
        let mut list = NackList::new();
        list.received(ms(0), 5);
        list.received(ms(0), 8);
        let mut asked = Vec::new();
        list.ask(ms(5), &mut asked);
        assert!(asked.is_empty());
        assert_eq!(list.received(ms(6), 7), Arrival::Late);
        list.ask(ms(10), &mut asked);
        assert_eq!(asked, [6]);
        assert!(list.next_ask() > ms(10 + 100));
        list.ask(ms(200), &mut asked);
        assert_eq!(asked, [6, 6]);
        assert_eq!(list.rtt(), None);
        assert_eq!(list.received(ms(230), 6), Arrival::Repaired);
        assert_eq!(list.next_ask(), Timestamp::NEVER);
    }

    #[test]
    fn the_time_that_repairs_take_is_told_once_there_is_one() {
        let mut list = NackList::new();
        for (lost, repaired_after, wanted) in [(2, 40, 40), (4, 80, 45)] {
            list.received(ms(lost), lost - 1);
            list.received(ms(lost), lost + 1);
            let mut asked = Vec::new();
            list.ask(ms(500), &mut asked);
            assert_eq!(asked, [lost as u16]);
            list.received(ms(500 + repaired_after), lost);
            assert_eq!(list.rtt(), Some(Duration::from_millis(wanted)));
        }
    }

    #[test]
    fn the_first_repair_tells_when_to_ask_again() {
        let mut list = NackList::new();
        let mut asked = Vec::new();
        list.received(ms(0), 1);
        list.received(ms(0), 3);
        list.ask(ms(10), &mut asked);
        list.received(ms(410), 2);
        list.received(ms(410), 5);
        list.ask(ms(420), &mut asked);
        assert_eq!(list.next_ask(), ms(420 + 500));
    }

    #[test]
    fn what_a_sender_tells_of_the_round_trip_counts_more_than_repairs() {
        let mut list = NackList::new();
        let mut asked = Vec::new();
        list.tell_rtt(Duration::from_millis(80));
        list.received(ms(0), 1);
        list.received(ms(0), 3);
        list.ask(ms(10), &mut asked);
        assert_eq!(list.next_ask(), ms(10 + 100));
        assert_eq!(list.received(ms(12), 2), Arrival::Repaired);
        assert_eq!(list.rtt(), Some(Duration::from_millis(80)));
    }

    #[test]
    fn gives_up_after_ten_tries_and_on_a_hole_too_large() {
        let mut list = NackList::new();
        list.received(ms(0), 1);
        list.received(ms(0), 3);
        let mut asked = Vec::new();
        let mut gave_up = false;
        for second in 1..20 {
            gave_up |= list.ask(ms(second * 1000), &mut asked);
        }
        assert!(gave_up);
        assert_eq!(asked.len(), usize::from(MAX_RETRIES));
        assert_eq!(list.received(ms(0), 1000), Arrival::GaveUp);
        assert_eq!(list.next_ask(), Timestamp::NEVER);
    }
}
