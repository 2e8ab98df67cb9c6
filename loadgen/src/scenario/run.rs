//! What all participants of a run share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::crowd::Crowd;
use super::load::rank;
use super::participant::{Manner, Source};
use super::traffic::Traffic;
use super::unread::UnreadSockets;
use crate::api::Api;
use crate::clock::now_ns;
use crate::latency::{self, LatencySink};
use crate::leg::lock;
use crate::sender::{Generator, Shape, Stream, StreamTotals};

/// Failures kept as sentences; more are counted.
const MAX_FAILURES: usize = 100;

/// State of a run.
pub(super) struct Run {
    pub(super) api: Api,
    pub(super) traffic: Traffic,
    pub(super) manner: Manner,
    pub(super) generator: Generator,
    pub(super) latency: Latencies,
    pub(super) crowd: Crowd,
    pub(super) unread: UnreadSockets,
    /// Asks participants for another layer of simulcast every so often.
    pub(super) switch_layers: Option<Duration>,
    /// True when everyone is to leave.
    pub(super) ending: watch::Sender<bool>,
    /// Participants asked for so far.
    pub(super) wanted: AtomicUsize,
    joining_stopped: AtomicBool,
    server_gone: AtomicBool,
    streams: Mutex<HashMap<u32, Arc<Stream>>>,
    next_stream: AtomicU32,
    /// 0 while something is sent.
    streams_ended_ns: AtomicU64,
    joined: AtomicUsize,
    failures: Mutex<Vec<String>>,
    latest_failure: Mutex<String>,
    failed: AtomicUsize,
    /// Failures since the last success.
    failed_in_a_row: AtomicUsize,
}

impl Run {
    pub(super) fn new(
        api: Api,
        traffic: Traffic,
        manner: Manner,
        switch_layers: Option<Duration>,
        generator: Generator,
        wanted: usize,
    ) -> Self {
        Self {
            api,
            traffic,
            manner,
            generator,
            latency: Latencies::new(),
            crowd: Crowd::default(),
            unread: UnreadSockets::default(),
            switch_layers,
            ending: watch::Sender::new(false),
            wanted: AtomicUsize::new(wanted),
            joining_stopped: AtomicBool::new(false),
            server_gone: AtomicBool::new(false),
            streams: Mutex::default(),
            next_stream: AtomicU32::new(0),
            streams_ended_ns: AtomicU64::new(0),
            joined: AtomicUsize::new(0),
            failures: Mutex::default(),
            latest_failure: Mutex::default(),
            failed: AtomicUsize::new(0),
            failed_in_a_row: AtomicUsize::new(0),
        }
    }

    /// The first of so many numbers that nobody else has.
    pub(super) fn take_stream_numbers(&self, count: u32) -> u32 {
        self.next_stream.fetch_add(count, Ordering::Relaxed)
    }

    /// Of that participant.
    pub(super) fn begin_to_send(&self, participant: usize, stream: Arc<Stream>) {
        lock(&self.streams).insert(stream.config().stream, Arc::clone(&stream));
        self.generator.add_ranked(stream, rank(participant));
    }

    /// Packets of each stream so far.
    pub(super) fn sent(&self) -> SentSoFar {
        let streams = lock(&self.streams);
        let packets = streams
            .iter()
            .map(|(&number, stream)| (number, stream.packets()));
        SentSoFar {
            packets: packets.collect(),
            at_ns: match self.streams_ended_ns.load(Ordering::Relaxed) {
                0 => now_ns(),
                ended_ns => ended_ns,
            },
        }
    }

    /// Nothing is sent any more.
    pub(super) fn end_streams(&self) {
        self.generator.end_streams();
        self.streams_ended_ns.store(now_ns(), Ordering::Relaxed);
    }

    pub(super) fn stream_totals(&self) -> Vec<StreamTotals> {
        let streams = lock(&self.streams);
        streams.values().map(|stream| stream.totals()).collect()
    }

    /// A participant is there, with everything that was there before it.
    pub(super) fn note_joined(&self, began_ns: u64) {
        self.joined.fetch_add(1, Ordering::Relaxed);
        self.failed_in_a_row.store(0, Ordering::Relaxed);
        self.crowd.note_joined(now_ns().saturating_sub(began_ns));
    }

    pub(super) fn joined(&self) -> usize {
        self.joined.load(Ordering::Relaxed)
    }

    pub(super) fn note_failure(&self, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.failed_in_a_row.fetch_add(1, Ordering::Relaxed);
        *lock(&self.latest_failure) = why.clone();
        let mut failures = lock(&self.failures);
        if failures.len() < MAX_FAILURES {
            failures.push(why);
        }
    }

    pub(super) fn first_failure(&self) -> String {
        lock(&self.failures).first().cloned().unwrap_or_default()
    }

    pub(super) fn latest_failure(&self) -> String {
        lock(&self.latest_failure).clone()
    }

    /// How many failed since the last one that joined.
    pub(super) fn failed_in_a_row(&self) -> usize {
        self.failed_in_a_row.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    /// Nobody more is to come.
    pub(super) fn stop_joining(&self) {
        self.joining_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_joining_stopped(&self) -> bool {
        self.joining_stopped.load(Ordering::Relaxed)
    }

    /// Everyone leaves; without a word where the server would not hear it.
    pub(super) fn end(&self, is_server_gone: bool) {
        self.stop_joining();
        self.server_gone.store(is_server_gone, Ordering::Relaxed);
        self.ending.send_replace(true);
    }

    pub(super) fn is_server_alive(&self) -> bool {
        !self.server_gone.load(Ordering::Relaxed)
    }
}

/// Packets sent by stream number.
pub(super) struct SentSoFar {
    packets: HashMap<u32, u64>,
    at_ns: u64,
}

impl SentSoFar {
    pub(super) fn of(&self, stream: u32) -> u64 {
        self.packets.get(&stream).copied().unwrap_or_default()
    }

    /// Until when: now, or when sending ended.
    pub(super) fn at_ns(&self) -> u64 {
        self.at_ns
    }

    pub(super) fn all(&self) -> u64 {
        self.packets.values().sum()
    }
}

/// What a room's participants send.
pub(super) struct Room {
    pub(super) sources: watch::Sender<Vec<Source>>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            sources: watch::Sender::new(Vec::new()),
        }
    }
}

/// Latencies by kind.
pub(super) struct Latencies {
    pub(super) video: LatencySink,
    pub(super) audio: LatencySink,
}

impl Latencies {
    fn new() -> Self {
        Self {
            video: latency::sink(),
            audio: latency::sink(),
        }
    }

    pub(super) fn of(&self, shape: Shape) -> LatencySink {
        Arc::clone(match shape {
            Shape::Audio(_) => &self.audio,
            Shape::Video(_) => &self.video,
        })
    }

    pub(super) fn clear(&self) {
        lock(&self.video).clear();
        lock(&self.audio).clear();
    }
}
