//! The bandwidth towards one receiver, from all that is known of its path.

use crate::acknowledged::AcknowledgedRate;
use crate::application_limit::ApplicationLimit;
use crate::delay::{DelayEstimate, Throughput};
use crate::history::{Fate, History, SentPacket};
use crate::loss::{LossContext, LossEstimate};
use crate::millis;
use crate::probing::{ClusterId, ProbeCluster, ProbeContext, ProbeMeasure, ProbeSchedule};
use crate::rate_meter::RateMeter;
use crate::trains::Trains;

mod reports;

use reports::Reports;

/// A deadline that never comes.
pub const NEVER_US: u64 = u64::MAX;

/// Statuses read from one feedback message; a message can claim 65,535 of them in a few bytes.
const MAX_STATUSES: usize = 8_192;
/// Unit of the reference time of feedback, and of its deltas
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
const REFERENCE_UNIT_US: i64 = 64_000;
const DELTA_UNIT_US: i64 = 250;
/// Arrival times begin here, so that none is below zero: deltas move them by less than 2^37.
const ARRIVAL_ORIGIN_US: u64 = 1 << 50;

/// Feedback that stays away for this long, and a round trip, while packets leave, has stopped.
const STALL_US: u64 = millis(2_000);
/// From then on the target falls to this share, again and again.
const STALL_FACTOR: f64 = 0.8;
const STALL_STEP_US: u64 = millis(500);
/// Packets leave: the last one did so this long ago at most.
const SENDING_US: u64 = millis(1_000);
/// The application counts as limited for this long after it was.
const LIMITED_RECENTLY_US: u64 = millis(3_000);
/// An estimate of which less than this share arrives is not used.
const USED_SHARE: f64 = 0.85;
/// Where so little is sent that it makes no trains, the path is taken to carry at least this share of the
/// estimate whenever a queue grows: what arrives is no measure of it.
const UNUSED_SHARE: f64 = 0.7;
/// Nothing but padding left for this long.
const SILENT_US: u64 = millis(1_000);
/// A poll is due at least this often, so that the state follows also when nothing happens.
const POLL_US: u64 = millis(1_000);
/// The highest rate of a train of so long, and of up to twice that, is remembered.
const BURST_WINDOW_US: u64 = millis(15_000);
/// What is sent waits longer than this: no more is sent than the target.
const LONG_QUEUE_US: u64 = millis(100);
const FIRST_RTT_US: u64 = millis(200);
const MAX_RTT_US: u64 = millis(10_000);

/// What an estimate begins with, in bit/s.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The first target.
    pub initial_bps: u64,
    /// The target is never lower.
    pub min_bps: u64,
    /// The target is never higher; nor lower than the minimum, which has precedence.
    pub max_bps: u64,
}

/// What a packet is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// Audio: leaves without being paced.
    Audio,
    /// Video sent for the first time.
    Video,
    /// A packet sent again because it was asked for.
    Rtx,
    /// A packet of a probe that carries nothing new.
    Padding {
        /// Its probe.
        cluster: ClusterId,
    },
}

/// What has been sent of a probe.
#[derive(Debug, Clone, Copy)]
struct ActiveProbe {
    id: ClusterId,
    packets_left: u32,
    bytes_left: u64,
    until_us: u64,
}

