//! The shard: its tables and its interface to a driver. What happens to a packet is in
//! `ingress`, to a check in `checks`, to RTCP in `rtcp_in`, with time in `ticks`, on the way out
//! in `departure`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use slab::Slab;
use uuid::Uuid;
use weirgate_packet::demux::{DatagramClass, classify};
use weirgate_packet::rtcp::ReportBlock;
use weirgate_srtp::TagBatch;
use weirgate_wire::Event;

use crate::allocation::Wishes;
use crate::config::ShardConfig;
use crate::consumer::Consumer;
use crate::counters::Counters;
use crate::crossing::CrossingPort;
use crate::departure::{Drained, Gate, drain};
use crate::fan_out::Arrived;
use crate::flows::{Flows, Owner};
use crate::key_frames::Urgency;
use crate::net::{Datagram, Train, TxBatch};
use crate::overload::Overload;
use crate::queue::{Departure, Lane};
use crate::rng::Rng;
use crate::source::Source;
use crate::ticks::EARLY;
use crate::trace::Tracer;
use crate::train_lengths::TrainLengths;
use crate::transport::Transport;
use crate::wheel::Wheel;
use crate::{
    Command, Crossing, CrossingKind, Path, ShardEvent, ShardNo, SocketId, SourceNo, Timestamp,
};

/// Steps of the deadlines of a transport, and of its pacer.
const TIMER_STEP_US: u64 = 5_000;
const RELEASE_STEP_US: u64 = 1_000;

/// What an id stands for on this shard, and its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Transport(u32),
    Producer(u32),
    Consumer(u32),
}

/// One shard of the engine, sans-IO. See the crate's documentation.
#[derive(Debug)]
pub struct Shard {
    pub(crate) config: ShardConfig,
    pub(crate) counters: Counters,
    pub(crate) train_lengths: TrainLengths,
    pub(crate) rng: Rng,
    pub(crate) transports: Slab<Transport>,
    pub(crate) sources: Slab<Source>,
    pub(crate) consumers: Slab<Consumer>,
    pub(crate) objects: HashMap<Uuid, Object>,
    /// By index of [`SourceNo`].
    pub(crate) source_numbers: Vec<Option<(SourceNo, u32)>>,
    pub(crate) ufrags: HashMap<String, u32>,
    /// Transport, and whether the socket is its RTCP socket.
    pub(crate) plain_sockets: HashMap<SocketId, (u32, bool), foldhash::fast::RandomState>,
    pub(crate) flows: Flows,
    pub(crate) arrived: Arrived,
    pub(crate) wheel: Wheel,
    /// Transports' rounds of what needs no exact time.
    rounds: Wheel,
    /// Transports whose pacer lets more go at a time.
    pub(crate) releases: Wheel,
    /// Transports with something queued, first come first served.
    pub(crate) dirty: VecDeque<u32>,
    /// The first of them has begun to leave.
    is_leaving: bool,
    /// Answers and RTCP of this turn: they leave before media.
    pub(crate) prompt: TxBatch,
    /// What of a batch has no tag yet; empty between calls.
    tags: TagBatch,
    pub(crate) port: CrossingPort,
    pub(crate) events: VecDeque<ShardEvent>,
    /// Not yet told to the driver.
    settled: VecDeque<Path>,
    pub(crate) tracer: Tracer,
    /// Audio sources heard since the last look, and when the next is due.
    pub(crate) talking: Vec<u32>,
    pub(crate) levels_at: Timestamp,
    pub(crate) overload: Overload,
    due: Vec<u32>,
    /// Sequence numbers to ask for, reused.
    pub(crate) nack_scratch: Vec<u16>,
    /// Blocks of a receiver report, reused.
    pub(crate) report_scratch: Vec<ReportBlock>,
    /// What is allocated from, reused.
    pub(crate) wishes: Wishes,
}

