//! One measurement: a time of bursts at their pace.

use std::thread;
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
}

/// Measures once.
pub(crate) fn measure(
    args: &Args,
    via: Via,
    train: usize,
    receiver: &mut ReceiverProcess,
) -> Result<Sample> {
    let mut sender = sender::make(via, args, &receiver.addresses)?;
    let interval = args.interval();
    let warm_up = WARM_UP.as_secs_f64() / interval.as_secs_f64();
    send_bursts(&mut *sender, args, train, warm_up.ceil() as u32)?;
    thread::sleep(Duration::from_millis(50));

    let before = receiver.mark()?;
    let cpu_before = cpu::process_time()?;
    let started = Instant::now();
    let bursts = args.bursts();
    let refused = send_bursts(&mut *sender, args, train, bursts)?;
    let elapsed = started.elapsed();
    let cpu_time = cpu::process_time()?.saturating_sub(cpu_before);
    let sent = u64::from(bursts) * (args.burst * args.receivers) as u64 - refused;
    let mut after = receiver.mark()?;
    let patient_until = Instant::now() + PATIENCE;
    while after.received - before.received < sent && Instant::now() < patient_until {
        thread::sleep(Duration::from_millis(20));
        after = receiver.mark()?;
    }
    let received = after.received - before.received;
    let receiver_cpu = after.cpu.saturating_sub(before.cpu);
    Ok(Sample {
        sent,
        refused,
        received,
        rate: sent as f64 / elapsed.as_secs_f64(),
        sender_ns: cpu_time.as_nanos() as f64 / sent.max(1) as f64,
        receiver_ns: receiver_cpu.as_nanos() as f64 / received.max(1) as f64,
    })
}

/// Sends bursts, each at its time or as soon after as can be; lasts as long as the last one's
/// interval. Answers how many packets the kernel did not take.
fn send_bursts(sender: &mut dyn Sender, args: &Args, train: usize, bursts: u32) -> Result<u64> {
    let started = Instant::now();
    let interval = args.interval();
    let mut refused = 0;
    for burst in 1..=bursts {
        let mut left = args.burst;
        while left > 0 {
            let segments = left.min(train);
            refused += sender.wave(segments)?;
            left -= segments;
        }
        let next = started + interval * burst;
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            sender.sleep(wait)?;
        }
    }
    Ok(refused)
}
