//! Consumers.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use weirgate_ortc as ortc;
use weirgate_wire::{Answer, ConsumerConfig, ObjectKind, Request, Stats, TraceTypes};

use super::{Service, State};
use crate::{
    api::{ConsumerAnswer, ConsumerDump, ConsumerOptions, Priority, app_data},
    engine_link::Pending,
    error::ApiError,
    events::Event,
    model::{Consumer, ConsumerLayers, ConsumerRecord, Producer, blob},
};

/// A new consumer counts as healthy until the engine says otherwise.
const INITIAL_SCORE: u8 = 10;
const INITIAL_PRIORITY: u8 = 1;

impl Service {
    /// Makes a consumer.
    ///
    /// # Errors
    /// `not_found` for transport and producer, `bad_request` naming the field, the engine's.
    pub async fn create_consumer(
        self: &Arc<Self>,
        transport: Uuid,
        options: ConsumerOptions,
    ) -> Result<ConsumerAnswer, ApiError> {
        let creating = {
            let mut state = self.state();
            self.start_creating_consumer(&mut state, transport, options)?
        };
        creating.await
    }

    /// The same for callers that hold the state.
    pub(crate) fn start_creating_consumer(
        self: &Arc<Self>,
        state: &mut State,
        transport: Uuid,
        options: ConsumerOptions,
    ) -> Result<Pending<ConsumerAnswer>, ApiError> {
        options.check()?;
        let router = state.model.transport(transport)?.router;
        let producer = state.model.producer(options.producer_id)?.clone();
        if producer.router != router {
            return Err(ApiError::bad_field(
                "producerId",
                "the producer is of another router than the transport",
            ));
        }
        let mut draft = negotiate(state, transport, &producer, &options)?;
        let mid = self.mid_for(state, transport, &options)?;
        draft.rtp_parameters.mid = Some(mid.clone());
        let config = engine_view(&draft, &producer, &options, &mid)?;
        let consumer = Consumer {
            id: config.id,
            transport,
            router,
            record: ConsumerRecord {
                kind: producer.record.kind,
                rtp_parameters: draft.rtp_parameters,
                app_data: app_data(options.app_data),
            },
            config,
            trace: TraceTypes::NONE,
            score: INITIAL_SCORE,
            producer_score: None,
            current_layers: None,
        };
        let request = Request::CreateConsumer {
            transport,
            config: consumer.config.clone(),
            blob: blob(&consumer.record),
        };
        let service = Arc::clone(self);
        Ok(self
            .engine
            .request(request, move |_| service.add_consumer(consumer)))
    }

    /// The MID asked for, else the next number; its reservation goes to the engine first.
    fn mid_for(
        &self,
        state: &mut State,
        transport: Uuid,
        options: &ConsumerOptions,
    ) -> Result<String, ApiError> {
        if let Some(mid) = &options.mid {
            return Ok(mid.clone());
        }
        let transport = state.model.transport_mut(transport)?;
        let (mid, is_reservation_new) = transport.take_mid();
        if is_reservation_new {
            self.engine.notify(Request::SetBlob {
                kind: ObjectKind::Transport,
                id: transport.id,
                blob: blob(&transport.record),
            });
        }
        Ok(mid)
    }

    fn add_consumer(&self, consumer: Consumer) -> Result<ConsumerAnswer, ApiError> {
        let mut state = self.state();
        let producer = state.model.producer(consumer.config.producer)?;
        let answer = ConsumerAnswer {
            id: consumer.id,
            producer_id: producer.id,
            kind: consumer.record.kind,
            consumer_type: consumer.type_name(),
            rtp_parameters: consumer.record.rtp_parameters.clone(),
            paused: consumer.config.paused,
            producer_paused: producer.config.paused,
            score: consumer.score(producer),
            preferred_layers: consumer.config.preferred_layers.map(ConsumerLayers::from),
        };
        let transport = state.model.transport(consumer.transport)?;
        let event = Event {
            router_id: Some(consumer.router),
            transport_id: Some(consumer.transport),
            producer_id: Some(producer.id),
            consumer_id: Some(consumer.id),
            ..Event::new("transport.newconsumer")
        };
        let event = event
            .of_peer(transport.record.owner.as_ref())
            .with_data(json!({ "kind": answer.kind, "type": answer.consumer_type }));
        state.model.insert_consumer(consumer)?;
        self.emit(event);
        Ok(answer)
    }

