//! A leaky bucket that spreads what leaves, so that a key frame does not fill the path's queue;
//! and the rate at which probes leave.

use crate::probing::ProbeCluster;
use crate::{NEVER_US, millis};

/// The rate that leaves, by the target: above it, since the target is a mean, but not so much that
/// a key frame, which has as much as a second of its layer, fills the path's queue. libwebrtc paces
/// cameras with 1.1, whatever waits.
const PACE_FACTOR: f64 = 1.25;
/// The same while the path's own queue grows or is long: what the path carries.
const CONGESTED_PACE_FACTOR: f64 = 1.1;
/// Slower is no use.
const MIN_RATE_BPS: f64 = 100_000.0;
/// What may leave at once, as time at the target.
const BURST_US: u64 = millis(5);
/// The same where the target is well over what is sent.
const WIDE_BURST_US: u64 = millis(20);
/// The target is well over what is sent from this factor on.
const WIDE_FACTOR: u64 = 2;

/// Paces what leaves towards one receiver, other than audio, which neither asks nor counts.
///
/// In each turn: while [`Self::budget`] is over zero a packet leaves and is passed to
/// [`Self::spend`]; then, while [`Self::padding`] is over zero, a packet of padding, passed to
/// [`Self::spend`] too; then the next turn is at [`Self::next_release`].
#[derive(Debug)]
pub struct Pacer {
    target_bps: f64,
    /// What the path was seen to carry; as much as can be where nothing is known of that.
    capacity_bps: f64,
    burst_us: u64,
    /// What may leave; below zero after a packet that was larger than that.
    tokens_bytes: f64,
    updated_us: u64,
    /// The path's own queue is long.
    is_congested: bool,
    /// Something was left in the queue: a late turn may make up for the time.
    is_backlogged: bool,
    probe: Option<ActiveProbe>,
}

#[derive(Debug, Clone, Copy)]
struct ActiveProbe {
    cluster: ProbeCluster,
    started_us: u64,
    packets: u32,
    bytes: u64,
}

impl Pacer {
    /// A pacer for a target in bit/s.
    pub fn new(now_us: u64, target_bps: u64) -> Self {
        let mut pacer = Self {
            target_bps: target_bps as f64,
            capacity_bps: f64::INFINITY,
            burst_us: BURST_US,
            tokens_bytes: 0.0,
            updated_us: now_us,
            is_congested: false,
            is_backlogged: false,
            probe: None,
        };
        pacer.tokens_bytes = pacer.burst_bytes();
        pacer
    }

    /// Takes a new target and the rate sent of late ([`crate::SendSide::sent_bps`]), in bit/s.
    pub fn set_target(&mut self, target_bps: u64, sent_bps: u64) {
        self.target_bps = target_bps as f64;
        let has_room = target_bps >= sent_bps.saturating_mul(WIDE_FACTOR);
        self.burst_us = if has_room { WIDE_BURST_US } else { BURST_US };
    }

    /// Takes what the path was seen to carry of late ([`crate::SendSide::burst_bps`]), in bit/s: what leaves
    /// faster makes the path's queue grow instead of ours.
    pub fn set_capacity(&mut self, bps: Option<u64>) {
        self.capacity_bps = bps.map_or(f64::INFINITY, |bps| bps as f64);
    }

    /// Tells whether the path's own queue grows or is long ([`crate::SendSide::is_congested`]): then
    /// what leaves is no faster than the path takes it, whatever waits.
    pub const fn set_congested(&mut self, is_congested: bool) {
        self.is_congested = is_congested;
    }

    /// Bytes that may leave now, with `queued_bytes` waiting, if any are. While it is over zero
    /// another packet may leave, whatever its size.
    pub fn budget(&mut self, now_us: u64, queued_bytes: u64) -> u64 {
        if queued_bytes == 0 && self.is_idle() {
            return 0;
        }
        self.advance(now_us);
        match &self.probe {
            Some(probe) => probe.due_bytes(now_us),
            None => self.tokens_bytes.min(self.burst_bytes()).ceil().max(0.0) as u64,
        }
    }

    /// Bytes of padding that the probe under way needs now, with `queued_bytes` that may leave
    /// instead.
    pub fn padding(&self, now_us: u64, queued_bytes: u64) -> u64 {
        self.probe
            .map_or(0, |probe| probe.due_bytes(now_us))
            .saturating_sub(queued_bytes)
    }

