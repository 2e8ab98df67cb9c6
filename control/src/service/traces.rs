//! Trace events: switched on and off, and told.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use weirgate_wire::{ObjectKind, Request, Trace, TraceTypes};

use super::{Service, State};
use crate::{
    api::{StreamName, TraceData},
    error::ApiError,
    events::Event,
    model::{Model, Producer},
};

impl Service {
    /// Tells trace events of those types of a transport, producer or consumer from now on.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn enable_trace_event(
        self: &Arc<Self>,
        kind: ObjectKind,
        id: Uuid,
        types: TraceTypes,
    ) -> Result<(), ApiError> {
        self.state().model.trace_mut(kind, id)?;
        let service = Arc::clone(self);
        let request = Request::SetTrace { kind, id, types };
        let setting = self.engine.request(request, move |_| {
            *service.state().model.trace_mut(kind, id)? = types;
            Ok(())
        });
        setting.await
    }

    /// Tells of a trace event of the engine.
    pub(super) fn traced(&self, state: &State, trace: &Trace) {
        let event = match trace.kind {
            ObjectKind::Router => None,
            ObjectKind::Transport => of_transport(&state.model, trace),
            ObjectKind::Producer => of_producer(&state.model, trace),
            ObjectKind::Consumer => of_consumer(&state.model, trace),
        };
        if let Some(event) = event {
            self.emit(event);
        }
    }
}

fn of_transport(model: &Model, trace: &Trace) -> Option<Event> {
    let transport = model.transports.get(&trace.id)?;
    let event = Event {
        router_id: Some(transport.router),
        transport_id: Some(transport.id),
        ..Event::trace("transport.trace")
    };
    let data = json!(TraceData::new(trace, StreamName::default()));
    let owner = transport.record.owner.as_ref();
    Some(event.of_peer(owner).with_data(data))
}

fn of_producer(model: &Model, trace: &Trace) -> Option<Event> {
    let producer = model.producers.get(&trace.id)?;
    let transport = model.transports.get(&producer.transport)?;
    let event = Event {
        router_id: Some(producer.router),
        transport_id: Some(producer.transport),
        producer_id: Some(producer.id),
        ..Event::trace("producer.trace")
    };
    let name = StreamName {
        mid: producer.config.mid.as_deref(),
        rid: rid(producer, trace),
    };
    let data = json!(TraceData::new(trace, name));
    let owner = transport.record.owner.as_ref();
    Some(event.of_peer(owner).with_data(data))
}

fn of_consumer(model: &Model, trace: &Trace) -> Option<Event> {
    let consumer = model.consumers.get(&trace.id)?;
    let transport = model.transports.get(&consumer.transport)?;
    let event = Event {
        router_id: Some(consumer.router),
        transport_id: Some(consumer.transport),
        producer_id: Some(consumer.config.producer),
        consumer_id: Some(consumer.id),
        ..Event::trace("consumer.trace")
    };
    // Consumers are not told of RIDs.
    let name = StreamName {
        mid: Some(&consumer.config.mid),
        rid: None,
    };
    let data = json!(TraceData::new(trace, name));
    let owner = transport.record.owner.as_ref();
    Some(event.of_peer(owner).with_data(data))
}

/// RID of the stream that a traced packet is of.
fn rid<'a>(producer: &'a Producer, trace: &Trace) -> Option<&'a str> {
    let encoding = trace.info.packet()?.encoding;
    let encoding = producer.config.encodings.get(usize::from(encoding))?;
    encoding.rid.as_deref()
}
