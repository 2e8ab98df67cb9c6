//! The built-in signaling: rooms of peers over Socket.IO.
//!
//! A room is a router with peers. What a peer owns is kept with its transports in the model;
//! here are the peers themselves, who is connected, and who hears of what.

mod dispatch;
mod peer;
mod rate;
mod rebuild;
mod requests;
mod session;
mod socket_io;
mod speaker;
mod token;
mod view;
mod wanted;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use uuid::Uuid;

pub use peer::{Peer, PeerRecord, PeerSocket, Rights};
pub use session::Session;
pub use socket_io::layer;
pub use view::{PeerView, RoomView};

use crate::model::Owner;
pub(crate) use speaker::SpeakerDetector;

/// Peer under which producers made through the HTTP API are listed.
pub(crate) const API_PEER: &str = "api";

/// All rooms.
#[derive(Default)]
pub struct Rooms {
    rooms: HashMap<String, Room>,
    by_router: HashMap<Uuid, String>,
}

/// One room.
pub struct Room {
    /// Its name.
    pub id: String,
    /// Its router.
    pub router: Uuid,
    /// By id.
    pub peers: BTreeMap<String, Peer>,
    speaker: SpeakerDetector,
    /// Who was announced last as speaking.
    active_speaker: Option<String>,
}

impl Room {
    fn new(id: String, router: Uuid) -> Self {
        Self {
            id,
            router,
            peers: BTreeMap::new(),
            speaker: SpeakerDetector::default(),
            active_speaker: None,
        }
    }

    /// Sends to every connected peer but one.
    fn tell_all(&self, except: Option<&str>, event: &'static str, payload: &Value) {
        let others = self.peers.values().filter(|peer| except != Some(&peer.id));
        for peer in others {
            peer.tell(event, payload);
        }
    }

    /// Tells a peer who speaks, which it has missed.
    fn tell_speaker(&self, peer: &Peer) {
        peer.tell("activeSpeaker", &json!({ "peerId": self.active_speaker }));
    }
}

impl Rooms {
    /// The room of that name.
    pub fn get(&self, id: &str) -> Option<&Room> {
        self.rooms.get(id)
    }

    /// All rooms, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// True without rooms.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many peers there are in all rooms.
    pub fn peer_count(&self) -> usize {
        self.rooms.values().map(|room| room.peers.len()).sum()
    }

    /// The room whose router it is.
    pub fn of_router(&self, router: Uuid) -> Option<&Room> {
        self.rooms.get(self.by_router.get(&router)?)
    }

    /// Whether the owner of a transport is still there.
    pub fn has_peer(&self, owner: &Owner) -> bool {
        self.peer(&owner.room, &owner.peer).is_some()
    }

    /// A peer of a room.
    pub fn peer(&self, room: &str, peer: &str) -> Option<&Peer> {
        self.rooms.get(room)?.peers.get(peer)
    }

    fn peer_mut(&mut self, room: &str, peer: &str) -> Option<&mut Peer> {
        self.rooms.get_mut(room)?.peers.get_mut(peer)
    }

    /// Sends to the owner of a transport, if it is connected.
    pub(crate) fn tell_peer(&self, owner: &Owner, event: &'static str, payload: &Value) {
        if let Some(peer) = self.peer(&owner.room, &owner.peer) {
            peer.tell(event, payload);
        }
    }

    /// Sends to all peers of the room whose router it is, but one.
    pub(crate) fn tell_room_of(
        &self,
        router: Uuid,
        except: Option<&str>,
        event: &'static str,
        payload: &Value,
    ) {
        if let Some(room) = self.of_router(router) {
            room.tell_all(except, event, payload);
        }
    }

    /// A producer is silent from now on, whatever was heard of it.
    pub(crate) fn forget_level(&mut self, router: Uuid, producer: Uuid) {
        let room = self.by_router.get(&router);
        if let Some(room) = room.and_then(|id| self.rooms.get_mut(id)) {
            room.speaker.forget(producer);
        }
    }

    /// Makes the room of a router.
    pub(crate) fn open(&mut self, id: &str, router: Uuid) {
        self.by_router.insert(router, id.to_owned());
        let room = Room::new(id.to_owned(), router);
        self.rooms.insert(id.to_owned(), room);
    }

    fn close(&mut self, id: &str) -> Option<Room> {
        let room = self.rooms.remove(id)?;
        self.by_router.remove(&room.router);
        Some(room)
    }

    /// Peers whose connection was lost that long ago, as room and peer.
    fn overdue(&self, now: Instant, resume_time: Duration) -> Vec<(String, String)> {
        let peers = self.rooms.values().flat_map(|room| {
            let overdue = room.peers.values().filter(move |peer| {
                peer.gone_since
                    .is_some_and(|since| now.duration_since(since) >= resume_time)
            });
            overdue.map(|peer| (room.id.clone(), peer.id.clone()))
        });
        peers.collect()
    }

    /// Takes loudness as `(router, producer, dBov)`, of the loudest packets, and tells rooms whose speaker has changed.
    /// `peer_of` finds the peer of a producer.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        levels: &[(Uuid, Uuid, i8)],
        peer_of: impl Fn(Uuid) -> Option<String>,
    ) {
        for (router, producer, dbov) in levels {
            let room = self.by_router.get(router);
            if let Some(room) = room.and_then(|id| self.rooms.get_mut(id)) {
                room.speaker.hear(now, *producer, *dbov);
            }
        }
        for room in self.rooms.values_mut() {
            let Some(speaker) = room.speaker.decide(now) else {
                continue;
            };
            let peer = speaker.and_then(&peer_of);
            if room.active_speaker != peer {
                room.tell_all(None, "activeSpeaker", &json!({ "peerId": peer }));
                room.active_speaker = peer;
            }
        }
    }
}

/// A connection of a peer, shared between its session and its place in the room.
pub type SharedSocket = Arc<dyn PeerSocket>;
