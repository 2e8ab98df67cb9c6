//! Trace events: single packets, requests and estimates of an object, told on request. mediasoup's
//! names.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ObjectKind;

/// What can be traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum TraceType {
    /// Packets of a transport that probe its path.
    Probation,
    /// Estimates of a transport's path.
    Bwe,
    /// RTP packets.
    Rtp,
    /// First packets of key frames.
    KeyFrame,
    /// NACKs.
    Nack,
    /// PLIs.
    Pli,
    /// FIRs.
    Fir,
    /// Sender reports.
    Sr,
}

impl TraceType {
    /// Every type, in the order of their discriminants.
    pub const ALL: [Self; 8] = [
        Self::Probation,
        Self::Bwe,
        Self::Rtp,
        Self::KeyFrame,
        Self::Nack,
        Self::Pli,
        Self::Fir,
        Self::Sr,
    ];

    /// mediasoup's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::Bwe => "bwe",
            Self::Rtp => "rtp",
            Self::KeyFrame => "keyframe",
            Self::Nack => "nack",
            Self::Pli => "pli",
            Self::Fir => "fir",
            Self::Sr => "sr",
        }
    }
}

/// A set of [`TraceType`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceTypes(u8);

impl TraceTypes {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Those that an object of that kind has.
    pub fn of(kind: ObjectKind) -> Self {
        use TraceType::{Bwe, Fir, KeyFrame, Nack, Pli, Probation, Rtp, Sr};
        match kind {
            ObjectKind::Router => Self::NONE,
            ObjectKind::Transport => [Probation, Bwe].into_iter().collect(),
            ObjectKind::Producer => [Rtp, KeyFrame, Nack, Pli, Fir, Sr].into_iter().collect(),
            ObjectKind::Consumer => [Rtp, KeyFrame, Nack, Pli, Fir].into_iter().collect(),
        }
    }

    /// `trace` is one of them.
    pub const fn has(self, trace: TraceType) -> bool {
        self.0 & (1 << trace as u8) != 0
    }

    /// There is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = TraceType> {
        TraceType::ALL
            .into_iter()
            .filter(move |&trace| self.has(trace))
    }
}

impl FromIterator<TraceType> for TraceTypes {
    fn from_iter<I: IntoIterator<Item = TraceType>>(types: I) -> Self {
        Self(types.into_iter().fold(0, |bits, it| bits | 1 << it as u8))
    }
}

/// A trace event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Of what kind of object.
    pub kind: ObjectKind,
    /// Of which one.
    pub id: Uuid,
    /// ms since 1970.
    pub unix_ms: u64,
    /// To us or from us.
    pub direction: TraceDirection,
    /// What happened.
    pub info: TraceInfo,
    /// Trace events of the object that were left out since the one before, because there were too
    /// many.
    pub dropped: u32,
}

/// Where what is traced went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceDirection {
    /// To us.
    In,
    /// From us.
    Out,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceInfo {
    /// A packet left that probes the path.
    Probation(TracedPacket),
    /// The path was estimated, and what it carries divided.
    Bwe(TracedEstimate),
    /// A packet.
    Rtp(TracedPacket),
    /// The first packet of a key frame.
    KeyFrame(TracedPacket),
    /// Packets were asked for.
    Nack {
        /// Of that stream.
        ssrc: u32,
        /// So many.
        packets: u16,
    },
    /// A key frame was asked for.
    Pli {
        /// Of that stream.
        ssrc: u32,
    },
    /// A key frame was asked for.
    Fir {
        /// Of that stream.
        ssrc: u32,
    },
    /// A sender report (RFC 3550 section 6.4.1).
    Sr(TracedReport),
}

impl TraceInfo {
    /// Its type.
    pub const fn trace_type(&self) -> TraceType {
        match self {
            Self::Probation(_) => TraceType::Probation,
            Self::Bwe(_) => TraceType::Bwe,
            Self::Rtp(_) => TraceType::Rtp,
            Self::KeyFrame(_) => TraceType::KeyFrame,
            Self::Nack { .. } => TraceType::Nack,
            Self::Pli { .. } => TraceType::Pli,
            Self::Fir { .. } => TraceType::Fir,
            Self::Sr(_) => TraceType::Sr,
        }
    }

    /// The packet, where it is about one.
    pub const fn packet(&self) -> Option<&TracedPacket> {
        match self {
            Self::Probation(packet) | Self::Rtp(packet) | Self::KeyFrame(packet) => Some(packet),
            _ => None,
        }
    }
}

/// An RTP packet without its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedPacket {
    /// On its leg.
    pub payload_type: u8,
    /// On its leg; of RTX from a sender that of the packet repaired.
    pub sequence_number: u16,
    /// On its leg.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// On its leg; of RTX from a sender that of the stream repaired.
    pub ssrc: u32,
    /// It begins a key frame.
    pub is_key_frame: bool,
    /// Bytes, without SRTP.
    pub size: u16,
    /// Bytes of its payload, without padding.
    pub payload_size: u16,
    /// 0 where it has none.
    pub spatial_layer: u8,
    /// 0 where it has none.
    pub temporal_layer: u8,
    /// Transport-wide sequence number.
    pub wide_sequence_number: Option<u16>,
    /// It came or left as RTX.
    pub is_rtx: bool,
    /// Which of the producer's encodings it is of.
    pub encoding: u8,
}

/// An estimate of a transport's path, in bit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedEstimate {
    /// What its consumers would take.
    pub desired_bps: u64,
    /// The same within the limits set.
    pub effective_desired_bps: u64,
    /// It never goes under this.
    pub min_bps: u64,
    /// It never goes over this.
    pub max_bps: u64,
    /// What it began with.
    pub start_bps: u64,
    /// The path is probed up to this.
    pub max_padding_bps: u64,
    /// The estimate.
    pub available_bps: u64,
    /// From transport-wide feedback, else from the receiver's own estimate.
    pub by_transport_cc: bool,
}

/// A sender report (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedReport {
    /// Of that stream.
    pub ssrc: u32,
    /// NTP time, seconds and fraction.
    pub ntp: u64,
    /// RTP time.
    pub rtp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload octets sent.
    pub octets: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_each_kind_are_mediasoups() {
        let names = |kind| TraceTypes::of(kind).iter().map(TraceType::name).collect();
        let of = |kind| -> Vec<&str> { names(kind) };
        assert_eq!(of(ObjectKind::Transport), ["probation", "bwe"]);
        assert_eq!(
            of(ObjectKind::Producer),
            ["rtp", "keyframe", "nack", "pli", "fir", "sr"]
        );
        assert_eq!(
            of(ObjectKind::Consumer),
            ["rtp", "keyframe", "nack", "pli", "fir"]
        );
        assert!(TraceTypes::of(ObjectKind::Router).is_empty());
    }

    #[test]
    fn sets_are_taken_apart_as_they_were_made() {
        let set: TraceTypes = [TraceType::Sr, TraceType::Rtp].into_iter().collect();
        assert!(set.has(TraceType::Rtp) && !set.has(TraceType::Bwe));
        let rest = set.without(TraceTypes::of(ObjectKind::Consumer));
        assert_eq!(rest.iter().collect::<Vec<_>>(), [TraceType::Sr]);
    }
}
