//! Sender clocks: which local time an RTP timestamp was sampled at (RFC 3550 section 6.4.1).

use std::time::Duration;

use crate::Timestamp;

/// Seconds from 1900 (NTP) to 1970 (Unix).
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;
/// Clocks drift apart by less than this: 1/2^13, about 120 ppm.
const DRIFT_SHIFT: u32 = 13;

/// 32.32 fixed-point NTP time of a timestamp.
pub(crate) fn ntp(wall_clock_offset: Duration, at: Timestamp) -> u64 {
    let unix = wall_clock_offset + Duration::from_micros(at.as_micros());
    let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    ((unix.as_secs() + NTP_UNIX_OFFSET_S) << 32) | fraction
}

/// The middle 32 bits of NTP time, in which report blocks count (1/65536 s).
pub(crate) const fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// abs-send-time: 24 bits of 6.18 fixed-point seconds.
pub(crate) const fn abs_send_time(at: Timestamp) -> [u8; 3] {
    // 2^18 units are 10^6 µs, both divided by 64. It wraps every 64 seconds.
    let [_, bytes @ ..] = ((at.as_micros() * 4_096 / 15_625) as u32).to_be_bytes();
    bytes
}

/// The clock one transport's peer stamps its sender reports with, against ours. One for all its
/// streams, so that audio and video stay in step.
#[derive(Debug, Default)]
pub(crate) struct SenderClock {
    /// Least (our arrival − its NTP time) seen, in µs: the report that travelled fastest.
    offset_micros: Option<i64>,
    updated: Timestamp,
}

impl SenderClock {
    /// Our time for the sender's NTP time, given a report that came now.
    pub(crate) fn local_time(&mut self, now: Timestamp, sender_ntp: u64) -> Timestamp {
        let sender_micros = ntp_micros(sender_ntp);
        let sample = now.as_micros() as i64 - sender_micros;
        let offset = match self.offset_micros {
            Some(offset) => {
                let drift = now.since(self.updated).as_micros() as i64 >> DRIFT_SHIFT;
                // A jump of the sender's clock is no drift: start over.
                if (sample - offset).abs() > 5_000_000 {
                    sample
                } else {
                    sample.min(offset + drift)
                }
            }
            None => sample,
        };
        self.offset_micros = Some(offset);
        self.updated = now;
        Timestamp::from_micros(sender_micros.saturating_add(offset).max(0) as u64)
    }
}

fn ntp_micros(ntp: u64) -> i64 {
    let micros = (u128::from(ntp) * 1_000_000) >> 32;
    // Fits: 2^32 s are under 2^53 µs.
    micros as i64
}

/// Where the RTP timestamps of one stream stand on our clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockMapping {
    pub(crate) rtp: u32,
    pub(crate) at: Timestamp,
}

impl ClockMapping {
    /// The RTP timestamp of a time near the mapping.
    pub(crate) fn rtp_at(&self, at: Timestamp, clock_rate: u32) -> u32 {
        let micros = at.as_micros() as i64 - self.at.as_micros() as i64;
        let units = i128::from(micros) * i128::from(clock_rate) / 1_000_000;
        self.rtp.wrapping_add(units as u32)
    }

    /// The time of an RTP timestamp near the mapping.
    pub(crate) fn time_of(&self, rtp: u32, clock_rate: u32) -> Timestamp {
        let units = i64::from(rtp.wrapping_sub(self.rtp) as i32);
        let micros = units * 1_000_000 / i64::from(clock_rate.max(1));
        Timestamp::from_micros(self.at.as_micros().saturating_add_signed(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abs_send_time_wraps_every_64_seconds() {
        assert_eq!(
            abs_send_time(Timestamp::from_micros(1_000_000)),
            [0x04, 0, 0]
        );
        assert_eq!(abs_send_time(Timestamp::from_micros(64_000_000)), [0, 0, 0]);
        assert_eq!(abs_send_time(Timestamp::from_micros(500_000)), [0x02, 0, 0]);
    }

    #[test]
    fn ntp_counts_from_1900() {
        let ntp = ntp(Duration::from_secs(1), Timestamp::from_micros(500_000));
        assert_eq!(ntp >> 32, NTP_UNIX_OFFSET_S + 1);
        assert_eq!(ntp as u32, 1 << 31);
    }

    #[test]
    fn the_fastest_report_sets_the_offset_for_all_streams() {
        let mut clock = SenderClock::default();
        let sender = |seconds: u64| seconds << 32;
        // 100 s ahead, 20 ms on the way; then one that took 50 ms.
        let first = clock.local_time(Timestamp::from_micros(5_020_000), sender(105));
        let second = clock.local_time(Timestamp::from_micros(6_050_000), sender(106));
        assert_eq!(first.as_micros(), 5_020_000);
        let step = second.since(first).as_micros();
        assert!((1_000_000..1_000_500).contains(&step), "{step}");
    }

    #[test]
    fn a_mapping_goes_both_ways_and_over_the_wrap() {
        let mapping = ClockMapping {
            rtp: 10,
            at: Timestamp::from_micros(10_000_000),
        };
        let earlier = Timestamp::from_micros(9_000_000);
        assert_eq!(mapping.rtp_at(earlier, 90_000), 10u32.wrapping_sub(90_000));
        assert_eq!(mapping.time_of(10u32.wrapping_sub(90_000), 90_000), earlier);
    }
}
