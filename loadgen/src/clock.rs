//! One clock for sending and receiving: it never goes back, and two processes agree on it as well
//! as their host's clock is set.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a millisecond.
pub const NS_PER_MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// Seconds between the NTP epoch (1900) and the Unix epoch (RFC 3550 section 4).
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;

/// Nanoseconds since the Unix epoch; monotonic, read from the wall clock once at first use.
pub fn now_ns() -> u64 {
    static ORIGIN: OnceLock<(Instant, u64)> = OnceLock::new();
    let (instant, unix_ns) = ORIGIN.get_or_init(|| (Instant::now(), wall_ns()));
    unix_ns + instant.elapsed().as_nanos() as u64
}

/// Nanoseconds since the Unix epoch by the wall clock as it is set now, as the kernel stamps
/// datagrams.
pub fn wall_ns() -> u64 {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    unix.as_nanos() as u64
}

/// The same time as a 64-bit NTP timestamp, for sender reports.
pub fn ntp_time(now_ns: u64) -> u64 {
    let seconds = now_ns / NS_PER_S + NTP_UNIX_OFFSET_S;
    let fraction = ((now_ns % NS_PER_S) << 32) / NS_PER_S;
    (seconds << 32) | fraction
}

/// The middle 32 bits of an NTP timestamp, as `LSR` has them (RFC 3550 section 6.4.1).
pub fn ntp_short(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_is_half_the_fraction() {
        let ntp = ntp_time(NS_PER_S + NS_PER_S / 2);
        assert_eq!(ntp >> 32, NTP_UNIX_OFFSET_S + 1);
        assert_eq!(ntp as u32, 1 << 31);
    }
}
