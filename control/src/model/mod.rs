//! The objects and how they hang together: routers, transports, producers, consumers.
//!
//! Pure bookkeeping without I/O. Each object has a record, which is what the engine keeps for us
//! as opaque bytes; record and the engine's snapshot together give the object back after a restart.

mod close;
mod consumer;
mod producer;
mod rebuild;
mod router;
mod transport;

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;
use weirgate_wire::{ObjectKind, TraceTypes};

pub use close::{Cause, Closed};
pub use consumer::{Consumer, ConsumerLayers, ConsumerRecord, ConsumerScore};
pub use producer::{Producer, ProducerRecord, ProducerScore};
pub use rebuild::Rebuilt;
pub use router::{Router, RouterRecord};
pub use transport::{
    Bitrates, Direction, DtlsFingerprint, DtlsParameters, DtlsRole, DtlsState, Owner, Plain,
    SrtpParameters, Transport, TransportKind, TransportRecord, WebRtc,
};

use crate::error::ApiError;

/// Every object there is.
#[derive(Debug, Default)]
pub struct Model {
    /// By id.
    pub routers: HashMap<Uuid, Router>,
    /// By id.
    pub transports: HashMap<Uuid, Transport>,
    /// By id.
    pub producers: HashMap<Uuid, Producer>,
    /// By id.
    pub consumers: HashMap<Uuid, Consumer>,
}

impl Model {
    /// The router, else `not_found`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn router(&self, id: Uuid) -> Result<&Router, ApiError> {
        let found = self.routers.get(&id);
        found.ok_or_else(|| ApiError::not_found("router", id))
    }

    /// The transport, else `not_found`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn transport(&self, id: Uuid) -> Result<&Transport, ApiError> {
        let found = self.transports.get(&id);
        found.ok_or_else(|| ApiError::not_found("transport", id))
    }

    /// The transport to change, else `not_found`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn transport_mut(&mut self, id: Uuid) -> Result<&mut Transport, ApiError> {
        let found = self.transports.get_mut(&id);
        found.ok_or_else(|| ApiError::not_found("transport", id))
    }

    /// The producer, else `not_found`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn producer(&self, id: Uuid) -> Result<&Producer, ApiError> {
        let found = self.producers.get(&id);
        found.ok_or_else(|| ApiError::not_found("producer", id))
    }

    /// The consumer, else `not_found`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn consumer(&self, id: Uuid) -> Result<&Consumer, ApiError> {
        let found = self.consumers.get(&id);
        found.ok_or_else(|| ApiError::not_found("consumer", id))
    }

    /// What is traced of an object, to change.
    ///
    /// # Errors
    /// `not_found`, also for routers, which have nothing to trace.
    pub fn trace_mut(&mut self, kind: ObjectKind, id: Uuid) -> Result<&mut TraceTypes, ApiError> {
        let (name, found) = match kind {
            ObjectKind::Router => ("router", None),
            ObjectKind::Transport => {
                let transport = self.transports.get_mut(&id);
                ("transport", transport.map(|it| &mut it.trace))
            }
            ObjectKind::Producer => {
                let producer = self.producers.get_mut(&id);
                ("producer", producer.map(|it| &mut it.trace))
            }
            ObjectKind::Consumer => {
                let consumer = self.consumers.get_mut(&id);
                ("consumer", consumer.map(|it| &mut it.trace))
            }
        };
        found.ok_or_else(|| ApiError::not_found(name, id))
    }

    /// Adds a router.
    pub fn insert_router(&mut self, router: Router) {
        self.routers.insert(router.id, router);
    }

    /// Adds a transport to its router.
    ///
    /// # Errors
    /// `not_found` where the router was closed meanwhile.
    pub fn insert_transport(&mut self, transport: Transport) -> Result<(), ApiError> {
        let router = self.routers.get_mut(&transport.router);
        let router = router.ok_or_else(|| ApiError::not_found("router", transport.router))?;
        router.transports.push(transport.id);
        self.transports.insert(transport.id, transport);
        Ok(())
    }

    /// Adds a producer to its transport.
    ///
    /// # Errors
    /// `not_found` where the transport was closed meanwhile.
    pub fn insert_producer(&mut self, producer: Producer) -> Result<(), ApiError> {
        let transport = self.transport_mut(producer.transport)?;
        transport.producers.push(producer.id);
        self.producers.insert(producer.id, producer);
        Ok(())
    }

    /// Adds a consumer to its transport and its producer.
    ///
    /// # Errors
    /// `not_found` where one of them was closed meanwhile.
    pub fn insert_consumer(&mut self, consumer: Consumer) -> Result<(), ApiError> {
        self.transport(consumer.transport)?;
        let producer = self.producers.get_mut(&consumer.config.producer);
        let producer =
            producer.ok_or_else(|| ApiError::not_found("producer", consumer.config.producer))?;
        producer.consumers.push(consumer.id);
        self.transport_mut(consumer.transport)?
            .consumers
            .push(consumer.id);
        self.consumers.insert(consumer.id, consumer);
        Ok(())
    }

    /// True where a consumer of `transport` has that SSRC already.
    pub fn ssrc_in_use(&self, transport: &Transport, ssrc: u32) -> bool {
        transport.consumers.iter().any(|id| {
            self.consumers.get(id).is_some_and(|consumer| {
                consumer.config.ssrc == ssrc || consumer.config.rtx_ssrc == Some(ssrc)
            })
        })
    }
}

/// A record as the engine keeps it.
pub fn blob<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_else(|error| {
        // Maps with keys that are no text are the only way, and no record has one.
        tracing::error!(%error, "a record cannot be written");
        Vec::new()
    })
}

#[cfg(test)]
mod tests;
