//! Rooms and peers as JSON shows them.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::MediaKind;

use super::{API_PEER, Peer, Room};
use crate::{
    api::ice_state_name,
    model::{Direction, DtlsState, Model, Producer, Transport},
};

/// Name of a receiving transport for which the client named no peer.
const ANY_PEER: &str = "*";

/// `GET /v1/rooms/ROOM`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// Its name.
    pub id: String,
    /// Its router.
    pub router_id: Uuid,
    /// By id.
    pub peers: BTreeMap<String, PeerView>,
}

/// One peer, and `own` of a resumed `join`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerView {
    /// Its id.
    pub id: String,
    /// What others see.
    pub display_name: Option<String>,
    /// The transport it sends by.
    pub send_transport: Option<TransportView>,
    /// The transports it receives by: by the peer they are for, or `*`.
    pub recv_transports: BTreeMap<String, TransportView>,
    /// By id.
    pub producers: BTreeMap<Uuid, ProducerView>,
    /// By id.
    pub consumers: BTreeMap<Uuid, ConsumerView>,
}

/// One transport.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TransportView {
    /// Its id.
    pub id: Uuid,
    /// Only in `own`.
    #[serde(flatten)]
    #[schema(ignore)]
    details: Option<TransportDetails>,
}

/// What a peer learns of its own transports.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct TransportDetails {
    ice_state: &'static str,
    dtls_state: DtlsState,
}

/// One producer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerView {
    /// Its id.
    pub id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// Only in `own`.
    #[serde(flatten)]
    #[schema(ignore)]
    details: Option<ProducerDetails>,
}

/// What a peer learns of its own producers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProducerDetails {
    paused: bool,
    transport_id: Uuid,
}

/// One consumer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerView {
    /// Its id.
    pub id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it takes.
    pub producer_id: Uuid,
    /// Only in `own`.
    #[serde(flatten)]
    #[schema(ignore)]
    details: Option<ConsumerDetails>,
}

/// What a peer learns of its own consumers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsumerDetails {
    paused: bool,
    producer_paused: bool,
    transport_id: Uuid,
}

/// A peer in the answer of `join`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedPeer {
    id: String,
    display_name: Option<String>,
    producers: Vec<ListedProducer>,
}

/// A producer in the answer of `join`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedProducer {
    id: Uuid,
    kind: MediaKind,
    paused: bool,
    app_data: serde_json::Value,
}

impl RoomView {
    /// Of `room`.
    pub fn new(room: &Room, model: &Model) -> Self {
        let owned = Owned::new(room, model);
        let peers = room.peers.values().map(|peer| {
            let view = PeerView::new(peer, owned.by(&peer.id), model, false);
            (peer.id.clone(), view)
        });
        Self {
            id: room.id.clone(),
            router_id: room.router,
            peers: peers.collect(),
        }
    }
}

impl PeerView {
    /// `own` of a resumed `join`.
    pub(super) fn own(room: &Room, peer: &Peer, model: &Model) -> Self {
        Self::new(peer, Owned::new(room, model).by(&peer.id), model, true)
    }

    fn new(peer: &Peer, transports: &[&Transport], model: &Model, detailed: bool) -> Self {
        let mut view = Self {
            id: peer.id.clone(),
            display_name: peer.record.display_name.clone(),
            send_transport: None,
            recv_transports: BTreeMap::new(),
            producers: BTreeMap::new(),
            consumers: BTreeMap::new(),
        };
        for transport in transports {
            view.add(transport, model, detailed);
        }
        view
    }

    fn add(&mut self, transport: &Transport, model: &Model, detailed: bool) {
        let (Some(owner), Some(webrtc)) = (&transport.record.owner, transport.webrtc()) else {
            return;
        };
        let shown = TransportView {
            id: transport.id,
            details: detailed.then(|| TransportDetails {
                ice_state: ice_state_name(webrtc.ice_state),
                dtls_state: webrtc.dtls_state,
            }),
        };
        match owner.direction {
            Direction::Send => self.send_transport = Some(shown),
            Direction::Recv => {
                let key = owner.for_peer.as_deref().unwrap_or(ANY_PEER);
                self.recv_transports.insert(key.to_owned(), shown);
            }
        }
        for producer in transport
            .producers
            .iter()
            .filter_map(|id| model.producers.get(id))
        {
            let shown = ProducerView {
                id: producer.id,
                kind: producer.record.kind,
                details: detailed.then_some(ProducerDetails {
                    paused: producer.config.paused,
                    transport_id: transport.id,
                }),
            };
            self.producers.insert(producer.id, shown);
        }
        for consumer in transport
            .consumers
            .iter()
            .filter_map(|id| model.consumers.get(id))
        {
            let producer = model.producers.get(&consumer.config.producer);
            let shown = ConsumerView {
                id: consumer.id,
                kind: consumer.record.kind,
                producer_id: consumer.config.producer,
                details: detailed.then(|| ConsumerDetails {
                    paused: consumer.config.paused,
                    producer_paused: producer.is_some_and(|it| it.config.paused),
                    transport_id: transport.id,
                }),
            };
            self.consumers.insert(consumer.id, shown);
        }
    }
}

/// The peers of a room but one, with their producers; those of the HTTP API under a peer of
/// their own.
pub(super) fn list_peers(room: &Room, except: &str, model: &Model) -> Vec<ListedPeer> {
    let owned = Owned::new(room, model);
    let others = room.peers.values().filter(|peer| peer.id != except);
    let mut listed: Vec<ListedPeer> = others
        .map(|peer| ListedPeer {
            id: peer.id.clone(),
            display_name: peer.record.display_name.clone(),
            producers: listed_producers(owned.by(&peer.id), model),
        })
        .collect();
    let producers = listed_producers(&owned.nobodys, model);
    if !producers.is_empty() {
        listed.push(ListedPeer {
            id: API_PEER.to_owned(),
            display_name: None,
            producers,
        });
    }
    listed
}

fn listed_producers(transports: &[&Transport], model: &Model) -> Vec<ListedProducer> {
    let ids = transports.iter().flat_map(|transport| &transport.producers);
    let producers = ids.filter_map(|id| model.producers.get(id));
    let listed = |producer: &Producer| ListedProducer {
        id: producer.id,
        kind: producer.record.kind,
        paused: producer.config.paused,
        app_data: producer.record.app_data.clone(),
    };
    producers.map(listed).collect()
}

/// The transports of a room's router by the peer they belong to.
struct Owned<'a> {
    by_peer: HashMap<&'a str, Vec<&'a Transport>>,
    nobodys: Vec<&'a Transport>,
}

impl<'a> Owned<'a> {
    fn new(room: &Room, model: &'a Model) -> Self {
        let mut owned = Self {
            by_peer: HashMap::new(),
            nobodys: Vec::new(),
        };
        let router = model.routers.get(&room.router);
        let ids = router.into_iter().flat_map(|router| &router.transports);
        for transport in ids.filter_map(|id| model.transports.get(id)) {
            match &transport.record.owner {
                Some(owner) => owned
                    .by_peer
                    .entry(&owner.peer)
                    .or_default()
                    .push(transport),
                None => owned.nobodys.push(transport),
            }
        }
        owned
    }

    fn by(&self, peer: &str) -> &[&'a Transport] {
        self.by_peer.get(peer).map_or(&[], Vec::as_slice)
    }
}