    /// Counts a packet that leaves.
    pub fn spend(&mut self, bytes: u64) {
        let Some(probe) = &mut self.probe else {
            self.tokens_bytes -= bytes as f64;
            return;
        };
        probe.packets += 1;
        probe.bytes += bytes;
        if probe.is_complete() {
            self.probe = None;
            // The probe has used up what was saved.
            self.tokens_bytes = self.tokens_bytes.min(0.0);
        }
    }

    /// When the next packets may leave, with `queued_bytes` left waiting: when there is a burst's
    /// worth, so that they leave together. [`NEVER_US`] where nothing waits.
    pub fn next_release(&mut self, now_us: u64, queued_bytes: u64) -> u64 {
        if queued_bytes == 0 && self.is_idle() {
            return NEVER_US;
        }
        self.advance(now_us);
        self.is_backlogged = queued_bytes > 0;
        if let Some(probe) = &self.probe {
            return probe.due_us().max(now_us);
        }
        if queued_bytes == 0 {
            return NEVER_US;
        }
        let wanted_bytes = self.burst_bytes().min(queued_bytes as f64);
        let missing_bytes = (wanted_bytes - self.tokens_bytes).max(0.0);
        let wait_us = missing_bytes * 8_000_000.0 / self.rate_bps();
        now_us + wait_us.ceil() as u64
    }

    /// Begins a probe; one under way is given up.
    pub const fn start_probe(&mut self, now_us: u64, cluster: ProbeCluster) {
        self.probe = Some(ActiveProbe {
            cluster,
            started_us: now_us,
            packets: 0,
            bytes: 0,
        });
    }

    /// A probe is under way.
    pub const fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Nothing waits, nor did before: as where there is audio alone.
    const fn is_idle(&self) -> bool {
        self.probe.is_none() && !self.is_backlogged
    }

    fn advance(&mut self, now_us: u64) {
        if self.probe.is_some_and(|probe| probe.is_late(now_us)) {
            self.probe = None;
        }
        let elapsed_us = now_us.saturating_sub(self.updated_us);
        self.updated_us = self.updated_us.max(now_us);
        let earned = self.rate_bps() * elapsed_us as f64 / 8_000_000.0;
        let most = if self.is_backlogged {
            2.0 * self.burst_bytes().max(earned)
        } else {
            self.burst_bytes()
        };
        self.tokens_bytes = (self.tokens_bytes + earned).min(most);
    }

    /// What leaves, over time: as much over the target as the path was seen to carry.
    fn rate_bps(&self) -> f64 {
        let factor = match self.is_congested {
            true => CONGESTED_PACE_FACTOR,
            false => PACE_FACTOR,
        };
        (factor * self.target_bps)
            .min(self.capacity_bps)
            .max(self.target_bps)
            .max(MIN_RATE_BPS)
    }

    fn burst_bytes(&self) -> f64 {
        self.target_bps.max(MIN_RATE_BPS) * self.burst_us as f64 / 8_000_000.0
    }
}

impl ActiveProbe {
    /// Bytes that should have left by now and one packet have not.
    fn due_bytes(&self, now_us: u64) -> u64 {
        let elapsed_us = now_us.saturating_sub(self.started_us);
        let by_now = self.cluster.rate_bps.saturating_mul(elapsed_us) / 8_000_000;
        (by_now + 1).saturating_sub(self.bytes)
    }

    /// When the next packet is due.
    fn due_us(&self) -> u64 {
        self.started_us + (self.bytes * 8_000_000).div_ceil(self.cluster.rate_bps.max(1))
    }

    const fn is_complete(&self) -> bool {
        self.packets >= self.cluster.min_packets && self.bytes >= self.cluster.min_bytes()
    }

