//! What is done once all shards concerned have answered a request.

use uuid::Uuid;
use weirgate_shard::ShardNo;
use weirgate_wire::{Answer, ObjectKind, Refusal, ShardCounters};

use super::pending::{Change, Pending, Then};
use super::plan::plain_answer;
use super::registry::TransportBody;
use super::{Hub, refuse};

impl Hub {
    /// Ends a request: what a shard refused is undone. Gives what control is told.
    pub(super) fn finish(&mut self, pending: Pending) -> Result<Answer, Refusal> {
        match (pending.then, pending.outcome) {
            (Then::Closed, _) => Ok(Answer::Done),
            (Then::Answer(answer), outcome) => outcome.map(|_| answer),
            (Then::Pass, outcome) => {
                let answer = outcome?.pop().map(|(_, answer)| answer);
                answer.ok_or_else(|| refuse::invalid("no shard has an answer"))
            }
            (Then::Counters, outcome) => outcome.map(|answers| self.counters(answers)),
            (Then::Created { answer, .. }, Ok(_)) => Ok(answer),
            (Then::Created { kind, id, .. }, Err(refusal)) => {
                self.undo(kind, id);
                Err(refusal)
            }
            (
                Then::Changed {
                    kind,
                    id,
                    blob,
                    change,
                },
                outcome,
            ) => {
                let answers = match outcome {
                    Ok(answers) => answers,
                    Err(refusal) => {
                        self.blobs.give(blob.map_or(0, |blob| blob.len()));
                        if let Change::Paused { before } = change {
                            self.registry.set_paused(kind, id, before);
                        }
                        return Err(refusal);
                    }
                };
                self.replace_blob(kind, id, blob)?;
                self.apply(id, change, answers)
            }
        }
    }

    /// Closes what a refused creation may have left in shards that did not refuse.
    fn undo(&mut self, kind: ObjectKind, id: Uuid) {
        // It may be closed already, along with its parent.
        for (shard, task) in self.close(kind, id).unwrap_or_default() {
            self.give(shard, task);
        }
    }

    fn replace_blob(
        &mut self,
        kind: ObjectKind,
        id: Uuid,
        blob: Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let Some(blob) = blob else {
            return Ok(());
        };
        let len = blob.len();
        match self.registry.blob_mut(kind, id) {
            Ok(old) => {
                let old = std::mem::replace(old, blob);
                self.blobs.give(old.len());
                Ok(())
            }
            // Closed in the meantime.
            Err(refusal) => {
                self.blobs.give(len);
                Err(refusal)
            }
        }
    }

    fn apply(
        &mut self,
        id: Uuid,
        change: Change,
        answers: Vec<(ShardNo, Answer)>,
    ) -> Result<Answer, Refusal> {
        match change {
            Change::Nothing | Change::Paused { .. } => {}
            Change::Keyed => self.registry.set_keyed(id),
            Change::Layers(layers) => {
                if let Some(consumer) = self.registry.consumers.get_mut(&id) {
                    consumer.config.preferred_layers = layers;
                }
            }
            Change::Priority(priority) => {
                if let Some(consumer) = self.registry.consumers.get_mut(&id) {
                    consumer.config.priority = priority;
                }
            }
            Change::Trace(kind, types) => {
                if let Some(trace) = self.registry.trace_mut(kind, id) {
                    *trace = types;
                }
            }
            Change::Ice(ice) => {
                let answer = Answer::WebRtcTransport {
                    shard: self.registry.transport(id)?.shard,
                    ice_ufrag: ice.ufrag.clone(),
                    ice_pwd: ice.pwd.clone(),
                };
                self.registry.set_ice(id, ice);
                return Ok(answer);
            }
            Change::Connected => {
                let told = answers.into_iter().next();
                if let Some((
                    _,
                    Answer::PlainTransport {
                        remote,
                        rtcp_remote,
                        ..
                    },
                )) = told
                {
                    self.registry.set_remote(id, remote, rtcp_remote);
                }
                let transport = self.registry.transport(id)?;
                if let TransportBody::Plain(plain) = &transport.body {
                    return Ok(plain_answer(transport.shard, plain));
                }
            }
        }
        Ok(Answer::Done)
    }

    fn counters(&self, mut answers: Vec<(ShardNo, Answer)>) -> Answer {
        answers.sort_by_key(|(shard, _)| *shard);
        let shards = answers.into_iter().map(|(_, answer)| match answer {
            Answer::Counters(mut counters) => counters.pop().unwrap_or_default(),
            _ => ShardCounters::default(),
        });
        let own = std::iter::once(self.own_counters());
        Answer::Counters(shards.chain(own).collect())
    }
}