/// Estimates the bandwidth towards one receiver.
///
/// Where transport-wide feedback comes ([`Self::feedback`]), the target is the lower of what
/// delay and losses allow, found faster by probes; a REMB can only lower it. Without feedback it
/// follows REMB ([`Self::remb`]), and where there is none it grows by 8 % a second while reports
/// ([`Self::loss_report`]) are good; losses limit it in each case.
#[derive(Debug)]
pub struct SendSide {
    min_bps: f64,
    max_bps: f64,
    target_bps: f64,
    wanted_bps: Option<f64>,
    remb_bps: Option<f64>,
    rtt_us: Option<f64>,
    history: History,
    acknowledged: AcknowledgedRate,
    application: ApplicationLimit,
    delay: DelayEstimate,
    loss: LossEstimate,
    measure: ProbeMeasure,
    schedule: ProbeSchedule,
    active_probe: Option<ActiveProbe>,
    sent_rate: RateMeter,
    /// When something else than padding last left.
    media_us: u64,
    trains: Trains,
    /// The most of that in this window, which ends then, and in the one before.
    burst_bps: f64,
    earlier_burst_bps: f64,
    burst_until_us: u64,
    reports: Reports,
    /// Reference time of the newest feedback, and the arrival time it stands for.
    reference: Option<(i32, u64)>,
    feedback_us: Option<u64>,
    /// When the first packet left that no feedback has come after.
    unreported_since_us: Option<u64>,
    /// When the last packet left that feedback can tell of.
    tracked_us: u64,
    stalled_us: Option<u64>,
}

impl SendSide {
    /// An estimate that knows nothing but its configuration.
    pub fn new(config: Config, now_us: u64) -> Self {
        let min_bps = config.min_bps as f64;
        let max_bps = (config.max_bps as f64).max(min_bps);
        let target_bps = (config.initial_bps as f64).clamp(min_bps, max_bps);
        Self {
            min_bps,
            max_bps,
            target_bps,
            wanted_bps: None,
            remb_bps: None,
            rtt_us: None,
            history: History::default(),
            acknowledged: AcknowledgedRate::default(),
            application: ApplicationLimit::new(now_us, target_bps),
            delay: DelayEstimate::new(now_us, target_bps),
            loss: LossEstimate::default(),
            measure: ProbeMeasure::default(),
            schedule: ProbeSchedule::new(now_us, target_bps),
            active_probe: None,
            sent_rate: RateMeter::default(),
            media_us: now_us,
            trains: Trains::default(),
            burst_bps: 0.0,
            earlier_burst_bps: 0.0,
            burst_until_us: now_us + BURST_WINDOW_US,
            reports: Reports::default(),
            reference: None,
            feedback_us: None,
            unreported_since_us: None,
            tracked_us: 0,
            stalled_us: None,
        }
    }

    /// The rate to send at, probes aside, in bit/s; within the limits.
    pub const fn target_bps(&self) -> u64 {
        self.target_bps as u64
    }

    /// The rate that arrives; `None` before half a second of feedback.
    pub fn acknowledged_bps(&self) -> Option<u64> {
        self.acknowledged.bps().map(|bps| bps as u64)
    }

    /// The rate sent in the last half second, probes aside.
    pub fn sent_bps(&mut self, now_us: u64) -> u64 {
        self.sent_rate.rate_bps(now_us)
    }

    /// So much less than the target is sent that the path does not show what it carries.
    pub const fn is_application_limited(&self) -> bool {
        self.application.is_limited()
    }

    /// The most that arrived at a time, of late, in bit/s: what the path carries of all that shares
    /// it, or less; `None` where nothing came that could tell.
    pub fn burst_bps(&self) -> Option<u64> {
        let bps = self.burst_bps.max(self.earlier_burst_bps);
        (bps > 0.0).then_some(bps as u64)
    }

    /// A queue grows, or a long one stands: what leaves now only makes it longer.
    pub fn is_congested(&self, now_us: u64) -> bool {
        self.delay.is_overused(now_us) || self.delay.standing_us(now_us) > LONG_QUEUE_US
    }

    /// Share of bytes lost over the last seconds, 0 to 1.
    pub const fn average_loss(&self) -> f64 {
        self.loss.average_loss()
    }

    /// The round trip, smoothed; `None` before anything is known of it.
    pub fn rtt_us(&self) -> Option<u64> {
        self.rtt_us.map(|us| us as u64)
    }

