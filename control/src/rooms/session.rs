//! What a client does in a room.

use std::{collections::HashSet, sync::Arc, time::Instant};

use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use weirgate_wire::{AudioLevel, ObjectKind, Request};

use super::{
    API_PEER, Peer, PeerRecord, PeerView, Rights, Room, SharedSocket,
    rebuild::peer_note,
    requests::{Consume, CreateTransport, Join, Produce},
    token,
    view::list_peers,
};
use crate::{
    api::{
        ConsumerOptions, ProducerOptions, RouterOptions, WebRtcTransportAnswer,
        WebRtcTransportOptions,
    },
    engine_link::Pending,
    error::{ApiError, ErrorCode},
    events::Event,
    model::{Direction, Owner, Transport},
    service::{Service, State},
};

const MAX_NAME_BYTES: usize = 128;

/// One client's connection and the place it has taken.
pub struct Session {
    pub(super) socket: SharedSocket,
    place: Option<Place>,
}

/// A peer of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    room: String,
    peer: String,
}

impl Session {
    /// A connection that has joined nothing.
    pub fn new(socket: SharedSocket) -> Self {
        Self {
            socket,
            place: None,
        }
    }
}

impl Service {
    pub(super) async fn join(
        self: &Arc<Self>,
        session: &mut Session,
        request: Join,
    ) -> Result<Value, ApiError> {
        check_name("roomId", &request.room_id)?;
        if let Some(name) = &request.display_name {
            check_name("displayName", name)?;
        }
        if self.place(&self.state(), session).is_ok() {
            return Err(ApiError::conflict("this connection has joined already"));
        }
        session.place = None;
        self.facts()?;
        if let Some(answer) = self.resume(session, &request) {
            return Ok(answer);
        }
        let rights = self.admit(&request)?;
        self.join_anew(session, request, rights).await
    }

    fn admit(&self, request: &Join) -> Result<(Option<String>, Rights), ApiError> {
        let Some(secret) = &self.settings.join_token_secret else {
            return Ok((request.display_name.clone(), Rights::default()));
        };
        let token = token::check(secret, &request.room_id, request.token.as_deref())?;
        let name = token.name.or_else(|| request.display_name.clone());
        if let Some(name) = &name {
            check_name("displayName", name)?;
        }
        Ok((name, token.rights))
    }

    /// Gives a peer back its place, where the token is right.
    fn resume(self: &Arc<Self>, session: &mut Session, request: &Join) -> Option<Value> {
        let token = request.resume_token.as_deref()?;
        let mut state = self.state();
        let state = &mut *state;
        let room = state.rooms.rooms.get_mut(&request.room_id)?;
        let peer = room.peers.values_mut().find(|peer| {
            let known = peer.record.resume_token.as_bytes();
            bool::from(known.ct_eq(token.as_bytes()))
        })?;
        if let Some(stale) = peer.socket.replace(Arc::clone(&session.socket)) {
            stale.close();
        }
        peer.gone_since = None;
        let id = peer.id.clone();
        session.place = Some(Place {
            room: room.id.clone(),
            peer: id.clone(),
        });
        self.emit(Event {
            room_id: Some(request.room_id.clone()),
            peer_id: Some(id.clone()),
            ..Event::new("room.peerresumed")
        });
        let room = state.rooms.get(&request.room_id)?;
        let peer = room.peers.get(&id)?;
        let own = PeerView::own(room, peer, &state.model);
        let mut answer = self.join_answer(state, room, peer, true);
        answer["own"] = json!(own);
        room.tell_speaker(peer);
        let transports = transports_of(state, session.place.as_ref()?);
        peer.repeat_wanted(&transports, &state.model);
        Some(answer)
    }

