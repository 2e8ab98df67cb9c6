//! Closing: what goes with an object.

use uuid::Uuid;

use super::{Consumer, Model, Producer, Router, Transport};

/// Why an object was closed; mediasoup has one event for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody closed it.
    Asked,
    /// Its router was closed.
    Router,
    /// Its transport was closed.
    Transport,
    /// Its producer was closed.
    Producer,
}

/// Everything one call of close took away; each list in the order of closing.
#[derive(Debug, Default)]
pub struct Closed {
    /// At most one.
    pub routers: Vec<Router>,
    /// With causes.
    pub transports: Vec<(Transport, Cause)>,
    /// With causes.
    pub producers: Vec<(Producer, Cause)>,
    /// With causes.
    pub consumers: Vec<(Consumer, Cause)>,
}

impl Model {
    /// Takes a router and all in it away.
    pub fn close_router(&mut self, id: Uuid) -> Closed {
        let mut closed = Closed::default();
        if let Some(router) = self.routers.remove(&id) {
            for transport in &router.transports {
                self.take_transport(*transport, Cause::Router, &mut closed);
            }
            closed.routers.push(router);
        }
        closed
    }

    /// Takes a transport and all on it away.
    pub fn close_transport(&mut self, id: Uuid) -> Closed {
        let mut closed = Closed::default();
        self.take_transport(id, Cause::Asked, &mut closed);
        closed
    }

    /// Takes a producer and its consumers away.
    pub fn close_producer(&mut self, id: Uuid) -> Closed {
        let mut closed = Closed::default();
        self.take_producer(id, Cause::Asked, &mut closed);
        closed
    }

    /// Takes a consumer away.
    pub fn close_consumer(&mut self, id: Uuid) -> Closed {
        let mut closed = Closed::default();
        self.take_consumer(id, Cause::Asked, &mut closed);
        closed
    }

    fn take_transport(&mut self, id: Uuid, cause: Cause, closed: &mut Closed) {
        let Some(transport) = self.transports.remove(&id) else {
            return;
        };
        if let Some(router) = self.routers.get_mut(&transport.router) {
            router.transports.retain(|other| *other != id);
        }
        for producer in &transport.producers {
            self.take_producer(*producer, Cause::Transport, closed);
        }
        for consumer in &transport.consumers {
            self.take_consumer(*consumer, Cause::Transport, closed);
        }
        closed.transports.push((transport, cause));
    }

    fn take_producer(&mut self, id: Uuid, cause: Cause, closed: &mut Closed) {
        let Some(producer) = self.producers.remove(&id) else {
            return;
        };
        if let Some(transport) = self.transports.get_mut(&producer.transport) {
            transport.producers.retain(|other| *other != id);
        }
        for consumer in &producer.consumers {
            self.take_consumer(*consumer, Cause::Producer, closed);
        }
        closed.producers.push((producer, cause));
    }

    fn take_consumer(&mut self, id: Uuid, cause: Cause, closed: &mut Closed) {
        let Some(consumer) = self.consumers.remove(&id) else {
            return;
        };
        if let Some(transport) = self.transports.get_mut(&consumer.transport) {
            transport.consumers.retain(|other| *other != id);
        }
        if let Some(producer) = self.producers.get_mut(&consumer.config.producer) {
            producer.consumers.retain(|other| *other != id);
        }
        closed.consumers.push((consumer, cause));
    }
}
