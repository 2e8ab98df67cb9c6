//! What goes from shard to shard: descriptors with a packet buffer, from a bounded shared pool.

use crate::{Path, Timestamp};

/// Number of a shard in its engine.
pub type ShardNo = u16;

/// A producer's number, unique in the engine while the producer lives. Bits 31..20 are a
/// generation, so that a late crossing can not reach the number's next owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceNo(pub u32);

impl SourceNo {
    const INDEX_BITS: u32 = 20;

    /// `index` below 2^20, `generation` taken modulo 2^12.
    pub const fn new(index: u32, generation: u32) -> Self {
        Self((generation << Self::INDEX_BITS) | (index & ((1 << Self::INDEX_BITS) - 1)))
    }

    /// Index into dense tables.
    pub const fn index(self) -> usize {
        (self.0 & ((1 << Self::INDEX_BITS) - 1)) as usize
    }
}

/// Bytes of a crossing's buffer: a datagram of an Ethernet MTU and some.
pub const CROSSING_BYTES: usize = 2048;

/// What a crossing carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossingKind {
    /// An RTP packet of a producer in the clear, header as its sender wrote it.
    Media {
        /// The producer.
        source: SourceNo,
        /// Index of its encoding.
        encoding: u8,
        /// When it reached the engine.
        arrival: Timestamp,
        /// It is audio: goes before video where room is short.
        audio: bool,
    },
    /// The sender's clock: this RTP timestamp was sampled at this NTP time (RFC 3550 section 6.4.1).
    SenderReport {
        /// The producer.
        source: SourceNo,
        /// Index of its encoding.
        encoding: u8,
        /// RTP timestamp of the report.
        rtp: u32,
        /// Our monotonic time that corresponds to it, the sender's clock offset taken out.
        at: Timestamp,
    },
    /// What the layers of a producer's encoding take by themselves, for a shard that it crosses to from
    /// now on.
    Rates {
        /// The producer.
        source: SourceNo,
        /// Index of its encoding.
        encoding: u8,
        /// When its last packet came.
        heard: Timestamp,
    },
    /// A consumer's shard wants a key frame from the producer's.
    KeyFrameRequest {
        /// The producer.
        source: SourceNo,
        /// Index of its encoding.
        encoding: u8,
        /// Whoever wants it has a picture meanwhile.
        is_patient: bool,
    },
    /// What the consumers of a shard want of a producer of another.
    Wanted {
        /// The producer.
        source: SourceNo,
        /// The highest simulcast stream, or spatial layer; `None` for nothing.
        highest: Option<u8>,
    },
    /// A datagram that reached a shard that does not own its flow.
    Datagram {
        /// The way it came.
        path: Path,
        /// When it reached the host.
        arrival: Timestamp,
    },
    /// The owner tells the shard a flow lands on that the flow is its own: further datagrams
    /// can be handed over without looking inside.
    FlowOwner {
        /// The flow.
        path: Path,
        /// The shard that owns it; `None` when it no longer does.
        owner: Option<ShardNo>,
    },
}

/// What is dropped first where the pool or a shard's inbox is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrossingClass {
    /// Video: refused while less than a quarter is free.
    Video,
    /// Audio, RTCP, control and handed-over datagrams: refused only when nothing is free.
    Urgent,
}

/// A message from one shard to another. Boxed ones circulate; none is made per packet.
#[derive(Debug)]
pub struct Crossing {
    /// What it carries.
    pub kind: CrossingKind,
    /// The shard it comes from.
    pub from: ShardNo,
    /// Bytes used in `buffer`.
    pub len: usize,
    /// The packet, for `Media` and `Datagram`.
    pub buffer: [u8; CROSSING_BYTES],
}

impl Crossing {
    /// How the crossing is treated where room is short.
    pub const fn class(&self) -> CrossingClass {
        match self.kind {
            CrossingKind::Media { audio: false, .. } => CrossingClass::Video,
            _ => CrossingClass::Urgent,
        }
    }
}

/// Where crossings leave a shard by. The driver refills `stock` before it hands anything in and
/// empties `outbox` after.
#[derive(Debug)]
pub struct CrossingPort {
    /// Crossings to deliver, in order.
    pub outbox: Vec<(ShardNo, Box<Crossing>)>,
    /// Empty crossings to fill.
    pub stock: Vec<Box<Crossing>>,
    /// How many empty ones the driver should keep in `stock`.
    pub stock_target: usize,
    shard: ShardNo,
}

impl CrossingPort {
    pub(crate) fn new(shard: ShardNo, stock_target: usize) -> Self {
        Self {
            outbox: Vec::with_capacity(stock_target),
            stock: Vec::with_capacity(stock_target),
            stock_target,
            shard,
        }
    }

    /// Fills an empty crossing; false where there is none or the bytes do not fit.
    pub(crate) fn send(&mut self, to: ShardNo, kind: CrossingKind, bytes: &[u8]) -> bool {
        if bytes.len() > CROSSING_BYTES {
            return false;
        }
        let Some(mut crossing) = self.stock.pop() else {
            return false;
        };
        crossing.kind = kind;
        crossing.from = self.shard;
        crossing.len = bytes.len();
        crossing.buffer[..bytes.len()].copy_from_slice(bytes);
        self.outbox.push((to, crossing));
        true
    }
}
