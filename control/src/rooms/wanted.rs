//! What others take of a peer's producers: told to the peer as it changes, and again when it resumes.

use serde_json::json;
use uuid::Uuid;

use super::{Peer, Rooms};
use crate::model::{Model, Owner};

const MESSAGE: &str = "producerWanted";

impl Rooms {
    /// Tells the highest layer that somebody takes of `producer`.
    pub fn tell_wanted(&self, owner: &Owner, producer: Uuid, spatial: Option<u8>) {
        let payload = json!({ "producerId": producer, "spatialLayer": spatial });
        self.tell_peer(owner, MESSAGE, &payload);
    }
}

impl Peer {
    /// Tells again what is wanted of the producers of its transports, which it may have missed.
    pub(super) fn repeat_wanted(&self, transports: &[Uuid], model: &Model) {
        let transports = transports.iter().filter_map(|id| model.transports.get(id));
        let producers = transports
            .flat_map(|transport| &transport.producers)
            .filter_map(|id| model.producers.get(id));
        for producer in producers {
            if let Some(spatial) = producer.wanted {
                let payload = json!({ "producerId": producer.id, "spatialLayer": spatial });
                self.tell(MESSAGE, &payload);
            }
        }
    }
}
