//! The path to one receiver: what it carries, when packets may leave by it, and its probes.

use std::time::Duration;

use weirgate_congestion::allocator::Taken;
use weirgate_congestion::{ClusterId, Config, NEVER_US, Pacer, PacketKind, SendSide};

use crate::Timestamp;

/// A target this far from the one that was allocated last is allocated at once, in percent.
const NEWS_PERCENT: u64 = 3;

/// What is wanted has changed outside of these shares of what it was.
const WANTED_MORE_PERCENT: u64 = 120;
const WANTED_LESS_PERCENT: u64 = 80;

/// What is taken fits where it is over the target by no more than this, in percent: the pacer lets so
/// much leave, and a target that swings below what the path carries is no reason for a key frame.
const OVER_PERCENT: u64 = 25;
/// But upper temporal layers, which come back without one, fit so only while all that is taken is no
/// more than this of what the path was seen to carry of all that share it, in percent.
const MODEST_PERCENT: u64 = 60;
/// Or for so long where a burst of the content made the target fall.
const BURST: Duration = Duration::from_secs(1);
/// That is so where the target is at least this share of what the path was seen to carry, in percent:
/// nobody else has much of it then.
const ALONE_PERCENT: u64 = 70;
/// And where all that is taken is no more than this share: else it is too much for the path.
const ROOMY_PERCENT: u64 = 90;
/// A key frame is judged by what it does for no longer than this.
const KEY_FRAME: Duration = Duration::from_millis(1_500);
/// What waits for less than this, in milliseconds at the target, is of no key frame any more.
const DRAINED_MS: u64 = 30;

/// Headers of IPv4 and UDP: a link carries them too, and the packets of probes are small.
const HEADERS_BYTES: usize = 28;

#[derive(Debug)]
pub(crate) struct Downlink {
    estimate: SendSide,
    pacer: Pacer,
    /// The probe that padding is sent for, and who lends its stream.
    probe: Option<(ClusterId, Option<u32>)>,
    /// Target of the last allocation.
    allocated_bps: u64,
    wanted_bps: u64,
    /// Key frames that left in all, and since when one is on its way.
    key_frames: u64,
    key_frame_since: Option<Timestamp>,
    /// Since when more is taken than the target.
    over_since: Option<Timestamp>,
}

impl Downlink {
    pub(crate) fn new(now: Timestamp, config: Config) -> Self {
        let now_us = now.as_micros();
        Self {
            estimate: SendSide::new(config, now_us),
            pacer: Pacer::new(
                now_us,
                config.initial_bps.clamp(config.min_bps, config.max_bps),
            ),
            probe: None,
            allocated_bps: 0,
            wanted_bps: 0,
            key_frames: 0,
            key_frame_since: None,
            over_since: None,
        }
    }

    pub(crate) const fn target_bps(&self) -> u64 {
        self.estimate.target_bps()
    }

    /// What may be allocated where the present layers take that much: the target, or what they take. A
    /// queue that grows may be another's doing, and gone before layers had to change; of several that
    /// share a path the one with the most of it gives way first. While a key frame is on its way no other
    /// is asked for because of the queue that it made.
    pub(crate) fn allocatable_bps(&self, now: Timestamp, taken: Taken) -> u64 {
        let target_bps = self.target_bps();
        let burst_bps = self.estimate.burst_bps().unwrap_or(0);
        let is_modest = taken.bps * 100 <= burst_bps * MODEST_PERCENT;
        let is_burst = self
            .over_since
            .is_some_and(|since| now.since(since) < BURST)
            && target_bps * 100 >= burst_bps * ALONE_PERCENT
            && taken.bps * 100 <= burst_bps * ROOMY_PERCENT;
        let kept_bps = if is_modest || is_burst {
            taken.bps
        } else {
            taken.least_bps
        };
        let is_key_frame = |since| now.since(since) < KEY_FRAME;
        let is_kept = self.key_frame_since.is_some_and(is_key_frame)
            || kept_bps * 100 <= target_bps * (100 + OVER_PERCENT);
        if is_kept {
            target_bps.max(kept_bps)
        } else {
            target_bps
        }
    }

    /// The present layers take that much.
    pub(crate) fn note_taken(&mut self, now: Timestamp, taken: Taken) {
        if taken.bps <= self.target_bps() {
            self.over_since = None;
        } else {
            self.over_since.get_or_insert(now);
        }
    }

    /// So many key frames have left in all, with that much waiting.
    pub(crate) fn note_key_frames(&mut self, now: Timestamp, key_frames: u64, queued_bytes: u64) {
        let is_drained = queued_bytes * 8_000 < self.target_bps() * DRAINED_MS;
        let is_new = std::mem::replace(&mut self.key_frames, key_frames) != key_frames;
        if is_new {
            // One that follows another is not waited for any longer.
            self.key_frame_since.get_or_insert(now);
        } else if is_drained {
            self.key_frame_since = None;
        }
    }

    /// Half a second of what arrives has been seen.
    pub(crate) fn knows_arrivals(&self) -> bool {
        self.estimate.acknowledged_bps().is_some()
    }

    pub(crate) fn rtt_us(&self) -> Option<u64> {
        self.estimate.rtt_us()
    }

