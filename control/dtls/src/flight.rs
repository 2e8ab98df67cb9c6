//! Sending a flight again (RFC 6347 section 4.2.4).
//!
//! The safe interface to the crypto library has no door to its retransmission timer: the library
//! sends a flight again by itself where it is called more than a second (doubling) after the last
//! time, by the wall clock. A second is long at the start of a call, so the last flight is kept
//! here and sent again after [`FIRST_INTERVAL`], doubling up to [`LONGEST_INTERVAL`].
//!
//! Unencrypted records get a new sequence number each time they leave, so that a receiver which
//! has them takes them for a retransmission, not for a replay. An encrypted record (Finished)
//! cannot be changed: where the receiver had it and its answer was lost, only the library's own
//! retransmission helps. So the library goes first at every timeout.

use std::time::{Duration, Instant};

use crate::record;

/// Wait before a flight is sent for the second time.
pub const FIRST_INTERVAL: Duration = Duration::from_millis(400);

/// The longest wait between two sendings.
pub const LONGEST_INTERVAL: Duration = Duration::from_millis(1600);

/// The last flight sent, and when to send it again.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    datagrams: Vec<Vec<u8>>,
    timer: Option<Timer>,
    /// Next sequence number of an unencrypted record.
    next_sequence: u64,
}

#[derive(Debug, Clone, Copy)]
struct Timer {
    at: Instant,
    interval: Duration,
}

impl Flight {
    /// A new flight leaves; gives its datagrams as they must be sent.
    pub(crate) fn start(&mut self, datagrams: Vec<Vec<u8>>, now: Instant) -> Vec<Vec<u8>> {
        self.timer = Some(Timer {
            at: now + FIRST_INTERVAL,
            interval: FIRST_INTERVAL,
        });
        self.datagrams = datagrams;
        self.numbered()
    }

    /// Datagrams that are not sent again by us leave, with the numbers that follow.
    pub(crate) fn pass(&mut self, datagrams: &mut [Vec<u8>]) {
        for datagram in datagrams {
            record::renumber_unencrypted(datagram, &mut self.next_sequence);
        }
    }

    /// The flight leaves once more: as the library wrote it just now, or else as it was kept.
    pub(crate) fn again(&mut self, rewritten: Vec<Vec<u8>>, now: Instant) -> Vec<Vec<u8>> {
        let interval = self.timer.map_or(FIRST_INTERVAL, |timer| {
            (timer.interval * 2).min(LONGEST_INTERVAL)
        });
        self.timer = Some(Timer {
            at: now + interval,
            interval,
        });
        if !rewritten.is_empty() {
            self.datagrams = rewritten;
        }
        self.numbered()
    }

    /// The flight arrived, or nobody waits for it any more.
    pub(crate) fn stop(&mut self) {
        self.datagrams.clear();
        self.timer = None;
    }

    /// When to send again.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.timer.map(|timer| timer.at)
    }

    fn numbered(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = self.datagrams.clone();
        self.pass(&mut datagrams);
        datagrams
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn waits_double_up_to_the_longest() {
        let start = Instant::now();
        let mut flight = Flight::default();
        flight.start(vec![record(22, 0, 0, b"x")], start);
        let mut waits = Vec::new();
        let mut now = start;
        for _ in 0..4 {
            let at = flight.timeout().unwrap();
            waits.push((at - now).as_millis());
            now = at;
            flight.again(Vec::new(), now);
        }
        assert_eq!(waits, [400, 800, 1600, 1600]);
        flight.stop();
        assert_eq!(flight.timeout(), None);
    }

    #[test]
    fn every_sending_has_new_numbers() {
        let now = Instant::now();
        let mut flight = Flight::default();
        let first = flight.start(vec![record(22, 0, 0, b"x"), record(20, 0, 1, b"\x01")], now);
        let second = flight.again(Vec::new(), now);
        assert_eq!(first, [record(22, 0, 0, b"x"), record(20, 0, 1, b"\x01")]);
        assert_eq!(second, [record(22, 0, 2, b"x"), record(20, 0, 3, b"\x01")]);
        let third = flight.again(vec![record(22, 0, 9, b"y")], now);
        assert_eq!(third, [record(22, 0, 4, b"y")]);
        let mut alert = [record(21, 0, 2, b"\x02\x28")];
        flight.pass(&mut alert);
        assert_eq!(alert, [record(21, 0, 5, b"\x02\x28")]);
    }
}