impl Shard {
    /// An empty shard.
    pub fn new(config: ShardConfig, now: Timestamp) -> Self {
        let limits = &config.limits;
        Self {
            counters: Counters::default(),
            train_lengths: TrainLengths::default(),
            rng: Rng::new(config.seed),
            transports: Slab::new(),
            sources: Slab::new(),
            consumers: Slab::new(),
            objects: HashMap::new(),
            source_numbers: Vec::new(),
            ufrags: HashMap::new(),
            plain_sockets: HashMap::default(),
            flows: Flows::new(limits.foreign_flows),
            arrived: Arrived::new(),
            wheel: Wheel::new(now, TIMER_STEP_US),
            rounds: Wheel::new(now, TIMER_STEP_US),
            releases: Wheel::new(now, RELEASE_STEP_US),
            dirty: VecDeque::with_capacity(256),
            is_leaving: false,
            prompt: TxBatch::new(limits.prompt_bytes),
            tags: TagBatch::new(),
            port: CrossingPort::new(config.shard, limits.crossing_stock),
            events: VecDeque::with_capacity(limits.events.min(1024)),
            settled: VecDeque::new(),
            tracer: Tracer::new(config.wall_clock_offset),
            talking: Vec::new(),
            levels_at: Timestamp::NEVER,
            overload: Overload::new(now),
            due: Vec::new(),
            nack_scratch: Vec::with_capacity(256),
            report_scratch: Vec::new(),
            wishes: Wishes::default(),
            config,
        }
    }

    /// Takes datagrams as they came, all at one time.
    pub fn handle_datagrams(&mut self, now: Timestamp, batch: &mut [Datagram<'_>]) {
        self.finish_fan_out();
        for datagram in batch {
            self.counters.datagrams_received += 1;
            self.on_datagram(now, datagram, None);
        }
        if self.arrived.is_part() {
            self.fan_out();
        }
    }

    /// Takes what another shard sent.
    pub fn handle_crossing(&mut self, now: Timestamp, crossing: &mut Crossing) {
        self.finish_fan_out();
        self.counters.crossings_received += 1;
        let from = crossing.from;
        let bytes = crossing.buffer.get_mut(..crossing.len).unwrap_or_default();
        match crossing.kind {
            CrossingKind::Media {
                source,
                encoding,
                arrival,
                ..
            } => {
                if let Some(index) = self.source_index(source) {
                    self.on_crossed_media(now, index, encoding, arrival, bytes);
                }
            }
            CrossingKind::SenderReport {
                source,
                encoding,
                rtp,
                at,
            } => {
                if let Some(index) = self.source_index(source) {
                    self.set_clock(index, encoding, rtp, at);
                }
            }
            CrossingKind::Rates {
                source,
                encoding,
                heard,
            } => {
                if let Some(index) = self.source_index(source) {
                    self.on_crossed_rates(now, index, encoding, heard, bytes);
                }
            }
            CrossingKind::KeyFrameRequest {
                source,
                encoding,
                is_patient,
            } => {
                if let Some(index) = self.source_index(source) {
                    self.want_key_frame(now, index, encoding, Urgency::of(is_patient));
                }
            }
            CrossingKind::Wanted { source, highest } => {
                if let Some(index) = self.source_index(source)
                    && let Some(source) = self.sources.get_mut(index as usize)
                {
                    source.wanted.set_abroad(now, from, highest);
                    self.tell_wanted(now, index);
                }
            }
            CrossingKind::Datagram { path, arrival } => {
                let waited = now.since(arrival);
                let mut datagram = Datagram {
                    path,
                    bytes,
                    waited,
                };
                self.on_datagram(now, &mut datagram, Some(from));
            }
            CrossingKind::FlowOwner {
                path,
                owner: Some(owner),
            } => {
                if !self.flows.learn(path, owner) {
                    self.counters.foreign_flows_refused += 1;
                }
            }
            CrossingKind::FlowOwner { path, owner: None } => self.flows.unlearn(&path, from),
        }
    }

    /// Does what the hub asks; the answer is among the events.
    pub fn handle_command(&mut self, now: Timestamp, command: Command) {
        self.fan_out();
        let token = command.token;
        if let Some(body) = self.execute(now, command.body) {
            // Answers are never dropped: the hub has as many requests under way as it wants.
            self.events.push_back(ShardEvent::Answer { token, body });
        }
    }

    /// Does what time brings. To be called in every turn of the driver's loop: some of what is due soon
    /// is done with what is due, as each sleep less is time saved.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.finish_fan_out();
        let mut due = std::mem::take(&mut self.due);
        while self.wheel.pop_due(now, &mut due) {}
        for index in due.drain(..) {
            self.on_transport_due(now, index);
        }
        while self.rounds.pop_due(now + EARLY, &mut due) {}
        for index in due.drain(..) {
            self.on_round_due(now, index);
        }
        while self.releases.pop_due(now, &mut due) {}
        for index in due.drain(..) {
            self.make_dirty(index);
        }
        self.due = due;
        if self.levels_at <= now {
            self.report_levels(now);
        }
    }

