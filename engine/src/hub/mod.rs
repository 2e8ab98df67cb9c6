//! The hub: keeps every object, turns control's requests into tasks for shards, and tells control
//! what shards tell.
//!
//! One thread. It never waits for a shard or for control: tasks and messages are queued, and what
//! is left to do when an answer comes is kept in [`pending`].

mod budget;
mod close;
mod credentials;
mod events;
mod finish;
mod info;
mod limits;
mod link;
mod notes;
mod pending;
mod plain_ports;
mod plan;
mod refuse;
mod registry;
mod snapshot;
mod sources;
mod validate;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crossbeam::channel::{Receiver, Select};
use uuid::Uuid;
use weirgate_shard::{CommandBody, ShardEvent, ShardNo};
use weirgate_wire::{Answer, Refusal, Request, ToControl, ToEngine};

use crate::control_socket::{ControlInput, Outgoing};
use crate::crossing_net::CrossingNet;
use crate::engine::Ending;
use crate::placement::Placement;
use crate::shard_thread::{ShardHandle, ShardTask};
use budget::BlobBudget;
pub(crate) use info::EngineFacts;
use info::HubCounters;
use link::Link;
use notes::Notes;
use pending::PendingRequests;
use plain_ports::PlainPorts;
use registry::Registry;
use sources::SourceNumbers;

/// Where the hub's input comes from.
pub(crate) struct HubInputs {
    /// From control, by its connection; bounded, so that a flood waits in the socket.
    pub(crate) control: Receiver<ControlInput>,
    /// From shards; they drop events, never answers, where the hub is behind.
    pub(crate) shards: Receiver<(ShardNo, ShardEvent)>,
    /// The process is asked to end.
    pub(crate) end: Receiver<Ending>,
}

/// See the module.
pub(crate) struct Hub {
    facts: EngineFacts,
    shards: Vec<ShardHandle>,
    net: Arc<CrossingNet>,
    registry: Registry,
    blobs: BlobBudget,
    notes: Notes,
    ports: PlainPorts,
    sources: SourceNumbers,
    placement: Placement,
    pending: PendingRequests,
    link: Option<Link>,
    counters: HubCounters,
    /// Why the hub ends after what it does now.
    ending: Option<Ending>,
}

impl Hub {
    /// A hub over `shards`, in the order of their numbers.
    pub(crate) fn new(facts: EngineFacts, shards: Vec<ShardHandle>, net: Arc<CrossingNet>) -> Self {
        let media_sockets = u32::try_from(facts.media_listen.len()).unwrap_or(u32::MAX);
        Self {
            registry: Registry::new(shards.len()),
            blobs: BlobBudget::new(limits::OBJECT_BLOB_BYTES),
            notes: Notes::new(),
            ports: PlainPorts::new(facts.plain_ports, media_sockets, facts.busy_poll),
            sources: SourceNumbers::default(),
            placement: Placement::default(),
            pending: PendingRequests::default(),
            link: None,
            counters: HubCounters::default(),
            ending: None,
            facts,
            shards,
            net,
        }
    }

    /// Works until the process is to end. Gives the connection to control too, if there is one,
    /// with messages that are still to be written.
    pub(crate) fn run(mut self, inputs: &HubInputs) -> (Ending, Option<Outgoing>) {
        loop {
            let mut select = Select::new();
            let shards = select.recv(&inputs.shards);
            let end = select.recv(&inputs.end);
            if self.pending.len() < limits::PENDING_REQUESTS {
                select.recv(&inputs.control);
            }
            let ready = select.select();
            let open = match ready.index() {
                index if index == shards => ready
                    .recv(&inputs.shards)
                    .map(|(shard, event)| self.on_shard(shard, event)),
                index if index == end => ready
                    .recv(&inputs.end)
                    .map(|ending| self.ending = Some(ending)),
                _ => ready
                    .recv(&inputs.control)
                    .map(|input| self.on_control(input)),
            };
            if open.is_err() {
                // It would be ready for ever.
                let why = "a thread the hub listens to has ended".to_owned();
                self.ending.get_or_insert(Ending::Failed(why));
            }
            if let Some(ending) = self.ending {
                return (ending, self.link.map(|link| link.outgoing));
            }
        }
    }

