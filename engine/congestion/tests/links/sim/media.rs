//! A sender driven by the estimator and the pacer, as the shard drives them, and a receiver that
//! reports arrivals every 100 ms.

use std::collections::{BTreeMap, VecDeque};

use weirgate_congestion::allocator::{self, Allocation, Demand, Kind, LayerRate};
use weirgate_congestion::{ClusterId, Config, Pacer, PacketKind, SendSide};

use super::{Flow, MS, Packet, Rng, SECOND};

const FRAME_US: u64 = 33_000;
const MAX_PACKET: u64 = 1_200;
const FEEDBACK_US: u64 = 100 * MS;
/// The driver's step: deadlines come up this late.
const TURN_US: u64 = 5 * MS;
/// The receiver's clock when ours is at 0: its reference time wraps ten seconds later.
const RECEIVER_CLOCK_US: u64 = (1 << 24) * 64_000 - 10 * SECOND;

const FIRST_SEQUENCE: u64 = 65_000;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// An encoder that follows the target up to a limit.
    Encoder { max_bps: u64 },
    /// Layers of which the allocator takes one.
    Layers(&'static [LayerRate]),
}

/// What happens to feedback.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FeedbackFaults {
    pub(crate) loss: f64,
    pub(crate) doubled: f64,
    /// Comes a little more than one interval late.
    pub(crate) late: f64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct MediaConfig {
    pub(crate) source: Source,
    pub(crate) initial_bps: u64,
    /// How long feedback takes.
    pub(crate) back_us: u64,
    pub(crate) faults: FeedbackFaults,
    pub(crate) seed: u64,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            source: Source::Encoder { max_bps: 5_000_000 },
            initial_bps: 600_000,
            back_us: 25_000,
            faults: FeedbackFaults::default(),
            seed: 7,
        }
    }
}

/// A packet and what became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) sent_us: u64,
    pub(crate) bytes: u16,
    pub(crate) arrival_us: Option<u64>,
}

/// Arrivals of one feedback interval on their way back.
struct Feedback {
    reference_time: i32,
    statuses: Vec<(u16, Option<i16>)>,
}

pub(crate) struct MediaFlow {
    config: MediaConfig,
    rng: Rng,
    pub(crate) send_side: SendSide,
    pacer: Pacer,
    probe_id: Option<ClusterId>,
    allocation: Allocation,
    queue: VecDeque<u16>,
    frame_us: u64,
    turn_us: u64,
    poll_us: u64,
    next_sequence: u64,
    /// Arrived and not reported.
    arrived: BTreeMap<u64, u64>,
    /// Reported up to here.
    reported: u64,
    report_us: u64,
    feedback: BTreeMap<(u64, u64), Feedback>,
    feedbacks: u64,
    delivered: Vec<(u64, u16)>,
    /// Arrivals by sequence number.
    arrivals: BTreeMap<u64, u64>,
    sent: Vec<(u64, u16)>,
    targets: Vec<(u64, u64)>,
    pub(crate) padding_bytes: u64,
}

impl MediaFlow {
    pub(crate) fn new(now_us: u64, config: MediaConfig) -> Self {
        let estimate = Config {
            initial_bps: config.initial_bps,
            min_bps: 30_000,
            max_bps: 10_000_000,
        };
        let mut send_side = SendSide::new(estimate, now_us);
        send_side.set_wanted(
            now_us,
            match config.source {
                Source::Encoder { max_bps } => max_bps,
                // With room for the next consumer.
                Source::Layers(layers) => 2 * allocator::wanted_bps(&[demand(layers)]),
            },
        );
        Self {
            config,
            rng: Rng::new(config.seed),
            send_side,
            pacer: Pacer::new(now_us, config.initial_bps),
            probe_id: None,
            allocation: Allocation::default(),
            queue: VecDeque::new(),
            frame_us: now_us,
            turn_us: now_us,
            poll_us: now_us,
            next_sequence: FIRST_SEQUENCE,
            arrived: BTreeMap::new(),
            reported: FIRST_SEQUENCE,
            report_us: now_us + FEEDBACK_US,
            feedback: BTreeMap::new(),
            feedbacks: 0,
            delivered: Vec::new(),
            arrivals: BTreeMap::new(),
            sent: Vec::new(),
            targets: Vec::new(),
            padding_bytes: 0,
        }
    }

    /// Mean target.
    pub(crate) fn target_bps(&self, from_us: u64, until_us: u64) -> u64 {
        let within = |at_us: &u64| (from_us..until_us).contains(at_us);
        let targets: Vec<u64> = self
            .targets
            .iter()
            .filter(|(at_us, _)| within(at_us))
            .map(|&(_, bps)| bps)
            .collect();
        targets.iter().sum::<u64>() / targets.len().max(1) as u64
    }

    pub(crate) fn delivered_bps(&self, from_us: u64, until_us: u64) -> u64 {
        rate(&self.delivered, from_us, until_us)
    }

    pub(crate) fn sent_bps(&self, from_us: u64, until_us: u64) -> u64 {
        rate(&self.sent, from_us, until_us)
    }

    /// All that was sent.
    pub(crate) fn records(&self) -> Vec<Record> {
        let record = |(sequence, &(sent_us, bytes))| Record {
            sent_us,
            bytes,
            arrival_us: self.arrivals.get(&sequence).copied(),
        };
        (FIRST_SEQUENCE..).zip(&self.sent).map(record).collect()
    }