    async fn join_anew(
        self: &Arc<Self>,
        session: &mut Session,
        request: Join,
        (display_name, rights): (Option<String>, Rights),
    ) -> Result<Value, ApiError> {
        // Two first peers at a time must not make two routers.
        let _making = self.room_making.lock().await;
        self.make_room(&request.room_id).await?;
        let record = PeerRecord {
            room: request.room_id.clone(),
            display_name,
            resume_token: Uuid::new_v4().simple().to_string(),
            rights,
        };
        let place = Place {
            room: request.room_id,
            peer: session.socket.id().to_owned(),
        };
        let noted = {
            let mut state = self.state();
            self.seat(&mut state, &place, record.clone(), session)?;
            let note = Request::PutNote {
                key: peer_note(&place.peer),
                blob: crate::model::blob(&record),
            };
            self.engine.request(note, |_| Ok(()))
        };
        if let Err(error) = noted.await {
            drop(self.unseat(&mut self.state(), &place));
            return Err(error);
        }
        session.place = Some(place.clone());
        let state = self.state();
        let room = state.rooms.get(&place.room);
        let room = room.ok_or_else(|| ApiError::not_found("room", &place.room))?;
        let peer = room.peers.get(&place.peer);
        let peer = peer.ok_or_else(|| ApiError::not_found("peer", &place.peer))?;
        if room.active_speaker.is_some() {
            room.tell_speaker(peer);
        }
        Ok(self.join_answer(&state, room, peer, false))
    }

    async fn make_room(self: &Arc<Self>, id: &str) -> Result<(), ApiError> {
        {
            let state = self.state();
            if state.rooms.get(id).is_some() {
                return Ok(());
            }
            if state.rooms.len() >= self.settings.max_rooms {
                let limit = self.settings.max_rooms;
                let message = format!("there are {limit} rooms, and no more may be");
                return Err(ApiError::new(ErrorCode::OverCapacity, message));
            }
        }
        let options = RouterOptions::default();
        let router = self.create_router(options, Some(id.to_owned())).await?;
        self.state().rooms.open(id, router.id);
        Ok(())
    }

    fn seat(
        self: &Arc<Self>,
        state: &mut State,
        place: &Place,
        record: PeerRecord,
        session: &Session,
    ) -> Result<(), ApiError> {
        let limit = self.settings.max_peers_per_room;
        let room = state.rooms.rooms.get_mut(&place.room);
        let room = room.ok_or_else(|| ApiError::not_found("room", &place.room))?;
        if room.peers.contains_key(&place.peer) {
            // The first connection of that id has left its place to another.
            return Err(ApiError::conflict("connect anew to join once more"));
        }
        if room.peers.len() >= limit {
            let message = format!("the room has {limit} peers, and takes no more");
            return Err(ApiError::new(ErrorCode::OverCapacity, message));
        }
        let payload = json!({ "peerId": place.peer, "displayName": record.display_name });
        room.tell_all(None, "peerJoined", &payload);
        let socket = Arc::clone(&session.socket);
        let peer = Peer::new(place.peer.clone(), record, socket);
        room.peers.insert(place.peer.clone(), peer);
        self.emit(Event {
            router_id: Some(room.router),
            room_id: Some(place.room.clone()),
            peer_id: Some(place.peer.clone()),
            ..Event::new("room.peerjoined").with_data(payload)
        });
        Ok(())
    }

    fn join_answer(&self, state: &State, room: &Room, peer: &Peer, resumed: bool) -> Value {
        let router = state.model.routers.get(&room.router);
        let mut answer = json!({
            "peerId": peer.id,
            "resumeToken": peer.record.resume_token,
            "resumed": resumed,
            "routerRtpCapabilities": router.map(|router| &router.record.rtp_capabilities),
            "peers": list_peers(room, &peer.id, &state.model),
        });
        if !self.settings.ice_servers.is_empty() {
            answer["iceServers"] = json!(self.settings.ice_servers);
        }
        answer
    }

    pub(super) async fn leave(self: &Arc<Self>, session: &mut Session) -> Result<(), ApiError> {
        let leaving = {
            let mut state = self.state();
            let place = self.place(&state, session)?;
            session.place = None;
            self.unseat(&mut state, &place)
        };
        wait_for_all(leaving).await
    }