    /// Pauses or resumes a consumer.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn pause_consumer(self: &Arc<Self>, id: Uuid, paused: bool) -> Result<(), ApiError> {
        let request = Request::SetPaused {
            kind: ObjectKind::Consumer,
            id,
            paused,
            blob: None,
        };
        let name = if paused {
            "consumer.pause"
        } else {
            "consumer.resume"
        };
        let changed = move |consumer: &mut Consumer| {
            let is_new = consumer.config.paused != paused;
            consumer.config.paused = paused;
            is_new.then(|| Event::new(name))
        };
        self.change_consumer(id, request, changed)?.await
    }

    /// Asks a consumer's source for a key frame.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn request_key_frame(self: &Arc<Self>, id: Uuid) -> Result<(), ApiError> {
        let request = Request::RequestKeyFrame { consumer: id };
        self.change_consumer(id, request, |_| None)?.await
    }

    /// Sets the layers a consumer wants at most; gives those in force, `None` where it has none.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn set_preferred_layers(
        self: &Arc<Self>,
        id: Uuid,
        wanted: ConsumerLayers,
    ) -> Result<Option<ConsumerLayers>, ApiError> {
        let layers = {
            let state = self.state();
            let consumer = state.model.consumer(id)?;
            let producer = state.model.producer(consumer.config.producer)?;
            ortc::preferred_layers(
                producer.record.producer_type,
                &consumer.record.rtp_parameters,
                Some(wanted.into()),
            )
        };
        if layers.is_none() {
            return Ok(None);
        }
        let request = Request::SetPreferredLayers {
            id,
            layers,
            blob: None,
        };
        let changed = move |consumer: &mut Consumer| {
            consumer.config.preferred_layers = layers;
            None
        };
        self.change_consumer(id, request, changed)?.await?;
        Ok(layers.map(ConsumerLayers::from))
    }

    /// Sets a consumer's priority; gives the one in force.
    ///
    /// # Errors
    /// `bad_request` for 0, `not_found`, and the engine's.
    pub async fn set_priority(
        self: &Arc<Self>,
        id: Uuid,
        priority: u8,
    ) -> Result<Priority, ApiError> {
        if priority == 0 {
            return Err(ApiError::bad_field("priority", "must be 1 to 255"));
        }
        let request = Request::SetPriority {
            id,
            priority,
            blob: None,
        };
        let changed = move |consumer: &mut Consumer| {
            consumer.config.priority = priority;
            None
        };
        self.change_consumer(id, request, changed)?.await?;
        Ok(Priority { priority })
    }

    /// Sends `request` about a consumer and changes the model when the engine has done it.
    fn change_consumer(
        self: &Arc<Self>,
        id: Uuid,
        request: Request,
        change: impl FnOnce(&mut Consumer) -> Option<Event> + Send + 'static,
    ) -> Result<Pending<()>, ApiError> {
        self.state().model.consumer(id)?;
        let service = Arc::clone(self);
        let commit = move |_: Answer| {
            let mut state = service.state();
            let consumer = state.model.consumers.get_mut(&id);
            let consumer = consumer.ok_or_else(|| ApiError::not_found("consumer", id))?;
            let event = change(consumer);
            let (transport, router) = (consumer.transport, consumer.router);
            let producer = consumer.config.producer;
            if let Some(event) = event {
                let owner = state.model.transport(transport)?.record.owner.clone();
                let event = Event {
                    router_id: Some(router),
                    transport_id: Some(transport),
                    producer_id: Some(producer),
                    consumer_id: Some(id),
                    ..event
                };
                service.emit(event.of_peer(owner.as_ref()));
            }
            Ok(())
        };
        Ok(self.engine.request(request, commit))
    }

    /// A consumer as it stands, with its layers as the engine has them now.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn consumer(&self, id: Uuid) -> Result<ConsumerDump, ApiError> {
        let dump = {
            let state = self.state();
            let consumer = state.model.consumer(id)?;
            let producer = state.model.producer(consumer.config.producer)?;
            ConsumerDump::new(consumer, producer)
        };
        if dump.kind == ortc::MediaKind::Video
            && let Stats::Consumer(_, stats) = self.stats(ObjectKind::Consumer, id).await?
        {
            return Ok(dump.with_layers(stats.target_layers, stats.layer_reason));
        }
        Ok(dump)
    }
}

/// A consumer before it has a MID.
struct Draft {
    id: Uuid,
    rtp_parameters: ortc::RtpParameters,
}

fn negotiate(
    state: &State,
    transport: Uuid,
    producer: &Producer,
    options: &ConsumerOptions,
) -> Result<Draft, ApiError> {
    let transport = state.model.transport(transport)?;
    let mut capabilities = options.rtp_capabilities.clone();
    ortc::validate_rtp_capabilities(&mut capabilities)?;
    let is_video = producer.record.kind == ortc::MediaKind::Video;
    let mut random = || loop {
        let ssrc = Uuid::new_v4().as_u64_pair().1 as u32;
        if !state.model.ssrc_in_use(transport, ssrc) {
            break ssrc;
        }
    };
    let rtp_parameters = ortc::consumer_rtp_parameters(
        &producer.record.consumable_rtp_parameters,
        &capabilities,
        ortc::ConsumerOptions {
            pipe: false,
            enable_rtx: options.enable_rtx.unwrap_or(is_video),
        },
        &mut random,
    )?;
    Ok(Draft {
        id: Uuid::new_v4(),
        rtp_parameters,
    })
}

fn engine_view(
    draft: &Draft,
    producer: &Producer,
    options: &ConsumerOptions,
    mid: &str,
) -> Result<ConsumerConfig, ApiError> {
    let consumer_type = producer.record.producer_type;
    let wanted = options.preferred_layers.map(Into::into);
    let config = ortc::consumer_config(ortc::ConsumerArgs {
        id: draft.id,
        producer_id: producer.id,
        consumer_type,
        rtp_parameters: &draft.rtp_parameters,
        producer_rtp_parameters: &producer.record.rtp_parameters,
        mapping: &producer.record.rtp_mapping,
        mid,
        paused: options.paused.unwrap_or(false),
        preferred_layers: ortc::preferred_layers(consumer_type, &draft.rtp_parameters, wanted),
        priority: INITIAL_PRIORITY,
        ignore_dtx: options.ignore_dtx.unwrap_or(false),
    })?;
    Ok(config)
}
