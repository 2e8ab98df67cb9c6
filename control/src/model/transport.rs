//! A transport: one peer's path, WebRTC or plain.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_wire::{IceState, TraceTypes, Tuple};

use crate::ice::IceParameters;

/// MIDs are numbers counted per transport; after a restart counting goes on at the reserved bound,
/// so that none is used twice. A new bound is written every so many consumers.
const MID_BLOCK: u32 = 64;

/// The MID extension carries at most this many digits in mediasoup as well.
const MID_LIMIT: u32 = 100_000_000;

/// A transport.
#[derive(Debug, Clone)]
pub struct Transport {
    /// Its id.
    pub id: Uuid,
    /// Its router.
    pub router: Uuid,
    /// The engine's shard that owns it.
    pub shard: u16,
    /// What the engine keeps for us.
    pub record: TransportRecord,
    /// What is traced.
    pub trace: TraceTypes,
    /// Number of the next consumer's MID.
    pub next_mid: u32,
    /// CNAME of its producers, which share their sender's clock.
    pub cname: Option<String>,
    /// In order of creation.
    pub producers: Vec<Uuid>,
    /// In order of creation.
    pub consumers: Vec<Uuid>,
}

/// What the engine keeps of a transport for us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransportRecord {
    /// The caller's.
    pub app_data: Value,
    /// The peer of a room it belongs to.
    pub owner: Option<Owner>,
    /// MIDs from here on were never used.
    pub reserved_mids: u32,
    /// Limits in force.
    pub bitrates: Bitrates,
    /// What sets the kinds apart.
    pub kind: TransportKind,
}

/// The peer a transport belongs to, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The room.
    pub room: String,
    /// The peer.
    pub peer: String,
    /// As the peer sees it.
    pub direction: Direction,
    /// The peer whose media it receives, where the client named one.
    pub for_peer: Option<String>,
}

/// Direction of a room's transport, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The client sends.
    Send,
    /// The client receives.
    Recv,
}

/// Limits of a transport in bit/s; 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bitrates {
    /// What the peer may send.
    pub max_incoming: u32,
    /// What we send at most.
    pub max_outgoing: u32,
    /// What the estimate never goes under.
    pub min_outgoing: u32,
}

/// What sets the kinds of transports apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TransportKind {
    /// ICE and DTLS.
    WebRtc(Box<WebRtc>),
    /// RTP or SRTP to and from a given address.
    Plain(Box<Plain>),
}

/// A WebRTC transport. What is not written into the record comes from the engine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebRtc {
    /// State of the DTLS association.
    pub dtls_state: DtlsState,
    /// The peer's parameters, once `connect` gave them.
    pub remote_dtls: Option<DtlsParameters>,
    /// Our role, once settled.
    pub local_role: Option<DtlsRole>,
    /// The peer's certificate as PEM text, once connected.
    pub remote_cert: Option<String>,
    /// Bitrate the estimate towards the peer starts at.
    pub initial_available_outgoing_bitrate: u32,
    /// Our ICE credentials.
    #[serde(skip)]
    pub ice: IceParameters,
    /// State of ICE.
    #[serde(skip)]
    pub ice_state: IceState,
    /// Selected tuple.
    #[serde(skip)]
    pub tuple: Option<Tuple>,
}

/// A plain transport. What is not written into the record comes from the engine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plain {
    /// RTP and RTCP share a port.
    pub rtcp_mux: bool,
    /// The remote address is learned.
    pub comedia: bool,
    /// Our SRTP parameters, where SRTP is on.
    pub srtp: Option<SrtpParameters>,
    /// Shown instead of the local address.
    pub announced_address: Option<String>,
    /// The same for RTCP.
    pub rtcp_announced_address: Option<String>,
    /// `connect` was called.
    pub is_connected: bool,
    /// Where we listen for RTP.
    #[serde(skip)]
    pub local: Option<SocketAddr>,
    /// Where RTP goes, once known.
    #[serde(skip)]
    pub remote: Option<SocketAddr>,
    /// Where we listen for RTCP without rtcp-mux.
    #[serde(skip)]
    pub rtcp_local: Option<SocketAddr>,
    /// Where RTCP goes without rtcp-mux, once known.
    #[serde(skip)]
    pub rtcp_remote: Option<SocketAddr>,
}

