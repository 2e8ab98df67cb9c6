//! Producers and consumers: made, where they are known, paused.

use uuid::Uuid;
use weirgate_shard::{CommandBody, ShardNo};
use weirgate_wire::{Answer, ConsumerConfig, ObjectKind, ProducerConfig, Refusal, TraceTypes};

use super::{created, room};
use crate::hub::pending::{Change, Plan, Then};
use crate::hub::registry::{Consumer, Producer};
use crate::hub::{Hub, limits, refuse, validate};
use crate::shard_thread::ShardTask;

impl Hub {
    pub(super) fn plan_producer(
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
            trace: TraceTypes::NONE,
            consumers: Default::default(),
            abroad: Default::default(),
            scores: None,
            wanted: None,
            orientation: None,
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

    pub(super) fn plan_consumer(
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
            trace: TraceTypes::NONE,
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

    pub(super) fn plan_paused(
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
}
