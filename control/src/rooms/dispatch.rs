//! From a request's name to what it does.

use std::sync::Arc;

use serde_json::{Value, json};
use weirgate_wire::ObjectKind;

use super::{
    Session,
    requests::{
        ConnectTransport, ConsumerOnly, ProducerOnly, SetConsumerPriority, SetPreferredLayers,
        TransportOnly,
    },
};
use crate::{
    api::parse_value,
    error::{ApiError, ErrorCode},
    model::ConsumerLayers,
    service::Service,
};

impl Service {
    /// Carries out one request of a client; the answer is what its acknowledgement gets.
    pub async fn signaling_request(
        self: &Arc<Self>,
        session: &mut Session,
        name: &str,
        payload: Value,
    ) -> Value {
        match self.dispatch(session, name, payload).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": error }),
        }
    }

    async fn dispatch(
        self: &Arc<Self>,
        session: &mut Session,
        name: &str,
        payload: Value,
    ) -> Result<Value, ApiError> {
        let payload = match payload {
            Value::Null => json!({}),
            Value::Object(_) => payload,
            _ => {
                let message = "the payload must be an object";
                return Err(ApiError::new(ErrorCode::BadRequest, message));
            }
        };
        match name {
            "join" => return self.join(session, parse_value(payload)?).await,
            "leave" => self.leave(session).await?,
            "createTransport" => {
                let request = parse_value(payload)?;
                return Ok(json!(self.create_peer_transport(session, request).await?));
            }
            "produce" => return self.produce(session, parse_value(payload)?).await,
            "consume" => return self.consume(session, parse_value(payload)?).await,
            "connectTransport" | "restartIce" | "closeTransport" => {
                return self.on_transport(session, name, payload).await;
            }
            "pauseProducer" | "resumeProducer" | "closeProducer" => {
                self.on_producer(session, name, payload).await?;
            }
            "resumeConsumer"
            | "pauseConsumer"
            | "closeConsumer"
            | "requestKeyFrame"
            | "setPreferredLayers"
            | "setConsumerPriority" => {
                self.on_consumer(session, name, payload).await?;
            }
            other => {
                let message = format!("there is no request {other:?}");
                return Err(ApiError::new(ErrorCode::BadRequest, message));
            }
        }
        Ok(json!({}))
    }

    async fn on_transport(
        self: &Arc<Self>,
        session: &Session,
        name: &str,
        payload: Value,
    ) -> Result<Value, ApiError> {
        match name {
            "connectTransport" => {
                let request: ConnectTransport = parse_value(payload)?;
                let id = request.transport_id;
                self.own_transport(&self.state(), session, id, None)?;
                self.connect_webrtc(id, request.dtls_parameters).await?;
                Ok(json!({}))
            }
            "restartIce" => {
                let request: TransportOnly = parse_value(payload)?;
                let id = request.transport_id;
                self.own_transport(&self.state(), session, id, None)?;
                Ok(json!(self.restart_ice(id).await?))
            }
            _ => {
                let request: TransportOnly = parse_value(payload)?;
                let id = request.transport_id;
                let closing = {
                    let mut state = self.state();
                    let owner = self.own_transport(&state, session, id, None)?;
                    let peer = owner.record.owner.as_ref().map(|owner| owner.peer.clone());
                    let kind = ObjectKind::Transport;
                    self.start_closing(&mut state, kind, id, peer.as_deref())
                };
                closing.await?;
                Ok(json!({}))
            }
        }
    }

    async fn on_producer(
        self: &Arc<Self>,
        session: &Session,
        name: &str,
        payload: Value,
    ) -> Result<(), ApiError> {
        let ProducerOnly { producer_id: id } = parse_value(payload)?;
        let peer = self.own_producer(session, id)?;
        match name {
            "pauseProducer" => self.pause_producer(id, true, Some(peer)).await,
            "resumeProducer" => self.pause_producer(id, false, Some(peer)).await,
            _ => {
                let kind = ObjectKind::Producer;
                let closing = self.start_closing(&mut self.state(), kind, id, Some(&peer));
                closing.await
            }
        }
    }

    async fn on_consumer(
        self: &Arc<Self>,
        session: &Session,
        name: &str,
        payload: Value,
    ) -> Result<(), ApiError> {
        match name {
            "setPreferredLayers" => {
                let request: SetPreferredLayers = parse_value(payload)?;
                let id = request.consumer_id;
                self.own_consumer(session, id)?;
                let wanted = ConsumerLayers {
                    spatial_layer: request.spatial_layer,
                    temporal_layer: request.temporal_layer,
                };
                self.set_preferred_layers(id, wanted).await?;
                return Ok(());
            }
            "setConsumerPriority" => {
                let request: SetConsumerPriority = parse_value(payload)?;
                let id = request.consumer_id;
                self.own_consumer(session, id)?;
                self.set_priority(id, request.priority).await?;
                return Ok(());
            }
            _ => {}
        }
        let ConsumerOnly { consumer_id: id } = parse_value(payload)?;
        let peer = self.own_consumer(session, id)?;
        match name {
            "resumeConsumer" => self.pause_consumer(id, false).await,
            "pauseConsumer" => self.pause_consumer(id, true).await,
            "requestKeyFrame" => self.request_key_frame(id).await,
            _ => {
                let kind = ObjectKind::Consumer;
                let closing = self.start_closing(&mut self.state(), kind, id, Some(&peer));
                closing.await
            }
        }
    }
}