    const fn is_late(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.started_us) > self.cluster.longest_us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, PacketKind, SendSide};

    const PACKET: u64 = 1_200;

    /// A queue of equal packets; what left, as `(time, packets)`, with turns `late_us` late.
    fn drain(pacer: &mut Pacer, mut packets: u64, late_us: u64) -> Vec<(u64, u64)> {
        let mut now_us = 0;
        let mut left = Vec::new();
        while packets > 0 {
            let before = packets;
            while packets > 0 && pacer.budget(now_us, packets * PACKET) > 0 {
                pacer.spend(PACKET);
                packets -= 1;
            }
            left.push((now_us, before - packets));
            now_us = pacer
                .next_release(now_us, packets * PACKET)
                .saturating_add(late_us);
        }
        left
    }

    fn pacer(target_bps: u64) -> Pacer {
        let mut pacer = Pacer::new(0, target_bps);
        pacer.set_target(target_bps, target_bps);
        pacer
    }

    #[test]
    fn a_frame_leaves_at_a_little_over_the_target() {
        let left = drain(&mut pacer(1_000_000), 20, 0);
        let (last_us, _) = *left.last().unwrap();
        // 24,000 bytes at 1.25 Mbit/s are 153.6 ms, less the first burst and the last packet.
        assert!((140_000..=153_600).contains(&last_us), "{left:?}");
        assert!(left.iter().all(|&(_, packets)| packets <= 3), "{left:?}");
    }

    #[test]
    fn late_turns_do_not_slow_it() {
        let (last_us, _) = *drain(&mut pacer(5_000_000), 100, 4_900).last().unwrap();
        assert!(last_us <= 160_000, "{last_us}");
    }

    #[test]
    fn bursts_are_wide_where_there_is_room() {
        let mut pacer = pacer(5_000_000);
        assert!(drain(&mut pacer, 9, 0).len() > 1);
        let mut pacer = Pacer::new(0, 5_000_000);
        pacer.set_target(5_000_000, 1_000_000);
        assert_eq!(pacer.budget(0, 9 * PACKET), 3_125, "not in advance");
        assert!(pacer.budget(millis(20), 9 * PACKET) >= 9 * PACKET);
    }

    #[test]
    fn a_key_frame_leaves_no_faster() {
        let (last_us, _) = *drain(&mut pacer(1_000_000), 100, 0).last().unwrap();
        // 120,000 bytes at 1.25 Mbit/s.
        assert!((740_000..=780_000).contains(&last_us), "{last_us}");
    }

    #[test]
    fn no_more_leaves_than_the_path_was_seen_to_carry_but_for_the_target() {
        let last_us = |capacity_bps| {
            let mut pacer = pacer(1_000_000);
            pacer.set_capacity(capacity_bps);
            drain(&mut pacer, 100, 0).last().unwrap().0
        };
        // 120,000 bytes at 1.1 Mbit/s, at the target, and at 1.25 Mbit/s.
        assert!((850_000..=880_000).contains(&last_us(Some(1_100_000))));
        assert!((930_000..=970_000).contains(&last_us(Some(800_000))));
        assert!((740_000..=780_000).contains(&last_us(Some(5_000_000))));
        assert_eq!(last_us(None), last_us(Some(5_000_000)), "nothing is known");
    }

    #[test]
    fn nothing_waiting_is_no_turn() {
        assert_eq!(pacer(1_000_000).next_release(0, 0), NEVER_US);
    }

    #[test]
    fn a_probe_leaves_at_its_rate_with_padding_for_what_media_does_not_fill() {
        let mut send_side = SendSide::new(
            Config {
                initial_bps: 600_000,
                min_bps: 30_000,
                max_bps: 10_000_000,
            },
            0,
        );
        send_side.sent(0, 1, 1_200, PacketKind::Video);
        let probe = send_side.probe(0).unwrap();
        assert_eq!(probe.rate_bps, 1_800_000);
        let mut pacer = pacer(600_000);
        pacer.start_probe(0, probe);
        let mut sent_us = Vec::new();
        let mut now_us = 0;
        let mut media = 2;
        while pacer.is_probing() {
            while media > 0 && pacer.budget(now_us, media * PACKET) > 0 {
                pacer.spend(PACKET);
                sent_us.push(now_us);
                media -= 1;
            }
            while pacer.padding(now_us, media * PACKET) > 0 {
                pacer.spend(PACKET);
                sent_us.push(now_us);
            }
            now_us = pacer.next_release(now_us, media * PACKET);
        }
        assert_eq!(sent_us.len(), 5);
        let took_us = sent_us[4] - sent_us[0];
        assert!((21_000..=22_000).contains(&took_us), "4 packets: {took_us}");
    }

    #[test]
    fn a_probe_that_cannot_be_sent_ends() {
        let mut pacer = pacer(600_000);
        let mut send_side = SendSide::new(
            Config {
                initial_bps: 600_000,
                min_bps: 0,
                max_bps: 10_000_000,
            },
            0,
        );
        send_side.sent(0, 1, 1_200, PacketKind::Video);
        pacer.start_probe(0, send_side.probe(0).unwrap());
        pacer.next_release(millis(200), 0);
        assert!(!pacer.is_probing());
    }
}
