//! The messages. Control sends [`ToEngine`], the engine [`ToControl`]; each is one frame.
//!
//! A connection starts with [`ToEngine::Hello`], answered by [`ToControl::Welcome`] or
//! [`ToControl::Refused`]. Requests are answered in order of completion, matched by `id`. Messages
//! of one direction are handled in the order sent, so keys sent before a DTLS flight are in force
//! when that flight leaves.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AudioLevel, ConsumerConfig, EngineInfo, IceState, Layers, ObjectKind, ProducerConfig,
    ShardCounters, SrtpKey, Stats, Trace, TraceTypes, Tuple, VideoOrientation,
};

/// From control to engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToEngine {
    /// First message; versions must be equal.
    Hello {
        /// [`crate::PROTOCOL_VERSION`].
        version: u16,
        /// Control's process id.
        pid: u32,
    },
    /// Something to do; answered by [`ToControl::Answer`] with the same id.
    Request {
        /// Chosen by control.
        id: u64,
        /// What to do.
        body: Request,
    },
    /// DTLS records for a transport's peer, one datagram each. Not answered.
    SendDtls {
        /// The transport.
        transport: Uuid,
        /// At most 1,200 bytes each.
        datagrams: Vec<Vec<u8>>,
    },
}

/// What control asks of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Send every object as [`ToControl::Object`] and every note as [`ToControl::Note`], then the
    /// answer [`Answer::Done`]. Parents come before children.
    Snapshot,
    /// A new router.
    CreateRouter {
        /// Its id.
        id: Uuid,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// A new WebRTC transport; answered by [`Answer::WebRtcTransport`].
    CreateWebRtcTransport {
        /// Its id.
        id: Uuid,
        /// Its router.
        router: Uuid,
        /// Seconds without a consent check until it counts as disconnected; 0 turns that off.
        ice_consent_timeout_s: u32,
        /// What the estimate towards its peer begins with, in bit/s; 0 for the engine's default.
        initial_outgoing_bps: u32,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// A new plain transport; answered by [`Answer::PlainTransport`].
    CreatePlainTransport {
        /// Its id.
        id: Uuid,
        /// Its router.
        router: Uuid,
        /// Address to bind.
        listen_ip: IpAddr,
        /// Port to bind; `None` for a free one of the range.
        port: Option<u16>,
        /// Address for RTCP without rtcp-mux.
        rtcp_listen_ip: IpAddr,
        /// Port for RTCP without rtcp-mux; `None` for a free one of the range.
        rtcp_port: Option<u16>,
        /// RTP and RTCP share a port.
        rtcp_mux: bool,
        /// The remote address is learned from the first authentic packet.
        comedia: bool,
        /// Our sending key where SRTP is on.
        srtp: Option<SrtpKey>,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// Gives a plain transport its remote end; answered by [`Answer::PlainTransport`].
    ConnectPlain {
        /// The transport.
        id: Uuid,
        /// Where to send RTP; `None` with comedia.
        remote: Option<SocketAddr>,
        /// Where to send RTCP without rtcp-mux; `None` with rtcp-mux or comedia.
        rtcp_remote: Option<SocketAddr>,
        /// The peer's sending key where SRTP is on.
        srtp: Option<SrtpKey>,
        /// Opaque, replaces the old.
        blob: Vec<u8>,
    },
    /// New ICE credentials; answered by [`Answer::WebRtcTransport`]. The old ones stay good until
    /// the first check with the new.
    RestartIce {
        /// The transport.
        id: Uuid,
        /// Opaque, replaces the old.
        blob: Option<Vec<u8>>,
    },
    /// Keys of a finished DTLS handshake.
    SetSrtpKeys {
        /// The transport.
        id: Uuid,
        /// Ours, for what we send.
        send: SrtpKey,
        /// The peer's, for what we receive.
        receive: SrtpKey,
        /// Opaque, replaces the old.
        blob: Option<Vec<u8>>,
    },
    /// Bitrate limits of a transport in bit/s; 0 for none.
    SetBitrates {
        /// The transport.
        id: Uuid,
        /// What its peer may send.
        max_incoming: u32,
        /// What we send at most.
        max_outgoing: u32,
        /// What the estimate never goes under.
        min_outgoing: u32,
        /// Opaque, replaces the old.
        blob: Option<Vec<u8>>,
    },
    /// A new producer.
    CreateProducer {
        /// The transport its packets come in by.
        transport: Uuid,
        /// The producer.
        config: ProducerConfig,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// A new consumer.
    CreateConsumer {
        /// The transport its packets leave by.
        transport: Uuid,
        /// The consumer.
        config: ConsumerConfig,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// Pauses or resumes a producer or consumer.
    SetPaused {
        /// Which kind.
        kind: ObjectKind,
        /// The producer or consumer.
        id: Uuid,
        /// Paused or not.
        paused: bool,
        /// Opaque, replaces the old.
        blob: Option<Vec<u8>>,
    },
    /// Layers a consumer wants at most.
    SetPreferredLayers {
        /// The consumer.
        id: Uuid,
        /// The layers; `None` for the best there is.
        layers: Option<Layers>,
        /// Opaque, replaces the old.
        blob: Option<Vec<u8>>,
    },
    /// A consumer's priority, 1–255.
    SetPriority {
        /// The consumer.
        id: Uuid,
        /// The priority.
        priority: u8,
        /// Opaque, replaces the old.
        blob: Option<Vec<u8>>,
    },
    /// Asks a consumer's source for a key frame.
    RequestKeyFrame {
        /// The consumer.
        consumer: Uuid,
    },
    /// Tells [`Event::Trace`] of those types of an object from now on.
    SetTrace {
        /// A transport, producer or consumer.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
        /// Of [`TraceTypes::of`] its kind.
        types: TraceTypes,
    },
    /// Closes an object and everything that hangs on it (transports of a router, producers and
    /// consumers of a transport, consumers of a producer). No event is sent for these.
    Close {
        /// What it is.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
    },
    /// Replaces an object's opaque bytes.
    SetBlob {
        /// What it is.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// Keeps opaque bytes of control's own under a key (rooms, peers, event sequence).
    PutNote {
        /// At most 256 bytes.
        key: String,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// Drops a note; one that is not there is no error.
    DeleteNote {
        /// Its key.
        key: String,
    },
    /// Answered by [`Answer::Stats`].
    GetStats {
        /// What it is.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
    },
    /// Answered by [`Answer::Info`].
    GetInfo,
    /// Answered by [`Answer::Counters`].
    GetCounters,
    /// Ends the engine after its last answer: closes every socket and exits with code 0.
    Shutdown,
}

/// From engine to control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToControl {
    /// The connection stands.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`].
        version: u16,
        /// Random, one per engine process: tells a restarted engine from a running one.
        epoch: u64,
        /// The engine's process id.
        pid: u32,
    },
    /// The connection is refused and closed; says why, for the log.
    Refused {
        /// One line.
        reason: String,
    },
    /// Answers the request of that id.
    Answer {
        /// The request's id.
        id: u64,
        /// What came of it.
        body: Result<Answer, Refusal>,
    },
    /// Part of a snapshot.
    Object(SnapshotObject),
    /// Part of a snapshot.
    Note {
        /// Its key.
        key: String,
        /// Opaque.
        blob: Vec<u8>,
    },
    /// Something happened.
    Event(Event),
}

/// What a request gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Done, with nothing to tell.
    Done,
    /// ICE credentials in force.
    WebRtcTransport {
        /// The shard that owns the transport.
        shard: u16,
        /// Local user name fragment.
        ice_ufrag: String,
        /// Local password.
        ice_pwd: String,
    },
    /// Addresses of a plain transport.
    PlainTransport {
        /// The shard that owns the transport.
        shard: u16,
        /// Where we listen for RTP.
        local: SocketAddr,
        /// Where RTP goes, once known.
        remote: Option<SocketAddr>,
        /// Where we listen for RTCP without rtcp-mux.
        rtcp_local: Option<SocketAddr>,
        /// Where RTCP goes without rtcp-mux, once known.
        rtcp_remote: Option<SocketAddr>,
    },
    /// Figures of one object.
    Stats(Stats),
    /// The engine itself.
    Info(EngineInfo),
    /// Counters per shard, in shard order; then the hub's own under the last entry.
    Counters(Vec<ShardCounters>),
}

/// Why a request was refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct Refusal {
    /// The class of the reason.
    pub kind: RefusalKind,
    /// One line for people.
    pub message: String,
}

/// Classes of refusal; they map to the contract's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// No such object.
    NotFound,
    /// Exists already, or contradicts what exists (SSRC or MID in use, port taken, connected).
    Conflict,
    /// A limit or table is full, or no port is free.
    OverCapacity,
    /// The request can not be carried out as given.
    Invalid,
}

/// An object in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotObject {
    /// Its id.
    pub id: Uuid,
    /// What the engine knows of it.
    pub body: SnapshotBody,
    /// What is traced of it.
    pub trace: TraceTypes,
    /// Opaque, as last given.
    pub blob: Vec<u8>,
}

