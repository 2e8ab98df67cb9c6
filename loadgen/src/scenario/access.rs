//! How a participant talks to the server: the HTTP API, or the rooms of its built-in signaling.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, Consumer, Producer, Router, WebRtcOffer};
use crate::rtp_parameters::{RtpCapabilities, RtpParameters};
use crate::signaling::Signaling;
use crate::webrtc_client::WebRtcSetup;

/// Which of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SignalingKind {
    /// HTTP API.
    #[default]
    Api,
    /// Rooms over Socket.IO.
    Socketio,
}

impl SignalingKind {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Socketio => "socketio",
        }
    }
}

/// A room as the server knows it.
#[derive(Debug, Clone)]
pub(super) enum ServerRoom {
    /// A router of the HTTP API.
    Router(Arc<Router>),
    /// A name.
    Name(String),
}

/// One participant's line to the server.
pub(super) enum Access {
    Api {
        api: Api,
        router: Arc<Router>,
    },
    SocketIo {
        signaling: Box<Signaling>,
        capabilities: Arc<RtpCapabilities>,
    },
}

/// What a transport is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Send,
    Receive,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "recv",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Joined {
    router_rtp_capabilities: RtpCapabilities,
}

impl Access {
    /// Enters a room.
    pub(super) async fn enter(api: &Api, room: &ServerRoom, name: &str) -> Result<Self> {
        match room {
            ServerRoom::Router(router) => Ok(Self::Api {
                api: api.clone(),
                router: Arc::clone(router),
            }),
            ServerRoom::Name(id) => {
                let mut signaling = Signaling::connect_to(api).await?;
                // What there is to take is known from those who send it.
                signaling.ignore_events();
                let request = json!({"roomId": id, "displayName": name});
                let joined: Joined = signaling.request("join", &request).await?;
                Ok(Self::SocketIo {
                    signaling: Box::new(signaling),
                    capabilities: Arc::new(joined.router_rtp_capabilities),
                })
            }
        }
    }

    /// What the room can carry.
    pub(super) fn capabilities(&self) -> &RtpCapabilities {
        match self {
            Self::Api { router, .. } => &router.rtp_capabilities,
            Self::SocketIo { capabilities, .. } => capabilities,
        }
    }

    /// Makes a WebRTC transport and tells it our certificate.
    pub(super) async fn webrtc_transport(
        &mut self,
        direction: Direction,
        setup: &WebRtcSetup,
    ) -> Result<WebRtcOffer> {
        let dtls_parameters = setup.dtls_parameters();
        match self {
            Self::Api { api, router } => {
                // For servers that negotiate by SDP and must know it before anything else.
                let app_data =
                    json!({"direction": direction.name(), "iceParameters": setup.credentials});
                let offer = api
                    .create_webrtc_transport(&router.id, &json!({"appData": app_data}))
                    .await?;
                api.connect_webrtc(&offer.id, &dtls_parameters).await?;
                Ok(offer)
            }
            Self::SocketIo { signaling, .. } => {
                let request = json!({"direction": direction.name()});
                let offer: WebRtcOffer = signaling.request("createTransport", &request).await?;
                let request = json!({"transportId": offer.id, "dtlsParameters": dtls_parameters});
                let _: Value = signaling.request("connectTransport", &request).await?;
                Ok(offer)
            }
        }
    }

    /// The router that plain transports are made on.
    pub(super) fn plain_router(&self) -> Result<(&Api, &str)> {
        match self {
            Self::Api { api, router } => Ok((api, &router.id)),
            Self::SocketIo { .. } => {
                anyhow::bail!("rooms over Socket.IO have no plain transports")
            }
        }
    }

    /// A producer's id.
    pub(super) async fn produce(
        &mut self,
        transport: &str,
        kind: &str,
        parameters: &RtpParameters,
    ) -> Result<String> {
        let producer: Producer = match self {
            Self::Api { api, .. } => api.produce(transport, kind, parameters).await?,
            Self::SocketIo { signaling, .. } => {
                let request = json!({
                    "transportId": transport,
                    "kind": kind,
                    "rtpParameters": parameters,
                });
                signaling.request("produce", &request).await?
            }
        };
        Ok(producer.id)
    }

    /// A consumer, paused, so that no first packet comes before it is awaited.
    pub(super) async fn consume(&mut self, transport: &str, producer: &str) -> Result<Consumer> {
        match self {
            Self::Api { api, router } => {
                let capabilities = &router.rtp_capabilities;
                let options = json!({"paused": true});
                api.consume(transport, producer, capabilities, &options)
                    .await
            }
            Self::SocketIo {
                signaling,
                capabilities,
            } => {
                let request = json!({
                    "transportId": transport,
                    "producerId": producer,
                    "rtpCapabilities": **capabilities,
                });
                signaling.request("consume", &request).await
            }
        }
    }

    /// Lets a consumer go.
    pub(super) async fn resume(&mut self, consumer: &str) -> Result<()> {
        match self {
            Self::Api { api, .. } => {
                let path = format!("/v1/consumers/{consumer}/resume");
                api.post(&path, &json!({})).await
            }
            Self::SocketIo { signaling, .. } => {
                let request = json!({"consumerId": consumer});
                let _: Value = signaling.request("resumeConsumer", &request).await?;
                Ok(())
            }
        }
    }

    /// Asks for a layer of simulcast.
    pub(super) async fn prefer_layer(&mut self, consumer: &str, spatial: u32) -> Result<()> {
        let _: Value = match self {
            Self::Api { api, .. } => {
                let path = format!("/v1/consumers/{consumer}/preferred-layers");
                api.post(&path, &json!({"spatialLayer": spatial})).await?
            }
            Self::SocketIo { signaling, .. } => {
                let request = json!({"consumerId": consumer, "spatialLayer": spatial});
                signaling.request("setPreferredLayers", &request).await?
            }
        };
        Ok(())
    }

    /// Leaves the room; `transports` go with it.
    pub(super) async fn leave(self, transports: &[&str]) -> Result<()> {
        match self {
            Self::Api { api, .. } => {
                for id in transports {
                    api.delete(&format!("/v1/transports/{id}")).await?;
                }
            }
            Self::SocketIo { mut signaling, .. } => {
                let _: Value = signaling
                    .request("leave", &json!({}))
                    .await
                    .context("leaving")?;
                signaling.close().await;
            }
        }
        Ok(())
    }
}