    /// A packet with a transport-wide sequence number leaves. `bytes` is the whole datagram. A
    /// packet sent again under its old number is passed in again.
    pub fn sent(&mut self, now_us: u64, transport_sequence: u16, bytes: u16, kind: PacketKind) {
        let active = self.advance_probe(now_us, bytes);
        let cluster = match kind {
            PacketKind::Padding { cluster } => Some(cluster),
            PacketKind::Audio | PacketKind::Video | PacketKind::Rtx => active,
        };
        self.history
            .insert(now_us, transport_sequence, bytes, cluster);
        if now_us.saturating_sub(self.tracked_us) > SENDING_US {
            // What was last sent before a pause may be lost, and nothing would tell.
            self.unreported_since_us = None;
            self.stalled_us = None;
        }
        self.tracked_us = now_us;
        self.unreported_since_us.get_or_insert(now_us);
        self.count_sent(now_us, bytes, kind);
    }

    /// A packet without a transport-wide sequence number leaves.
    pub fn sent_untracked(&mut self, now_us: u64, bytes: u16, kind: PacketKind) {
        self.advance_probe(now_us, bytes);
        self.count_sent(now_us, bytes, kind);
    }

    /// A packet passed to [`Self::sent`] did not leave after all.
    pub fn send_failed(&mut self, transport_sequence: u16) {
        self.history.remove(transport_sequence);
    }

    /// Takes a transport-wide feedback message. `statuses` are those of
    /// `weirgate_packet::rtcp::TransportFeedback`: in sequence order, each with its arrival delta
    /// in units of 250 µs, the first from `reference_time` (units of 64 ms, 24 bits that wrap).
    /// Messages may be lost, doubled, or come in another order.
    pub fn feedback(
        &mut self,
        now_us: u64,
        statuses: impl IntoIterator<Item = (u16, Option<i16>)>,
        reference_time: i32,
    ) {
        let mut arrival_us = self.arrival_base_us(reference_time);
        // When the packet left that arrived last.
        let mut newest: Option<u64> = None;
        let mut newest_us = 0;
        for (sequence, delta) in statuses.into_iter().take(MAX_STATUSES) {
            let Some(delta) = delta else {
                self.missing(sequence);
                continue;
            };
            // Far from either end, which arrival_base_us sees to.
            arrival_us = arrival_us.wrapping_add_signed(i64::from(delta) * DELTA_UNIT_US);
            let sent_us = self.arrived(now_us, sequence, arrival_us);
            if sent_us.is_some() && arrival_us >= newest_us {
                (newest, newest_us) = (sent_us, arrival_us);
            }
        }
        if let Some(sent_us) = newest {
            self.feedback_us = Some(now_us);
            self.unreported_since_us = None;
            self.stalled_us = None;
            self.rtt(now_us.saturating_sub(sent_us));
            self.note_burst(now_us);
            self.conclude(now_us);
        } else {
            // Nothing arrived, which losses have to take account of.
            self.weigh_losses();
            self.set_target(now_us);
        }
    }

    /// Takes the receiver's own estimate (REMB).
    pub fn remb(&mut self, now_us: u64, bps: u64) {
        self.remb_bps = Some(bps as f64);
        self.set_target(now_us);
    }

    /// Sets the limits of the target; the minimum has precedence.
    pub fn set_limits(&mut self, now_us: u64, min_bps: u64, max_bps: u64) {
        self.min_bps = min_bps as f64;
        self.max_bps = (max_bps as f64).max(self.min_bps);
        self.set_target(now_us);
        let context = self.probe_context(now_us);
        self.schedule.wanted(now_us, &context);
    }

    /// What consumers would take if there was no limit: the path is only probed for that.
    /// Without a call it is probed up to the maximum.
    pub fn set_wanted(&mut self, now_us: u64, bps: u64) {
        let before = self.wanted_bps.replace(bps as f64);
        if before.is_none_or(|before| before < bps as f64) {
            let context = self.probe_context(now_us);
            self.schedule.wanted(now_us, &context);
        }
    }

