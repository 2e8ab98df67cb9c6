//! A peer: one participant, who keeps its place for a while without a connection.

use std::{fmt, time::Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SharedSocket;

/// A connection to a client.
pub trait PeerSocket: Send + Sync {
    /// The connection's id.
    fn id(&self) -> &str;
    /// Sends an event; a client that cannot be reached is dropped, so that it resumes.
    fn send(&self, event: &'static str, payload: &Value);
    /// Ends the connection.
    fn close(&self);
}

/// A peer of a room.
pub struct Peer {
    /// Its id: that of its first connection.
    pub id: String,
    /// What the engine keeps for us.
    pub record: PeerRecord,
    /// Its connection, if any.
    pub socket: Option<SharedSocket>,
    /// When the connection was lost.
    pub gone_since: Option<Instant>,
}

/// What the engine keeps of a peer for us. `Debug` leaves the token out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// Its room.
    pub room: String,
    /// What others see.
    pub display_name: Option<String>,
    /// Whoever has this is the peer.
    pub resume_token: String,
    /// What it may do.
    pub rights: Rights,
}

impl fmt::Debug for PeerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerRecord({}, {:?})", self.room, self.display_name)
    }
}

/// What a peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Send media.
    pub publish: bool,
    /// Receive media.
    pub subscribe: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            publish: true,
            subscribe: true,
        }
    }
}

impl Peer {
    /// A peer that has joined by `socket`.
    pub fn new(id: String, record: PeerRecord, socket: SharedSocket) -> Self {
        Self {
            id,
            record,
            socket: Some(socket),
            gone_since: None,
        }
    }

    /// A peer of an earlier control, that may resume from `now` on.
    pub const fn without_socket(id: String, record: PeerRecord, now: Instant) -> Self {
        Self {
            id,
            record,
            socket: None,
            gone_since: Some(now),
        }
    }

    /// Sends to the peer, if it is connected.
    pub fn tell(&self, event: &'static str, payload: &Value) {
        if let Some(socket) = &self.socket {
            socket.send(event, payload);
        }
    }

    /// Whether it is connected by that very socket.
    pub fn is_on(&self, socket: &str) -> bool {
        self.socket.as_ref().is_some_and(|own| own.id() == socket)
    }
}
