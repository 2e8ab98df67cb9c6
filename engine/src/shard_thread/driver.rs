//! The loop of a shard: tasks, crossings, datagrams, timeouts, then everything out. It sleeps in
//! the back end, and only when there was nothing to do in a whole turn; a busy one lets datagrams
//! gather while it sleeps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError};
use weirgate_io::{Backend, FailedTrain, RECEIVE_BOUND, Steering};
use weirgate_shard::{
    CrossingClass, CrossingKind, Datagram, Path, Shard, ShardEvent, ShardNo, Timestamp, TxBatch,
};
use weirgate_wire::{Answer, Event, Refusal, RefusalKind, ShardCounters};

use super::gathering::Gathering;
use super::load::LoadMeter;
use super::{ShardInput, ShardStatus, ShardTask};
use crate::clock::Clock;
use crate::crossing_net::{CrossingNet, Sleeper};

/// Tasks done in one turn, so that media is not kept waiting by a flood of them.
const TASKS_PER_TURN: usize = 32;
/// Crossings taken in one turn.
const CROSSINGS_PER_TURN: usize = 512;
/// Bytes of datagrams between two sends; fits into a core's own cache, and the shard's queue of
/// answers and RTCP fits into it.
const BATCH_BYTES: usize = 512 << 10;
/// Events waiting for the hub from which those that are of use only at once are dropped.
const HUB_SOFT_LIMIT: usize = 16_384;
/// Events waiting for the hub from which all are dropped; answers never are.
const HUB_HARD_LIMIT: usize = 65_536;

/// What a driver needs beside its back end.
pub(super) struct DriverParts {
    pub(super) number: ShardNo,
    pub(super) shards: u16,
    pub(super) shard: Shard,
    pub(super) clock: Clock,
    pub(super) net: Arc<CrossingNet>,
    pub(super) steering: Option<Arc<Steering>>,
    pub(super) inputs: Receiver<ShardInput>,
    pub(super) hub: Sender<(ShardNo, ShardEvent)>,
    pub(super) status: Arc<ShardStatus>,
    pub(super) gathering: Gathering,
}

/// Runs one shard on its thread.
pub(super) struct Driver {
    parts: DriverParts,
    batch: TxBatch,
    failed: Vec<FailedTrain>,
    /// Datagrams handed in at once: each may cross to every other shard, and each crossing takes
    /// a box of the stock.
    chunk: usize,
    /// Shards that got crossings and are to be woken.
    touched: Vec<bool>,
    counters: DriverCounters,
    /// That came in this turn.
    datagrams: usize,
    stopping: bool,
}

/// A sleep in the back end.
struct Sleep {
    from: Timestamp,
    /// When datagrams ended it, if they did.
    until: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct DriverCounters {
    video_crossings_refused: u64,
    urgent_crossings_refused: u64,
    flows_steered: u64,
    flows_not_steered: u64,
    sleeps: u64,
    turns: u64,
}

impl Driver {
    pub(super) fn new(mut parts: DriverParts) -> Self {
        let others = usize::from(parts.shards).saturating_sub(1).max(1);
        let chunk = (parts.shard.crossings().stock_target / others).max(1);
        Self {
            batch: TxBatch::new(BATCH_BYTES),
            failed: Vec::with_capacity(TxBatch::MAX_TRAINS),
            chunk,
            touched: vec![false; usize::from(parts.shards)],
            counters: DriverCounters::default(),
            datagrams: 0,
            stopping: false,
            parts,
        }
    }