    /// Takes a measured round trip, as from a receiver report.
    pub fn rtt(&mut self, rtt_us: u64) {
        let sample = rtt_us.min(MAX_RTT_US) as f64;
        let smoothed = self.rtt_us.map_or(sample, |old| old + (sample - old) / 8.0);
        self.rtt_us = Some(smoothed);
        self.delay.set_rtt(smoothed as u64);
    }

    /// Lets time pass. To be called at the deadline it returned last, and may be called at any
    /// other time; [`Self::probe`] may have something new after it.
    pub fn poll(&mut self, now_us: u64) -> u64 {
        if self.application.update(now_us) {
            self.acknowledged.expect_jump();
        }
        if self.loss.is_stale(now_us) {
            // The target stays, and is free to grow again.
            self.delay.set_bps(now_us, self.target_bps);
            self.loss = LossEstimate::default();
        }
        let stall_us = self.back_off_without_feedback(now_us);
        let context = self.probe_context(now_us);
        let probe_us = self.schedule.poll(now_us, &context);
        stall_us
            .unwrap_or(NEVER_US)
            .min(probe_us.unwrap_or(NEVER_US))
            .clamp(now_us + 1, now_us + POLL_US)
    }

    /// The next probe to send, once. To be asked for after [`Self::poll`], [`Self::feedback`] and
    /// the first video, and only when the last probe has been sent ([`crate::Pacer::is_probing`]).
    pub fn probe(&mut self, now_us: u64) -> Option<ProbeCluster> {
        let probe = self.schedule.take(now_us)?;
        self.measure.expect(probe);
        self.active_probe = Some(ActiveProbe {
            id: probe.id,
            packets_left: probe.min_packets,
            bytes_left: probe.min_bytes(),
            until_us: now_us + probe.longest_us(),
        });
        Some(probe)
    }

    /// [`Self::probe`] has one.
    pub const fn has_probe(&self) -> bool {
        self.schedule.has_probe()
    }

    /// Counts a packet towards the probe under way; the probe's id.
    fn advance_probe(&mut self, now_us: u64, bytes: u16) -> Option<ClusterId> {
        let probe = self.active_probe.as_mut()?;
        let id = probe.id;
        let is_late = now_us > probe.until_us;
        probe.packets_left = probe.packets_left.saturating_sub(1);
        probe.bytes_left = probe.bytes_left.saturating_sub(u64::from(bytes));
        if is_late || (probe.packets_left == 0 && probe.bytes_left == 0) {
            self.active_probe = None;
        }
        (!is_late).then_some(id)
    }

    fn count_sent(&mut self, now_us: u64, bytes: u16, kind: PacketKind) {
        self.reports.sent(now_us, bytes);
        if matches!(kind, PacketKind::Padding { .. }) {
            return;
        }
        self.media_us = now_us;
        self.sent_rate.add(now_us, u64::from(bytes));
        if self.application.sent(now_us, bytes) {
            self.acknowledged.expect_jump();
        }
        if kind == PacketKind::Video && self.schedule.is_new() {
            let context = self.probe_context(now_us);
            self.schedule.start(now_us, &context);
        }
    }

    /// The arrival time that deltas count from.
    fn arrival_base_us(&mut self, reference_time: i32) -> u64 {
        let base_us = match self.reference {
            None => ARRIVAL_ORIGIN_US,
            Some((last, last_us)) => {
                // Sign extension of the difference of two 24-bit numbers.
                let ahead = (reference_time.wrapping_sub(last) << 8) >> 8;
                last_us
                    .saturating_add_signed(i64::from(ahead) * REFERENCE_UNIT_US)
                    .clamp(ARRIVAL_ORIGIN_US / 2, ARRIVAL_ORIGIN_US * 2)
            }
        };
        self.reference = Some((reference_time, base_us));
        base_us
    }