    /// Tells how long a turn of the driver's loop took without its sleep, at its end, and what share of
    /// the datagrams that are taken in at once had come, 1 where there may be more: a shard that can not
    /// keep up sheds video.
    pub fn turn_took(&mut self, now: Timestamp, busy: Duration, taken: f32) {
        let before = self.overload.level();
        self.overload.turn(now, busy, taken);
        self.shed_since(now, before);
    }

    /// When [`Self::handle_timeout`] is next to be called.
    pub fn poll_timeout(&self) -> Timestamp {
        self.wheel
            .next()
            .min(self.rounds.next())
            .min(self.releases.next())
            .min(self.levels_at)
    }

    /// Fills an empty batch with what is to be sent; false when there is nothing more.
    pub fn poll_transmit(&mut self, now: Timestamp, batch: &mut TxBatch) -> bool {
        self.fit_turn(now);
        self.move_prompt(batch);
        while let Some(index) = self.next_to_leave() {
            self.is_leaving = self.drain(now, index, batch) == Drained::BatchFull;
            if self.is_leaving {
                break;
            }
            self.dirty.pop_front();
        }
        batch.finish_tags(&mut self.tags);
        for train in batch.trains() {
            self.train_lengths.add(train.segments);
            self.counters.trains_sent += 1;
            self.counters.datagrams_sent += u64::from(train.segments);
        }
        !batch.is_empty()
    }

    /// The transport at the front of those with something to send: one that began to leave goes on, then
    /// come those of the consumers that take what arrived, then the others.
    fn next_to_leave(&mut self) -> Option<u32> {
        while !self.is_leaving
            && let Some(transport) = self.offer_to_next()
        {
            if let Some(index) = transport {
                self.dirty.push_front(index);
                break;
            }
        }
        self.dirty.front().copied()
    }