    /// Takes something from control in.
    fn on_control(&mut self, input: ControlInput) {
        match input {
            ControlInput::Greeted {
                connection,
                pid,
                outgoing,
            } => self.greet(connection, pid, outgoing),
            ControlInput::Message {
                connection,
                message,
            } => {
                if self.is_current(connection) {
                    self.on_message(message);
                }
            }
            ControlInput::Gone { connection, why } => {
                if self.is_current(connection) {
                    tracing::warn!(%why, "control is away; media goes on");
                    self.link = None;
                }
            }
            ControlInput::Drained => self.pump_snapshot(),
        }
    }

    /// Takes something from a shard in.
    fn on_shard(&mut self, shard: ShardNo, event: ShardEvent) {
        match event {
            ShardEvent::Event(event) => self.on_event(event),
            ShardEvent::Answer { token, body } => {
                let Some(pending) = self.pending.answered(token, shard, body) else {
                    return;
                };
                let (connection, request) = (pending.connection, pending.request);
                let body = self.finish(pending);
                if self.is_current(connection) {
                    self.answer(request, body);
                }
                // A snapshot waits until nothing is half made.
                self.pump_snapshot();
            }
        }
    }

    fn on_message(&mut self, message: ToEngine) {
        match message {
            ToEngine::Hello { .. } => self.drop_link("said hello twice"),
            ToEngine::Request { id, body } => self.on_request(id, body),
            ToEngine::SendDtls {
                transport,
                datagrams,
            } => self.send_dtls(transport, datagrams),
        }
    }

    /// Passes DTLS datagrams on. Nobody waits for an answer, and handshakes get over losses.
    fn send_dtls(&mut self, id: Uuid, mut datagrams: Vec<Vec<u8>>) {
        let before = datagrams.len();
        datagrams.retain(|datagram| (1..=limits::DTLS_DATAGRAM_BYTES).contains(&datagram.len()));
        self.counters.dtls_refused += (before - datagrams.len()) as u64;
        // The transport may be closed since.
        let Ok(transport) = self.registry.transport(id) else {
            return;
        };
        let shard = transport.shard;
        let behind = |shard: &ShardHandle| shard.queued() > limits::SHARD_TASKS;
        if self.shards.get(usize::from(shard)).is_some_and(behind) {
            self.counters.dtls_dropped += datagrams.len() as u64;
            return;
        }
        let body = CommandBody::SendDtls { id, datagrams };
        self.give(shard, ShardTask::new(body));
    }

    fn on_request(&mut self, id: u64, request: Request) {
        self.counters.requests += 1;
        match request {
            Request::Snapshot => return self.begin_snapshot(id),
            Request::Shutdown => {
                tracing::info!("control asked to end");
                self.answer(id, Ok(Answer::Done));
                self.ending = Some(Ending::Asked);
                return;
            }
            // A control that looks first is given the events after its snapshot.
            Request::GetInfo | Request::GetCounters => {}
            _ => self.go_live(),
        }
        let Some(connection) = self.link.as_ref().map(|link| link.connection) else {
            return;
        };
        let plan = match self.plan(request) {
            Ok(plan) => plan,
            Err(refusal) => return self.answer(id, Err(refusal)),
        };
        let tasks = plan.tasks.len();
        let token = self.pending.add(connection, id, tasks, plan.then);
        if tasks == 0 {
            let done = self.pending.completed(token);
            if let Some(body) = done.map(|pending| self.finish(pending)) {
                self.answer(id, body);
            }
            return;
        }
        for (shard, mut task) in plan.tasks {
            task.command.token = token;
            self.give(shard, task);
        }
    }

    /// Queues a task for a shard.
    fn give(&self, shard: ShardNo, task: ShardTask) {
        if let Some(handle) = self.shards.get(usize::from(shard)) {
            handle.give(task);
        }
    }

    fn answer(&mut self, id: u64, body: Result<Answer, Refusal>) {
        if let Err(refusal) = &body {
            self.counters.refusals += 1;
            tracing::debug!(%refusal, "request refused");
        }
        self.send(&ToControl::Answer { id, body });
    }
}
