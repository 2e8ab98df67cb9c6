//! Rooms after a restart: their routers and their peers' notes are with the engine.

use std::{sync::Arc, time::Instant};

use serde_json::json;
use weirgate_wire::{ObjectKind, Request};

use super::{Peer, PeerRecord, Rooms};
use crate::{
    events::Event,
    service::{Service, State},
};

/// Keys of peers' notes begin with this.
const PEER_NOTE: &str = "peer/";

/// Key of a peer's note.
pub(super) fn peer_note(peer: &str) -> String {
    format!("{PEER_NOTE}{peer}")
}

impl Service {
    /// Makes the rooms anew from what the engine holds. Where it is the engine we had, our own
    /// peers stay connected.
    pub(crate) fn take_over_rooms(
        self: &Arc<Self>,
        state: &mut State,
        notes: &[(String, Vec<u8>)],
        is_same_engine: bool,
    ) {
        let mut before = std::mem::take(&mut state.rooms);
        for router in state.model.routers.values() {
            if let Some(room) = &router.record.room {
                state.rooms.open(room, router.id);
            }
        }
        let now = Instant::now();
        for (key, value) in notes {
            let Some(id) = key.strip_prefix(PEER_NOTE) else {
                continue;
            };
            let record: Option<PeerRecord> = serde_json::from_slice(value).ok();
            let record = record.filter(|record| state.rooms.rooms.contains_key(&record.room));
            let Some(record) = record else {
                let key = key.clone();
                state.unwritten.push(Request::DeleteNote { key });
                continue;
            };
            let known = before.take_peer(&record.room, id);
            let peer = known
                .filter(|_| is_same_engine)
                .unwrap_or_else(|| Peer::without_socket(id.to_owned(), record.clone(), now));
            if let Some(room) = state.rooms.rooms.get_mut(&record.room) {
                room.peers.insert(id.to_owned(), peer);
            }
        }
        self.drop_strays(state);
    }

    /// Closes rooms without peers and transports of peers that are gone: a control that died
    /// between two steps leaves them.
    fn drop_strays(self: &Arc<Self>, state: &mut State) {
        let rooms = state.rooms.iter();
        let empty: Vec<_> = rooms
            .filter(|room| room.peers.is_empty())
            .map(|room| (room.id.clone(), room.router))
            .collect();
        for (id, router) in empty {
            state.rooms.close(&id);
            let closed = state.model.close_router(router);
            self.tell_closed(state, &closed, None);
            state.unwritten.push(Request::Close {
                kind: ObjectKind::Router,
                id: router,
            });
        }
        let transports = state.model.transports.values();
        let strays: Vec<_> = transports
            .filter(|transport| {
                let owner = transport.record.owner.as_ref();
                owner.is_some_and(|owner| !state.rooms.has_peer(owner))
            })
            .map(|transport| transport.id)
            .collect();
        for id in strays {
            let closed = state.model.close_transport(id);
            self.tell_closed(state, &closed, None);
            state.unwritten.push(Request::Close {
                kind: ObjectKind::Transport,
                id,
            });
        }
    }

    /// The engine with every room's media is gone: clients have to begin anew.
    pub(crate) fn end_all_rooms(self: &Arc<Self>, state: &mut State) {
        let rooms = std::mem::take(&mut state.rooms);
        for room in rooms.rooms.into_values() {
            for peer in room.peers.values() {
                self.emit(Event {
                    room_id: Some(room.id.clone()),
                    peer_id: Some(peer.id.clone()),
                    ..Event::new("room.peerleft").with_data(json!({ "reason": "engine lost" }))
                });
                // Coming back, the client finds its place gone and joins as if new.
                if let Some(socket) = &peer.socket {
                    socket.close();
                }
            }
        }
    }
}

impl Rooms {
    fn take_peer(&mut self, room: &str, peer: &str) -> Option<Peer> {
        self.rooms.get_mut(room)?.peers.remove(peer)
    }
}