    fn make_frame(&mut self, now_us: u64) {
        let target_bps = self.send_side.target_bps();
        let bps = match self.config.source {
            Source::Encoder { max_bps } => target_bps.min(max_bps),
            Source::Layers(layers) => {
                let allocations = std::slice::from_mut(&mut self.allocation);
                allocator::allocate(now_us, target_bps, &[demand(layers)], allocations).bps
            }
        };
        let varied = bps as f64 * (0.8 + 0.4 * self.rng.unit());
        let mut bytes = (varied * FRAME_US as f64 / 8_000_000.0) as u64;
        while bytes > 0 {
            let packet = bytes.min(MAX_PACKET);
            self.queue.push_back(packet.max(100) as u16);
            bytes -= packet;
        }
    }

    fn queued_bytes(&self) -> u64 {
        self.queue.iter().map(|&bytes| u64::from(bytes)).sum()
    }

    fn depart(&mut self, now_us: u64, bytes: u16, kind: PacketKind, out: &mut Vec<(u64, u16)>) {
        self.pacer.spend(u64::from(bytes));
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.send_side.sent(now_us, sequence as u16, bytes, kind);
        self.sent.push((now_us, bytes));
        out.push((sequence, bytes));
    }

    fn send(&mut self, now_us: u64, out: &mut Vec<(u64, u16)>) {
        let sent_bps = self.send_side.sent_bps(now_us);
        self.pacer.set_target(self.send_side.target_bps(), sent_bps);
        let is_congested = self.send_side.is_congested(now_us);
        self.pacer.set_congested(is_congested);
        if !self.pacer.is_probing()
            && let Some(probe) = self.send_side.probe(now_us)
        {
            self.pacer.start_probe(now_us, probe);
            self.probe_id = Some(probe.id);
        }
        while self.pacer.budget(now_us, self.queued_bytes()) > 0 {
            let Some(bytes) = self.queue.pop_front() else {
                break;
            };
            self.depart(now_us, bytes, PacketKind::Video, out);
        }
        while self.pacer.padding(now_us, self.queued_bytes()) > 0
            && let Some(cluster) = self.probe_id
        {
            let kind = PacketKind::Padding { cluster };
            self.depart(now_us, 1_100, kind, out);
            self.padding_bytes += 1_100;
        }
        let release_us = self.pacer.next_release(now_us, self.queued_bytes());
        self.turn_us = release_us.div_ceil(TURN_US).saturating_mul(TURN_US);
    }

    /// What the receiver reports.
    fn report(&mut self, now_us: u64) {
        let Some((&newest, _)) = self.arrived.last_key_value() else {
            return;
        };
        let base = self.arrived.keys().next().map_or(self.reported, |&first| {
            // A late packet is reported with all that came after it.
            first.min(self.reported)
        });
        let first_us = self.arrived.values().next().copied().unwrap_or(0);
        let reference = first_us / 64_000;
        let mut last_us = reference * 64_000;
        let mut statuses = Vec::new();
        for sequence in base..=newest {
            let delta = self.arrived.get(&sequence).map(|&at_us| {
                let delta = (at_us as i64 - last_us as i64) / 250;
                last_us = last_us.saturating_add_signed(delta * 250);
                delta as i16
            });
            statuses.push((sequence as u16, delta));
        }
        self.reported = self.reported.max(newest + 1);
        self.arrived.clear();
        let faults = self.config.faults;
        let message = || Feedback {
            reference_time: ((reference as i32) << 8) >> 8,
            statuses: statuses.clone(),
        };
        if self.rng.chance(faults.loss) {
            return;
        }
        let late_us = if self.rng.chance(faults.late) {
            FEEDBACK_US + 10 * MS
        } else {
            0
        };
        let at_us = now_us + self.config.back_us + late_us;
        self.feedback.insert((at_us, self.feedbacks), message());
        if self.rng.chance(faults.doubled) {
            let again_us = at_us + 3 * MS;
            self.feedback.insert((again_us, self.feedbacks), message());
        }
        self.feedbacks += 1;
    }

    fn take_feedback(&mut self, now_us: u64) {
        while let Some(first) = self.feedback.first_entry() {
            if first.key().0 > now_us {
                return;
            }
            let message = first.remove();
            self.send_side
                .feedback(now_us, message.statuses, message.reference_time);
        }
    }
}

impl Flow for MediaFlow {
    fn deliver(&mut self, at_us: u64, packet: Packet) {
        self.delivered.push((at_us, packet.bytes));
        self.arrivals.insert(packet.id, at_us);
        self.arrived.insert(packet.id, at_us + RECEIVER_CLOCK_US);
    }

    fn tick(&mut self, now_us: u64, out: &mut Vec<(u64, u16)>) {
        if now_us >= self.report_us {
            self.report_us += FEEDBACK_US;
            self.report(now_us);
        }
        self.take_feedback(now_us);
        if now_us >= self.poll_us {
            self.poll_us = self.send_side.poll(now_us);
        }
        if now_us >= self.frame_us {
            self.frame_us += FRAME_US;
            self.make_frame(now_us);
            self.turn_us = self.turn_us.min(now_us);
        }
        if now_us >= self.turn_us {
            self.send(now_us, out);
        }
        self.targets.push((now_us, self.send_side.target_bps()));
    }
}

fn demand(layers: &[LayerRate]) -> Demand<'_> {
    Demand {
        priority: 1,
        kind: Kind::Video,
        paused: false,
        layers,
        preferred: None,
    }
}

/// Bit/s of what happened within a time.
pub(super) fn rate(log: &[(u64, u16)], from_us: u64, until_us: u64) -> u64 {
    let bytes: u64 = log
        .iter()
        .filter(|(at_us, _)| (from_us..until_us).contains(at_us))
        .map(|&(_, bytes)| u64::from(bytes))
        .sum();
    bytes * 8_000_000 / (until_us - from_us)
}
