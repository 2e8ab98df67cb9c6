//! What the engine tells: kept in the model, told to the event log and the rooms.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use weirgate_wire::{Event as EngineEvent, IceState, Layers, Tuple, VideoOrientation};

use super::{Service, State};
use crate::{
    api::{ice_state_name, plain_rtcp_tuple, plain_tuple, selected_tuple},
    events::Event,
    model::{Consumer, ConsumerLayers, Owner, ProducerScore},
};

impl Service {
    /// Takes one event; events about what is closed already are dropped.
    pub(super) fn engine_event(self: &Arc<Self>, event: EngineEvent) {
        let mut state = self.state();
        let state = &mut *state;
        match event {
            EngineEvent::Ice {
                transport,
                state: ice,
                tuple,
            } => self.ice_changed(state, transport, ice, tuple),
            EngineEvent::Dtls {
                transport,
                datagram,
            } => self.dtls_arrived(state, transport, datagram),
            EngineEvent::PlainTuple {
                transport,
                tuple,
                rtcp_tuple,
            } => self.plain_tuple_changed(state, transport, tuple, rtcp_tuple),
            EngineEvent::ProducerScore { producer, scores } => {
                self.producer_scored(state, producer, scores);
            }
            EngineEvent::ProducerWanted { producer, spatial } => {
                self.producer_wanted(state, producer, spatial);
            }
            EngineEvent::ProducerOrientation {
                producer,
                orientation,
            } => self.producer_turned(state, producer, orientation),
            EngineEvent::ConsumerScore {
                consumer,
                score,
                producer_score,
            } => self.consumer_scored(state, consumer, score, producer_score),
            EngineEvent::ConsumerLayers { consumer, layers } => {
                self.layers_changed(state, consumer, layers);
            }
            EngineEvent::AudioLevels(levels) => self.audio_levels(state, &levels),
            EngineEvent::Trace(trace) => self.traced(state, &trace),
        }
    }

    fn ice_changed(
        self: &Arc<Self>,
        state: &mut State,
        id: Uuid,
        ice: IceState,
        tuple: Option<Tuple>,
    ) {
        let Some(transport) = state.model.transports.get_mut(&id) else {
            return;
        };
        let owner = transport.record.owner.clone();
        let router = transport.router;
        let Some(webrtc) = transport.webrtc_mut() else {
            return;
        };
        let is_new_state = std::mem::replace(&mut webrtc.ice_state, ice) != ice;
        let is_new_tuple = std::mem::replace(&mut webrtc.tuple, tuple) != tuple;
        let event = |name| {
            let event = Event {
                router_id: Some(router),
                transport_id: Some(id),
                ..Event::new(name)
            };
            event.of_peer(owner.as_ref())
        };
        if let Some(tuple) = tuple.filter(|_| is_new_tuple) {
            let data = json!({ "iceSelectedTuple": selected_tuple(&tuple) });
            self.emit(event("transport.iceselectedtuplechange").with_data(data));
        }
        if is_new_state {
            let data = json!({ "iceState": ice_state_name(ice) });
            self.emit(event("transport.icestatechange").with_data(data));
        }
        if matches!(ice, IceState::Connected | IceState::Completed) {
            self.ice_has_path(state, id);
        }
    }

    fn plain_tuple_changed(
        &self,
        state: &mut State,
        id: Uuid,
        tuple: Option<Tuple>,
        rtcp_tuple: Option<Tuple>,
    ) {
        let Some(transport) = state.model.transports.get_mut(&id) else {
            return;
        };
        let router = transport.router;
        let Some(plain) = transport.plain_mut() else {
            return;
        };
        let event = |name| Event {
            router_id: Some(router),
            transport_id: Some(id),
            ..Event::new(name)
        };
        if let Some(tuple) = tuple.filter(|tuple| plain.remote != Some(tuple.remote)) {
            plain.remote = Some(tuple.remote);
            let data = json!({ "tuple": plain_tuple(plain) });
            self.emit(event("transport.tuple").with_data(data));
        }
        if let Some(tuple) = rtcp_tuple.filter(|tuple| plain.rtcp_remote != Some(tuple.remote)) {
            plain.rtcp_remote = Some(tuple.remote);
            let data = json!({ "rtcpTuple": plain_rtcp_tuple(plain) });
            self.emit(event("transport.rtcptuple").with_data(data));
        }
    }