/// mediasoup's `DtlsState`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DtlsState {
    /// `connect` was not called.
    #[default]
    New,
    /// The handshake may begin or is under way.
    Connecting,
    /// The keys are set.
    Connected,
    /// The handshake failed.
    Failed,
    /// The peer closed the association.
    Closed,
}

/// mediasoup's `DtlsRole`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DtlsRole {
    /// Either.
    #[default]
    Auto,
    /// Sends the ClientHello.
    Client,
    /// Waits for it.
    Server,
}

/// mediasoup's `DtlsParameters`; unknown fields of clients are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DtlsParameters {
    /// The sender's role.
    #[serde(default)]
    pub role: DtlsRole,
    /// Of the certificates it may show.
    pub fingerprints: Vec<DtlsFingerprint>,
}

/// Fingerprint of a certificate (RFC 8122).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DtlsFingerprint {
    /// `sha-1`, `sha-224`, `sha-256`, `sha-384` or `sha-512`.
    pub algorithm: String,
    /// Bytes in hexadecimal with colons between.
    pub value: String,
}

/// mediasoup's `SrtpParameters`; holds a key, so `Debug` leaves that out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SrtpParameters {
    /// Name of the suite.
    pub crypto_suite: String,
    /// Key and salt.
    pub key_base64: String,
}

impl std::fmt::Debug for SrtpParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SrtpParameters({})", self.crypto_suite)
    }
}

impl Transport {
    /// A new transport with nothing on it.
    pub const fn new(id: Uuid, router: Uuid, shard: u16, record: TransportRecord) -> Self {
        Self {
            id,
            router,
            shard,
            record,
            trace: TraceTypes::NONE,
            next_mid: 0,
            cname: None,
            producers: Vec::new(),
            consumers: Vec::new(),
        }
    }

    /// The WebRTC part, if it is one.
    pub fn webrtc(&self) -> Option<&WebRtc> {
        match &self.record.kind {
            TransportKind::WebRtc(webrtc) => Some(webrtc),
            TransportKind::Plain(_) => None,
        }
    }

    /// The WebRTC part to change, if it is one.
    pub fn webrtc_mut(&mut self) -> Option<&mut WebRtc> {
        match &mut self.record.kind {
            TransportKind::WebRtc(webrtc) => Some(webrtc),
            TransportKind::Plain(_) => None,
        }
    }

    /// The plain part, if it is one.
    pub fn plain(&self) -> Option<&Plain> {
        match &self.record.kind {
            TransportKind::Plain(plain) => Some(plain),
            TransportKind::WebRtc(_) => None,
        }
    }

    /// The plain part to change, if it is one.
    pub fn plain_mut(&mut self) -> Option<&mut Plain> {
        match &mut self.record.kind {
            TransportKind::Plain(plain) => Some(plain),
            TransportKind::WebRtc(_) => None,
        }
    }

    /// mediasoup's name of the type.
    pub const fn type_name(&self) -> &'static str {
        match self.record.kind {
            TransportKind::WebRtc(_) => "webrtc",
            TransportKind::Plain(_) => "plain",
        }
    }

    /// A MID no consumer of this transport has had. True where the reserved bound has moved, so
    /// that the record must be written before the MID is used.
    pub fn take_mid(&mut self) -> (String, bool) {
        let mid = self.next_mid;
        self.next_mid = (mid + 1) % MID_LIMIT;
        if self.next_mid < self.record.reserved_mids {
            return (mid.to_string(), false);
        }
        self.record.reserved_mids = self.next_mid + MID_BLOCK;
        (mid.to_string(), true)
    }
}

impl TransportRecord {
    /// A record of a new transport.
    pub fn new(kind: TransportKind, app_data: Value, owner: Option<Owner>) -> Self {
        Self {
            app_data,
            owner,
            reserved_mids: MID_BLOCK,
            bitrates: Bitrates::default(),
            kind,
        }
    }
}