    /// Share of bytes lost over the last seconds, 0 to 1.
    pub(crate) const fn average_loss(&self) -> f64 {
        self.estimate.average_loss()
    }

    pub(crate) fn set_limits(&mut self, now: Timestamp, min_bps: u64, max_bps: u64) {
        self.estimate.set_limits(now.as_micros(), min_bps, max_bps);
        self.repace(now);
    }

    /// What its consumers would take if there was no limit. The rates of their sources swing all
    /// the time: only what is news starts a probe.
    pub(crate) fn set_wanted(&mut self, now: Timestamp, bps: u64) {
        let is_more = bps * 100 > self.wanted_bps * WANTED_MORE_PERCENT;
        let is_less = bps * 100 < self.wanted_bps * WANTED_LESS_PERCENT;
        if is_more || is_less {
            self.wanted_bps = bps;
            self.estimate.set_wanted(now.as_micros(), bps);
        }
    }

    /// Takes transport-wide feedback: see [`SendSide::feedback`].
    pub(crate) fn feedback(
        &mut self,
        now: Timestamp,
        statuses: impl IntoIterator<Item = (u16, Option<i16>)>,
        reference_time: i32,
    ) {
        self.estimate
            .feedback(now.as_micros(), statuses, reference_time);
        self.repace(now);
    }

    /// Takes the receiver's own estimate.
    pub(crate) fn remb(&mut self, now: Timestamp, bps: u64) {
        self.estimate.remb(now.as_micros(), bps);
        self.repace(now);
    }

    /// Takes a block of a receiver report.
    pub(crate) fn report(
        &mut self,
        now: Timestamp,
        fraction_lost: u8,
        packets: u32,
        rtt_us: Option<u64>,
    ) {
        self.estimate
            .loss_report(now.as_micros(), fraction_lost, packets);
        if let Some(rtt_us) = rtt_us {
            self.estimate.rtt(rtt_us);
        }
        self.repace(now);
    }

    /// Lets time pass; when to call again.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Timestamp {
        let next_us = self.estimate.poll(now.as_micros());
        self.repace(now);
        Timestamp::from_micros(next_us)
    }

    /// The target has moved since the last allocation.
    pub(crate) const fn has_news(&self) -> bool {
        let target_bps = self.target_bps();
        target_bps.abs_diff(self.allocated_bps) * 100 > self.allocated_bps * NEWS_PERCENT
    }

    /// Takes note of an allocation.
    pub(crate) const fn allocated(&mut self) {
        self.allocated_bps = self.target_bps();
    }

    /// Starts the next probe, if one is due; `carrier` is the consumer whose RTX it is sent as.
    pub(crate) fn start_probe(
        &mut self,
        now: Timestamp,
        carrier: impl FnOnce() -> Option<u32>,
    ) -> bool {
        if self.pacer.is_probing() {
            return true;
        }
        let Some(cluster) = self.estimate.probe(now.as_micros()) else {
            return false;
        };
        self.pacer.start_probe(now.as_micros(), cluster);
        self.probe = Some((cluster.id, carrier()));
        true
    }

    /// There is a probe to start.
    pub(crate) const fn has_probe(&self) -> bool {
        self.estimate.has_probe() && !self.pacer.is_probing()
    }

    /// Bytes that may leave now. While that is over zero a packet may, whatever its size.
    pub(crate) fn budget(&mut self, now: Timestamp, queued_bytes: u64) -> u64 {
        self.pacer.budget(now.as_micros(), queued_bytes)
    }

    /// The probe that needs padding now, and who lends its stream.
    pub(crate) fn padding(
        &self,
        now: Timestamp,
        queued_bytes: u64,
    ) -> Option<(ClusterId, Option<u32>)> {
        let due_bytes = self.pacer.padding(now.as_micros(), queued_bytes);
        self.probe.filter(|_| due_bytes > 0)
    }

    /// When the next packets may leave, with that much left waiting.
    pub(crate) fn next_release(&mut self, now: Timestamp, queued_bytes: u64) -> Timestamp {
        match self.pacer.next_release(now.as_micros(), queued_bytes) {
            NEVER_US => Timestamp::NEVER,
            at_us => Timestamp::from_micros(at_us),
        }
    }

    /// A packet leaves.
    pub(crate) fn sent(
        &mut self,
        now: Timestamp,
        transport_sequence: Option<u16>,
        bytes: usize,
        kind: PacketKind,
    ) {
        let bytes = bytes + HEADERS_BYTES;
        if kind != PacketKind::Audio {
            self.pacer.spend(bytes as u64);
        }
        let bytes = bytes.min(usize::from(u16::MAX)) as u16;
        match transport_sequence {
            Some(sequence) => self.estimate.sent(now.as_micros(), sequence, bytes, kind),
            None => self.estimate.sent_untracked(now.as_micros(), bytes, kind),
        }
    }

    /// A packet did not leave after all.
    pub(crate) fn send_failed(&mut self, transport_sequence: u16) {
        self.estimate.send_failed(transport_sequence);
    }

    fn repace(&mut self, now: Timestamp) {
        let sent_bps = self.estimate.sent_bps(now.as_micros());
        self.pacer.set_target(self.target_bps(), sent_bps);
        self.pacer.set_capacity(self.estimate.burst_bps());
        self.pacer
            .set_congested(self.estimate.is_congested(now.as_micros()));
    }
}