    fn drain(&mut self, now: Timestamp, index: u32, batch: &mut TxBatch) -> Drained {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return Drained::Until(Timestamp::NEVER);
        };
        let mut gate = Gate {
            now,
            consumers: &mut self.consumers,
            sources: &self.sources,
            batch,
            tags: &mut self.tags,
            counters: &mut self.counters,
            tracer: &mut self.tracer,
            room_bytes: 0,
        };
        let drained = drain(index, transport, &mut gate);
        if let Drained::Until(release) = drained {
            transport.dirty = false;
            if release != Timestamp::NEVER {
                self.releases.insert(index, release);
            }
        }
        drained
    }

    /// Where a driver sent some of what arrived and not all, the rest is offered before anything changes.
    pub(crate) fn finish_fan_out(&mut self) {
        if self.arrived.is_under_way() {
            self.fan_out();
        }
    }

    /// Tells that the last `segments` datagrams of a train of `batch` did not leave: the estimate
    /// of their path counts them as never sent.
    pub fn send_failed(&mut self, batch: &TxBatch, train: &Train, segments: u16) {
        self.counters.datagrams_send_failed += u64::from(segments);
        let transport = match self.plain_sockets.get(&train.path.socket) {
            Some(&(transport, _)) => Some(transport),
            None => match self.flows.get(&train.path) {
                Some(Owner::Here(transport)) => Some(transport),
                _ => None,
            },
        };
        let transport = transport.and_then(|index| self.transports.get_mut(index as usize));
        let Some(transport) = transport else {
            return;
        };
        let sent = usize::from(train.segments.saturating_sub(segments));
        let datagrams = batch
            .train_bytes(train)
            .chunks(usize::from(train.segment_len));
        for datagram in datagrams.skip(sent) {
            transport.send_failed(datagram);
        }
    }

    /// The next thing to tell the hub.
    pub fn poll_event(&mut self) -> Option<ShardEvent> {
        self.events.pop_front().or_else(|| {
            let trace = self.tracer.pop()?;
            Some(ShardEvent::Event(Event::Trace(trace)))
        })
    }

    /// The next socket of a plain transport whose remote end is known for good: all its datagrams go
    /// there and are taken from there, so the driver may connect it.
    pub fn poll_settled(&mut self) -> Option<Path> {
        self.settled.pop_front()
    }

    /// Where crossings leave by and empty ones are put.
    pub fn crossings(&mut self) -> &mut CrossingPort {
        &mut self.port
    }

    /// Takes one datagram; `landed_on` is the shard whose socket it came by, if another.
    fn on_datagram(
        &mut self,
        now: Timestamp,
        datagram: &mut Datagram<'_>,
        landed_on: Option<ShardNo>,
    ) {
        let path = datagram.path;
        let class = classify(datagram.bytes);
        if let Some(&(transport, is_rtcp)) = self.plain_sockets.get(&path.socket) {
            self.on_plain(now, transport, is_rtcp, class, datagram);
            return;
        }
        if class == DatagramClass::Stun {
            self.on_stun(now, path, datagram.bytes, landed_on);
            return;
        }
        let transport = match self.flows.get(&path) {
            Some(Owner::Here(transport)) => transport,
            Some(Owner::Elsewhere(owner)) if landed_on.is_none() => {
                self.hand_over(owner, path, now - datagram.waited, datagram.bytes);
                return;
            }
            _ => {
                self.counters.unknown_flow += 1;
                return;
            }
        };
        match class {
            DatagramClass::Rtp => self.on_rtp(now, transport, datagram),
            DatagramClass::Rtcp => self.on_rtcp(now, transport, path, datagram.bytes),
            DatagramClass::Dtls => self.on_dtls(now, transport, datagram.bytes),
            DatagramClass::Stun | DatagramClass::Other => self.counters.unknown_protocol += 1,
        }
    }

    /// Gives a datagram to the shard that owns its flow.
    pub(crate) fn hand_over(
        &mut self,
        owner: ShardNo,
        path: Path,
        arrival: Timestamp,
        bytes: &[u8],
    ) {
        if self
            .port
            .send(owner, CrossingKind::Datagram { path, arrival }, bytes)
        {
            self.counters.flows_handed_over += 1;
        } else {
            self.counters.crossings_dropped += 1;
        }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        if self.events.len() >= self.config.limits.events {
            self.counters.events_dropped += 1;
            return;
        }
        self.events.push_back(ShardEvent::Event(event));
    }

    /// A plain transport's socket has found its one peer.
    pub(crate) fn settle(&mut self, socket: SocketId, remote: SocketAddr) {
        // A driver that does not ask loses nothing but speed.
        if self.settled.len() < self.config.limits.events {
            self.settled.push_back(Path {
                socket,
                local: None,
                remote,
            });
        }
    }

    /// Queues a packet that a consumer is to send again.
    pub(crate) fn enqueue_repair(&mut self, departure: Departure) {
        let Some(consumer) = self.consumers.get_mut(departure.consumer as usize) else {
            return;
        };
        let index = consumer.transport;
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let limit = self.config.limits.departures_per_transport;
        let counters = &mut self.counters;
        if transport.enqueue(Lane::Repair, departure, consumer, limit, counters) {
            self.make_dirty(index);
        }
    }

    /// Has a transport looked at when things leave next.
    pub(crate) fn make_dirty(&mut self, index: u32) {
        if let Some(transport) = self.transports.get_mut(index as usize)
            && !std::mem::replace(&mut transport.dirty, true)
        {
            self.dirty.push_back(index);
        }
    }

    /// Makes sure that a transport comes up at `at` or before.
    pub(crate) fn schedule(&mut self, index: u32, at: Timestamp) {
        if let Some(transport) = self.transports.get_mut(index as usize)
            && at < transport.scheduled
        {
            transport.scheduled = self.wheel.insert(index, at);
        }
    }

    /// Makes sure that a transport has a round at `at` or before.
    pub(crate) fn schedule_round(&mut self, index: u32, at: Timestamp) {
        if let Some(transport) = self.transports.get_mut(index as usize)
            && at < transport.round_at
        {
            transport.round_at = self.rounds.insert(index, at);
        }
    }

    pub(crate) fn source_index(&self, no: SourceNo) -> Option<u32> {
        let (known, index) = (*self.source_numbers.get(no.index())?)?;
        (known == no).then_some(index)
    }

    fn move_prompt(&mut self, batch: &mut TxBatch) {
        for train in self.prompt.trains() {
            for datagram in self
                .prompt
                .train_bytes(train)
                .chunks(usize::from(train.segment_len))
            {
                let Some(slot) = batch.slot(datagram.len()) else {
                    self.counters.prompt_dropped += 1;
                    continue;
                };
                slot.copy_from_slice(datagram);
                batch.commit(train.path, datagram.len());
            }
        }
        self.prompt.clear();
    }
}