    /// A packet is reported as not received.
    #[inline]
    fn missing(&mut self, sequence: u16) {
        if let Some(packet) = self.history.report(sequence, false)
            && packet.fate == Fate::Unreported
        {
            self.loss
                .packet(packet.sent_us, u64::from(packet.bytes), true);
        }
    }

    /// A packet is reported as received; when it left, if that is news.
    #[inline]
    fn arrived(&mut self, now_us: u64, sequence: u16, arrival_us: u64) -> Option<u64> {
        let packet = self.history.report(sequence, true)?;
        let bytes = u64::from(packet.bytes);
        if packet.fate == Fate::Unreported {
            self.loss.packet(packet.sent_us, bytes, false);
        } else {
            self.arrived_late(&packet)?;
        }
        let is_limited = self.application.is_limited();
        self.acknowledged.arrived(arrival_us, bytes, is_limited);
        self.trains.arrived(packet.sent_us, arrival_us, bytes);
        if packet.cluster.is_none() && packet.fate != Fate::Repeated {
            self.delay.arrived(now_us, packet.sent_us, arrival_us);
            return Some(packet.sent_us);
        }
        self.arrived_apart(&packet, arrival_us)
    }

    /// A packet is reported as received of which something was known; `None` if that it was
    /// received.
    #[cold]
    fn arrived_late(&mut self, packet: &SentPacket) -> Option<()> {
        match packet.fate {
            Fate::Lost => self.loss.found(packet.sent_us, u64::from(packet.bytes)),
            Fate::Unreported | Fate::Repeated => {}
            Fate::Received | Fate::Unsent => return None,
        }
        Some(())
    }

    /// A packet is reported as received that does not show the delay of the path: one that was
    /// sent twice, or one of a probe; when it left, if it is known.
    #[cold]
    fn arrived_apart(&mut self, packet: &SentPacket, arrival_us: u64) -> Option<u64> {
        if packet.fate == Fate::Repeated {
            return None;
        }
        let (sent_us, bytes) = (packet.sent_us, u64::from(packet.bytes));
        self.measure
            .arrived(packet.cluster?, sent_us, arrival_us, bytes);
        self.delay.interrupt(arrival_us);
        Some(sent_us)
    }

    /// Draws the conclusion from feedback.
    fn conclude(&mut self, now_us: u64) {
        let acknowledged_bps = self.acknowledged.bps();
        let present_bps = self.delay.bps();
        let probe_bps = self.measure.take_result().and_then(|result| {
            self.loss.probed(result.bps);
            if result.bps >= present_bps {
                self.acknowledged.expect_jump();
                Some(result.bps)
            } else {
                // A slow probe that met no limit only shows that we were slow.
                let floor_bps = acknowledged_bps.unwrap_or(0.0).min(present_bps);
                result.is_full.then(|| result.bps.max(floor_bps))
            }
        });
        let seen = Throughput {
            acknowledged_bps,
            full_bps: self.full_bps(),
            probe_bps,
        };
        let update = self.delay.update(now_us, &seen);
        if let Some(bps) = acknowledged_bps {
            // What arrives is of a moment ago: less may be sent since.
            let sent_bps = self.sent_rate.rate_bps(now_us) as f64;
            self.delay.carries(now_us, bps.min(sent_bps));
        }
        if self.delay.bps() < self.min_bps {
            self.delay.set_bps(now_us, self.min_bps);
        }
        self.weigh_losses();
        self.set_target(now_us);
        if update.recovered {
            let context = self.probe_context(now_us);
            self.schedule.recovered(now_us, &context);
        }
    }

