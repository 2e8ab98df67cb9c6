//! The part of sending that both back ends share.

use std::io;

use weirgate_shard::{Path, Train, TxBatch};

use super::messages::{Message, Messages};
use super::refusals::{Refusals, is_offload_error};
use crate::backend::FailedTrain;
use crate::counters::IoCounters;

/// Messages handed to the kernel at once.
const CAPACITY: usize = 256;

/// How a back end gets messages to the kernel.
pub(crate) trait Wire {
    /// How to get there; `None` where the socket is unknown.
    fn way(&mut self, path: &Path) -> Option<Way>;

    /// Sends messages from `from` on, in order, and appends to `results` an errno, or 0, for each
    /// message dealt with. May stop after a message of several segments that failed, and deals
    /// with one at least. When it returns, the kernel has no pointer into the messages any more.
    fn transmit(
        &mut self,
        messages: &Messages,
        from: usize,
        results: &mut Vec<i32>,
        counters: &mut IoCounters,
    );
}

/// Slot of a path's socket, and whether it is connected to the path's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) slot: u32,
    pub(crate) connected: bool,
}

/// Turns batches into messages and answers for each train.
#[derive(Debug)]
pub(crate) struct Sender {
    gso: bool,
    messages: Messages,
    singles: Messages,
    results: Vec<i32>,
    single_results: Vec<i32>,
    retries: Vec<(u32, i32)>,
    refusals: Refusals,
}

impl Sender {
    pub(crate) fn new(gso: bool) -> io::Result<Self> {
        let segments = usize::from(TxBatch::MAX_SEGMENTS);
        Ok(Self {
            gso,
            messages: Messages::new(CAPACITY)?,
            singles: Messages::new(segments)?,
            results: Vec::with_capacity(CAPACITY),
            single_results: Vec::with_capacity(segments),
            retries: Vec::with_capacity(CAPACITY),
            refusals: Refusals::new(),
        })
    }

    /// Messages handed to a [`Wire`] at once, at most.
    pub(crate) const fn capacity() -> usize {
        CAPACITY
    }

    /// Sends trains of a batch; those that were not wholly sent are appended to `failed`.
    pub(crate) fn send(
        &mut self,
        wire: &mut impl Wire,
        batch: &TxBatch,
        trains: impl Iterator<Item = usize>,
        failed: &mut Vec<FailedTrain>,
        counters: &mut IoCounters,
    ) {
        self.refusals.expire();
        let mut report = Report { failed, counters };
        for index in trains {
            let train = &batch.trains()[index];
            let Some(way) = wire.way(&train.path) else {
                report.lost(index as u32, libc::EBADF, train.segments);
                continue;
            };
            let whole = train.segments == 1
                || self.gso
                    && !self
                        .refusals
                        .covers(train.path.remote.ip(), train.segment_len);
            let needed = if whole { 1 } else { train.segments.into() };
            if needed > self.messages.room() {
                self.flush(wire, batch, &mut report);
            }
            if whole {
                push_whole(&mut self.messages, batch, index, train, way);
            } else {
                push_singles(&mut self.messages, batch, index, train, way);
            }
        }
        self.flush(wire, batch, &mut report);
    }

    /// Sends what is in `messages`. The payloads are the batch's, which outlives this.
    fn flush(&mut self, wire: &mut impl Wire, batch: &TxBatch, report: &mut Report<'_>) {
        let mut from = 0;
        while from < self.messages.list().len() {
            self.results.clear();
            wire.transmit(&self.messages, from, &mut self.results, report.counters);
            let dealt_with = &self.messages.list()[from..from + self.results.len()];
            for (message, &errno) in dealt_with.iter().zip(&self.results) {
                if message.segments > 1 && is_offload_error(errno)
                    || is_old_news(message, errno, batch)
                {
                    self.retries.push((message.train, errno));
                } else {
                    report.message(message, errno);
                }
            }
            from += self.results.len();
            self.retry(wire, batch, report);
        }
        self.messages.clear();
    }

    /// Sends trains again datagram by datagram. Where that helps against an error of the offload it
    /// was that, and the destination is remembered; a bad source address fails alike and is not held
    /// against it.
    fn retry(&mut self, wire: &mut impl Wire, batch: &TxBatch, report: &mut Report<'_>) {
        for (index, errno) in self.retries.drain(..) {
            let train = &batch.trains()[index as usize];
            let Some(way) = wire.way(&train.path) else {
                continue;
            };
            let offload = is_offload_error(errno);
            report.counters.gso_fallbacks += u64::from(offload);
            push_singles(&mut self.singles, batch, index as usize, train, way);
            let mut from = 0;
            let mut helped = false;
            while from < self.singles.list().len() {
                self.single_results.clear();
                wire.transmit(
                    &self.singles,
                    from,
                    &mut self.single_results,
                    report.counters,
                );
                let dealt_with = &self.singles.list()[from..];
                for (message, &errno) in dealt_with.iter().zip(&self.single_results) {
                    report.message(message, errno);
                    helped |= errno == 0;
                }
                from += self.single_results.len();
            }
            self.singles.clear();
            if helped && offload {
                let destination = train.path.remote.ip();
                self.refusals.insert(destination, train.segment_len, errno);
            }
        }
    }
}

/// A connected socket tells with the next send that an earlier datagram was refused; that one has
/// not been tried then. Anybody can make such a refusal up, so it must cost nothing.
fn is_old_news(message: &Message, errno: i32, batch: &TxBatch) -> bool {
    let train = &batch.trains()[message.train as usize];
    // Of a train that goes datagram by datagram others may have gone.
    errno == libc::ECONNREFUSED && message.connected && message.segments == train.segments
}

fn push_whole(messages: &mut Messages, batch: &TxBatch, index: usize, train: &Train, way: Way) {
    let message = Message {
        train: index as u32,
        slot: way.slot,
        len: train.len,
        segments: train.segments,
        connected: way.connected,
    };
    let segment_len = (train.segments > 1).then_some(train.segment_len);
    messages.push(message, &train.path, batch.train_bytes(train), segment_len);
}

fn push_singles(messages: &mut Messages, batch: &TxBatch, index: usize, train: &Train, way: Way) {
    let datagrams = batch.train_bytes(train).chunks(train.segment_len.into());
    for bytes in datagrams {
        let message = Message {
            train: index as u32,
            slot: way.slot,
            len: bytes.len() as u32,
            segments: 1,
            connected: way.connected,
        };
        messages.push(message, &train.path, bytes, None);
    }
}

/// Where outcomes are counted and told.
struct Report<'a> {
    failed: &'a mut Vec<FailedTrain>,
    counters: &'a mut IoCounters,
}

impl Report<'_> {
    fn message(&mut self, message: &Message, errno: i32) {
        if errno != 0 {
            self.lost(message.train, errno, message.segments);
            return;
        }
        self.counters.datagrams_out += u64::from(message.segments);
        self.counters.bytes_out += u64::from(message.len);
        self.counters.trains_out += u64::from(message.segments > 1);
    }

    fn lost(&mut self, train: u32, errno: i32, segments: u16) {
        self.counters.send_errors.add(errno, segments);
        let index = train as usize;
        // A train's datagrams are settled one after the other.
        match self.failed.last_mut() {
            Some(last) if last.index == index => {
                last.error = errno;
                last.segments_lost += segments;
            }
            _ => self.failed.push(FailedTrain {
                index,
                error: errno,
                segments_lost: segments,
            }),
        }
    }
}
