//! Producers.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use weirgate_ortc as ortc;
use weirgate_wire::{ObjectKind, ProducerConfig, Request, TraceTypes};

use super::{Service, State};
use crate::{
    api::{ProducerAnswer, ProducerDump, ProducerOptions, app_data},
    engine_link::Pending,
    error::ApiError,
    events::Event,
    model::{Owner, Producer, ProducerRecord, blob},
};

impl Service {
    /// Makes a producer.
    ///
    /// # Errors
    /// `bad_request` naming the field, `conflict` for ids, SSRCs and MIDs in use, the engine's.
    pub async fn create_producer(
        self: &Arc<Self>,
        transport: Uuid,
        options: ProducerOptions,
    ) -> Result<ProducerAnswer, ApiError> {
        let creating = {
            let mut state = self.state();
            self.start_creating_producer(&mut state, transport, options)?
        };
        creating.await
    }

    /// The same for callers that hold the state.
    pub(crate) fn start_creating_producer(
        self: &Arc<Self>,
        state: &mut State,
        transport: Uuid,
        options: ProducerOptions,
    ) -> Result<Pending<ProducerAnswer>, ApiError> {
        options.check()?;
        let id = options.id.unwrap_or_else(Uuid::new_v4);
        if state.model.producers.contains_key(&id) {
            return Err(ApiError::conflict(format!(
                "there is a producer {id} already"
            )));
        }
        let (record, config) = negotiate(state, transport, id, options)?;
        let parent = state.model.transport_mut(transport)?;
        parent.cname = Some(config.cname.clone());
        let producer = Producer {
            id,
            transport,
            router: parent.router,
            record,
            config,
            trace: TraceTypes::NONE,
            scores: Vec::new(),
            wanted: None,
            consumers: Vec::new(),
        };
        let request = Request::CreateProducer {
            transport,
            config: producer.config.clone(),
            blob: blob(&producer.record),
        };
        let service = Arc::clone(self);
        Ok(self
            .engine
            .request(request, move |_| service.add_producer(producer)))
    }

    fn add_producer(&self, producer: Producer) -> Result<ProducerAnswer, ApiError> {
        let answer = ProducerAnswer {
            id: producer.id,
            kind: producer.record.kind,
            producer_type: producer.record.producer_type,
            rtp_parameters: producer.record.rtp_parameters.clone(),
            paused: producer.config.paused,
        };
        let mut state = self.state();
        let owner = state
            .model
            .transport(producer.transport)?
            .record
            .owner
            .clone();
        state.model.insert_producer(producer.clone())?;
        let event = Event {
            router_id: Some(producer.router),
            transport_id: Some(producer.transport),
            producer_id: Some(producer.id),
            ..Event::new("transport.newproducer")
        };
        self.emit(event.of_peer(owner.as_ref()).with_data(json!({
            "kind": answer.kind,
            "type": answer.producer_type,
        })));
        announce(&mut state, &producer, owner.as_ref());
        Ok(answer)
    }

    /// Pauses or resumes a producer. `asked_by` is the peer that wants it.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn pause_producer(
        self: &Arc<Self>,
        id: Uuid,
        paused: bool,
        asked_by: Option<String>,
    ) -> Result<(), ApiError> {
        let pausing = {
            let state = self.state();
            state.model.producer(id)?;
            let service = Arc::clone(self);
            let request = Request::SetPaused {
                kind: ObjectKind::Producer,
                id,
                paused,
                blob: None,
            };
            self.engine.request(request, move |_| {
                service.producer_paused(id, paused, asked_by.as_deref())
            })
        };
        pausing.await
    }

    fn producer_paused(
        &self,
        id: Uuid,
        paused: bool,
        asked_by: Option<&str>,
    ) -> Result<(), ApiError> {
        let mut state = self.state();
        let state = &mut *state;
        let Some(producer) = state.model.producers.get_mut(&id) else {
            return Err(ApiError::not_found("producer", id));
        };
        if producer.config.paused == paused {
            return Ok(());
        }
        producer.config.paused = paused;
        let producer = producer.clone();
        let owner = state
            .model
            .transport(producer.transport)?
            .record
            .owner
            .clone();
        let event = Event {
            router_id: Some(producer.router),
            transport_id: Some(producer.transport),
            producer_id: Some(id),
            ..Event::new(if paused {
                "producer.pause"
            } else {
                "producer.resume"
            })
        };
        self.emit(event.of_peer(owner.as_ref()));
        for consumer in producer
            .consumers
            .iter()
            .filter_map(|id| state.model.consumers.get(id))
        {
            let owner = state
                .model
                .transport(consumer.transport)?
                .record
                .owner
                .as_ref();
            let event = Event {
                router_id: Some(consumer.router),
                transport_id: Some(consumer.transport),
                producer_id: Some(id),
                consumer_id: Some(consumer.id),
                ..Event::new(match paused {
                    true => "consumer.producerpause",
                    false => "consumer.producerresume",
                })
            };
            self.emit(event.of_peer(owner));
        }
        let name = if paused {
            "producerPaused"
        } else {
            "producerResumed"
        };
        let payload = json!({ "producerId": id });
        state
            .rooms
            .tell_room_of(producer.router, asked_by, name, &payload);
        if paused {
            state.rooms.forget_level(producer.router, id);
        }
        Ok(())
    }

    /// A producer as it stands.
    ///
    /// # Errors
    /// `not_found`.
    pub fn producer(&self, id: Uuid) -> Result<ProducerDump, ApiError> {
        Ok(ProducerDump::new(self.state().model.producer(id)?))
    }
}

/// What the endpoint sends, in the router's and the engine's terms.
fn negotiate(
    state: &State,
    transport: Uuid,
    id: Uuid,
    options: ProducerOptions,
) -> Result<(ProducerRecord, ProducerConfig), ApiError> {
    let transport = state.model.transport(transport)?;
    let capabilities = &state
        .model
        .router(transport.router)?
        .record
        .rtp_capabilities;
    let mut rtp_parameters = options.rtp_parameters;
    ortc::validate_rtp_parameters(&mut rtp_parameters)?;
    let generated = &Uuid::new_v4().simple().to_string()[..8];
    ortc::complete_producer_rtp_parameters(
        &mut rtp_parameters,
        transport.cname.as_deref(),
        generated,
    );
    let rtp_mapping = ortc::producer_rtp_mapping(&rtp_parameters, capabilities)?;
    let config = ortc::producer_config(ortc::ProducerArgs {
        id,
        kind: options.kind,
        rtp_parameters: &rtp_parameters,
        paused: options.paused.unwrap_or(false),
        key_frame_request_delay_ms: options.key_frame_request_delay.unwrap_or(0),
    })?;
    let record = ProducerRecord {
        kind: options.kind,
        producer_type: ortc::producer_type(&rtp_parameters)?,
        consumable_rtp_parameters: ortc::consumable_rtp_parameters(
            options.kind,
            &rtp_parameters,
            capabilities,
            &rtp_mapping,
        ),
        rtp_parameters,
        rtp_mapping,
        app_data: app_data(options.app_data),
    };
    Ok((record, config))
}

/// Tells the other peers of the room, if the router is a room's.
fn announce(state: &mut State, producer: &Producer, owner: Option<&Owner>) {
    let peer = owner.map(|owner| owner.peer.as_str());
    let payload = json!({
        "producerId": producer.id,
        "peerId": peer,
        "kind": producer.record.kind,
        "paused": producer.config.paused,
        "appData": producer.record.app_data,
    });
    state
        .rooms
        .tell_room_of(producer.router, peer, "newProducer", &payload);
}
