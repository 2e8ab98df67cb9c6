//! Every object of the engine, with what control said of it and what shards told since.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use uuid::Uuid;
use weirgate_shard::{ShardNo, SocketId, SourceNo, WebRtcCredentials};
use weirgate_wire::{
    ConsumerConfig, IceState, Layers, ObjectKind, ProducerConfig, Refusal, TraceTypes, Tuple,
    VideoOrientation,
};

use super::refuse;

pub(super) struct Router {
    pub(super) blob: Vec<u8>,
    pub(super) transports: BTreeSet<Uuid>,
}

pub(super) struct Transport {
    pub(super) router: Uuid,
    pub(super) shard: ShardNo,
    pub(super) blob: Vec<u8>,
    pub(super) body: TransportBody,
    pub(super) trace: TraceTypes,
    pub(super) producers: BTreeSet<Uuid>,
    pub(super) consumers: BTreeSet<Uuid>,
    /// Its state changed while control was away.
    pub(super) changed: bool,
}

pub(super) enum TransportBody {
    WebRtc(WebRtcBody),
    Plain(PlainBody),
}

pub(super) struct WebRtcBody {
    /// In force.
    pub(super) ice: WebRtcCredentials,
    pub(super) state: IceState,
    pub(super) tuple: Option<Tuple>,
    pub(super) keyed: bool,
}

/// RTP, and RTCP without rtcp-mux.
pub(super) struct PlainBody {
    pub(super) rtp: PlainEnd,
    pub(super) rtcp: Option<PlainEnd>,
}

pub(super) struct PlainEnd {
    pub(super) socket: SocketId,
    pub(super) local: SocketAddr,
    pub(super) remote: Option<SocketAddr>,
}

pub(super) struct Producer {
    pub(super) transport: Uuid,
    pub(super) shard: ShardNo,
    pub(super) source: SourceNo,
    pub(super) blob: Vec<u8>,
    /// As it stands.
    pub(super) config: ProducerConfig,
    pub(super) trace: TraceTypes,
    pub(super) consumers: BTreeSet<Uuid>,
    /// Shards other than its own that it crosses to, with the number of consumers there.
    pub(super) abroad: BTreeMap<ShardNo, u32>,
    /// The last ones told.
    pub(super) scores: Option<Vec<(u32, Option<String>, u8)>>,
    /// The highest layer wanted of it, once told.
    pub(super) wanted: Option<Option<u8>>,
    /// The last one told.
    pub(super) orientation: Option<VideoOrientation>,
}

pub(super) struct Consumer {
    pub(super) transport: Uuid,
    pub(super) shard: ShardNo,
    pub(super) blob: Vec<u8>,
    /// As it stands.
    pub(super) config: ConsumerConfig,
    pub(super) trace: TraceTypes,
    /// The last ones told: its own and the producer's.
    pub(super) score: Option<(u8, u8)>,
    /// The last ones told.
    pub(super) layers: Option<Option<Layers>>,
}

/// Objects of one shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) transports: u32,
    pub(super) producers: u32,
    pub(super) consumers: u32,
}

/// All objects by id. Adding and removing keeps both ends of every link, and the census.
pub(super) struct Registry {
    pub(super) routers: HashMap<Uuid, Router>,
    pub(super) transports: HashMap<Uuid, Transport>,
    pub(super) producers: HashMap<Uuid, Producer>,
    pub(super) consumers: HashMap<Uuid, Consumer>,
    census: Vec<Census>,
}

