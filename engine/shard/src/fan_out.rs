//! Fan-out: stored packets are offered to the consumers of their source, and queued where they are
//! taken. Packets of one source that came one right after the other, as those of a frame do, are
//! offered together: what is known of a consumer is then looked up once for all of them. And they are
//! offered as late as can be, to one consumer right before what it takes leaves: what both look at is
//! then near at hand. Where more of a frame is about to come, that time is used to offer what there is.

use weirgate_layers::Offer;

use crate::consumer::Consumer;
use crate::counters::Counters;
use crate::history::PacketMeta;
use crate::queue::{Departure, Lane, queued_bytes};
use crate::shard::Shard;
use crate::source::Source;
use crate::transport::Transport;

/// Packets offered together: those of a large frame.
const MAX_PACKETS: usize = 64;
/// Packets after a late key frame that go out at once.
const MAX_CATCH_UP: u64 = 256;

/// What consumers decide by whether they take a packet: read once for all of them.
#[derive(Debug, Clone, Copy)]
struct OfferedPacket {
    encoding: u8,
    /// A decoder can start with it.
    is_entry: bool,
    /// More of its frame comes after it.
    is_part: bool,
    /// About what it takes to send.
    bytes: u16,
    meta: PacketMeta,
}

/// Packets of one source that are stored, and not yet offered to all of its takers.
#[derive(Debug)]
pub(crate) struct Arrived {
    source: u32,
    packets: Vec<OfferedPacket>,
    /// Takers they were offered to.
    offered: usize,
}

impl Arrived {
    pub(crate) fn new() -> Self {
        Self {
            source: 0,
            packets: Vec::with_capacity(MAX_PACKETS),
            offered: 0,
        }
    }

    /// More of their frame is about to come.
    pub(crate) fn is_part(&self) -> bool {
        self.packets.last().is_some_and(|packet| packet.is_part)
    }

    /// They were offered to some takers.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.offered > 0
    }
}

impl Shard {
    /// How many packets may yet be taken, and by how many consumers.
    pub(crate) fn still_to_offer(&self) -> (usize, usize) {
        let arrived = &self.arrived;
        let source = self.sources.get(arrived.source as usize);
        let takers = source.map_or(0, |source| {
            source.takers.len() - arrived.offered.min(source.takers.len())
        });
        (takers * arrived.packets.len(), takers)
    }

    /// Has a stored packet offered to the consumers of its source, by the next [`Self::fan_out`] at
    /// the latest.
    pub(crate) fn arrive(&mut self, index: u32, encoding: u8, sequence: u64) {
        if self.arrived.source != index {
            self.fan_out();
            self.arrived.source = index;
        }
        if let Some(source) = self.sources.get(index as usize)
            && let Some(packet) = offered(source, encoding, sequence)
        {
            self.arrived.packets.push(packet);
            if !source.is_audio() {
                self.counters.packets_shed += source.shed.len() as u64;
            }
        }
        // Not before it is among them: what is stored and not among them counts as offered.
        if self.arrived.packets.len() >= MAX_PACKETS {
            self.fan_out();
        }
    }

    /// Offers the packets that arrived to every consumer of their source on this shard that takes
    /// any, and was not offered them.
    pub(crate) fn fan_out(&mut self) {
        while let Some(transport) = self.offer_to_next() {
            if let Some(index) = transport {
                self.dirty.push_back(index);
            }
        }
    }

    /// Offers the packets that arrived to the next consumer; `None` when there is no more. Answers its
    /// transport if that has something to send and is not listed for it.
    pub(crate) fn offer_to_next(&mut self) -> Option<Option<u32>> {
        let arrived = &mut self.arrived;
        if arrived.packets.is_empty() {
            return None;
        }
        let source = self.sources.get(arrived.source as usize);
        let Some(&consumer) = source.and_then(|source| source.takers.get(arrived.offered)) else {
            arrived.packets.clear();
            arrived.offered = 0;
            return None;
        };
        arrived.offered += 1;
        Some(self.offer(consumer))
    }

