//! How long a receiver is to hold pictures back at least, told by the playout-delay header extension
//! (<http://www.webrtc.org/experiments/rtp-hdrext/playout-delay>).
//!
//! A browser's buffer is as long as packets usually take. On a path that loses packets the request or
//! the repair is lost too now and then, and the picture stands still until the second round of repair.
//! So there pictures wait for as long as two rounds take, until the path is clear again.

use std::time::Duration;

/// A path on which more than this is lost is lossy,
const LOSSY: f64 = 0.01;
/// and one on which less than this is lost may be clear:
const CLEAR: f64 = 0.005;
/// it is after so many reports, of about a second each.
const CLEAR_REPORTS: u8 = 10;
/// Over a shorter round trip a second round comes before anybody sees a freeze.
const SHORT_RTT: Duration = Duration::from_millis(40);
/// Beside two round trips: a loss shows by the next picture, and receivers ask again in steps of
/// 20 ms.
const NOTICING: Duration = Duration::from_millis(80);
/// With more than this people do not talk well.
const LONGEST: Duration = Duration::from_millis(500);
/// A delay that differs by less than this part from the one told is not told.
const NEWS_DIVISOR: u16 = 4;
/// What times in the extension are multiples of.
const UNIT_MS: u128 = 10;
/// The most in units; what browsers take without the extension. Less than 500 ms beside a least of
/// nothing would have them show pictures as they come.
const MOST: u16 = 1_000;

/// What the receiver of one video is told.
#[derive(Debug)]
pub(crate) struct PlayoutDelay {
    /// Of the extension.
    id: u8,
    /// In units of the extension.
    least: u16,
    clear_reports: u8,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The receiver knows it.
    Told,
    /// No picture had it yet: receivers look at the first packet of each.
    New,
    /// All packets have it from this sequence number on, with which a picture begins.
    Telling(u16),
}

impl PlayoutDelay {
    pub(crate) const fn new(id: u8) -> Self {
        Self {
            id,
            least: 0,
            clear_reports: 0,
            state: State::Told,
        }
    }

    /// Takes a report of the receiver, which has got packets up to the sequence number `highest`;
    /// `loss` is the share that the path loses of late.
    pub(crate) fn reported(&mut self, highest: u16, loss: f64, rtt: Duration) {
        if let State::Telling(first) = self.state
            && highest.wrapping_sub(first) < 1 << 15
        {
            self.state = State::Told;
        }
        self.clear_reports = if loss < CLEAR {
            self.clear_reports.saturating_add(1)
        } else {
            0
        };
        let least = if loss > LOSSY && rtt > SHORT_RTT {
            ((rtt * 2 + NOTICING).min(LONGEST).as_millis() / UNIT_MS) as u16
        } else if self.clear_reports >= CLEAR_REPORTS {
            0
        } else {
            return;
        };
        if least.abs_diff(self.least) > self.least / NEWS_DIVISOR {
            self.least = least;
            self.state = State::New;
        }
    }

    /// Id and data of the extension for a packet that leaves, if it is to have it.
    #[inline]
    pub(crate) fn extension(
        &mut self,
        sequence: u16,
        begins_picture: bool,
    ) -> Option<(u8, [u8; 3])> {
        match self.state {
            State::Told => return None,
            State::New if !begins_picture => return None,
            State::New => self.state = State::Telling(sequence),
            State::Telling(_) => {}
        }
        let [_, high, middle, low] = (u32::from(self.least) << 12 | u32::from(MOST)).to_be_bytes();
        Some((self.id, [high, middle, low]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn told(delay: &mut PlayoutDelay, sequence: u16) -> Option<u16> {
        let (id, [high, middle, low]) = delay.extension(sequence, true)?;
        let both = u32::from_be_bytes([0, high, middle, low]);
        assert_eq!((id, both & 0xfff), (7, u32::from(MOST)));
        Some((both >> 12) as u16)
    }

    #[test]
    fn it_is_told_from_a_picture_on_until_the_receiver_has_got_that() {
        let mut delay = PlayoutDelay::new(7);
        assert_eq!(told(&mut delay, 65_530), None);
        delay.reported(65_530, 0.05, RTT);
        assert_eq!(delay.extension(65_531, false), None);
        assert_eq!(told(&mut delay, 65_532), Some(28));
        assert!(delay.extension(65_533, false).is_some());
        delay.reported(65_531, 0.05, RTT);
        assert_eq!(told(&mut delay, 2), Some(28));
        delay.reported(1, 0.05, RTT);
        assert_eq!(told(&mut delay, 3), None);
    }

    #[test]
    fn it_follows_the_round_trip_and_goes_when_the_path_has_been_clear() {
        let mut delay = PlayoutDelay::new(7);
        delay.reported(0, 0.05, Duration::from_millis(30));
        assert_eq!(told(&mut delay, 1), None);
        delay.reported(1, 0.05, RTT);
        assert_eq!(told(&mut delay, 2), Some(28));
        delay.reported(2, 0.05, Duration::from_millis(120));
        assert_eq!(told(&mut delay, 3), None);
        delay.reported(3, 0.05, Duration::from_secs(2));
        assert_eq!(told(&mut delay, 4), Some(50));
        for report in 0..CLEAR_REPORTS {
            delay.reported(4, 0.001, RTT);
            assert_eq!(delay.least, if report + 1 < CLEAR_REPORTS { 50 } else { 0 });
        }
        assert_eq!(told(&mut delay, 5), Some(0));
    }
}
