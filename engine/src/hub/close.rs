//! Closing: what else goes, and which shards have to hear of it.
//!
//! A shard closes what hangs on an object in that shard by itself. So a close is one task for the
//! object's own shard, and more only for what lies on other shards.

use uuid::Uuid;
use weirgate_shard::{CommandBody, ShardNo};
use weirgate_wire::{ObjectKind, Refusal};

use super::Hub;
use super::registry::{Consumer, TransportBody};
use crate::shard_thread::ShardTask;

type Tasks = Vec<(ShardNo, ShardTask)>;

impl Hub {
    /// Takes an object and everything that hangs on it out of the registry; gives what the shards
    /// have to do.
    pub(super) fn close(&mut self, kind: ObjectKind, id: Uuid) -> Result<Tasks, Refusal> {
        let mut tasks = Tasks::new();
        match kind {
            ObjectKind::Router => {
                self.registry.router(id)?;
                self.close_router(id, &mut tasks);
            }
            ObjectKind::Transport => {
                self.registry.transport(id)?;
                self.close_transport(id, &mut tasks);
            }
            ObjectKind::Producer => {
                let shard = self.registry.producer(id)?.shard;
                tasks.push((shard, close_task(kind, id)));
                self.close_producer(id, &mut tasks);
            }
            ObjectKind::Consumer => {
                let shard = self.registry.consumer(id)?.shard;
                tasks.push((shard, close_task(kind, id)));
                self.close_consumer(id, &mut tasks);
            }
        }
        Ok(tasks)
    }

    fn close_router(&mut self, id: Uuid, tasks: &mut Tasks) {
        let Some(router) = self.registry.routers.get(&id) else {
            return;
        };
        for transport in router.transports.clone() {
            self.close_transport(transport, tasks);
        }
        if let Some(router) = self.registry.routers.remove(&id) {
            self.blobs.give(router.blob.len());
        }
    }

    fn close_transport(&mut self, id: Uuid, tasks: &mut Tasks) {
        let Some(transport) = self.registry.transports.get(&id) else {
            return;
        };
        let shard = transport.shard;
        let (producers, consumers) = (transport.producers.clone(), transport.consumers.clone());
        let mut task = close_task(ObjectKind::Transport, id);
        let place = tasks.len();
        for producer in producers {
            self.close_producer(producer, tasks);
        }
        for consumer in consumers {
            self.close_consumer(consumer, tasks);
        }
        let Some(transport) = self.registry.remove_transport(id) else {
            return;
        };
        self.blobs.give(transport.blob.len());
        if let TransportBody::Plain(plain) = transport.body {
            for end in std::iter::once(plain.rtp).chain(plain.rtcp) {
                self.ports.close(end.socket);
                task.remove.push(end.socket);
            }
        }
        // Before the sources its consumers leave behind are closed.
        tasks.insert(place, (shard, task));
    }

    /// Closes a producer but in its own shard.
    fn close_producer(&mut self, id: Uuid, tasks: &mut Tasks) {
        let Some(producer) = self.registry.producers.get_mut(&id) else {
            return;
        };
        // Closing it there takes its consumers along.
        for shard in std::mem::take(&mut producer.abroad).into_keys() {
            tasks.push((shard, close_task(ObjectKind::Producer, id)));
        }
        for consumer in producer.consumers.clone() {
            self.forget_consumer(consumer);
        }
        if let Some(producer) = self.registry.remove_producer(id) {
            self.blobs.give(producer.blob.len());
            self.sources.give(producer.source);
        }
    }

    /// Closes a consumer but in its own shard. The last one of a shard that is not its producer's
    /// ends the crossing there.
    fn close_consumer(&mut self, id: Uuid, tasks: &mut Tasks) {
        let Some(consumer) = self.forget_consumer(id) else {
            return;
        };
        let source = consumer.config.producer;
        let Some(producer) = self.registry.producers.get_mut(&source) else {
            return;
        };
        let Some(consumers) = producer.abroad.get_mut(&consumer.shard) else {
            return;
        };
        *consumers = consumers.saturating_sub(1);
        if *consumers == 0 {
            producer.abroad.remove(&consumer.shard);
            let stop = CommandBody::Relay {
                producer: source,
                to: consumer.shard,
                on: false,
            };
            tasks.push((producer.shard, ShardTask::new(stop)));
            tasks.push((consumer.shard, close_task(ObjectKind::Producer, source)));
        }
    }

    fn forget_consumer(&mut self, id: Uuid) -> Option<Consumer> {
        let consumer = self.registry.remove_consumer(id)?;
        self.blobs.give(consumer.blob.len());
        Some(consumer)
    }
}

fn close_task(kind: ObjectKind, id: Uuid) -> ShardTask {
    ShardTask::new(CommandBody::Close { kind, id })
}
