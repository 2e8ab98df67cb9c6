//! Closing objects: model first, then engine, then everyone who should know.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use weirgate_wire::{ObjectKind, Request};

use super::{Service, State};
use crate::{
    engine_link::Pending,
    error::ApiError,
    events::Event,
    model::{Cause, Closed, Consumer, Owner, Producer, Transport},
};

impl Service {
    /// Closes an object: it is gone from the model at once, the future waits for the engine.
    /// `asked_by` is the peer that wants it and needs no telling.
    pub(crate) fn start_closing(
        self: &Arc<Self>,
        state: &mut State,
        kind: ObjectKind,
        id: Uuid,
        asked_by: Option<&str>,
    ) -> Pending<()> {
        let closed = match kind {
            ObjectKind::Router => state.model.close_router(id),
            ObjectKind::Transport => state.model.close_transport(id),
            ObjectKind::Producer => state.model.close_producer(id),
            ObjectKind::Consumer => state.model.close_consumer(id),
        };
        // Peers learn of the end by close_notify, which must leave before the transport does.
        for (transport, _) in &closed.transports {
            self.end_dtls(state, transport.id);
        }
        let done = self.engine.request(Request::Close { kind, id }, |_| Ok(()));
        self.tell_closed(state, &closed, asked_by);
        done
    }

    /// Closes a transport.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn close_transport(self: &Arc<Self>, id: Uuid) -> Result<(), ApiError> {
        let closing = {
            let mut state = self.state();
            state.model.transport(id)?;
            self.start_closing(&mut state, ObjectKind::Transport, id, None)
        };
        closing.await
    }

    /// Closes a producer and its consumers.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn close_producer(self: &Arc<Self>, id: Uuid) -> Result<(), ApiError> {
        let closing = {
            let mut state = self.state();
            state.model.producer(id)?;
            self.start_closing(&mut state, ObjectKind::Producer, id, None)
        };
        closing.await
    }

    /// Closes a consumer.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn close_consumer(self: &Arc<Self>, id: Uuid) -> Result<(), ApiError> {
        let closing = {
            let mut state = self.state();
            state.model.consumer(id)?;
            self.start_closing(&mut state, ObjectKind::Consumer, id, None)
        };
        closing.await
    }

    /// Tells event log and rooms what is gone.
    pub(crate) fn tell_closed(&self, state: &mut State, closed: &Closed, asked_by: Option<&str>) {
        for (consumer, cause) in &closed.consumers {
            let owner = owner_of(state, closed, consumer.transport);
            self.tell_consumer_closed(state, consumer, *cause, owner.as_ref(), asked_by);
        }
        for (producer, cause) in &closed.producers {
            let owner = owner_of(state, closed, producer.transport);
            self.tell_producer_closed(state, producer, *cause, owner.as_ref(), asked_by);
        }
        for (transport, cause) in &closed.transports {
            self.tell_transport_closed(state, transport, *cause, asked_by);
        }
        for router in &closed.routers {
            self.close_observers_of(state, router.id);
            self.emit(Event {
                router_id: Some(router.id),
                room_id: router.record.room.clone(),
                ..Event::new("router.close")
            });
        }
    }

    fn tell_consumer_closed(
        &self,
        state: &mut State,
        consumer: &Consumer,
        cause: Cause,
        owner: Option<&Owner>,
        asked_by: Option<&str>,
    ) {
        self.emit(
            Event {
                router_id: Some(consumer.router),
                transport_id: Some(consumer.transport),
                producer_id: Some(consumer.config.producer),
                consumer_id: Some(consumer.id),
                ..Event::new(match cause {
                    Cause::Producer => "consumer.producerclose",
                    Cause::Asked => "consumer.close",
                    Cause::Transport | Cause::Router => "consumer.transportclose",
                })
            }
            .of_peer(owner),
        );
        // With the transport gone the client needs no list of what was on it.
        let owner = owner.filter(|_| matches!(cause, Cause::Asked | Cause::Producer));
        if let Some(owner) = owner.filter(|owner| asked_by != Some(&owner.peer)) {
            let payload = json!({ "consumerId": consumer.id });
            state.rooms.tell_peer(owner, "consumerClosed", &payload);
        }
    }

    fn tell_producer_closed(
        &self,
        state: &mut State,
        producer: &Producer,
        cause: Cause,
        owner: Option<&Owner>,
        asked_by: Option<&str>,
    ) {
        self.emit(
            Event {
                router_id: Some(producer.router),
                transport_id: Some(producer.transport),
                producer_id: Some(producer.id),
                ..Event::new(match cause {
                    Cause::Asked | Cause::Producer => "producer.close",
                    Cause::Transport | Cause::Router => "producer.transportclose",
                })
            }
            .of_peer(owner),
        );
        let peer = owner.map(|owner| &owner.peer);
        let payload = json!({ "producerId": producer.id, "peerId": peer });
        state
            .rooms
            .tell_room_of(producer.router, asked_by, "producerClosed", &payload);
        state.rooms.forget_level(producer.router, producer.id);
        state.observers.drop_producer(producer.id);
    }

    fn tell_transport_closed(
        &self,
        state: &mut State,
        transport: &Transport,
        cause: Cause,
        asked_by: Option<&str>,
    ) {
        let owner = transport.record.owner.as_ref();
        self.emit(
            Event {
                router_id: Some(transport.router),
                transport_id: Some(transport.id),
                ..Event::new(match cause {
                    Cause::Router => "transport.routerclose",
                    _ => "transport.close",
                })
            }
            .of_peer(owner),
        );
        if let Some(owner) = owner.filter(|owner| asked_by != Some(&owner.peer)) {
            let payload = json!({ "transportId": transport.id });
            state.rooms.tell_peer(owner, "transportClosed", &payload);
        }
    }
}

/// The owner of a transport that stands or has just been closed.
fn owner_of(state: &State, closed: &Closed, transport: Uuid) -> Option<Owner> {
    let standing = state.model.transports.get(&transport);
    let gone = || {
        let found = closed.transports.iter().find(|(it, _)| it.id == transport);
        found.map(|(it, _)| it)
    };
    standing.or_else(gone)?.record.owner.clone()
}
