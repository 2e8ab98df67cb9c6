//! WebRTC transports: making, connecting, ICE restart.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use weirgate_wire::{Answer, ObjectKind, Request};

use super::{Service, State, dtls::check_fingerprints};
use crate::{
    api::{RestartIceAnswer, WebRtcTransportAnswer, WebRtcTransportOptions, app_data},
    engine_link::{Pending, unexpected_answer},
    error::ApiError,
    events::Event,
    ice::IceParameters,
    model::{
        DtlsParameters, DtlsRole, DtlsState, Owner, Transport, TransportKind, TransportRecord,
        WebRtc, blob,
    },
};

const DEFAULT_CONSENT_TIMEOUT_S: u8 = 30;
const DEFAULT_OUTGOING_BITRATE: u32 = 600_000;

impl Service {
    /// Makes a WebRTC transport, for a peer of a room or without owner.
    ///
    /// # Errors
    /// `not_found` for the router, and the engine's.
    pub async fn create_webrtc_transport(
        self: &Arc<Self>,
        router: Uuid,
        options: WebRtcTransportOptions,
        owner: Option<Owner>,
    ) -> Result<WebRtcTransportAnswer, ApiError> {
        let creating = {
            let state = self.state();
            state.model.router(router)?;
            self.start_creating_webrtc(router, options, owner)?
        };
        creating.await
    }

    /// The router exists; the caller holds the state.
    pub(crate) fn start_creating_webrtc(
        self: &Arc<Self>,
        router: Uuid,
        options: WebRtcTransportOptions,
        owner: Option<Owner>,
    ) -> Result<Pending<WebRtcTransportAnswer>, ApiError> {
        let candidates = self.facts()?.candidates;
        let bitrate = options.initial_available_outgoing_bitrate;
        let bitrate = bitrate.unwrap_or(DEFAULT_OUTGOING_BITRATE);
        let webrtc = WebRtc {
            initial_available_outgoing_bitrate: bitrate,
            ..WebRtc::default()
        };
        let kind = TransportKind::WebRtc(Box::new(webrtc));
        let record = TransportRecord::new(kind, app_data(options.app_data), owner);
        let consent_timeout = options.ice_consent_timeout;
        let id = Uuid::new_v4();
        let request = Request::CreateWebRtcTransport {
            id,
            router,
            ice_consent_timeout_s: consent_timeout.unwrap_or(DEFAULT_CONSENT_TIMEOUT_S).into(),
            initial_outgoing_bps: bitrate,
            blob: blob(&record),
        };
        let service = Arc::clone(self);
        Ok(self.engine.request(request, move |answer| {
            let (shard, ice) = credentials(answer)?;
            let mut transport = Transport::new(id, router, shard, record);
            if let Some(webrtc) = transport.webrtc_mut() {
                webrtc.ice = ice.clone();
            }
            service.add_transport(transport)?;
            let servers = &service.settings.ice_servers;
            Ok(WebRtcTransportAnswer {
                id,
                ice_parameters: ice,
                ice_candidates: candidates.to_vec(),
                dtls_parameters: service.dtls_parameters().clone(),
                ice_servers: (!servers.is_empty()).then(|| servers.clone()),
            })
        }))
    }

    /// Takes the peer's DTLS parameters; the handshake follows by itself. Gives our role.
    ///
    /// # Errors
    /// `conflict` on the second call, `bad_request` for fingerprints, and the engine's.
    pub async fn connect_webrtc(
        self: &Arc<Self>,
        id: Uuid,
        remote: DtlsParameters,
    ) -> Result<DtlsRole, ApiError> {
        check_fingerprints(&remote)?;
        let (role, connecting) = {
            let mut state = self.state();
            self.start_connecting(&mut state, id, remote)?
        };
        connecting.await?;
        Ok(role)
    }

    fn start_connecting(
        self: &Arc<Self>,
        state: &mut State,
        id: Uuid,
        remote: DtlsParameters,
    ) -> Result<(DtlsRole, Pending<()>), ApiError> {
        let transport = state.model.transport_mut(id)?;
        let Some(webrtc) = transport.webrtc_mut() else {
            return Err(ApiError::conflict(format!("{id} is no WebRTC transport")));
        };
        if webrtc.remote_dtls.is_some() {
            return Err(ApiError::conflict(format!("{id} is connected already")));
        }
        let role = match remote.role {
            DtlsRole::Server => DtlsRole::Client,
            DtlsRole::Client | DtlsRole::Auto => DtlsRole::Server,
        };
        webrtc.remote_dtls = Some(remote);
        webrtc.local_role = Some(role);
        webrtc.dtls_state = DtlsState::Connecting;
        let request = Request::SetBlob {
            kind: ObjectKind::Transport,
            id,
            blob: blob(&transport.record),
        };
        // Started with the state held: no other call may come between.
        let written = self.engine.request(request, |_| Ok(()));
        self.tell_dtls_state(state, id);
        self.begin_dtls(state, id);
        Ok((role, written))
    }

    /// Gives a WebRTC transport new ICE credentials.
    ///
    /// # Errors
    /// `not_found`, `conflict` for other kinds, and the engine's.
    pub async fn restart_ice(self: &Arc<Self>, id: Uuid) -> Result<RestartIceAnswer, ApiError> {
        let restarting = {
            let state = self.state();
            if state.model.transport(id)?.webrtc().is_none() {
                return Err(ApiError::conflict(format!("{id} is no WebRTC transport")));
            }
            let service = Arc::clone(self);
            let request = Request::RestartIce { id, blob: None };
            self.engine.request(request, move |answer| {
                let (_, ice) = credentials(answer)?;
                let mut state = service.state();
                if let Some(webrtc) = state.model.transport_mut(id)?.webrtc_mut() {
                    webrtc.ice = ice.clone();
                }
                Ok(RestartIceAnswer {
                    ice_parameters: ice,
                })
            })
        };
        restarting.await
    }

    /// Puts a transport the engine has made into the model.
    pub(super) fn add_transport(&self, transport: Transport) -> Result<(), ApiError> {
        let event = Event {
            router_id: Some(transport.router),
            transport_id: Some(transport.id),
            ..Event::new("router.newtransport")
        };
        let event = event
            .of_peer(transport.record.owner.as_ref())
            .with_data(json!({ "type": transport.type_name() }));
        let mut state = self.state();
        if let Some(owner) = &transport.record.owner
            && !state.rooms.has_peer(owner)
        {
            // The peer has left while the engine was at it.
            self.engine.notify(Request::Close {
                kind: ObjectKind::Transport,
                id: transport.id,
            });
            return Err(ApiError::not_found("peer", &owner.peer));
        }
        state.model.insert_transport(transport)?;
        self.emit(event);
        Ok(())
    }
}

fn credentials(answer: Answer) -> Result<(u16, IceParameters), ApiError> {
    match answer {
        Answer::WebRtcTransport {
            shard,
            ice_ufrag,
            ice_pwd,
        } => Ok((
            shard,
            IceParameters {
                username_fragment: ice_ufrag,
                password: ice_pwd,
                ice_lite: true,
            },
        )),
        other => Err(unexpected_answer(&other)),
    }
}