    /// Runs until it is told to stop. An error is one of the back end as a whole.
    pub(super) fn run(mut self, backend: &mut dyn Backend) -> io::Result<()> {
        let net = self.parts.net.clone();
        let sleeper = net.sleeper(self.parts.number);
        let mut load = LoadMeter::new(self.parts.clock.now());
        let mut turn_from = self.parts.clock.now();
        let mut slept = Duration::ZERO;
        while !self.stopping {
            self.counters.turns += 1;
            let now = self.parts.clock.now();
            let busy = now.since(turn_from).saturating_sub(slept);
            let datagrams = std::mem::take(&mut self.datagrams);
            let taken = datagrams as f32 / RECEIVE_BOUND as f32;
            self.parts.shard.turn_took(now, busy, taken);
            self.parts.gathering.turn(busy, slept);
            (turn_from, slept) = (now, Duration::ZERO);
            let mut busy = self.do_tasks(now, backend);
            busy |= self.take_crossings(now);
            let patience = self.parts.gathering.patience();
            let wait = if busy {
                Duration::ZERO
            } else {
                let deadline = self.parts.shard.poll_timeout().min(load.deadline());
                deadline.since(now).min(patience.unwrap_or(Duration::MAX))
            };
            backend.let_gather(self.parts.gathering.wait());
            backend.hush(patience.is_some());
            let sleep = self.receive(wait, sleeper, backend)?;
            let now = self.parts.clock.now();
            if let Some(Sleep { from, until }) = sleep {
                load.slept(from, until.unwrap_or(now));
                slept = until.unwrap_or(now).since(from);
            }
            self.refill();
            self.parts.shard.handle_timeout(now);
            self.deliver();
            while let Some(path) = self.parts.shard.poll_settled() {
                backend.connect_socket(path.socket, path.remote);
            }
            self.transmit(now, backend);
            self.tell_hub(backend);
            if let Some(load) = load.take(now) {
                let shown = &self.parts.status.load_permille;
                shown.store(load, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Does what the hub asks; true where there was something.
    fn do_tasks(&mut self, now: Timestamp, backend: &mut dyn Backend) -> bool {
        for done in 0..TASKS_PER_TURN {
            match self.parts.inputs.try_recv() {
                Ok(ShardInput::Task(task)) => self.do_task(now, *task, backend),
                Ok(ShardInput::Stop) | Err(TryRecvError::Disconnected) => {
                    self.stopping = true;
                    return true;
                }
                Err(TryRecvError::Empty) => return done > 0,
            }
        }
        true
    }

    fn do_task(&mut self, now: Timestamp, task: ShardTask, backend: &mut dyn Backend) {
        let mut added = Vec::with_capacity(task.add.len());
        for (id, socket) in task.add {
            if let Err(error) = backend.add_socket(id, socket) {
                for id in added {
                    backend.remove_socket(id);
                }
                let body = Err(Refusal {
                    kind: RefusalKind::OverCapacity,
                    message: format!("the shard can not take the socket: {error}"),
                });
                let token = task.command.token;
                self.send_hub(ShardEvent::Answer { token, body });
                return;
            }
            added.push(id);
        }
        self.refill();
        self.parts.shard.handle_command(now, task.command);
        self.deliver();
        for id in task.remove {
            backend.remove_socket(id);
        }
    }

    /// Takes what other shards sent; true where there was something.
    fn take_crossings(&mut self, now: Timestamp) -> bool {
        for taken in 0..CROSSINGS_PER_TURN {
            let Some(mut crossing) = self.parts.net.take(self.parts.number) else {
                return taken > 0;
            };
            self.refill();
            if let CrossingKind::FlowOwner { path, owner } = crossing.kind {
                self.steer(&path, owner);
            }
            self.parts.shard.handle_crossing(now, &mut crossing);
            let port = self.parts.shard.crossings();
            if port.stock.len() < port.stock_target {
                port.stock.push(crossing);
            } else {
                self.parts.net.give_back(crossing);
            }
            self.deliver();
        }
        true
    }

    /// A flow that landed here is another shard's, or no longer: from now on the kernel brings it
    /// there by itself, if it can.
    fn steer(&mut self, path: &Path, owner: Option<ShardNo>) {
        let Some(steering) = &self.parts.steering else {
            return;
        };
        let steered = match owner {
            Some(owner) => steering.set(path, owner),
            None => steering.forget(path),
        };
        match (steered, owner) {
            (Ok(()), Some(_)) => self.counters.flows_steered += 1,
            (Ok(()), None) => {}
            // It is handed over as before.
            (Err(_), _) => self.counters.flows_not_steered += 1,
        }
    }

    /// Takes datagrams in, sleeping up to `wait` for them.
    fn receive(
        &mut self,
        mut wait: Duration,
        sleeper: Option<&Sleeper>,
        backend: &mut dyn Backend,
    ) -> io::Result<Option<Sleep>> {
        if let Some(sleeper) = sleeper.filter(|_| !wait.is_zero()) {
            sleeper.will_sleep();
            if !self.parts.inputs.is_empty() || !self.parts.net.is_empty(self.parts.number) {
                wait = Duration::ZERO;
            }
        }
        let from = self.parts.clock.now();
        let mut until = None;
        let received = backend.receive(Some(wait), &mut |datagrams| {
            // Once for all of them: there is a batch for each socket.
            let now = *until.get_or_insert_with(|| self.parts.clock.now());
            self.take_datagrams(now, datagrams);
        });
        if let Some(sleeper) = sleeper {
            sleeper.is_awake();
        }
        received?;
        if wait.is_zero() {
            return Ok(None);
        }
        self.counters.sleeps += 1;
        Ok(Some(Sleep { from, until }))
    }

    fn take_datagrams(&mut self, now: Timestamp, datagrams: &mut [Datagram<'_>]) {
        self.datagrams += datagrams.len();
        for datagrams in datagrams.chunks_mut(self.chunk) {
            self.refill();
            self.parts.shard.handle_datagrams(now, datagrams);
            self.deliver();
        }
    }

    fn refill(&mut self) {
        let port = self.parts.shard.crossings();
        self.parts.net.refill(&mut port.stock, port.stock_target);
    }

    /// Brings crossings to the shards they are for.
    fn deliver(&mut self) {
        let port = self.parts.shard.crossings();
        if port.outbox.is_empty() {
            return;
        }
        for (to, crossing) in port.outbox.drain(..) {
            let class = crossing.class();
            if self.parts.net.deliver(to, crossing) {
                if let Some(touched) = self.touched.get_mut(usize::from(to)) {
                    *touched = true;
                }
            } else {
                match class {
                    CrossingClass::Video => self.counters.video_crossings_refused += 1,
                    CrossingClass::Urgent => self.counters.urgent_crossings_refused += 1,
                }
            }
        }
        for (shard, touched) in (0..).zip(&mut self.touched) {
            if std::mem::take(touched)
                && let Some(sleeper) = self.parts.net.sleeper(shard)
            {
                sleeper.wake();
            }
        }
    }

    fn transmit(&mut self, now: Timestamp, backend: &mut dyn Backend) {
        self.batch.clear();
        while self.parts.shard.poll_transmit(now, &mut self.batch) {
            self.failed.clear();
            backend.send(&self.batch, &mut self.failed);
            for failed in &self.failed {
                if let Some(train) = self.batch.trains().get(failed.index) {
                    let lost = failed.segments_lost;
                    self.parts.shard.send_failed(&self.batch, train, lost);
                }
            }
            self.batch.clear();
        }
    }

    fn tell_hub(&mut self, backend: &dyn Backend) {
        while let Some(mut event) = self.parts.shard.poll_event() {
            if let ShardEvent::Answer {
                body: Ok(Answer::Counters(counters)),
                ..
            } = &mut event
                && let Some(counters) = counters.first_mut()
            {
                self.add_counters(counters, backend);
            }
            self.send_hub(event);
        }
    }

    fn send_hub(&self, event: ShardEvent) {
        let queued = self.parts.hub.len();
        let limit = match &event {
            ShardEvent::Answer { .. } => usize::MAX,
            ShardEvent::Event(Event::AudioLevels(_) | Event::Dtls { .. }) => HUB_SOFT_LIMIT,
            ShardEvent::Event(_) => HUB_HARD_LIMIT,
        };
        if queued >= limit {
            let dropped = &self.parts.status.events_dropped;
            dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Without a hub the process is at its end.
        let _ = self.parts.hub.send((self.parts.number, event));
    }

    fn add_counters(&self, to: &mut ShardCounters, backend: &dyn Backend) {
        let io = backend.counters();
        let own = &self.counters;
        let counters = [
            ("io_datagrams_received", io.datagrams_in),
            ("io_bytes_received", io.bytes_in),
            ("io_trains_received", io.trains_in),
            ("io_datagrams_sent", io.datagrams_out),
            ("io_bytes_sent", io.bytes_out),
            ("io_trains_sent", io.trains_out),
            ("io_syscalls", io.syscalls),
            ("io_send_errors", io.send_errors.total()),
            ("io_send_errors_would_block", io.send_errors.would_block),
            ("io_send_errors_no_buffers", io.send_errors.no_buffers),
            ("io_send_errors_unreachable", io.send_errors.unreachable),
            ("io_gso_fallbacks", io.gso_fallbacks),
            ("io_receive_truncated", io.receive_truncated),
            ("io_receive_errors", io.receive_errors),
            ("io_kernel_drops", io.kernel_drops),
            ("io_rearms", io.rearms),
            ("io_buffers_exhausted", io.buffers_exhausted),
            ("io_xdp_datagrams_received", io.xdp.datagrams_in),
            ("io_xdp_datagrams_sent", io.xdp.datagrams_out),
            ("io_xdp_unresolved", io.xdp.unresolved),
            ("io_xdp_malformed", io.xdp.malformed),
            ("io_xdp_bad_checksums", io.xdp.bad_checksums),
            ("io_xdp_no_socket", io.xdp.no_socket),
            ("io_xdp_not_redirected", io.xdp.not_redirected),
            ("crossings_refused_video", own.video_crossings_refused),
            ("crossings_refused_urgent", own.urgent_crossings_refused),
            ("flows_steered", own.flows_steered),
            ("flows_not_steered", own.flows_not_steered),
            ("sleeps", own.sleeps),
            ("turns", own.turns),
        ];
        let named = counters.map(|(name, value)| (name.to_owned(), value));
        to.counters.extend(named);
        let load = self.parts.status.load_permille.load(Ordering::Relaxed);
        to.gauges.push(("load_permille".to_owned(), load.into()));
    }
}
