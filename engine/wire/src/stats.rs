//! Figures the engine answers with; control gives them mediasoup's field names.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use uuid::Uuid;

use crate::{Layers, MediaKind};

/// One RTP stream of a producer (inbound) or consumer (outbound).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamStats {
    /// SSRC; 0 where no packet has come yet and none was signaled.
    pub ssrc: u32,
    /// RTX SSRC, if any.
    pub rtx_ssrc: Option<u32>,
    /// RID, if any.
    pub rid: Option<String>,
    /// Payload type last seen or sent.
    pub payload_type: u8,
    /// Media packets, repaired ones once.
    pub packet_count: u64,
    /// RTP bytes, headers included.
    pub byte_count: u64,
    /// bit/s over about the last second.
    pub bitrate_bps: u64,
    /// Packets expected and never seen (inbound), or reported lost by the peer (outbound).
    pub packets_lost: i64,
    /// RFC 3550 fraction lost, 0–255, of the last report.
    pub fraction_lost: u8,
    /// Dropped by the engine itself.
    pub packets_discarded: u64,
    /// Packets sent or received again.
    pub packets_retransmitted: u64,
    /// Packets received again that were there already.
    pub rtx_packets_discarded: u64,
    /// Losses that a retransmission repaired (inbound), or answered NACKs (outbound).
    pub packets_repaired: u64,
    /// NACK messages received (outbound) or sent (inbound).
    pub nack_count: u64,
    /// Packets named in those NACKs.
    pub nack_packet_count: u64,
    /// PLI messages received or sent.
    pub pli_count: u64,
    /// FIR messages received or sent.
    pub fir_count: u64,
    /// Key frames that began.
    pub key_frame_count: u64,
    /// RFC 3550 jitter in ms.
    pub jitter_ms: f32,
    /// Round-trip time in ms, if known.
    pub round_trip_time_ms: Option<f32>,
    /// mediasoup score, 0 (dead) to 10.
    pub score: u8,
    /// What each layer takes with those it depends on, as (spatial, temporal, bit/s) over about the
    /// last second; of a consumer, what it takes now.
    pub bitrate_by_layer: Vec<(u8, u8, u64)>,
}

/// Figures of a producer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProducerStats {
    /// One per encoding, in their order.
    pub streams: Vec<StreamStats>,
}

/// Figures of a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerStats {
    /// What leaves for the receiver.
    pub stream: StreamStats,
    /// Layers now sent, if any.
    pub current_layers: Option<Layers>,
    /// Layers that it is to have, where it has layers and is to have any.
    pub target_layers: Option<Layers>,
    /// Why it has its layers.
    pub layer_reason: LayerReason,
    /// mediasoup score of the producer's stream it takes.
    pub producer_score: u8,
}

/// Why a consumer has the layers that it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerReason {
    /// More, or for `None` anything, does not fit into what the path to its receiver carries.
    Bandwidth,
    /// It is what the consumer wants.
    #[default]
    Preferred,
    /// It is to have others, and waits for the key frame to begin them with.
    AwaitingKeyFrame,
    /// The producer does not send what it wants.
    SourceAbsent,
    /// It, or its producer, is paused.
    Paused,
}

/// ICE as mediasoup names it; plain transports have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IceState {
    /// No check yet.
    #[default]
    New,
    /// A check came, nothing nominated yet.
    Connected,
    /// Nominated.
    Completed,
    /// Consent expired (RFC 7675).
    Disconnected,
}

/// The path media takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuple {
    /// Ours.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
}

