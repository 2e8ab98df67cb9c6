//! Figures, with the fields of mediasoup's stats. Arrays, as mediasoup's `getStats()` gives.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_wire::{MediaKind, StreamStats, TransportStats};

use super::{TransportTuple, ice_state_name, plain_rtcp_tuple, plain_tuple, selected_tuple};
use crate::{
    events::unix_ms,
    model::{DtlsState, Transport, TransportKind},
};

/// mediasoup's `WebRtcTransportStat` and `PlainTransportStat`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransportStat {
    /// `webrtc-transport` or `plain-rtp-transport`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The transport.
    pub transport_id: Uuid,
    /// ms since 1970.
    pub timestamp: u64,
    /// Of all datagrams.
    pub bytes_received: u64,
    /// bit/s.
    pub recv_bitrate: u64,
    /// Of all datagrams.
    pub bytes_sent: u64,
    /// bit/s.
    pub send_bitrate: u64,
    /// RTX left out.
    pub rtp_bytes_received: u64,
    /// Packets, RTX left out.
    pub rtp_packets_received: u64,
    /// RTX left out.
    pub rtp_bytes_sent: u64,
    /// Packets, RTX left out.
    pub rtp_packets_sent: u64,
    /// RTX only.
    pub rtx_bytes_received: u64,
    /// RTX only.
    pub rtx_bytes_sent: u64,
    /// bit/s, RTX left out.
    pub rtp_recv_bitrate: u64,
    /// bit/s, RTX left out.
    pub rtp_send_bitrate: u64,
    /// bit/s, RTX only.
    pub rtx_recv_bitrate: u64,
    /// bit/s, RTX only.
    pub rtx_send_bitrate: u64,
    /// Of probes for bandwidth.
    pub probation_bytes_sent: u64,
    /// bit/s of probes for bandwidth.
    pub probation_send_bitrate: u64,
    /// Share of the peer's packets that did not come, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_packet_loss_received: Option<f32>,
    /// Share of our packets that did not reach the peer, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_packet_loss_sent: Option<f32>,
    /// ms, to the peer and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_time: Option<f32>,
    /// bit/s towards the peer that the path is thought to carry; of WebRTC transports only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_outgoing_bitrate: Option<u64>,
    /// bit/s the peer was told it may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_incoming_bitrate: Option<u64>,
    /// Limit set by the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_incoming_bitrate: Option<u32>,
    /// Limit set by the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_outgoing_bitrate: Option<u32>,
    /// Limit set by the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_outgoing_bitrate: Option<u32>,
    /// Packets whose authentication failed.
    pub srtp_auth_failures: u64,
    /// Packets that had come before.
    pub srtp_replays: u64,
    /// What sets the kinds apart.
    #[serde(flatten)]
    pub own: TransportKindStat,
}

/// What sets the kinds of transports apart.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum TransportKindStat {
    /// WebRTC.
    #[serde(rename_all = "camelCase")]
    WebRtc {
        /// Always `controlled`.
        ice_role: &'static str,
        /// State of ICE.
        ice_state: &'static str,
        /// The path in use.
        #[serde(skip_serializing_if = "Option::is_none")]
        ice_selected_tuple: Option<TransportTuple>,
        /// State of the DTLS association.
        dtls_state: DtlsState,
    },
    /// Plain.
    #[serde(rename_all = "camelCase")]
    Plain {
        /// RTP and RTCP share a port.
        rtcp_mux: bool,
        /// The remote address is learned.
        comedia: bool,
        /// RTP.
        tuple: TransportTuple,
        /// RTCP without rtcp-mux.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtcp_tuple: Option<TransportTuple>,
    },
}

impl TransportStat {
    /// Of `transport`.
    pub fn new(transport: &Transport, stats: &TransportStats) -> Self {
        let limits = transport.record.bitrates;
        let limit = |value: u32| (value > 0).then_some(value);
        let (kind, own) = match &transport.record.kind {
            TransportKind::WebRtc(webrtc) => (
                "webrtc-transport",
                TransportKindStat::WebRtc {
                    ice_role: "controlled",
                    ice_state: ice_state_name(stats.ice_state),
                    ice_selected_tuple: stats.tuple.as_ref().map(selected_tuple),
                    dtls_state: webrtc.dtls_state,
                },
            ),
            TransportKind::Plain(plain) => (
                "plain-rtp-transport",
                TransportKindStat::Plain {
                    rtcp_mux: plain.rtcp_mux,
                    comedia: plain.comedia,
                    tuple: plain_tuple(plain),
                    rtcp_tuple: plain_rtcp_tuple(plain),
                },
            ),
        };
        Self {
            kind,
            transport_id: transport.id,
            timestamp: unix_ms(),
            bytes_received: stats.bytes_received,
            recv_bitrate: stats.recv_bitrate_bps,
            bytes_sent: stats.bytes_sent,
            send_bitrate: stats.send_bitrate_bps,
            rtp_bytes_received: stats.rtp_bytes_received,
            rtp_packets_received: stats.rtp_packets_received,
            rtp_bytes_sent: stats.rtp_bytes_sent,
            rtp_packets_sent: stats.rtp_packets_sent,
            rtx_bytes_received: stats.rtx_bytes_received,
            rtx_bytes_sent: stats.rtx_bytes_sent,
            rtp_recv_bitrate: stats.rtp_recv_bitrate_bps,
            rtp_send_bitrate: stats.rtp_send_bitrate_bps,
            rtx_recv_bitrate: stats.rtx_recv_bitrate_bps,
            rtx_send_bitrate: stats.rtx_send_bitrate_bps,
            probation_bytes_sent: stats.probation_bytes_sent,
            probation_send_bitrate: stats.probation_send_bitrate_bps,
            rtp_packet_loss_received: stats.packet_loss_received,
            rtp_packet_loss_sent: stats.packet_loss_sent,
            round_trip_time: stats.round_trip_time_ms,
            available_outgoing_bitrate: stats.available_outgoing_bitrate_bps,
            available_incoming_bitrate: stats.available_incoming_bitrate_bps,
            max_incoming_bitrate: limit(limits.max_incoming),
            max_outgoing_bitrate: limit(limits.max_outgoing),
            min_outgoing_bitrate: limit(limits.min_outgoing),
            srtp_auth_failures: stats.auth_failures,
            srtp_replays: stats.replays,
            own,
        }
    }
}