    /// Takes a peer out of its room with all it has; the last one takes the room along. What
    /// is given waits for the engine.
    fn unseat(self: &Arc<Self>, state: &mut State, place: &Place) -> Vec<Pending<()>> {
        let mut closings = Vec::new();
        let room = state.rooms.rooms.get_mut(&place.room);
        let is_there = room.is_some_and(|room| room.peers.remove(&place.peer).is_some());
        if is_there {
            self.engine.notify(Request::DeleteNote {
                key: peer_note(&place.peer),
            });
            for id in transports_of(state, place) {
                let kind = ObjectKind::Transport;
                closings.push(self.start_closing(state, kind, id, Some(&place.peer)));
            }
            self.tell_left(state, place);
            let room = state.rooms.get(&place.room);
            if let Some(router) = room.filter(|it| it.peers.is_empty()).map(|it| it.router) {
                state.rooms.close(&place.room);
                closings.push(self.start_closing(state, ObjectKind::Router, router, None));
            }
        }
        closings
    }

    fn tell_left(&self, state: &State, place: &Place) {
        let Some(room) = state.rooms.get(&place.room) else {
            return;
        };
        room.tell_all(None, "peerLeft", &json!({ "peerId": place.peer }));
        self.emit(Event {
            router_id: Some(room.router),
            room_id: Some(place.room.clone()),
            peer_id: Some(place.peer.clone()),
            ..Event::new("room.peerleft")
        });
    }