/// Figures of a transport.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TransportStats {
    /// Shard that owns it.
    pub shard: u16,
    /// ICE state.
    pub ice_state: IceState,
    /// Selected tuple (for plain: the RTP tuple).
    pub tuple: Option<Tuple>,
    /// RTCP tuple of a plain transport without rtcp-mux.
    pub rtcp_tuple: Option<Tuple>,
    /// All bytes of datagrams from the peer.
    pub bytes_received: u64,
    /// All bytes of datagrams to the peer.
    pub bytes_sent: u64,
    /// Media RTP bytes and packets, RTX apart.
    pub rtp_bytes_received: u64,
    /// Media RTP packets from the peer.
    pub rtp_packets_received: u64,
    /// Media RTP bytes to the peer.
    pub rtp_bytes_sent: u64,
    /// Media RTP packets to the peer.
    pub rtp_packets_sent: u64,
    /// RTX bytes from the peer.
    pub rtx_bytes_received: u64,
    /// RTX bytes to the peer.
    pub rtx_bytes_sent: u64,
    /// Bytes of probes to the peer, beside media and RTX.
    pub probation_bytes_sent: u64,
    /// Media bit/s from the peer, RTX apart.
    pub rtp_recv_bitrate_bps: u64,
    /// Media bit/s to the peer, RTX apart.
    pub rtp_send_bitrate_bps: u64,
    /// RTX bit/s from the peer.
    pub rtx_recv_bitrate_bps: u64,
    /// RTX bit/s to the peer.
    pub rtx_send_bitrate_bps: u64,
    /// bit/s of probes to the peer.
    pub probation_send_bitrate_bps: u64,
    /// Share of its packets lost on the way to us, 0 to 1, once known.
    pub packet_loss_received: Option<f32>,
    /// Share of our packets lost on the way to it, 0 to 1, once known.
    pub packet_loss_sent: Option<f32>,
    /// Round trip in ms, once known.
    pub round_trip_time_ms: Option<f32>,
    /// bit/s from the peer, about the last second.
    pub recv_bitrate_bps: u64,
    /// bit/s to the peer, about the last second.
    pub send_bitrate_bps: u64,
    /// Estimate towards the peer, if there is one.
    pub available_outgoing_bitrate_bps: Option<u64>,
    /// Limit told to the sender, if there is one.
    pub available_incoming_bitrate_bps: Option<u64>,
    /// Datagrams of this transport's SSRCs that failed authentication.
    pub auth_failures: u64,
    /// Replayed packets.
    pub replays: u64,
}

/// Per-shard counters, all since the engine's start unless named otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardCounters {
    /// `(name, value)`; names are snake_case without prefix, such as `rtp_packets_received`.
    pub counters: Vec<(String, u64)>,
    /// `(name, value)` that go up and down, such as `transports`.
    pub gauges: Vec<(String, u64)>,
    /// How often what size was met.
    pub histograms: Vec<Histogram>,
}

/// How often what size was met, since the engine's start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// As of a counter, such as `train_datagrams`.
    pub name: String,
    /// `(largest size, number)` of each bucket, smallest first; a bucket has what the one before
    /// has not. No size is over the last one's.
    pub buckets: Vec<(u64, u64)>,
    /// Of all sizes.
    pub sum: u64,
}

/// One shard as `GET /v1/engine` shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Its number.
    pub shard: u16,
    /// The CPU it is pinned to.
    pub core: u16,
    /// Part of the last second spent working, 0.0–1.0.
    pub load: f32,
    /// Transports it owns.
    pub transports: u32,
    /// Producers it owns.
    pub producers: u32,
    /// Consumers it owns.
    pub consumers: u32,
}

/// The engine as `GET /v1/engine` shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// Process id.
    pub pid: u32,
    /// Package version.
    pub version: String,
    /// Back end in use: `uring` or `mmsg`.
    pub io: String,
    /// Why that one.
    pub io_reason: String,
    /// Kernel abilities found, such as `udp_gso`, `udp_gro`, `io_uring`.
    pub kernel: Vec<String>,
    /// Media sockets, as bound.
    pub media_listen: Vec<SocketAddr>,
    /// First and last port for plain transports.
    pub plain_ports: (u16, u16),
    /// Shards.
    pub shards: Vec<ShardInfo>,
    /// ms since the engine started.
    pub uptime_ms: u64,
}

/// What an audio producer's sender says of its loudness (RFC 6464), over the last interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioLevel {
    /// The producer.
    pub producer: Uuid,
    /// Mean level, −127 (silence) to 0 (loudest) dBov.
    pub dbov: i8,
    /// Level of the loudest packet.
    pub peak_dbov: i8,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A router.
    Router,
    /// A transport.
    Transport,
    /// A producer.
    Producer,
    /// A consumer.
    Consumer,
}

/// Figures of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Stats {
    /// Of a transport.
    Transport(TransportStats),
    /// Of a producer, with its kind.
    Producer(MediaKind, ProducerStats),
    /// Of a consumer, with its kind.
    Consumer(MediaKind, ConsumerStats),
}