/// mediasoup's `RtpStreamRecvStats` and `RtpStreamSendStats`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStat {
    /// `inbound-rtp` or `outbound-rtp`.
    #[serde(rename = "type")]
    pub direction: &'static str,
    /// ms since 1970.
    pub timestamp: u64,
    /// SSRC; 0 where no packet has come yet and none was signaled.
    pub ssrc: u32,
    /// RTX SSRC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx_ssrc: Option<u32>,
    /// RID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// Audio or video.
    pub kind: &'static str,
    /// Such as `video/VP8`.
    pub mime_type: String,
    /// Expected and never seen (inbound), or reported lost by the peer (outbound).
    pub packets_lost: i64,
    /// RFC 3550 fraction lost, 0 to 255.
    pub fraction_lost: u8,
    /// ms.
    pub jitter: f32,
    /// Dropped by the engine itself.
    pub packets_discarded: u64,
    /// Sent or received again.
    pub packets_retransmitted: u64,
    /// Received again, and there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx_packets_discarded: Option<u64>,
    /// Losses a retransmission repaired, or NACKs answered.
    pub packets_repaired: u64,
    /// NACK messages.
    pub nack_count: u64,
    /// Packets named in them.
    pub nack_packet_count: u64,
    /// PLI messages.
    pub pli_count: u64,
    /// FIR messages.
    pub fir_count: u64,
    /// Key frames begun.
    pub key_frame_count: u64,
    /// ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_time: Option<f32>,
    /// 0 (dead) to 10.
    pub score: u8,
    /// Media packets.
    pub packet_count: u64,
    /// RTP bytes.
    pub byte_count: u64,
    /// bit/s.
    pub bitrate: u64,
    /// bit/s by layer, named `SPATIAL.TEMPORAL`, each with those it depends on. Of a producer, what a path has to
    /// carry: payload and 72 bytes of headers for each packet. Of a consumer, what it takes now.
    pub bitrate_by_layer: BTreeMap<String, u64>,
}

impl StreamStat {
    /// A producer's stream.
    pub fn inbound(kind: MediaKind, mime_type: &str, stats: &StreamStats) -> Self {
        Self::new("inbound-rtp", kind, mime_type, stats)
    }

    /// A consumer's stream.
    pub fn outbound(kind: MediaKind, mime_type: &str, stats: &StreamStats) -> Self {
        Self::new("outbound-rtp", kind, mime_type, stats)
    }

    fn new(direction: &'static str, kind: MediaKind, mime_type: &str, stats: &StreamStats) -> Self {
        Self {
            direction,
            timestamp: unix_ms(),
            ssrc: stats.ssrc,
            rtx_ssrc: stats.rtx_ssrc,
            rid: stats.rid.clone(),
            kind: match kind {
                MediaKind::Audio => "audio",
                MediaKind::Video => "video",
            },
            mime_type: mime_type.to_owned(),
            packets_lost: stats.packets_lost,
            fraction_lost: stats.fraction_lost,
            jitter: stats.jitter_ms,
            packets_discarded: stats.packets_discarded,
            packets_retransmitted: stats.packets_retransmitted,
            rtx_packets_discarded: stats.rtx_ssrc.map(|_| stats.rtx_packets_discarded),
            packets_repaired: stats.packets_repaired,
            nack_count: stats.nack_count,
            nack_packet_count: stats.nack_packet_count,
            pli_count: stats.pli_count,
            fir_count: stats.fir_count,
            key_frame_count: stats.key_frame_count,
            round_trip_time: stats.round_trip_time_ms,
            score: stats.score,
            packet_count: stats.packet_count,
            byte_count: stats.byte_count,
            bitrate: stats.bitrate_bps,
            bitrate_by_layer: by_layer(&stats.bitrate_by_layer),
        }
    }
}

fn by_layer(bitrates: &[(u8, u8, u64)]) -> BTreeMap<String, u64> {
    let named = |&(spatial, temporal, bps): &(u8, u8, u64)| (format!("{spatial}.{temporal}"), bps);
    bitrates.iter().map(named).collect()
}