/// What the engine knows of an object in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SnapshotBody {
    /// A router.
    Router,
    /// A WebRTC transport.
    WebRtcTransport {
        /// Its router.
        router: Uuid,
        /// The shard that owns it.
        shard: u16,
        /// Local user name fragment now in force.
        ice_ufrag: String,
        /// Local password now in force.
        ice_pwd: String,
        /// ICE state.
        ice_state: IceState,
        /// Selected tuple.
        tuple: Option<Tuple>,
        /// SRTP keys are set: the DTLS handshake was finished.
        keyed: bool,
    },
    /// A plain transport.
    PlainTransport {
        /// Its router.
        router: Uuid,
        /// The shard that owns it.
        shard: u16,
        /// Where we listen for RTP.
        local: SocketAddr,
        /// Where RTP goes, once known.
        remote: Option<SocketAddr>,
        /// Where we listen for RTCP without rtcp-mux.
        rtcp_local: Option<SocketAddr>,
        /// Where RTCP goes without rtcp-mux, once known.
        rtcp_remote: Option<SocketAddr>,
    },
    /// A producer, with its pause as it stands.
    Producer {
        /// Its transport.
        transport: Uuid,
        /// As it stands.
        config: ProducerConfig,
    },
    /// A consumer, with its pause, layers and priority as they stand.
    Consumer {
        /// Its transport.
        transport: Uuid,
        /// As it stands.
        config: ConsumerConfig,
    },
}

