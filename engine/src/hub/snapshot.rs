//! Everything control needs to build its model again, sent piece by piece as control reads.

use uuid::Uuid;
use weirgate_wire::{Answer, Event, SnapshotBody, SnapshotObject, ToControl, TraceTypes};

use super::registry::{Transport, TransportBody};
use super::{Hub, limits, refuse};

/// How far a snapshot is.
pub(super) struct Snapshot {
    /// The request it answers.
    request: u64,
    /// What is still to send, the next one last. Empty before the start.
    rest: Vec<Piece>,
    started: bool,
}

/// One step; objects and notes that are gone by then are left out.
enum Piece {
    Router(Uuid),
    Transport(Uuid),
    Producer(Uuid),
    Consumer(Uuid),
    Note(String),
    /// The snapshot's answer; events flow from here on.
    Answer,
    MissedOfTransport(Uuid),
    StateOfProducer(Uuid),
    StateOfConsumer(Uuid),
}

impl Hub {
    /// Starts a snapshot as soon as no request is half done.
    pub(super) fn begin_snapshot(&mut self, request: u64) {
        let Some(link) = &mut self.link else {
            return;
        };
        if link.snapshot.is_some() {
            let refusal = refuse::conflict("a snapshot is being sent already");
            return self.answer(request, Err(refusal));
        }
        link.snapshot = Some(Snapshot {
            request,
            rest: Vec::new(),
            started: false,
        });
        self.pump_snapshot();
    }

    /// Makes events flow to a control that asked for no snapshot.
    pub(super) fn go_live(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        if link.live || link.snapshot.is_some() {
            return;
        }
        link.live = true;
        for piece in self.missed() {
            self.send_piece(piece, 0);
        }
    }

    /// Sends more of the snapshot, as far as control reads.
    pub(super) fn pump_snapshot(&mut self) {
        loop {
            let idle = self.pending.len() == 0;
            let starting = self
                .link
                .as_ref()
                .and_then(|link| link.snapshot.as_ref())
                .map(|snapshot| !snapshot.started);
            let fresh = match starting {
                None => return,
                Some(true) if !idle => return,
                Some(true) => Some(self.pieces()),
                Some(false) => None,
            };
            let Some(link) = &mut self.link else {
                return;
            };
            let Some(snapshot) = &mut link.snapshot else {
                return;
            };
            if let Some(pieces) = fresh {
                snapshot.rest = pieces;
                snapshot.started = true;
            }
            if link.outgoing.is_behind(limits::SNAPSHOT_QUEUE_BYTES) {
                return;
            }
            let request = snapshot.request;
            match snapshot.rest.pop() {
                Some(piece) => self.send_piece(piece, request),
                None => link.snapshot = None,
            }
        }
    }

    /// All there is, in reverse.
    fn pieces(&self) -> Vec<Piece> {
        let registry = &self.registry;
        let mut pieces = self.missed();
        pieces.push(Piece::Answer);
        pieces.extend(self.notes.keys().cloned().map(Piece::Note));
        pieces.extend(registry.consumers.keys().copied().map(Piece::Consumer));
        pieces.extend(registry.producers.keys().copied().map(Piece::Producer));
        pieces.extend(registry.transports.keys().copied().map(Piece::Transport));
        pieces.extend(registry.routers.keys().copied().map(Piece::Router));
        pieces
    }

    /// What snapshots do not have.
    fn missed(&self) -> Vec<Piece> {
        let registry = &self.registry;
        let mut pieces = Vec::new();
        let consumers = registry.consumers.keys().copied();
        pieces.extend(consumers.map(Piece::StateOfConsumer));
        let producers = registry.producers.keys().copied();
        pieces.extend(producers.map(Piece::StateOfProducer));
        let transports = registry.transports.keys().copied();
        pieces.extend(transports.map(Piece::MissedOfTransport));
        pieces
    }

    fn send_piece(&mut self, piece: Piece, request: u64) {
        let one = |message: Option<ToControl>| message.into_iter().collect::<Vec<_>>();
        let events = |events: Vec<Event>| events.into_iter().map(ToControl::Event).collect();
        let messages = match piece {
            Piece::Router(id) => one(self.router_piece(id)),
            Piece::Transport(id) => one(self.transport_piece(id)),
            Piece::Producer(id) => one(self.producer_piece(id)),
            Piece::Consumer(id) => one(self.consumer_piece(id)),
            Piece::Note(key) => {
                let blob = self.notes.get(&key).cloned();
                one(blob.map(|blob| ToControl::Note { key, blob }))
            }
            Piece::Answer => {
                if let Some(link) = &mut self.link {
                    link.live = true;
                }
                let body = Ok(Answer::Done);
                one(Some(ToControl::Answer { id: request, body }))
            }
            Piece::MissedOfTransport(id) => one(self.missed_of_transport(id).map(ToControl::Event)),
            Piece::StateOfProducer(id) => events(self.state_of_producer(id)),
            Piece::StateOfConsumer(id) => events(self.state_of_consumer(id)),
        };
        for message in messages {
            self.send(&message);
        }
    }

    fn router_piece(&self, id: Uuid) -> Option<ToControl> {
        let router = self.registry.routers.get(&id)?;
        Some(object(
            id,
            SnapshotBody::Router,
            TraceTypes::NONE,
            &router.blob,
        ))
    }

    fn transport_piece(&self, id: Uuid) -> Option<ToControl> {
        let transport = self.registry.transports.get(&id)?;
        let body = transport_body(transport);
        Some(object(id, body, transport.trace, &transport.blob))
    }

    fn producer_piece(&self, id: Uuid) -> Option<ToControl> {
        let producer = self.registry.producers.get(&id)?;
        let body = SnapshotBody::Producer {
            transport: producer.transport,
            config: producer.config.clone(),
        };
        Some(object(id, body, producer.trace, &producer.blob))
    }

    fn consumer_piece(&self, id: Uuid) -> Option<ToControl> {
        let consumer = self.registry.consumers.get(&id)?;
        let body = SnapshotBody::Consumer {
            transport: consumer.transport,
            config: consumer.config.clone(),
        };
        Some(object(id, body, consumer.trace, &consumer.blob))
    }
}

fn object(id: Uuid, body: SnapshotBody, trace: TraceTypes, blob: &[u8]) -> ToControl {
    ToControl::Object(SnapshotObject {
        id,
        body,
        trace,
        blob: blob.to_vec(),
    })
}

fn transport_body(transport: &Transport) -> SnapshotBody {
    let (router, shard) = (transport.router, transport.shard);
    match &transport.body {
        TransportBody::WebRtc(webrtc) => SnapshotBody::WebRtcTransport {
            router,
            shard,
            ice_ufrag: webrtc.ice.ufrag.clone(),
            ice_pwd: webrtc.ice.pwd.clone(),
            ice_state: webrtc.state,
            tuple: webrtc.tuple,
            keyed: webrtc.keyed,
        },
        TransportBody::Plain(plain) => SnapshotBody::PlainTransport {
            router,
            shard,
            local: plain.rtp.local,
            remote: plain.rtp.remote,
            rtcp_local: plain.rtcp.as_ref().map(|rtcp| rtcp.local),
            rtcp_remote: plain.rtcp.as_ref().and_then(|rtcp| rtcp.remote),
        },
    }
}
