//! Departures: what a transport has queued leaves, audio at once, the rest as the pacer allows.
//! Audio goes last of what leaves at one time, where a shorter datagram ends a train anyway.

use std::time::Duration;

use slab::Slab;
use weirgate_srtp::TagBatch;

use crate::consumer::Consumer;
use crate::counters::Counters;
use crate::net::{Outgoing, TxBatch};
use crate::padding;
use crate::queue::{Departure, Lane, SendQueue};
use crate::row::{Left, Row};
use crate::source::Source;
use crate::trace::Tracer;
use crate::transport::Transport;
use crate::{Path, Timestamp};

/// Video older than this is not worth sending: its consumer goes on at the next key frame. A key frame
/// that shares a narrow path takes over a second, and the next would take as long: libwebrtc too lets two
/// seconds wait.
const MAX_VIDEO_AGE: Duration = Duration::from_millis(2_000);

/// What a packet on its way out touches, beside its transport.
pub(crate) struct Gate<'a> {
    pub(crate) now: Timestamp,
    pub(crate) consumers: &'a mut Slab<Consumer>,
    pub(crate) sources: &'a Slab<Source>,
    pub(crate) batch: &'a mut TxBatch,
    /// Tags still to be written into packets of the batch.
    pub(crate) tags: &'a mut TagBatch,
    pub(crate) counters: &'a mut Counters,
    pub(crate) tracer: &'a mut Tracer,
    /// Bytes that the transport's pacer lets leave with the next packet, that one's included.
    pub(crate) room_bytes: u64,
}

/// How far draining a transport came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// The batch has to be sent first.
    BatchFull,
    /// What is left, if anything, may leave at that time.
    Until(Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It left, or could not.
    Done,
    BatchFull,
}

/// Sends what a transport has queued, as far as it may leave now.
pub(crate) fn drain(index: u32, transport: &mut Transport, gate: &mut Gate<'_>) -> Drained {
    let Some(path) = transport.rtp_path() else {
        gate.counters.departures_dropped += transport.queue.clear() as u64;
        return Drained::Until(Timestamp::NEVER);
    };
    drop_stale(transport, gate);
    // Audio waits for no more than a train.
    let is_flood = transport.queue.paced_len() > usize::from(TxBatch::MAX_SEGMENTS);
    if is_flood && drain_audio(path, transport, gate) == Outcome::BatchFull {
        return Drained::BatchFull;
    }
    if drain_paced(path, transport, gate) == Outcome::BatchFull
        || drain_audio(path, transport, gate) == Outcome::BatchFull
    {
        return Drained::BatchFull;
    }
    if transport.downlink.is_none() {
        return Drained::Until(Timestamp::NEVER);
    }
    if padding::fill_probe(index, path, transport, gate) == Outcome::BatchFull {
        return Drained::BatchFull;
    }
    let queued = transport.queue.paced_bytes();
    let release = transport
        .downlink
        .as_mut()
        .map_or(Timestamp::NEVER, |downlink| {
            downlink.next_release(gate.now, queued)
        });
    Drained::Until(release)
}

fn drain_audio(path: Path, transport: &mut Transport, gate: &mut Gate<'_>) -> Outcome {
    drain_lane(Lane::Audio, path, transport, gate)
}

/// Sends repairs and video: what the pacer allows, and everything at once to a receiver that is not
/// paced.
fn drain_paced(path: Path, transport: &mut Transport, gate: &mut Gate<'_>) -> Outcome {
    let queued = transport.queue.paced_bytes();
    let downlink = transport.downlink.as_mut();
    gate.room_bytes = downlink.map_or(u64::MAX, |downlink| downlink.budget(gate.now, queued));
    match drain_lane(Lane::Repair, path, transport, gate) {
        Outcome::BatchFull => Outcome::BatchFull,
        Outcome::Done => drain_lane(Lane::Video, path, transport, gate),
    }
}

/// Sends what one lane has, as far as it may leave. Made anew for each lane: what depends on it alone
/// is then no question for each packet.
#[expect(
    clippy::inline_always,
    reason = "15 % of the instructions outside of sealing"
)]
#[inline(always)]
fn drain_lane(lane: Lane, path: Path, transport: &mut Transport, gate: &mut Gate<'_>) -> Outcome {
    let mut out = gate.batch.toward(path);
    let mut next = next_of(lane, &mut transport.queue, &out, gate.room_bytes);
    while let Some(departure) = next {
        let consumer = gate.consumers.get_mut(departure.consumer as usize);
        let source = consumer
            .as_ref()
            .and_then(|consumer| gate.sources.get(consumer.source as usize));
        let (Some(consumer), Some(source)) = (consumer, source) else {
            transport.queue.pop(lane);
            next = next_of(lane, &mut transport.queue, &out, gate.room_bytes);
            continue;
        };
        let row = Row {
            now: gate.now,
            lane,
            consumer,
            source,
            transport,
            out: &mut out,
            tags: gate.tags,
            counters: gate.counters,
            tracer: gate.tracer,
        };
        match row.depart(departure, &mut gate.room_bytes) {
            Left::AllOfRow(after) => next = after,
            Left::BatchFull => return Outcome::BatchFull,
        }
    }
    Outcome::Done
}

/// What leaves next by a lane, as far as it may.
#[inline]
pub(crate) fn next_of(
    lane: Lane,
    queue: &mut SendQueue,
    out: &Outgoing<'_>,
    room_bytes: u64,
) -> Option<Departure> {
    if lane == Lane::Audio {
        if out.open_train().is_none() {
            queue.pair_audio();
        }
    } else if room_bytes == 0 {
        return None;
    }
    queue.front(lane)
}

/// Interrupts consumers whose video has waited for too long.
fn drop_stale(transport: &mut Transport, gate: &mut Gate<'_>) {
    while let Some(departure) = transport.queue.front(Lane::Video) {
        let consumer = gate.consumers.get_mut(departure.consumer as usize);
        let arrival = consumer.as_ref().and_then(|consumer| {
            let source = gate.sources.get(consumer.source as usize)?;
            let encoding = source.encodings.get(usize::from(departure.encoding))?;
            Some(encoding.history.get(departure.sequence)?.meta.arrival)
        });
        let is_fresh = arrival.is_some_and(|arrival| gate.now.since(arrival) < MAX_VIDEO_AGE);
        if is_fresh {
            return;
        }
        let dropped = transport.queue.remove(departure.consumer);
        gate.counters.departures_expired += dropped as u64;
        if let Some(consumer) = consumer {
            consumer.discarded += dropped as u64;
            consumer.interrupt();
        }
    }
}
