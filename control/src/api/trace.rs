//! Trace events: what may be asked for, and what their data looks like.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weirgate_wire::{
    Trace, TraceDirection, TraceInfo, TraceType, TraceTypes, TracedEstimate, TracedPacket,
    TracedReport,
};

/// Body of `enable-trace-event`; what is not named is not traced any more.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest<T> {
    /// What to tell from now on; none given: nothing.
    #[serde(default = "Vec::new")]
    pub types: Vec<T>,
}

/// mediasoup's `TransportTraceEventType`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportTraceType {
    /// Packets that probe the path.
    Probation,
    /// Estimates of the path.
    Bwe,
}

/// mediasoup's `ProducerTraceEventType`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProducerTraceType {
    /// Packets that came.
    Rtp,
    /// First packets of key frames that came.
    KeyFrame,
    /// NACKs sent.
    Nack,
    /// PLIs sent.
    Pli,
    /// FIRs sent.
    Fir,
    /// Sender reports that came.
    Sr,
}

/// mediasoup's `ConsumerTraceEventType`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerTraceType {
    /// Packets sent.
    Rtp,
    /// First packets of key frames sent.
    KeyFrame,
    /// NACKs that came.
    Nack,
    /// PLIs that came.
    Pli,
    /// FIRs that came.
    Fir,
}

impl From<TransportTraceType> for TraceType {
    fn from(given: TransportTraceType) -> Self {
        match given {
            TransportTraceType::Probation => Self::Probation,
            TransportTraceType::Bwe => Self::Bwe,
        }
    }
}

impl From<ProducerTraceType> for TraceType {
    fn from(given: ProducerTraceType) -> Self {
        match given {
            ProducerTraceType::Rtp => Self::Rtp,
            ProducerTraceType::KeyFrame => Self::KeyFrame,
            ProducerTraceType::Nack => Self::Nack,
            ProducerTraceType::Pli => Self::Pli,
            ProducerTraceType::Fir => Self::Fir,
            ProducerTraceType::Sr => Self::Sr,
        }
    }
}

impl From<ConsumerTraceType> for TraceType {
    fn from(given: ConsumerTraceType) -> Self {
        match given {
            ConsumerTraceType::Rtp => Self::Rtp,
            ConsumerTraceType::KeyFrame => Self::KeyFrame,
            ConsumerTraceType::Nack => Self::Nack,
            ConsumerTraceType::Pli => Self::Pli,
            ConsumerTraceType::Fir => Self::Fir,
        }
    }
}

impl<T: Into<TraceType>> From<TraceRequest<T>> for TraceTypes {
    fn from(request: TraceRequest<T>) -> Self {
        request.types.into_iter().map(Into::into).collect()
    }
}

/// mediasoup's names of what is traced.
pub fn trace_names(types: TraceTypes) -> Vec<&'static str> {
    types.iter().map(TraceType::name).collect()
}

/// Names of the stream a traced packet is of.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamName<'a> {
    /// MID.
    pub mid: Option<&'a str>,
    /// RID.
    pub rid: Option<&'a str>,
}

/// Data of a trace event: mediasoup's `TransportTraceEventData`, `ProducerTraceEventData` and
/// `ConsumerTraceEventData`.
#[derive(Debug, Clone, Serialize)]
pub struct TraceData {
    /// Its type.
    #[serde(rename = "type")]
    pub trace_type: &'static str,
    /// ms since 1970.
    pub timestamp: u64,
    /// `in` or `out`.
    pub direction: &'static str,
    /// By type.
    pub info: Value,
    /// Trace events of the object that were left out since the one before.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u32,
}

impl TraceData {
    /// Of `trace`, about the stream of that name.
    pub fn new(trace: &Trace, name: StreamName<'_>) -> Self {
        Self {
            trace_type: trace.info.trace_type().name(),
            timestamp: trace.unix_ms,
            direction: match trace.direction {
                TraceDirection::In => "in",
                TraceDirection::Out => "out",
            },
            info: info(&trace.info, name),
            dropped: trace.dropped,
        }
    }
}

fn info(info: &TraceInfo, name: StreamName<'_>) -> Value {
    match info {
        TraceInfo::Probation(packet) | TraceInfo::Rtp(packet) | TraceInfo::KeyFrame(packet) => {
            json!({ "rtpPacket": packet_dump(packet, name), "isRtx": packet.is_rtx })
        }
        TraceInfo::Bwe(estimate) => estimate_dump(estimate),
        TraceInfo::Nack { ssrc, packets } => json!({ "ssrc": ssrc, "packetCount": packets }),
        TraceInfo::Pli { ssrc } | TraceInfo::Fir { ssrc } => json!({ "ssrc": ssrc }),
        TraceInfo::Sr(report) => report_dump(report),
    }
}

fn packet_dump(packet: &TracedPacket, name: StreamName<'_>) -> Value {
    json!({
        "payloadType": packet.payload_type,
        "sequenceNumber": packet.sequence_number,
        "timestamp": packet.timestamp,
        "marker": packet.marker,
        "ssrc": packet.ssrc,
        "isKeyFrame": packet.is_key_frame,
        "size": packet.size,
        "payloadSize": packet.payload_size,
        "spatialLayer": packet.spatial_layer,
        "temporalLayer": packet.temporal_layer,
        "mid": name.mid,
        "rid": name.rid.filter(|_| !packet.is_rtx),
        "rrid": name.rid.filter(|_| packet.is_rtx),
        "wideSequenceNumber": packet.wide_sequence_number,
    })
}

fn estimate_dump(estimate: &TracedEstimate) -> Value {
    json!({
        "bweType": if estimate.by_transport_cc { "transport-cc" } else { "remb" },
        "desiredBitrate": estimate.desired_bps,
        "effectiveDesiredBitrate": estimate.effective_desired_bps,
        "minBitrate": estimate.min_bps,
        "maxBitrate": estimate.max_bps,
        "startBitrate": estimate.start_bps,
        "maxPaddingBitrate": estimate.max_padding_bps,
        "availableBitrate": estimate.available_bps,
    })
}

fn report_dump(report: &TracedReport) -> Value {
    json!({
        "ssrc": report.ssrc,
        "ntpSec": (report.ntp >> 32) as u32,
        "ntpFrac": report.ntp as u32,
        "rtpTs": report.rtp,
        "packetCount": report.packets,
        "octetCount": report.octets,
    })
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}