    /// Throws a peer out; its resume token is of no use any more.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn kick(
        self: &Arc<Self>,
        room: &str,
        peer: &str,
        reason: &str,
    ) -> Result<(), ApiError> {
        let leaving = {
            let mut state = self.state();
            if state.rooms.get(room).is_none() {
                return Err(ApiError::not_found("room", room));
            }
            let found = state.rooms.peer(room, peer);
            let found = found.ok_or_else(|| ApiError::not_found("peer", peer))?;
            if let Some(socket) = &found.socket {
                socket.send("kicked", &json!({ "reason": reason }));
                socket.close();
            }
            let place = Place {
                room: room.to_owned(),
                peer: peer.to_owned(),
            };
            self.unseat(&mut state, &place)
        };
        wait_for_all(leaving).await
    }

    /// The router of a room was closed by the HTTP API: the room ends with it.
    pub(crate) fn end_room_of(self: &Arc<Self>, state: &mut State, router: Uuid) {
        let id = state.rooms.of_router(router).map(|room| room.id.clone());
        let Some(room) = id.and_then(|id| state.rooms.close(&id)) else {
            return;
        };
        room.tell_all(None, "kicked", &json!({ "reason": "The room was closed." }));
        for peer in room.peers.into_keys() {
            self.engine.notify(Request::DeleteNote {
                key: peer_note(&peer),
            });
            self.emit(Event {
                router_id: Some(router),
                room_id: Some(room.id.clone()),
                peer_id: Some(peer),
                ..Event::new("room.peerleft")
            });
        }
    }

    /// A connection is gone; its peer keeps its place for a while.
    pub fn session_lost(&self, session: &Session) {
        let mut state = self.state();
        let Some(place) = &session.place else { return };
        let Some(peer) = state.rooms.peer_mut(&place.room, &place.peer) else {
            return;
        };
        // Another connection may have taken the place over.
        if peer.is_on(session.socket.id()) {
            peer.socket = None;
            peer.gone_since = Some(Instant::now());
        }
    }

    /// What has to be looked after every now and then: peers that did not come back, speakers
    /// who have fallen silent.
    pub fn tend_rooms(self: &Arc<Self>, now: Instant) {
        let mut state = self.state();
        for (room, peer) in state.rooms.overdue(now, self.settings.resume_time) {
            // Not waited for: there is nobody to tell.
            drop(self.unseat(&mut state, &Place { room, peer }));
        }
        self.hear(&mut state, now, &[]);
        self.observe_levels(&mut state, now, &[]);
    }

    /// Takes the engine's audio levels.
    pub(crate) fn audio_levels(&self, state: &mut State, levels: &[AudioLevel]) {
        let heard: Vec<_> = levels
            .iter()
            .filter_map(|level| {
                let producer = state.model.producers.get(&level.producer)?;
                Some((producer.router, level.producer, level.peak_dbov))
            })
            .collect();
        let now = Instant::now();
        self.hear(state, now, &heard);
        self.observe_levels(state, now, levels);
    }

    fn hear(&self, state: &mut State, now: Instant, levels: &[(Uuid, Uuid, i8)]) {
        let model = &state.model;
        let peer_of = |producer: Uuid| {
            let producer = model.producers.get(&producer)?;
            let owner = &model.transports.get(&producer.transport)?.record.owner;
            let peer = owner.as_ref().map(|owner| owner.peer.clone());
            Some(peer.unwrap_or_else(|| API_PEER.to_owned()))
        };
        state.rooms.hear(now, levels, peer_of);
    }

    /// The place of a session, as long as it still is its own.
    pub(super) fn place(&self, state: &State, session: &Session) -> Result<Place, ApiError> {
        let place = session.place.as_ref();
        let place = place.filter(|place| {
            let peer = state.rooms.peer(&place.room, &place.peer);
            peer.is_some_and(|peer| peer.is_on(session.socket.id()))
        });
        place
            .cloned()
            .ok_or_else(|| ApiError::conflict("this connection has not joined a room"))
    }

    pub(super) async fn create_peer_transport(
        self: &Arc<Self>,
        session: &Session,
        request: CreateTransport,
    ) -> Result<WebRtcTransportAnswer, ApiError> {
        if let Some(peer) = &request.for_peer {
            check_name("forPeer", peer)?;
        }
        let creating = {
            let state = self.state();
            let place = self.place(&state, session)?;
            let rights = rights_of(&state, &place);
            let (is_allowed, what) = match request.direction {
                Direction::Send => (rights.publish, "send"),
                Direction::Recv => (rights.subscribe, "receive"),
            };
            if !is_allowed {
                let message = format!("the join token does not allow to {what}");
                return Err(ApiError::new(ErrorCode::Unauthorized, message));
            }
            let owner = Owner {
                room: place.room.clone(),
                peer: place.peer.clone(),
                direction: request.direction,
                for_peer: request
                    .for_peer
                    .filter(|_| request.direction == Direction::Recv),
            };
            self.check_transports(&state, &place, &owner)?;
            let room = state.rooms.get(&place.room);
            let room = room.ok_or_else(|| ApiError::not_found("room", &place.room))?;
            let options = WebRtcTransportOptions::default();
            self.start_creating_webrtc(room.router, options, Some(owner))?
        };
        creating.await
    }

    fn check_transports(
        &self,
        state: &State,
        place: &Place,
        owner: &Owner,
    ) -> Result<(), ApiError> {
        let ids: HashSet<Uuid> = transports_of(state, place).into_iter().collect();
        if ids.len() > self.settings.max_peers_per_room {
            let message = "this peer has as many transports as a peer may have";
            return Err(ApiError::new(ErrorCode::OverCapacity, message));
        }
        let mut owners = ids.iter().filter_map(|id| {
            let transport = state.model.transports.get(id)?;
            transport.record.owner.as_ref()
        });
        if owners.any(|other| other == owner) {
            return Err(ApiError::conflict(
                match (&owner.direction, &owner.for_peer) {
                    (Direction::Send, _) => "there is a send transport already".to_owned(),
                    (Direction::Recv, None) => "there is a recv transport already".to_owned(),
                    (Direction::Recv, Some(peer)) => {
                        format!("there is a recv transport for {peer} already")
                    }
                },
            ));
        }
        Ok(())
    }

    pub(super) async fn produce(
        self: &Arc<Self>,
        session: &Session,
        request: Produce,
    ) -> Result<Value, ApiError> {
        let options = ProducerOptions {
            id: None,
            kind: request.kind,
            rtp_parameters: request.rtp_parameters,
            paused: request.paused,
            key_frame_request_delay: None,
            app_data: request.app_data,
            enable_mediasoup_packet_id_header_extension: None,
        };
        let creating = {
            let mut state = self.state();
            let id = request.transport_id;
            self.own_transport(&state, session, id, Some(Direction::Send))?;
            self.start_creating_producer(&mut state, id, options)?
        };
        Ok(json!({ "id": creating.await?.id }))
    }

    pub(super) async fn consume(
        self: &Arc<Self>,
        session: &Session,
        request: Consume,
    ) -> Result<Value, ApiError> {
        let options = ConsumerOptions {
            producer_id: request.producer_id,
            rtp_capabilities: request.rtp_capabilities,
            paused: Some(true),
            mid: None,
            preferred_layers: None,
            enable_rtx: None,
            app_data: None,
            ignore_dtx: None,
            pipe: None,
        };
        let creating = {
            let mut state = self.state();
            let id = request.transport_id;
            self.own_transport(&state, session, id, Some(Direction::Recv))?;
            self.start_creating_consumer(&mut state, id, options)?
        };
        let made = creating.await?;
        Ok(json!({
            "id": made.id,
            "producerId": made.producer_id,
            "kind": made.kind,
            "type": made.consumer_type,
            "rtpParameters": made.rtp_parameters,
            "producerPaused": made.producer_paused,
        }))
    }

    /// A transport of the session's peer; others' are not found.
    pub(super) fn own_transport<'a>(
        &self,
        state: &'a State,
        session: &Session,
        id: Uuid,
        direction: Option<Direction>,
    ) -> Result<&'a Transport, ApiError> {
        let place = self.place(state, session)?;
        let transport = state.model.transport(id)?;
        let owner = transport.record.owner.as_ref();
        let owner = owner.filter(|owner| owner.room == place.room && owner.peer == place.peer);
        let owner = owner.ok_or_else(|| ApiError::not_found("transport", id))?;
        if direction.is_some_and(|direction| direction != owner.direction) {
            return Err(ApiError::bad_field(
                "transportId",
                "the transport is for the other direction",
            ));
        }
        Ok(transport)
    }

    /// Checks that a producer is the session's own. Gives the peer's id.
    pub(super) fn own_producer(&self, session: &Session, id: Uuid) -> Result<String, ApiError> {
        let state = self.state();
        let transport = state.model.producer(id)?.transport;
        self.own_transport(&state, session, transport, None)
            .map_err(|error| hide(error, "producer", id))?;
        self.place(&state, session).map(|place| place.peer)
    }

    /// Checks that a consumer is the session's own. Gives the peer's id.
    pub(super) fn own_consumer(&self, session: &Session, id: Uuid) -> Result<String, ApiError> {
        let state = self.state();
        let transport = state.model.consumer(id)?.transport;
        self.own_transport(&state, session, transport, None)
            .map_err(|error| hide(error, "consumer", id))?;
        self.place(&state, session).map(|place| place.peer)
    }
}

