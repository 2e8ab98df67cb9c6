//! Asking one source stream for key frames: merged, rate-limited, asked again when none comes.

use std::time::Duration;

use crate::Timestamp;

/// Least time between two requests, unless the producer says otherwise.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
/// A request is repeated when no key frame came for this long.
const REPEAT: Duration = Duration::from_millis(1000);
const MAX_REPEATS: u8 = 5;

#[derive(Debug, Default)]
pub(crate) struct KeyFrameRequests {
    last_sent: Timestamp,
    /// Something is still waiting for a key frame.
    wanted: bool,
    repeats: u8,
}

impl KeyFrameRequests {
    /// Somebody wants a key frame.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
        self.repeats = 0;
    }

    /// A key frame began.
    pub(crate) fn came(&mut self) {
        self.wanted = false;
    }

    /// When to call [`Self::take`] next.
    pub(crate) fn due(&self, interval: Duration) -> Timestamp {
        if !self.wanted {
            return Timestamp::NEVER;
        }
        if self.last_sent == Timestamp::ZERO {
            return Timestamp::ZERO;
        }
        self.last_sent
            + if self.repeats == 0 {
                interval
            } else {
                REPEAT.max(interval)
            }
    }

    /// True where a request is to be sent now.
    pub(crate) fn take(&mut self, now: Timestamp, interval: Duration) -> bool {
        if self.due(interval) > now {
            return false;
        }
        self.last_sent = now;
        self.repeats += 1;
        if self.repeats > MAX_REPEATS {
            self.wanted = false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_make_one_request_per_interval() {
        let mut requests = KeyFrameRequests::default();
        let mut sent = 0;
        for ms in 0..1000u64 {
            let now = Timestamp::from_micros(1_000_000 + ms * 1000);
            requests.want();
            sent += u32::from(requests.take(now, DEFAULT_INTERVAL));
        }
        assert_eq!(sent, 2);
    }

    #[test]
    fn a_request_without_an_answer_is_repeated_some_times() {
        let mut requests = KeyFrameRequests::default();
        requests.want();
        let mut sent = 0;
        for second in 1..30u64 {
            sent += u32::from(
                requests.take(Timestamp::from_micros(second * 1_000_000), DEFAULT_INTERVAL),
            );
        }
        assert_eq!(sent, u32::from(MAX_REPEATS) + 1);
        requests.want();
        requests.came();
        assert_eq!(requests.due(DEFAULT_INTERVAL), Timestamp::NEVER);
    }
}
