//! Which calls there are.

use std::time::Duration;

use weirgate_wire::{MediaKind, SrtpSuite};

/// Who sends to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One sender to that many receivers.
    OneTo(usize),
    /// That many participants, each to all others: a transport to send by and one to receive by.
    Meeting(usize),
}

impl Topology {
    /// How many send.
    pub const fn senders(self) -> usize {
        match self {
            Self::OneTo(_) => 1,
            Self::Meeting(participants) => participants,
        }
    }

    /// How many receive.
    pub const fn receivers(self) -> usize {
        match self {
            Self::OneTo(receivers) => receivers,
            Self::Meeting(participants) => participants,
        }
    }

    /// Whether a receiver gets what a sender sends.
    pub const fn connects(self, sender: usize, receiver: usize) -> bool {
        match self {
            Self::OneTo(_) => true,
            Self::Meeting(_) => sender != receiver,
        }
    }

    /// Receivers of one sender.
    pub const fn fan_out(self) -> usize {
        match self {
            Self::OneTo(receivers) => receivers,
            Self::Meeting(participants) => participants - 1,
        }
    }
}

/// What a transport of the call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// ICE-checked, on the media port.
    WebRtc,
    /// A plain transport with a socket of its own.
    Plain,
}

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Who sends to whom.
    pub topology: Topology,
    /// Video in frames of 9 packets, 30 a second; or opus packets, 50 a second.
    pub kind: MediaKind,
    /// All transports.
    pub leg: Leg,
    /// All transports' suite; `None` for RTP in the clear, which only plain transports can have.
    pub suite: Option<SrtpSuite>,
    /// All consumers are paused: packets come in and none goes out.
    pub paused: bool,
    /// The receivers answer with transport-wide feedback and reports, in a [`super::Rehearsal`].
    pub rtcp: bool,
}

impl Scenario {
    /// WebRTC transports with AEAD_AES_128_GCM.
    pub const fn new(topology: Topology, kind: MediaKind) -> Self {
        Self {
            topology,
            kind,
            leg: Leg::WebRtc,
            suite: Some(SrtpSuite::AeadAes128Gcm),
            paused: false,
            rtcp: true,
        }
    }

    /// Packets a sender sends at once.
    pub const fn burst(&self) -> usize {
        match self.kind {
            MediaKind::Video => 9,
            MediaKind::Audio => 1,
        }
    }

    /// Bytes of a packet before it is sealed: a full one, or 20 ms of opus at 64 kbit/s.
    pub const fn packet_bytes(&self) -> usize {
        match self.kind {
            MediaKind::Video => 1200,
            MediaKind::Audio => 180,
        }
    }

    /// Time between two bursts of a sender.
    pub const fn interval(&self) -> Duration {
        match self.kind {
            MediaKind::Video => Duration::from_micros(33_333),
            MediaKind::Audio => Duration::from_millis(20),
        }
    }

    /// RTP timestamp units between two bursts of a sender.
    pub(super) const fn timestamp_step(&self) -> u32 {
        match self.kind {
            MediaKind::Video => 3000,
            MediaKind::Audio => 960,
        }
    }
}