async fn wait_for_all(closings: Vec<Pending<()>>) -> Result<(), ApiError> {
    for closing in closings {
        closing.await?;
    }
    Ok(())
}

/// What belongs to others is not found, under the name it was asked by.
fn hide(error: ApiError, what: &str, id: Uuid) -> ApiError {
    match error.code {
        ErrorCode::NotFound => ApiError::not_found(what, id),
        _ => error,
    }
}

fn rights_of(state: &State, place: &Place) -> Rights {
    let peer = state.rooms.peer(&place.room, &place.peer);
    peer.map_or(Rights::default(), |peer| peer.record.rights)
}

fn transports_of(state: &State, place: &Place) -> Vec<Uuid> {
    let room = state.rooms.get(&place.room);
    let router = room.and_then(|room| state.model.routers.get(&room.router));
    let ids = router.into_iter().flat_map(|router| &router.transports);
    ids.filter(|id| {
        let transport = state.model.transports.get(id);
        let owner = transport.and_then(|transport| transport.record.owner.as_ref());
        owner.is_some_and(|owner| owner.peer == place.peer)
    })
    .copied()
    .collect()
}

fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    let is_good = !name.trim().is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.chars().any(char::is_control);
    if is_good {
        return Ok(());
    }
    let message = format!("must be 1 to {MAX_NAME_BYTES} bytes without control characters");
    Err(ApiError::bad_field(field, message))
}
