//! What the hub asks of a shard, and what a shard tells the hub. Off the packet path: these may
//! allocate.

use std::net::SocketAddr;

use uuid::Uuid;
use weirgate_wire::{
    Answer, ConsumerConfig, Event, Layers, ObjectKind, ProducerConfig, Refusal, SrtpKey, TraceTypes,
};

use crate::{ShardNo, SocketId, SourceNo};

/// One thing to do; answered by [`ShardEvent::Answer`] with the same token.
#[derive(Debug)]
pub struct Command {
    /// Chosen by the hub.
    pub token: u64,
    /// What to do.
    pub body: CommandBody,
}

/// ICE credentials of our side. The first two characters of `ufrag` are the owning shard's number
/// in hexadecimal, so that any shard can tell whose a check is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcCredentials {
    /// Local user name fragment.
    pub ufrag: String,
    /// Local password.
    pub pwd: String,
}

/// What to do. The hub has checked that parents exist and ids are new.
#[derive(Debug)]
pub enum CommandBody {
    /// A new WebRTC transport of this shard.
    CreateWebRtcTransport {
        /// Its id.
        id: Uuid,
        /// Our credentials.
        ice: WebRtcCredentials,
        /// Seconds; 0 turns consent expiry off.
        ice_consent_timeout_s: u32,
        /// What the estimate towards its peer begins with, in bit/s; 0 for the default.
        initial_outgoing_bps: u32,
    },
    /// A new plain transport of this shard, on sockets the driver has already.
    CreatePlainTransport {
        /// Its id.
        id: Uuid,
        /// Socket for RTP, and RTCP with rtcp-mux.
        rtp_socket: SocketId,
        /// Bound address of that socket.
        rtp_local: SocketAddr,
        /// Socket for RTCP and its bound address, without rtcp-mux.
        rtcp: Option<(SocketId, SocketAddr)>,
        /// The remote is learned from the first authentic packet.
        comedia: bool,
        /// Our sending key where SRTP is on.
        srtp: Option<SrtpKey>,
    },
    /// Gives a plain transport its remote end.
    ConnectPlain {
        /// The transport.
        id: Uuid,
        /// Where to send RTP.
        remote: Option<SocketAddr>,
        /// Where to send RTCP without rtcp-mux.
        rtcp_remote: Option<SocketAddr>,
        /// The peer's sending key where SRTP is on.
        srtp: Option<SrtpKey>,
    },
    /// New ICE credentials.
    RestartIce {
        /// The transport.
        id: Uuid,
        /// The new ones.
        ice: WebRtcCredentials,
    },
    /// Keys of a finished DTLS handshake.
    SetSrtpKeys {
        /// The transport.
        id: Uuid,
        /// Ours.
        send: SrtpKey,
        /// The peer's.
        receive: SrtpKey,
    },
    /// DTLS datagrams to the selected path; token 0, not answered.
    SendDtls {
        /// The transport.
        id: Uuid,
        /// In order.
        datagrams: Vec<Vec<u8>>,
    },
    /// Bitrate limits in bit/s; 0 for none.
    SetBitrates {
        /// The transport.
        id: Uuid,
        /// What its peer may send.
        max_incoming: u32,
        /// What we send at most.
        max_outgoing: u32,
        /// What the estimate never goes under.
        min_outgoing: u32,
    },
    /// A new producer on a transport of this shard.
    CreateProducer {
        /// Its transport.
        transport: Uuid,
        /// Its number in the engine.
        source: SourceNo,
        /// The producer.
        config: ProducerConfig,
    },
    /// Starts or stops crossing a producer of this shard to another shard.
    Relay {
        /// The producer.
        producer: Uuid,
        /// The other shard.
        to: ShardNo,
        /// Start or stop.
        on: bool,
    },
    /// Makes a producer of another shard known here, before its first consumer here.
    OpenSource {
        /// The producer's shard.
        origin: ShardNo,
        /// Its number in the engine.
        source: SourceNo,
        /// The producer, paused or not as it stands.
        config: ProducerConfig,
    },
    /// A new consumer on a transport of this shard, of a producer known here.
    CreateConsumer {
        /// Its transport.
        transport: Uuid,
        /// The consumer.
        config: ConsumerConfig,
    },
    /// Closes an object of this shard and what hangs on it *in this shard*; a producer known by
    /// `OpenSource` is closed by its id as well. The hub sends one for every shard concerned.
    Close {
        /// What it is; never a router.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
    },
    /// Pauses or resumes a producer (in every shard that knows it) or consumer.
    SetPaused {
        /// Which kind.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
        /// Paused or not.
        paused: bool,
    },
    /// Layers a consumer wants at most.
    SetPreferredLayers {
        /// The consumer.
        id: Uuid,
        /// The layers.
        layers: Option<Layers>,
    },
    /// A consumer's priority.
    SetPriority {
        /// The consumer.
        id: Uuid,
        /// 1–255.
        priority: u8,
    },
    /// Asks a consumer's source for a key frame.
    RequestKeyFrame {
        /// The consumer.
        consumer: Uuid,
    },
    /// Tells trace events of those types of an object of this shard from now on.
    SetTrace {
        /// What it is; never a router.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
        /// Of those that its kind has.
        types: TraceTypes,
    },
    /// Figures of an object of this shard.
    GetStats {
        /// What it is.
        kind: ObjectKind,
        /// The object.
        id: Uuid,
    },
    /// All counters of the shard (answered by `Answer::Counters` with one entry).
    GetCounters,
}

/// What a shard tells the hub.
#[derive(Debug)]
pub enum ShardEvent {
    /// Answers the command of that token.
    Answer {
        /// The command's token.
        token: u64,
        /// What came of it.
        body: Result<Answer, Refusal>,
    },
    /// For control.
    Event(Event),
}
