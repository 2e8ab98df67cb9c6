//! Objects from the engine's snapshot: what a new control starts from.

use serde::de::DeserializeOwned;
use uuid::Uuid;
use weirgate_wire::{ConsumerConfig, ProducerConfig, SnapshotBody, SnapshotObject};

use super::{
    Consumer, ConsumerRecord, DtlsState, Model, Producer, ProducerRecord, Router, RouterRecord,
    Transport, TransportKind, TransportRecord,
};
use crate::ice::IceParameters;

/// A model from a snapshot, and what of it went wrong.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Everything that could be read.
    pub model: Model,
    /// Transports whose handshake was under way and cannot go on.
    pub failed_handshakes: Vec<Uuid>,
    /// Objects whose record cannot be read; they are of no use.
    pub unreadable: Vec<SnapshotObject>,
}

impl Rebuilt {
    /// Reads `objects`, parents before children.
    pub fn from_snapshot(objects: Vec<SnapshotObject>) -> Self {
        let mut rebuilt = Self::default();
        for object in objects {
            if rebuilt.add(&object).is_none() {
                rebuilt.unreadable.push(object);
            }
        }
        rebuilt
    }

    fn add(&mut self, object: &SnapshotObject) -> Option<()> {
        match &object.body {
            SnapshotBody::Router => {
                self.model.insert_router(Router {
                    id: object.id,
                    record: read::<RouterRecord>(object)?,
                    transports: Vec::new(),
                });
                Some(())
            }
            SnapshotBody::WebRtcTransport { .. } | SnapshotBody::PlainTransport { .. } => {
                let transport = self.transport(object)?;
                self.model.insert_transport(transport).ok()
            }
            SnapshotBody::Producer { transport, config } => {
                self.add_producer(object, *transport, config)
            }
            SnapshotBody::Consumer { transport, config } => {
                self.add_consumer(object, *transport, config)
            }
        }
    }

    fn transport(&mut self, object: &SnapshotObject) -> Option<Transport> {
        let mut record: TransportRecord = read(object)?;
        let (owner_router, owner_shard) = match (&object.body, &mut record.kind) {
            (
                SnapshotBody::WebRtcTransport {
                    router,
                    shard,
                    ice_ufrag,
                    ice_pwd,
                    ice_state,
                    tuple,
                    keyed,
                },
                TransportKind::WebRtc(webrtc),
            ) => {
                webrtc.ice = IceParameters {
                    username_fragment: ice_ufrag.clone(),
                    password: ice_pwd.clone(),
                    ice_lite: true,
                };
                webrtc.ice_state = *ice_state;
                webrtc.tuple = *tuple;
                webrtc.dtls_state = match webrtc.dtls_state {
                    DtlsState::New | DtlsState::Connecting if *keyed => DtlsState::Connected,
                    DtlsState::Connecting => {
                        self.failed_handshakes.push(object.id);
                        DtlsState::Failed
                    }
                    settled => settled,
                };
                (*router, *shard)
            }
            (
                SnapshotBody::PlainTransport {
                    router,
                    shard,
                    local,
                    remote,
                    rtcp_local,
                    rtcp_remote,
                },
                TransportKind::Plain(plain),
            ) => {
                plain.local = Some(*local);
                plain.remote = *remote;
                plain.rtcp_local = *rtcp_local;
                plain.rtcp_remote = *rtcp_remote;
                (*router, *shard)
            }
            _ => return None,
        };
        Some(Transport {
            id: object.id,
            router: owner_router,
            shard: owner_shard,
            next_mid: record.reserved_mids,
            record,
            trace: object.trace,
            cname: None,
            producers: Vec::new(),
            consumers: Vec::new(),
        })
    }

    fn add_producer(
        &mut self,
        object: &SnapshotObject,
        transport: Uuid,
        config: &ProducerConfig,
    ) -> Option<()> {
        let record: ProducerRecord = read(object)?;
        let parent = self.model.transports.get_mut(&transport)?;
        parent.cname = Some(config.cname.clone());
        let router = parent.router;
        let producer = Producer {
            id: object.id,
            transport,
            router,
            record,
            config: config.clone(),
            trace: object.trace,
            scores: Vec::new(),
            wanted: None,
            consumers: Vec::new(),
        };
        self.model.insert_producer(producer).ok()
    }

    fn add_consumer(
        &mut self,
        object: &SnapshotObject,
        transport: Uuid,
        config: &ConsumerConfig,
    ) -> Option<()> {
        let record: ConsumerRecord = read(object)?;
        let router = self.model.transports.get(&transport)?.router;
        let consumer = Consumer {
            id: object.id,
            transport,
            router,
            record,
            config: config.clone(),
            trace: object.trace,
            score: 10,
            producer_score: None,
            current_layers: None,
        };
        self.model.insert_consumer(consumer).ok()
    }
}

fn read<T: DeserializeOwned>(object: &SnapshotObject) -> Option<T> {
    serde_json::from_slice(&object.blob)
        .inspect_err(|error| tracing::error!(id = %object.id, %error, "a record cannot be read"))
        .ok()
}