impl Registry {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            routers: HashMap::new(),
            transports: HashMap::new(),
            producers: HashMap::new(),
            consumers: HashMap::new(),
            census: vec![Census::default(); shards],
        }
    }

    pub(super) fn census(&self, shard: ShardNo) -> Census {
        self.census
            .get(usize::from(shard))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn router(&self, id: Uuid) -> Result<&Router, Refusal> {
        self.routers
            .get(&id)
            .ok_or_else(|| refuse::not_found(ObjectKind::Router, id))
    }

    pub(super) fn transport(&self, id: Uuid) -> Result<&Transport, Refusal> {
        self.transports
            .get(&id)
            .ok_or_else(|| refuse::not_found(ObjectKind::Transport, id))
    }

    pub(super) fn producer(&self, id: Uuid) -> Result<&Producer, Refusal> {
        self.producers
            .get(&id)
            .ok_or_else(|| refuse::not_found(ObjectKind::Producer, id))
    }

    pub(super) fn consumer(&self, id: Uuid) -> Result<&Consumer, Refusal> {
        self.consumers
            .get(&id)
            .ok_or_else(|| refuse::not_found(ObjectKind::Consumer, id))
    }

    /// The shard that owns an object; a router has none.
    pub(super) fn shard_of(&self, kind: ObjectKind, id: Uuid) -> Result<ShardNo, Refusal> {
        match kind {
            ObjectKind::Router => Err(refuse::invalid("a router belongs to no shard")),
            ObjectKind::Transport => self.transport(id).map(|transport| transport.shard),
            ObjectKind::Producer => self.producer(id).map(|producer| producer.shard),
            ObjectKind::Consumer => self.consumer(id).map(|consumer| consumer.shard),
        }
    }

    /// An object's opaque bytes.
    pub(super) fn blob_mut(&mut self, kind: ObjectKind, id: Uuid) -> Result<&mut Vec<u8>, Refusal> {
        let blob = match kind {
            ObjectKind::Router => self.routers.get_mut(&id).map(|object| &mut object.blob),
            ObjectKind::Transport => self.transports.get_mut(&id).map(|object| &mut object.blob),
            ObjectKind::Producer => self.producers.get_mut(&id).map(|object| &mut object.blob),
            ObjectKind::Consumer => self.consumers.get_mut(&id).map(|object| &mut object.blob),
        };
        blob.ok_or_else(|| refuse::not_found(kind, id))
    }

    /// What is traced of an object; a router has nothing.
    pub(super) fn trace_mut(&mut self, kind: ObjectKind, id: Uuid) -> Option<&mut TraceTypes> {
        match kind {
            ObjectKind::Router => None,
            ObjectKind::Transport => self.transports.get_mut(&id).map(|object| &mut object.trace),
            ObjectKind::Producer => self.producers.get_mut(&id).map(|object| &mut object.trace),
            ObjectKind::Consumer => self.consumers.get_mut(&id).map(|object| &mut object.trace),
        }
    }

    pub(super) fn add_transport(&mut self, id: Uuid, transport: Transport) {
        if let Some(router) = self.routers.get_mut(&transport.router) {
            router.transports.insert(id);
        }
        self.count(transport.shard, |census| &mut census.transports, 1);
        self.transports.insert(id, transport);
    }

    pub(super) fn add_producer(&mut self, producer: Producer) {
        let id = producer.config.id;
        if let Some(transport) = self.transports.get_mut(&producer.transport) {
            transport.producers.insert(id);
        }
        self.count(producer.shard, |census| &mut census.producers, 1);
        self.producers.insert(id, producer);
    }

    pub(super) fn add_consumer(&mut self, consumer: Consumer) {
        let id = consumer.config.id;
        if let Some(transport) = self.transports.get_mut(&consumer.transport) {
            transport.consumers.insert(id);
        }
        if let Some(producer) = self.producers.get_mut(&consumer.config.producer) {
            producer.consumers.insert(id);
        }
        self.count(consumer.shard, |census| &mut census.consumers, 1);
        self.consumers.insert(id, consumer);
    }

    /// Removes a transport; its producers and consumers are gone already.
    pub(super) fn remove_transport(&mut self, id: Uuid) -> Option<Transport> {
        let transport = self.transports.remove(&id)?;
        if let Some(router) = self.routers.get_mut(&transport.router) {
            router.transports.remove(&id);
        }
        self.count(transport.shard, |census| &mut census.transports, -1);
        Some(transport)
    }

    /// Removes a producer; its consumers are gone already.
    pub(super) fn remove_producer(&mut self, id: Uuid) -> Option<Producer> {
        let producer = self.producers.remove(&id)?;
        if let Some(transport) = self.transports.get_mut(&producer.transport) {
            transport.producers.remove(&id);
        }
        self.count(producer.shard, |census| &mut census.producers, -1);
        Some(producer)
    }

    pub(super) fn remove_consumer(&mut self, id: Uuid) -> Option<Consumer> {
        let consumer = self.consumers.remove(&id)?;
        if let Some(transport) = self.transports.get_mut(&consumer.transport) {
            transport.consumers.remove(&id);
        }
        if let Some(producer) = self.producers.get_mut(&consumer.config.producer) {
            producer.consumers.remove(&id);
        }
        self.count(consumer.shard, |census| &mut census.consumers, -1);
        Some(consumer)
    }

    /// Notes a producer or consumer as paused or not.
    pub(super) fn set_paused(&mut self, kind: ObjectKind, id: Uuid, paused: bool) {
        if kind == ObjectKind::Producer {
            if let Some(producer) = self.producers.get_mut(&id) {
                producer.config.paused = paused;
            }
        } else if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.config.paused = paused;
        }
    }

    pub(super) fn set_keyed(&mut self, id: Uuid) {
        if let Some(webrtc) = self.webrtc_mut(id) {
            webrtc.keyed = true;
        }
    }

    pub(super) fn set_ice(&mut self, id: Uuid, ice: WebRtcCredentials) {
        if let Some(webrtc) = self.webrtc_mut(id) {
            webrtc.ice = ice;
        }
    }

    /// Notes where a plain transport sends to; `None` leaves what is known.
    pub(super) fn set_remote(
        &mut self,
        id: Uuid,
        remote: Option<SocketAddr>,
        rtcp_remote: Option<SocketAddr>,
    ) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        if let TransportBody::Plain(plain) = &mut transport.body {
            plain.rtp.remote = remote.or(plain.rtp.remote);
            if let Some(rtcp) = &mut plain.rtcp {
                rtcp.remote = rtcp_remote.or(rtcp.remote);
            }
        }
    }

    fn webrtc_mut(&mut self, id: Uuid) -> Option<&mut WebRtcBody> {
        match &mut self.transports.get_mut(&id)?.body {
            TransportBody::WebRtc(webrtc) => Some(webrtc),
            TransportBody::Plain(_) => None,
        }
    }

    fn count(&mut self, shard: ShardNo, field: impl Fn(&mut Census) -> &mut u32, change: i32) {
        if let Some(census) = self.census.get_mut(usize::from(shard)) {
            let count = field(census);
            *count = count.saturating_add_signed(change);
        }
    }
}