    fn producer_scored(&self, state: &mut State, id: Uuid, scores: Vec<(u32, Option<String>, u8)>) {
        let Some(producer) = state.model.producers.get_mut(&id) else {
            return;
        };
        let numbered = scores.into_iter().enumerate();
        producer.scores = numbered
            .filter(|(_, (ssrc, ..))| *ssrc != 0)
            .map(|(encoding_idx, (ssrc, rid, score))| ProducerScore {
                encoding_idx,
                ssrc,
                rid,
                score,
            })
            .collect();
        let data = json!({ "score": producer.scores });
        let payload = json!({ "producerId": id, "score": data["score"] });
        if let Some(owner) = self.tell_of_producer(state, id, "producer.score", data) {
            state.rooms.tell_peer(&owner, "scoreChanged", &payload);
        }
    }

    fn producer_turned(&self, state: &State, id: Uuid, orientation: VideoOrientation) {
        let VideoOrientation {
            camera,
            flip,
            rotation,
        } = orientation;
        let data = json!({ "camera": camera, "flip": flip, "rotation": rotation });
        self.tell_of_producer(state, id, "producer.videoorientationchange", data);
    }

    /// Tells the event log of a producer; the peer whose it is, if it is one's.
    fn tell_of_producer(
        &self,
        state: &State,
        id: Uuid,
        name: &'static str,
        data: serde_json::Value,
    ) -> Option<Owner> {
        let producer = state.model.producers.get(&id)?;
        let transport = state.model.transports.get(&producer.transport)?;
        let owner = transport.record.owner.as_ref();
        let event = Event {
            router_id: Some(producer.router),
            transport_id: Some(transport.id),
            producer_id: Some(id),
            ..Event::new(name)
        };
        self.emit(event.of_peer(owner).with_data(data));
        owner.cloned()
    }

    /// Tells the sender what somebody takes of its producer, so that it need not send the rest.
    fn producer_wanted(&self, state: &mut State, id: Uuid, spatial: Option<u8>) {
        let Some(producer) = state.model.producers.get_mut(&id) else {
            return;
        };
        producer.wanted = Some(spatial);
        let data = json!({ "spatialLayer": spatial });
        let name = "producer.wantedlayerchange";
        if let Some(owner) = self.tell_of_producer(state, id, name, data) {
            state.rooms.tell_wanted(&owner, id, spatial);
        }
    }

    fn consumer_scored(&self, state: &mut State, id: Uuid, score: u8, producer_score: u8) {
        let Some(consumer) = state.model.consumers.get_mut(&id) else {
            return;
        };
        consumer.score = score;
        consumer.producer_score = Some(producer_score);
        let consumer = &*consumer;
        let Some(producer) = state.model.producers.get(&consumer.config.producer) else {
            return;
        };
        let shown = consumer.score(producer);
        let payload = json!({ "consumerId": id, "score": shown });
        let data = json!({ "score": shown });
        let event = Event::new("consumer.score").with_data(data);
        self.tell_of_consumer(state, id, event, "scoreChanged", &payload);
    }

    fn layers_changed(&self, state: &mut State, id: Uuid, layers: Option<Layers>) {
        let Some(consumer) = state.model.consumers.get_mut(&id) else {
            return;
        };
        consumer.current_layers = layers;
        let shown = layers.map(ConsumerLayers::from);
        let payload = json!({ "consumerId": id, "layers": shown });
        let data = json!({ "layers": shown });
        let event = Event::new("consumer.layerschange").with_data(data);
        self.tell_of_consumer(state, id, event, "layersChanged", &payload);
    }

    fn tell_of_consumer(
        &self,
        state: &mut State,
        id: Uuid,
        event: Event,
        message: &'static str,
        payload: &serde_json::Value,
    ) {
        let Some(consumer): Option<&Consumer> = state.model.consumers.get(&id) else {
            return;
        };
        let Some(transport) = state.model.transports.get(&consumer.transport) else {
            return;
        };
        let owner = transport.record.owner.as_ref();
        let event = Event {
            router_id: Some(consumer.router),
            transport_id: Some(consumer.transport),
            producer_id: Some(consumer.config.producer),
            consumer_id: Some(id),
            ..event
        };
        self.emit(event.of_peer(owner));
        if let Some(owner) = owner {
            state.rooms.tell_peer(owner, message, payload);
        }
    }
}
