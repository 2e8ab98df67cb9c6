//! Requests that shards have been asked for and have not all answered.

use std::collections::HashMap;

use uuid::Uuid;
use weirgate_shard::{ShardNo, WebRtcCredentials};
use weirgate_wire::{Answer, Layers, ObjectKind, Refusal, TraceTypes};

use crate::shard_thread::ShardTask;

/// What a request comes to: tasks for shards, and what is done once all of them are answered.
///
/// All tasks are given at once. A shard handles its tasks in order, so a later request may build
/// on an earlier one that is not answered yet.
pub(super) struct Plan {
    pub(super) tasks: Vec<(ShardNo, ShardTask)>,
    pub(super) then: Then,
}

impl Plan {
    /// Nothing for the shards to do.
    pub(super) const fn answer(answer: Answer) -> Self {
        Self {
            tasks: Vec::new(),
            then: Then::Answer(answer),
        }
    }
}

/// What is done once all shards have answered.
pub(super) enum Then {
    /// That answer is given.
    Answer(Answer),
    /// The shard's answer is given.
    Pass,
    /// The shards' counters are put in order.
    Counters,
    /// The object is gone, whatever shards said: one that refuses had none of it.
    Closed,
    /// The object stays, or is closed again where a shard refused.
    Created {
        kind: ObjectKind,
        id: Uuid,
        answer: Answer,
    },
    /// The object is changed, or stays as it is where a shard refused.
    Changed {
        kind: ObjectKind,
        id: Uuid,
        /// Its bytes are within the budget already.
        blob: Option<Vec<u8>>,
        change: Change,
    },
}

/// How an object changes.
pub(super) enum Change {
    /// Only its blob, if anything.
    Nothing,
    /// A plain transport is connected; the shard's answer has the addresses.
    Connected,
    /// ICE restarted.
    Ice(WebRtcCredentials),
    /// SRTP keys are set.
    Keyed,
    /// Changed already, because sources that open in the meantime must start with it; goes back
    /// to this where a shard refused.
    Paused { before: bool },
    /// A consumer's preferred layers.
    Layers(Option<Layers>),
    /// A consumer's priority.
    Priority(u8),
    /// What is traced.
    Trace(ObjectKind, TraceTypes),
}

/// A request on its way.
pub(super) struct Pending {
    /// The connection it came by.
    pub(super) connection: u64,
    /// Control's id of it.
    pub(super) request: u64,
    /// Tasks without an answer.
    waiting: usize,
    /// The shards' answers so far, or the first refusal.
    pub(super) outcome: Result<Vec<(ShardNo, Answer)>, Refusal>,
    pub(super) then: Then,
}

/// All requests on their way, by the token their tasks have.
#[derive(Default)]
pub(super) struct PendingRequests {
    requests: HashMap<u64, Pending>,
    last_token: u64,
}

impl PendingRequests {
    /// Keeps a request until `tasks` answers came; gives the token for its tasks, never 0.
    pub(super) fn add(&mut self, connection: u64, request: u64, tasks: usize, then: Then) -> u64 {
        self.last_token += 1;
        let pending = Pending {
            connection,
            request,
            waiting: tasks,
            outcome: Ok(Vec::with_capacity(tasks)),
            then,
        };
        self.requests.insert(self.last_token, pending);
        self.last_token
    }

    /// Takes an answer in; gives the request back if it was the last.
    pub(super) fn answered(
        &mut self,
        token: u64,
        shard: ShardNo,
        body: Result<Answer, Refusal>,
    ) -> Option<Pending> {
        let pending = self.requests.get_mut(&token)?;
        match (body, &mut pending.outcome) {
            (Ok(answer), Ok(answers)) => answers.push((shard, answer)),
            (Err(refusal), outcome @ Ok(_)) => *outcome = Err(refusal),
            (_, Err(_)) => {}
        }
        pending.waiting = pending.waiting.saturating_sub(1);
        if pending.waiting > 0 {
            return None;
        }
        self.requests.remove(&token)
    }

    /// Gives a request back that needs no answer of a shard.
    pub(super) fn completed(&mut self, token: u64) -> Option<Pending> {
        self.requests.remove(&token)
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }
}
