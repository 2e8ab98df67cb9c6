//! One measurement: a time of bursts at their pace.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::args::{Args, Via};
use crate::cpu;
use crate::receiver::ReceiverProcess;
use crate::sender::{self, Sender};

const WARM_UP: Duration = Duration::from_millis(200);
/// After this, what has not reached the receiver is lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// Packets given to the kernel.
    pub(crate) sent: u64,
    /// Packets it did not take.
    pub(crate) refused: u64,
    /// Packets that reached the receiver.
    pub(crate) received: u64,
    /// Packets a second, of which the pace asked for.
    pub(crate) rate: f64,
    /// CPU time of the sending process per packet sent, in ns.
    pub(crate) sender_ns: f64,
    /// CPU time of the receiving process per packet received, in ns.
    pub(crate) receiver_ns: f64,
    /// CPU time of the kernel's own threads for packets, per packet sent, in ns.
    pub(crate) kernel_ns: Option<f64>,
}

impl Sample {
    /// Share of the packets sent that reached the receiver.
    pub(crate) fn delivered(&self) -> f64 {
        self.received as f64 / self.sent.max(1) as f64
    }
}

/// Measures once.
pub(crate) fn measure(
    args: &Args,
    via: Via,
    train: usize,
    receiver: &mut ReceiverProcess,
) -> Result<Sample> {
    let mut sender = sender::make(via, args, &receiver.addresses)?;
    let idle = receiver.mark()?;
    let warm_up = WARM_UP.as_secs_f64() / args.interval().as_secs_f64();
    let warmed_up = send_bursts(&mut *sender, args, train, warm_up.ceil() as u32)?;
    let before = receiver.received(idle.received + warmed_up.sent, PATIENCE)?;

    let softirq_before = cpu::softirq_time();
    let cpu_before = cpu::process_time()?;
    let started = Instant::now();
    let Tally { sent, refused } = send_bursts(&mut *sender, args, train, args.bursts())?;
    let elapsed = started.elapsed();
    let cpu_time = cpu::process_time()?.saturating_sub(cpu_before);
    let softirq = cpu::softirq_time()
        .zip(softirq_before)
        .map(|(after, before)| after.saturating_sub(before));
    let after = receiver.received(before.received + sent, PATIENCE)?;
    let received = after.received - before.received;
    let receiver_cpu = after.cpu.saturating_sub(before.cpu);
    let per_packet = |time: Duration, packets: u64| time.as_nanos() as f64 / packets.max(1) as f64;
    Ok(Sample {
        sent,
        refused,
        received,
        rate: sent as f64 / elapsed.as_secs_f64(),
        sender_ns: per_packet(cpu_time, sent),
        receiver_ns: per_packet(receiver_cpu, received),
        kernel_ns: softirq.map(|time| per_packet(time, sent)),
    })
}

/// What became of the packets.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    sent: u64,
    refused: u64,
}

/// Sends bursts to each group in turn, each at its time or as soon after as can be; lasts as long as
/// the last one's interval.
fn send_bursts(sender: &mut dyn Sender, args: &Args, train: usize, bursts: u32) -> Result<Tally> {
    let started = Instant::now();
    let groups = args.groups;
    let interval = args.interval() / groups as u32;
    let mut tally = Tally::default();
    for turn in 0..bursts * groups as u32 {
        let group = turn as usize % groups;
        let start = |group: usize| args.receivers * group / groups;
        let receivers = start(group)..start(group + 1);
        let mut left = args.burst;
        while left > 0 {
            let segments = left.min(train);
            let refused = sender.wave(segments, receivers.clone())?;
            tally.refused += refused;
            tally.sent += (segments * receivers.len()) as u64 - refused;
            left -= segments;
        }
        let next = started + interval * (turn + 1);
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            sender.sleep(wait)?;
        }
    }
    Ok(tally)
}