    /// The rate that arrives if the link is full. That of a train shows better what the path carries
    /// where more arrives in it than on average, as content swings; and where the path carries less than
    /// a moment ago.
    fn full_bps(&self) -> Option<f64> {
        let estimate_bps = self.delay.bps();
        let train_bps = self.trains.bps().min(estimate_bps);
        match self.acknowledged.full_bps() {
            Some(full_bps) if train_bps <= 0.0 && self.application.is_limited() => {
                Some(full_bps.max(UNUSED_SHARE * estimate_bps))
            }
            full_bps if train_bps <= 0.0 => full_bps,
            Some(full_bps) if !self.delay.is_sudden() => Some(full_bps.max(train_bps)),
            _ => Some(train_bps),
        }
    }

    fn note_burst(&mut self, now_us: u64) {
        if now_us >= self.burst_until_us {
            self.earlier_burst_bps = std::mem::take(&mut self.burst_bps);
            self.burst_until_us = now_us + BURST_WINDOW_US;
        }
        self.burst_bps = self.burst_bps.max(self.trains.bps());
    }

    fn weigh_losses(&mut self) {
        self.weigh_losses_at(self.acknowledged.bps());
    }

    fn weigh_losses_at(&mut self, acknowledged_bps: Option<f64>) {
        // Where less is sent than might be, what arrives is not what the path carries.
        let is_used = acknowledged_bps.is_none_or(|bps| bps >= USED_SHARE * self.target_bps);
        self.loss.update(&LossContext {
            ceiling_bps: self.ceiling_bps(),
            acknowledged_bps,
            application_limited: self.application.is_limited() || !is_used,
            min_bps: self.min_bps,
            max_bps: self.max_bps,
        });
    }

    /// The target without regard to losses.
    fn ceiling_bps(&self) -> f64 {
        let ceiling_bps = match (self.feedback_us, self.remb_bps) {
            (None, Some(remb_bps)) => remb_bps,
            (Some(_), Some(remb_bps)) => self.delay.bps().min(remb_bps),
            (_, None) => self.delay.bps(),
        };
        ceiling_bps.clamp(self.min_bps, self.max_bps)
    }

    fn set_target(&mut self, now_us: u64) {
        let limit_bps = self.loss.limit_bps().unwrap_or(f64::INFINITY);
        let bps = self.ceiling_bps().min(limit_bps);
        self.target_bps = bps.clamp(self.min_bps, self.max_bps);
        self.application.set_target(self.target_bps);
        let context = self.probe_context(now_us);
        self.schedule.target(now_us, &context);
    }

    /// Lowers the target while packets leave and nothing comes back; when to look again.
    fn back_off_without_feedback(&mut self, now_us: u64) -> Option<u64> {
        self.feedback_us?;
        let patience_us = STALL_US + self.rtt_us().unwrap_or(FIRST_RTT_US);
        let stall_us = self.unreported_since_us? + patience_us;
        let due_us = self
            .stalled_us
            .map_or(stall_us, |at_us| at_us + STALL_STEP_US);
        if now_us < due_us {
            return Some(due_us);
        }
        if now_us.saturating_sub(self.tracked_us) > SENDING_US {
            return None;
        }
        self.stalled_us = Some(now_us);
        let lower_bps = (STALL_FACTOR * self.target_bps).max(self.min_bps);
        self.delay.set_bps(now_us, lower_bps);
        self.set_target(now_us);
        Some(now_us + STALL_STEP_US)
    }

    fn probe_context(&self, now_us: u64) -> ProbeContext {
        ProbeContext {
            target_bps: self.target_bps,
            max_bps: self.max_bps,
            wanted_bps: self.wanted_bps,
            is_overused: self.delay.is_overused(now_us),
            overused_us: self.delay.overused_us(),
            standing_us: self.delay.standing_us(now_us),
            is_capacity_known: self.delay.is_capacity_known(),
            loss: self.loss.state(),
            is_limited: self.application.is_limited() || self.delay.is_capped(),
            was_limited: self.application.was_limited(now_us, LIMITED_RECENTLY_US),
            is_silent: now_us.saturating_sub(self.media_us) > SILENT_US,
        }
    }
}
