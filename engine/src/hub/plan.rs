//! Requests become tasks for shards. Nothing of a refused request stays.

use std::net::{IpAddr, SocketAddr};

use uuid::Uuid;
use weirgate_shard::{CommandBody, ShardNo};
use weirgate_wire::{
    Answer, ConsumerConfig, IceState, Layers, ObjectKind, ProducerConfig, Refusal, Request, SrtpKey,
};

use super::pending::{Change, Plan, Then};
use super::registry::{
    Consumer, PlainBody, PlainEnd, Producer, Router, Transport, TransportBody, WebRtcBody,
};
use super::{Hub, credentials, limits, refuse, validate};
use crate::placement::{Seat, place};
use crate::shard_thread::ShardTask;

/// What a plain transport is made of.
struct PlainRequest {
    router: Uuid,
    listen: (IpAddr, Option<u16>),
    /// `None` with rtcp-mux.
    rtcp_listen: Option<(IpAddr, Option<u16>)>,
    comedia: bool,
    srtp: Option<SrtpKey>,
    blob: Vec<u8>,
}

impl Hub {
    /// Checks a request and carries out the hub's part of it.
    pub(super) fn plan(&mut self, request: Request) -> Result<Plan, Refusal> {
        match request {
            Request::CreateRouter { id, blob } => self.plan_router(id, blob),
            Request::CreateWebRtcTransport {
                id,
                router,
                ice_consent_timeout_s,
                blob,
            } => self.plan_webrtc(id, router, ice_consent_timeout_s, blob),
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
                self.plan_layers(id, body, layers, blob)
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

    fn plan_webrtc(
        &mut self,
        id: Uuid,
        router: Uuid,
        ice_consent_timeout_s: u32,
        blob: Vec<u8>,
    ) -> Result<Plan, Refusal> {
        self.may_add_transport(id, router)?;
        let shard = self.place();
        let ice = credentials::generate(shard)?;
        self.blobs.take(blob.len())?;
        let body = TransportBody::WebRtc(WebRtcBody {
            ice: ice.clone(),
            state: IceState::New,
            tuple: None,
            keyed: false,
        });
        self.add_transport(id, router, shard, blob, body);
        let answer = Answer::WebRtcTransport {
            shard,
            ice_ufrag: ice.ufrag.clone(),
            ice_pwd: ice.pwd.clone(),
        };
        let command = CommandBody::CreateWebRtcTransport {
            id,
            ice,
            ice_consent_timeout_s,
        };
        Ok(created(
            ObjectKind::Transport,
            id,
            answer,
            vec![(shard, ShardTask::new(command))],
        ))
    }

    fn plan_plain(&mut self, id: Uuid, request: PlainRequest) -> Result<Plan, Refusal> {
        self.may_add_transport(id, request.router)?;
        if let Some(key) = &request.srtp {
            validate::srtp_key("srtp", key)?;
        }
        self.blobs.take(request.blob.len())?;
        let blob_bytes = request.blob.len();
        let plan = self.open_plain(id, request);
        if plan.is_err() {
            self.blobs.give(blob_bytes);
        }
        plan
    }

    fn open_plain(&mut self, id: Uuid, request: PlainRequest) -> Result<Plan, Refusal> {
        let (ip, port) = request.listen;
        let rtp = self.ports.open("listen_ip", ip, port)?;
        let rtcp = match request.rtcp_listen {
            None => None,
            Some((ip, port)) => match self.ports.open("rtcp_listen_ip", ip, port) {
                Ok(socket) => Some(socket),
                Err(refusal) => {
                    self.ports.close(rtp.id);
                    return Err(refusal);
                }
            },
        };
        let shard = self.place();
        let mut task = ShardTask::new(CommandBody::CreatePlainTransport {
            id,
            rtp_socket: rtp.id,
            rtp_local: rtp.local,
            rtcp: rtcp.as_ref().map(|rtcp| (rtcp.id, rtcp.local)),
            comedia: request.comedia,
            srtp: request.srtp,
        });
        let mut end = |socket: super::plain_ports::PlainSocket| {
            task.add.push((socket.id, socket.socket));
            PlainEnd {
                socket: socket.id,
                local: socket.local,
                remote: None,
            }
        };
        let plain = PlainBody {
            rtp: end(rtp),
            rtcp: rtcp.map(end),
        };
        let answer = plain_answer(shard, &plain);
        let body = TransportBody::Plain(plain);
        self.add_transport(id, request.router, shard, request.blob, body);
        Ok(created(
            ObjectKind::Transport,
            id,
            answer,
            vec![(shard, task)],
        ))
    }

    fn plan_connect_plain(
        &mut self,
        id: Uuid,
        remote: Option<SocketAddr>,
        rtcp_remote: Option<SocketAddr>,
        srtp: Option<SrtpKey>,
        blob: Vec<u8>,
    ) -> Result<Plan, Refusal> {
        let plain = self.plain(id)?;
        if rtcp_remote.is_some() && plain.rtcp.is_none() {
            return Err(refuse::invalid("rtcp_remote: the transport has rtcp-mux"));
        }
        let rtcp_local = plain.rtcp.as_ref().map(|rtcp| rtcp.local);
        same_family("remote", plain.rtp.local, remote)?;
        same_family(
            "rtcp_remote",
            rtcp_local.unwrap_or(plain.rtp.local),
            rtcp_remote,
        )?;
        if let Some(key) = &srtp {
            validate::srtp_key("srtp", key)?;
        }
        let body = CommandBody::ConnectPlain {
            id,
            remote,
            rtcp_remote,
            srtp,
        };
        let change = Change::Connected;
        self.change(ObjectKind::Transport, id, body, Some(blob), change)
    }

    fn plan_restart_ice(&mut self, id: Uuid, blob: Option<Vec<u8>>) -> Result<Plan, Refusal> {
        self.webrtc(id)?;
        let ice = credentials::generate(self.registry.transport(id)?.shard)?;
        let body = CommandBody::RestartIce {
            id,
            ice: ice.clone(),
        };
        self.change(ObjectKind::Transport, id, body, blob, Change::Ice(ice))
    }

    fn plan_producer(
        &mut self,
        transport: Uuid,
        config: ProducerConfig,
        blob: Vec<u8>,
    ) -> Result<Plan, Refusal> {
        let id = config.id;
        let shard = self.registry.transport(transport)?.shard;
        if self.registry.producers.contains_key(&id) {
            return Err(refuse::exists(ObjectKind::Producer, id));
        }
        validate::producer(&config)?;
        room(
            ObjectKind::Producer,
            self.registry.producers.len(),
            limits::PRODUCERS,
        )?;
        self.blobs.take(blob.len())?;
        let source = self.sources.take();
        self.registry.add_producer(Producer {
            transport,
            shard,
            source,
            blob,
            config: config.clone(),
            consumers: Default::default(),
            abroad: Default::default(),
            scores: None,
        });
        let command = CommandBody::CreateProducer {
            transport,
            source,
            config,
        };
        Ok(created(
            ObjectKind::Producer,
            id,
            Answer::Done,
            vec![(shard, ShardTask::new(command))],
        ))
    }

    fn plan_consumer(
        &mut self,
        transport: Uuid,
        config: ConsumerConfig,
        blob: Vec<u8>,
    ) -> Result<Plan, Refusal> {
        let (id, source) = (config.id, config.producer);
        let (shard, router) = {
            let transport = self.registry.transport(transport)?;
            (transport.shard, transport.router)
        };
        if self.registry.consumers.contains_key(&id) {
            return Err(refuse::exists(ObjectKind::Consumer, id));
        }
        let origin = self.registry.producer(source)?.transport;
        if self.registry.transport(origin)?.router != router {
            return Err(refuse::invalid(format_args!(
                "producer: {source} is of another router"
            )));
        }
        validate::consumer(&config)?;
        room(
            ObjectKind::Consumer,
            self.registry.consumers.len(),
            limits::CONSUMERS,
        )?;
        self.blobs.take(blob.len())?;
        let mut tasks = self.open_source(source, shard);
        let command = CommandBody::CreateConsumer {
            transport,
            config: config.clone(),
        };
        tasks.push((shard, ShardTask::new(command)));
        self.registry.add_consumer(Consumer {
            transport,
            shard,
            blob,
            config,
            score: None,
            layers: None,
        });
        Ok(created(ObjectKind::Consumer, id, Answer::Done, tasks))
    }

    /// Counts one more consumer of `producer` on `shard`; what makes the producer known there if
    /// that is its first one abroad.
    fn open_source(&mut self, producer: Uuid, shard: ShardNo) -> Vec<(ShardNo, ShardTask)> {
        let Some(source) = self.registry.producers.get_mut(&producer) else {
            return Vec::new();
        };
        if source.shard == shard {
            return Vec::new();
        }
        let consumers = source.abroad.entry(shard).or_insert(0);
        *consumers += 1;
        if *consumers > 1 {
            return Vec::new();
        }
        let open = CommandBody::OpenSource {
            origin: source.shard,
            source: source.source,
            config: source.config.clone(),
        };
        let relay = CommandBody::Relay {
            producer,
            to: shard,
            on: true,
        };
        vec![
            (shard, ShardTask::new(open)),
            (source.shard, ShardTask::new(relay)),
        ]
    }

    fn plan_paused(
        &mut self,
        kind: ObjectKind,
        id: Uuid,
        paused: bool,
        blob: Option<Vec<u8>>,
    ) -> Result<Plan, Refusal> {
        let (shards, stands): (Vec<ShardNo>, bool) = match kind {
            ObjectKind::Producer => {
                let producer = self.registry.producer(id)?;
                let abroad = producer.abroad.keys().copied();
                let shards = std::iter::once(producer.shard).chain(abroad).collect();
                (shards, producer.config.paused)
            }
            ObjectKind::Consumer => {
                let consumer = self.registry.consumer(id)?;
                (vec![consumer.shard], consumer.config.paused)
            }
            _ => return Err(refuse::invalid("kind: only producers and consumers pause")),
        };
        self.blobs.take(blob.as_ref().map_or(0, Vec::len))?;
        self.registry.set_paused(kind, id, paused);
        let task = |shard| {
            let body = CommandBody::SetPaused { kind, id, paused };
            (shard, ShardTask::new(body))
        };
        Ok(Plan {
            tasks: shards.into_iter().map(task).collect(),
            then: Then::Changed {
                kind,
                id,
                blob,
                change: Change::Paused { before: stands },
            },
        })
    }

    fn plan_layers(
        &mut self,
        id: Uuid,
        body: CommandBody,
        layers: Option<Layers>,
        blob: Option<Vec<u8>>,
    ) -> Result<Plan, Refusal> {
        self.change(ObjectKind::Consumer, id, body, blob, Change::Layers(layers))
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
        let task =
            |shard: &super::ShardHandle| (shard.number(), ShardTask::new(CommandBody::GetCounters));
        Plan {
            tasks: self.shards.iter().map(task).collect(),
            then: Then::Counters,
        }
    }

    fn may_add_transport(&self, id: Uuid, router: Uuid) -> Result<(), Refusal> {
        self.registry.router(router)?;
        if self.registry.transports.contains_key(&id) {
            return Err(refuse::exists(ObjectKind::Transport, id));
        }
        let transports = self.registry.transports.len();
        room(ObjectKind::Transport, transports, limits::TRANSPORTS)
    }

    fn add_transport(
        &mut self,
        id: Uuid,
        router: Uuid,
        shard: ShardNo,
        blob: Vec<u8>,
        body: TransportBody,
    ) {
        let transport = Transport {
            router,
            shard,
            blob,
            body,
            producers: Default::default(),
            consumers: Default::default(),
            changed: false,
        };
        self.registry.add_transport(id, transport);
    }

    fn place(&self) -> ShardNo {
        place(self.shards.iter().map(|shard| Seat {
            transports: self.registry.census(shard.number()).transports,
            load: shard.load(),
        }))
    }

    fn webrtc(&self, id: Uuid) -> Result<&WebRtcBody, Refusal> {
        match &self.registry.transport(id)?.body {
            TransportBody::WebRtc(webrtc) => Ok(webrtc),
            TransportBody::Plain(_) => Err(refuse::invalid(format_args!(
                "transport {id} is a plain one"
            ))),
        }
    }

    fn plain(&self, id: Uuid) -> Result<&PlainBody, Refusal> {
        match &self.registry.transport(id)?.body {
            TransportBody::Plain(plain) => Ok(plain),
            TransportBody::WebRtc(_) => Err(refuse::invalid(format_args!(
                "transport {id} is a WebRTC one"
            ))),
        }
    }
}

/// The addresses of a plain transport as they stand.
pub(super) fn plain_answer(shard: ShardNo, plain: &PlainBody) -> Answer {
    let rtcp = plain.rtcp.as_ref();
    Answer::PlainTransport {
        shard,
        local: plain.rtp.local,
        remote: plain.rtp.remote,
        rtcp_local: rtcp.map(|rtcp| rtcp.local),
        rtcp_remote: rtcp.and_then(|rtcp| rtcp.remote),
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

fn same_family(field: &str, local: SocketAddr, remote: Option<SocketAddr>) -> Result<(), Refusal> {
    match remote {
        Some(remote) if remote.is_ipv4() != local.is_ipv4() => Err(refuse::invalid(format_args!(
            "{field}: {remote} was given, the socket is bound to {local}"
        ))),
        Some(remote) if remote.port() == 0 => Err(refuse::invalid(format_args!(
            "{field}: {remote} was given, a port is 1 to 65535"
        ))),
        _ => Ok(()),
    }
}
