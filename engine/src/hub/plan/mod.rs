//! Requests become tasks for shards. Nothing of a refused request stays.

mod streams;
mod transports;

use uuid::Uuid;
use weirgate_shard::{CommandBody, ShardNo};
use weirgate_wire::{Answer, ObjectKind, Refusal, Request};

use super::pending::{Change, Plan, Then};
use super::registry::Router;
use super::{Hub, limits, refuse, validate};
use crate::shard_thread::{ShardHandle, ShardTask};
pub(super) use transports::plain_answer;
use transports::{PlainRequest, WebRtcRequest};

impl Hub {
    /// Checks a request and carries out the hub's part of it.
    pub(super) fn plan(&mut self, request: Request) -> Result<Plan, Refusal> {
        match request {
            Request::CreateRouter { id, blob } => self.plan_router(id, blob),
            Request::CreateWebRtcTransport {
                id,
                router,
                ice_consent_timeout_s,
                initial_outgoing_bps,
                blob,
            } => {
                let request = WebRtcRequest {
                    router,
                    ice_consent_timeout_s,
                    initial_outgoing_bps,
                    blob,
                };
                self.plan_webrtc(id, request)
            }
            Request::CreatePlainTransport {
                id,
                router,
                listen_ip,
                port,
                rtcp_listen_ip,
                rtcp_port,
                rtcp_mux,
                comedia,
                srtp,
                blob,
            } => {
                let request = PlainRequest {
                    router,
                    listen: (listen_ip, port),
                    rtcp_listen: (!rtcp_mux).then_some((rtcp_listen_ip, rtcp_port)),
                    comedia,
                    srtp,
                    blob,
                };
                self.plan_plain(id, request)
            }
            Request::CreateProducer {
                transport,
                config,
                blob,
            } => self.plan_producer(transport, config, blob),
            Request::CreateConsumer {
                transport,
                config,
                blob,
            } => self.plan_consumer(transport, config, blob),
            Request::Close { kind, id } => Ok(Plan {
                tasks: self.close(kind, id)?,
                then: Then::Closed,
            }),
            Request::GetStats { kind, id } => {
                let shard = self.registry.shard_of(kind, id)?;
                let task = ShardTask::new(CommandBody::GetStats { kind, id });
                Ok(Plan {
                    tasks: vec![(shard, task)],
                    then: Then::Pass,
                })
            }
            Request::GetCounters => Ok(self.plan_counters()),
            Request::GetInfo => Ok(Plan::answer(Answer::Info(self.info()))),
            Request::PutNote { key, blob } => {
                self.notes.put(key, blob)?;
                Ok(Plan::answer(Answer::Done))
            }
            Request::DeleteNote { key } => {
                self.notes.delete(&key);
                Ok(Plan::answer(Answer::Done))
            }
            // Handled where the connection is.
            Request::Snapshot | Request::Shutdown => Ok(Plan::answer(Answer::Done)),
            change => self.plan_change(change),
        }
    }

    fn plan_change(&mut self, request: Request) -> Result<Plan, Refusal> {
        match request {
            Request::ConnectPlain {
                id,
                remote,
                rtcp_remote,
                srtp,
                blob,
            } => self.plan_connect_plain(id, remote, rtcp_remote, srtp, blob),
            Request::RestartIce { id, blob } => self.plan_restart_ice(id, blob),
            Request::SetSrtpKeys {
                id,
                send,
                receive,
                blob,
            } => {
                self.webrtc(id)?;
                validate::srtp_key("send", &send)?;
                validate::srtp_key("receive", &receive)?;
                let body = CommandBody::SetSrtpKeys { id, send, receive };
                self.change(ObjectKind::Transport, id, body, blob, Change::Keyed)
            }
            Request::SetBitrates {
                id,
                max_incoming,
                max_outgoing,
                min_outgoing,
                blob,
            } => {
                let body = CommandBody::SetBitrates {
                    id,
                    max_incoming,
                    max_outgoing,
                    min_outgoing,
                };
                self.change(ObjectKind::Transport, id, body, blob, Change::Nothing)
            }
            Request::SetPaused {
                kind,
                id,
                paused,
                blob,
            } => self.plan_paused(kind, id, paused, blob),
            Request::SetPreferredLayers { id, layers, blob } => {
                let body = CommandBody::SetPreferredLayers { id, layers };
                let change = Change::Layers(layers);
                self.change(ObjectKind::Consumer, id, body, blob, change)
            }
            Request::SetPriority { id, priority, blob } => {
                validate::priority(priority)?;
                let body = CommandBody::SetPriority { id, priority };
                let change = Change::Priority(priority);
                self.change(ObjectKind::Consumer, id, body, blob, change)
            }
            Request::RequestKeyFrame { consumer: id } => {
                let body = CommandBody::RequestKeyFrame { consumer: id };
                self.change(ObjectKind::Consumer, id, body, None, Change::Nothing)
            }
            Request::SetTrace { kind, id, types } => {
                validate::trace(kind, types)?;
                let body = CommandBody::SetTrace { kind, id, types };
                self.change(kind, id, body, None, Change::Trace(kind, types))
            }
            Request::SetBlob { kind, id, blob } => {
                self.registry.blob_mut(kind, id)?;
                self.blobs.take(blob.len())?;
                Ok(Plan {
                    tasks: Vec::new(),
                    then: Then::Changed {
                        kind,
                        id,
                        blob: Some(blob),
                        change: Change::Nothing,
                    },
                })
            }
            _ => Err(refuse::invalid("not a request of this version")),
        }
    }

    fn plan_router(&mut self, id: Uuid, blob: Vec<u8>) -> Result<Plan, Refusal> {
        if self.registry.routers.contains_key(&id) {
            return Err(refuse::exists(ObjectKind::Router, id));
        }
        room(
            ObjectKind::Router,
            self.registry.routers.len(),
            limits::ROUTERS,
        )?;
        self.blobs.take(blob.len())?;
        let transports = Default::default();
        self.registry
            .routers
            .insert(id, Router { blob, transports });
        Ok(Plan::answer(Answer::Done))
    }

    /// One task for the object's own shard, and what changes when that is answered.
    fn change(
        &mut self,
        kind: ObjectKind,
        id: Uuid,
        body: CommandBody,
        blob: Option<Vec<u8>>,
        change: Change,
    ) -> Result<Plan, Refusal> {
        let shard = self.registry.shard_of(kind, id)?;
        self.blobs.take(blob.as_ref().map_or(0, Vec::len))?;
        Ok(Plan {
            tasks: vec![(shard, ShardTask::new(body))],
            then: Then::Changed {
                kind,
                id,
                blob,
                change,
            },
        })
    }

    fn plan_counters(&self) -> Plan {
        let task = |shard: &ShardHandle| (shard.number(), ShardTask::new(CommandBody::GetCounters));
        Plan {
            tasks: self.shards.iter().map(task).collect(),
            then: Then::Counters,
        }
    }
}

fn created(kind: ObjectKind, id: Uuid, answer: Answer, tasks: Vec<(ShardNo, ShardTask)>) -> Plan {
    Plan {
        tasks,
        then: Then::Created { kind, id, answer },
    }
}

fn room(kind: ObjectKind, count: usize, limit: usize) -> Result<(), Refusal> {
    if count < limit {
        return Ok(());
    }
    Err(refuse::full(kind, limit))
}
