//! Probes: short clusters of packets sent faster than the estimate, to learn whether the path
//! carries more.

mod measure;
mod schedule;

use std::num::NonZeroU8;

use crate::millis;
pub(crate) use measure::ProbeMeasure;
pub(crate) use schedule::{ProbeContext, ProbeSchedule};

/// What a probe may take over the time it should.
const OVERTIME_US: u64 = millis(100);
const MAX_PACKET_BITS: u64 = 1_500 * 8;

/// Names a probe cluster; used again after 255 others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(NonZeroU8);

impl ClusterId {
    const FIRST: Self = Self(NonZeroU8::MIN);

    fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::FIRST, Self)
    }

    /// The number as such.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

/// A cluster of packets to send at a rate, media first and the rest padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeCluster {
    /// What its padding is sent with: [`crate::PacketKind::Padding`].
    pub id: ClusterId,
    /// Bit/s, media included.
    pub rate_bps: u64,
    /// Packets it has at least.
    pub min_packets: u32,
    /// How long it goes on at least.
    pub duration_us: u64,
}

impl ProbeCluster {
    /// Bytes it has at least.
    pub const fn min_bytes(&self) -> u64 {
        self.rate_bps.saturating_mul(self.duration_us) / 8_000_000
    }

    /// A probe not sent in full by then is over.
    pub(crate) const fn longest_us(&self) -> u64 {
        let packets_bits = self.min_packets as u64 * MAX_PACKET_BITS;
        let rate_bps = if self.rate_bps > 0 { self.rate_bps } else { 1 };
        self.duration_us + packets_bits * 1_000_000 / rate_bps + OVERTIME_US
    }
}