    /// Offers the packets that arrived to a consumer, and queues those that are taken.
    fn offer(&mut self, index: u32) -> Option<u32> {
        let packets = &self.arrived.packets;
        let consumer = self.consumers.get_mut(index as usize)?;
        let transport_index = consumer.transport;
        let transport = self.transports.get_mut(transport_index as usize);
        let transport = transport.filter(|transport| transport.can_send())?;
        let source = self.sources.get(consumer.source as usize)?;
        let mut offering = Offering {
            index,
            lane: Lane::of(consumer.kind),
            consumer,
            transport,
            limit: self.config.limits.departures_per_transport,
            counters: &mut self.counters,
            layers_changed: false,
            queued: 0,
        };
        for (at, packet) in packets.iter().enumerate() {
            if offering.offer(packet) == Offer::Begin {
                offering.catch_up(source, packet, &packets[at + 1..]);
            }
        }
        let (layers_changed, queued) = (offering.layers_changed, offering.queued);
        self.overload.note_queued(offering.consumer.kind, queued);
        let is_unlisted = queued > 0 && !std::mem::replace(&mut transport.dirty, true);
        if layers_changed {
            self.report_layers(index);
        }
        is_unlisted.then_some(transport_index)
    }
}

/// One consumer to which packets are offered.
struct Offering<'a> {
    index: u32,
    lane: Lane,
    consumer: &'a mut Consumer,
    transport: &'a mut Transport,
    limit: usize,
    counters: &'a mut Counters,
    layers_changed: bool,
    /// So many were.
    queued: u32,
}

impl Offering<'_> {
    fn offer(&mut self, packet: &OfferedPacket) -> Offer {
        let meta = &packet.meta;
        let offered = self.consumer.offer(packet.encoding, packet.is_entry, meta);
        self.layers_changed |= offered.layers_changed;
        let departure = Departure {
            consumer: self.index,
            encoding: packet.encoding,
            bytes: packet.bytes,
            sequence: meta.sequence,
        };
        if let Some(sequence) = offered.released {
            // About as long as the one that goes on it.
            self.enqueue(Departure {
                sequence,
                ..departure
            });
        }
        let is_taken = offered.offer != Offer::Skip;
        if is_taken && (offered.is_held || self.enqueue(departure)) {
            offered.offer
        } else {
            Offer::Skip
        }
    }

    fn enqueue(&mut self, departure: Departure) -> bool {
        let (consumer, transport) = (&mut *self.consumer, &mut *self.transport);
        let is_queued =
            transport.enqueue(self.lane, departure, consumer, self.limit, self.counters);
        self.queued += u32::from(is_queued);
        is_queued
    }

    /// Offers again what had come already after a packet that begins a splice late. What is `still`
    /// to be offered is not among that.
    fn catch_up(&mut self, source: &Source, begin: &OfferedPacket, still: &[OfferedPacket]) {
        let encoding = begin.encoding;
        let highest = source
            .encodings
            .get(usize::from(encoding))
            .and_then(|encoding| encoding.history.highest())
            .unwrap_or(0);
        let begin = begin.meta.sequence;
        for sequence in begin + 1..=highest.min(begin + MAX_CATCH_UP) {
            let is_still = still
                .iter()
                .any(|packet| packet.encoding == encoding && packet.meta.sequence == sequence);
            if !is_still && let Some(packet) = offered(source, encoding, sequence) {
                self.offer(&packet);
            }
        }
    }
}

fn offered(source: &Source, encoding: u8, sequence: u64) -> Option<OfferedPacket> {
    let stream = source.encodings.get(usize::from(encoding))?;
    let stored = stream.history.get(sequence)?;
    Some(OfferedPacket {
        encoding,
        is_entry: source.is_entry(stored.meta),
        is_part: !source.is_audio() && !stored.meta.layers.marker(),
        bytes: queued_bytes(stored.payload.len()),
        meta: *stored.meta,
    })
}