/// What happened in the engine. While control is away, the latest of each kind per object is kept
/// and sent after the snapshot; DTLS records, levels and traces are dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// ICE state or selected tuple changed.
    Ice {
        /// The transport.
        transport: Uuid,
        /// The state now.
        state: IceState,
        /// The selected tuple now.
        tuple: Option<Tuple>,
    },
    /// A datagram of DTLS records from the transport's ICE-checked peer.
    Dtls {
        /// The transport.
        transport: Uuid,
        /// The datagram.
        datagram: Vec<u8>,
    },
    /// A plain transport learned or changed its remote addresses (comedia).
    PlainTuple {
        /// The transport.
        transport: Uuid,
        /// RTP tuple.
        tuple: Option<Tuple>,
        /// RTCP tuple without rtcp-mux.
        rtcp_tuple: Option<Tuple>,
    },
    /// Scores of a producer's streams changed.
    ProducerScore {
        /// The producer.
        producer: Uuid,
        /// `(ssrc, rid, score)` of each encoding, in their order; SSRC 0 where nothing has come yet.
        scores: Vec<(u32, Option<String>, u8)>,
    },
    /// Which way up the pictures of a video producer are, when its sender first tells and where that
    /// changes.
    ProducerOrientation {
        /// The producer.
        producer: Uuid,
        /// As they are now.
        orientation: VideoOrientation,
    },
    /// A consumer's score changed.
    ConsumerScore {
        /// The consumer.
        consumer: Uuid,
        /// Of the consumer's own stream.
        score: u8,
        /// Of the producer's stream it takes.
        producer_score: u8,
    },
    /// A consumer's current layers changed.
    ConsumerLayers {
        /// The consumer.
        consumer: Uuid,
        /// The layers now sent, if any.
        layers: Option<Layers>,
    },
    /// What consumers want of a video producer changed. Told at once where more is wanted, and after
    /// some seconds where less is: its sender need not send what nobody takes.
    ProducerWanted {
        /// The producer.
        producer: Uuid,
        /// The highest simulcast stream, or spatial layer, that somebody wants; `None` where nobody
        /// wants any.
        spatial: Option<u8>,
    },
    /// Loudness of the audio producers of one shard that were heard in the last interval; those
    /// that fell silent appear once with −127.
    AudioLevels(Vec<AudioLevel>),
    /// A trace event of an object for which [`Request::SetTrace`] asked.
    Trace(Trace),
}
