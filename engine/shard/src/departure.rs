//! Departures: here a queued descriptor becomes a packet. It is numbered, written and sealed in
//! the order it leaves, straight into the batch's arena: audio at once, the rest as the pacer
//! allows. Audio goes last of what leaves at one time, where a shorter datagram ends a train anyway.
//! HMAC tags are written last, those of many packets at once.

use std::time::Duration;

use slab::Slab;
use weirgate_congestion::PacketKind;
use weirgate_layers::{Place, joined_header, rewrite};
use weirgate_packet::rtp::RtpWritten;
use weirgate_srtp::{Sealer, TagBatch};
use weirgate_wire::{ExtensionKind, MediaKind, ObjectKind, TraceDirection, TracedPacket};

use crate::as_sent::Decided;
use crate::consumer::{Consumer, LegTypes};
use crate::counters::Counters;
use crate::equal_sizes;
use crate::header::HeaderFields;
use crate::history::StoredPacket;
use crate::net::TxBatch;
use crate::padding;
use crate::queue::{Departure, Lane, Purpose};
use crate::source::Source;
use crate::trace::{Subject, Tracer, packet_info};
use crate::transport::Transport;
use crate::{Path, Timestamp};

/// Room for header, extensions, original sequence number and tag around a payload.
pub(crate) const OVERHEAD_BYTES: usize = 12 + 4 + 160 + 2 + equal_sizes::MAX_PADDING_BYTES + 16;
/// Video older than this is not worth sending: its consumer goes on at the next key frame.
const MAX_VIDEO_AGE: Duration = Duration::from_millis(800);

/// What a packet on its way out touches, beside its transport.
pub(crate) struct Gate<'a> {
    pub(crate) now: Timestamp,
    pub(crate) consumers: &'a mut Slab<Consumer>,
    pub(crate) sources: &'a Slab<Source>,
    pub(crate) batch: &'a mut TxBatch,
    /// Tags still to be written into packets of the batch.
    pub(crate) tags: &'a mut TagBatch,
    pub(crate) counters: &'a mut Counters,
    pub(crate) tracer: &'a mut Tracer,
    /// Bytes that the transport's pacer lets leave with the next packet, that one's included.
    pub(crate) room_bytes: u64,
}

/// How far draining a transport came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// The batch has to be sent first.
    BatchFull,
    /// What is left, if anything, may leave at that time.
    Until(Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It left, or could not.
    Done,
    BatchFull,
}

/// What is needed to write one packet.
struct Draft<'a> {
    packet: StoredPacket<'a>,
    place: Place,
    /// Extended: ROC and SEQ.
    sequence: u64,
    header: HeaderFields,
    /// Original sequence number, for RTX (RFC 4588).
    original: Option<u16>,
    /// Id and data of the extension, where the receiver is to be told something new.
    playout_delay: Option<(u8, [u8; 3])>,
    padding: Padding,
}

/// How much padding a packet has.
#[derive(Debug, Clone, Copy)]
enum Padding {
    /// As much.
    Exactly(u8),
    /// What makes it as long as those it leaves with.
    ToEqualSize,
}

/// Sends what a transport has queued, as far as it may leave now.
pub(crate) fn drain(index: u32, transport: &mut Transport, gate: &mut Gate<'_>) -> Drained {
    let Some(path) = transport.rtp_path() else {
        gate.counters.departures_dropped += transport.queue.clear() as u64;
        return Drained::Until(Timestamp::NEVER);
    };
    drop_stale(transport, gate);
    // Audio waits for no more than a train.
    let is_flood = transport.queue.paced_len() > usize::from(TxBatch::MAX_SEGMENTS);
    if is_flood && drain_audio(path, transport, gate) == Outcome::BatchFull {
        return Drained::BatchFull;
    }
    if drain_paced(path, transport, gate) == Outcome::BatchFull
        || drain_audio(path, transport, gate) == Outcome::BatchFull
    {
        return Drained::BatchFull;
    }
    if !transport.is_paced() {
        return Drained::Until(Timestamp::NEVER);
    }
    if padding::fill_probe(index, path, transport, gate) == Outcome::BatchFull {
        return Drained::BatchFull;
    }
    let queued = transport.queue.paced_bytes();
    let release = transport
        .downlink
        .as_mut()
        .map_or(Timestamp::NEVER, |downlink| {
            downlink.next_release(gate.now, queued)
        });
    Drained::Until(release)
}

fn drain_audio(path: Path, transport: &mut Transport, gate: &mut Gate<'_>) -> Outcome {
    drain_lane(Lane::Audio, path, transport, gate)
}

/// Sends repairs and video: what the pacer allows, and everything at once to a receiver that is not
/// paced.
fn drain_paced(path: Path, transport: &mut Transport, gate: &mut Gate<'_>) -> Outcome {
    let queued = transport.queue.paced_bytes();
    let is_paced = transport.is_paced();
    let downlink = transport.downlink.as_mut().filter(|_| is_paced);
    gate.room_bytes = downlink.map_or(u64::MAX, |downlink| downlink.budget(gate.now, queued));
    for lane in [Lane::Repair, Lane::Video] {
        if drain_lane(lane, path, transport, gate) == Outcome::BatchFull {
            return Outcome::BatchFull;
        }
    }
    Outcome::Done
}

/// Sends what one lane has, as far as it may leave.
fn drain_lane(lane: Lane, path: Path, transport: &mut Transport, gate: &mut Gate<'_>) -> Outcome {
    let mut next = next_of(lane, path, transport, gate.batch, gate.room_bytes);
    while let Some(departure) = next {
        let consumer = gate.consumers.get_mut(departure.consumer as usize);
        let source = consumer
            .as_ref()
            .and_then(|consumer| gate.sources.get(consumer.source as usize));
        let (Some(consumer), Some(source)) = (consumer, source) else {
            transport.queue.pop(lane);
            next = next_of(lane, path, transport, gate.batch, gate.room_bytes);
            continue;
        };
        let mut row = Row {
            now: gate.now,
            path,
            consumer,
            source,
            batch: gate.batch,
            tags: gate.tags,
            counters: gate.counters,
            tracer: gate.tracer,
            packets: 0,
            bytes: 0,
        };
        let left = row.depart(departure, lane, transport, &mut gate.room_bytes);
        row.count(lane, transport);
        match left {
            Left::AllOfRow(after) => next = after,
            Left::BatchFull => return Outcome::BatchFull,
        }
    }
    Outcome::Done
}

/// What leaves next by a lane, as far as it may.
fn next_of(
    lane: Lane,
    path: Path,
    transport: &mut Transport,
    batch: &TxBatch,
    room_bytes: u64,
) -> Option<Departure> {
    if lane == Lane::Audio {
        if batch.open_train(path).is_none() {
            transport.queue.pair_audio();
        }
    } else if room_bytes == 0 {
        return None;
    }
    transport.queue.front(lane)
}

/// Interrupts consumers whose video has waited for too long.
fn drop_stale(transport: &mut Transport, gate: &mut Gate<'_>) {
    while let Some(departure) = transport.queue.front(Lane::Video) {
        let consumer = gate.consumers.get_mut(departure.consumer as usize);
        let arrival = consumer.as_ref().and_then(|consumer| {
            let source = gate.sources.get(consumer.source as usize)?;
            let encoding = source.encodings.get(usize::from(departure.encoding))?;
            Some(encoding.history.get(departure.sequence)?.meta.arrival)
        });
        let is_fresh = arrival.is_some_and(|arrival| gate.now.since(arrival) < MAX_VIDEO_AGE);
        if is_fresh {
            return;
        }
        let dropped = transport.queue.remove(departure.consumer);
        gate.counters.departures_expired += dropped as u64;
        if let Some(consumer) = consumer {
            consumer.discarded += dropped as u64;
            consumer.interrupt();
        }
    }
}

/// How far a row came.
enum Left {
    /// It is over; what the lane has after it, if that may leave.
    AllOfRow(Option<Departure>),
    BatchFull,
}

/// Packets of one consumer that leave one right after the other.
struct Row<'a> {
    now: Timestamp,
    path: Path,
    consumer: &'a mut Consumer,
    source: &'a Source,
    batch: &'a mut TxBatch,
    tags: &'a mut TagBatch,
    counters: &'a mut Counters,
    tracer: &'a mut Tracer,
    /// That left so far.
    packets: u64,
    bytes: u64,
}

impl Row<'_> {
    /// Makes packets of the descriptors at the front of a lane, from `departure` on.
    fn depart(
        &mut self,
        mut departure: Departure,
        lane: Lane,
        transport: &mut Transport,
        room_bytes: &mut u64,
    ) -> Left {
        let consumer = departure.consumer;
        loop {
            if self.depart_one(departure, transport, *room_bytes) == Outcome::BatchFull {
                return Left::BatchFull;
            }
            transport.queue.pop(lane);
            if lane != Lane::Audio {
                *room_bytes = room_bytes.saturating_sub(u64::from(departure.bytes));
            }
            match next_of(lane, self.path, transport, self.batch, *room_bytes) {
                Some(next) if next.consumer == consumer => departure = next,
                next => return Left::AllOfRow(next),
            }
        }
    }

    fn depart_one(
        &mut self,
        departure: Departure,
        transport: &mut Transport,
        room_bytes: u64,
    ) -> Outcome {
        let (now, consumer) = (self.now, &mut *self.consumer);
        let Some((packet, types)) = stored(departure, consumer, self.source, self.counters) else {
            consumer.discarded += 1;
            return Outcome::Done;
        };
        let train = self.batch.open_train(self.path);
        let offset = self.batch.next_offset();
        let Some(slot) = self.batch.slot(packet.payload.len() + OVERHEAD_BYTES) else {
            return Outcome::BatchFull;
        };
        let draft = if departure.purpose == Purpose::Media {
            draft_media(
                now,
                departure,
                packet,
                types,
                consumer,
                self.source,
                transport,
            )
        } else {
            draft_resend(now, departure, packet, types, consumer, transport)
        };
        let Some(draft) = draft else {
            return Outcome::Done;
        };
        let overhead = transport.sealer.as_ref().map_or(0, Sealer::rtp_overhead);
        let padding_of = |len: usize| match draft.padding {
            Padding::Exactly(padding) => padding,
            Padding::ToEqualSize => {
                let len = len + overhead;
                let wanted = train
                    .filter(|&train| len <= train)
                    .unwrap_or_else(|| len + transport.queue.lead(room_bytes));
                equal_sizes::padding(len, wanted)
            }
        };
        let Some((written, padding)) = write(&draft, consumer, slot, padding_of) else {
            consumer.discarded += 1;
            return Outcome::Done;
        };
        if let (Some(as_sent), Purpose::Media) = (&mut consumer.as_sent, departure.purpose) {
            let decided = Decided {
                transport_sequence: draft.header.transport_sequence,
                padding,
            };
            as_sent.set(draft.sequence, decided);
        }
        self.counters.padding_bytes_sent += u64::from(padding);
        let sealed = match &transport.sealer {
            Some(sealer) => sealer.seal_rtp_in_batch(
                slot,
                written.header_len,
                written.len,
                draft.sequence,
                offset,
                self.tags,
            ),
            None => Some(written.len),
        };
        let Some(len) = sealed else {
            consumer.discarded += 1;
            return Outcome::Done;
        };
        self.batch.commit(self.path, len);
        if !self.tags.has_room() {
            self.batch.finish_tags(self.tags);
        }
        self.note(departure, &draft, written, len, transport);
        Outcome::Done
    }

    /// Takes note of a packet that leaves.
    fn note(
        &mut self,
        departure: Departure,
        draft: &Draft<'_>,
        written: RtpWritten,
        len: usize,
        transport: &mut Transport,
    ) {
        let (now, consumer) = (self.now, &mut *self.consumer);
        let kind = match (departure.purpose, consumer.kind) {
            (Purpose::Repair, _) => PacketKind::Rtx,
            (Purpose::Media, MediaKind::Audio) => PacketKind::Audio,
            (Purpose::Media, MediaKind::Video) => PacketKind::Video,
        };
        transport.note_sent(now, draft.header.transport_sequence, len, kind);
        let is_key_frame = draft.packet.meta.layers.begins_key_frame();
        if departure.purpose == Purpose::Media {
            if !draft.place.is_filler {
                consumer.payload_octets += draft.packet.payload.len() as u64;
                consumer.key_frames += u64::from(is_key_frame);
            }
            consumer.payload_type = draft.header.payload_type;
            let timestamp = draft.place.timestamp;
            let is_first = consumer.sent.packets + self.packets == 0;
            if is_first || (timestamp.wrapping_sub(consumer.last_timestamp) as i32) > 0 {
                consumer.last_timestamp = timestamp;
            }
        }
        self.packets += 1;
        self.bytes += len as u64;
        if let Some(trace) = consumer.traced.packet(is_key_frame) {
            let packet = traced_packet(departure, draft, written);
            let subject = Subject {
                kind: ObjectKind::Consumer,
                id: consumer.config.id,
                traced: &mut consumer.traced,
            };
            let (direction, info) = (TraceDirection::Out, packet_info(trace, packet));
            self.tracer
                .tell(now, subject, direction, info, self.counters);
        }
    }

    /// Counts what left.
    fn count(self, lane: Lane, transport: &mut Transport) {
        let Self {
            now,
            consumer,
            counters,
            packets,
            bytes,
            ..
        } = self;
        if packets == 0 {
            return;
        }
        let traffic = &mut transport.traffic;
        traffic.sent.add_all(now, packets, bytes);
        transport.repairs.earn(bytes);
        if lane == Lane::Repair {
            traffic.rtx_sent.add_all(now, packets, bytes);
            consumer.resent += packets;
            consumer.resent_bytes += bytes;
            counters.packets_retransmitted += packets;
            return;
        }
        traffic.rtp_sent.add_all(now, packets, bytes);
        consumer.sent.add_all(now, packets, bytes);
        consumer.last_departure = now;
        counters.rtp_packets_sent += packets;
        counters.rtp_bytes_sent += bytes;
    }
}

/// The packet that a descriptor is of, as the consumer's leg can carry it.
fn stored<'a>(
    departure: Departure,
    consumer: &Consumer,
    source: &'a Source,
    counters: &mut Counters,
) -> Option<(StoredPacket<'a>, LegTypes)> {
    let encoding = source.encodings.get(usize::from(departure.encoding));
    let packet = encoding.and_then(|encoding| encoding.history.get(departure.sequence));
    counters.departures_expired += u64::from(packet.is_none());
    consumer.for_its_leg(packet?)
}

/// A packet that leaves, for who traces it.
fn traced_packet(departure: Departure, draft: &Draft<'_>, written: RtpWritten) -> TracedPacket {
    let meta = draft.packet.meta;
    let layer = meta.layers.layer();
    let is_filler = draft.place.is_filler;
    TracedPacket {
        payload_type: draft.header.payload_type,
        sequence_number: draft.sequence as u16,
        timestamp: draft.place.timestamp,
        marker: draft.place.marker,
        ssrc: draft.header.ssrc,
        is_key_frame: meta.layers.begins_key_frame() && !is_filler,
        size: written.len as u16,
        payload_size: if is_filler {
            0
        } else {
            (written.len - written.header_len) as u16
        },
        spatial_layer: layer.spatial,
        temporal_layer: layer.temporal,
        wide_sequence_number: draft.header.transport_sequence,
        is_rtx: draft.original.is_some(),
        encoding: departure.encoding,
    }
}

/// A packet that leaves for the first time.
fn draft_media<'a>(
    now: Timestamp,
    departure: Departure,
    packet: StoredPacket<'a>,
    types: LegTypes,
    consumer: &mut Consumer,
    source: &Source,
    transport: &mut Transport,
) -> Option<Draft<'a>> {
    let place = consumer.place(source, departure.encoding, packet.meta)?;
    let transport_sequence = next_transport_sequence(consumer, transport);
    // Without RTX a packet is sent again byte by byte, so what is written into it must not
    // depend on when it leaves (the nonce rules of SRTP), or be remembered.
    let send_time = if consumer.rtx.is_some() {
        now
    } else {
        packet.meta.arrival
    };
    let begins_picture = (place.timestamp.wrapping_sub(consumer.last_timestamp) as i32) > 0;
    let sequence = place.sequence as u16;
    Some(Draft {
        packet,
        playout_delay: playout_delay(&packet, sequence, begins_picture, consumer),
        sequence: place.sequence,
        header: HeaderFields {
            ssrc: consumer.config.ssrc,
            payload_type: types.media,
            sequence: place.sequence as u16,
            send_time,
            transport_sequence,
        },
        place,
        original: None,
        padding: match consumer.kind {
            MediaKind::Video => Padding::ToEqualSize,
            MediaKind::Audio => Padding::Exactly(0),
        },
    })
}

/// A packet that leaves again: as RTX (RFC 4588), or byte by byte as before.
fn draft_resend<'a>(
    now: Timestamp,
    departure: Departure,
    packet: StoredPacket<'a>,
    types: LegTypes,
    consumer: &mut Consumer,
    transport: &mut Transport,
) -> Option<Draft<'a>> {
    let place = consumer.placed(departure.encoding, packet.meta)?;
    if consumer.rtx.is_some() {
        // The time it left was in it: it can not go again as it was.
        let rtx_payload_type = types.rtx?;
        let transport_sequence = next_transport_sequence(consumer, transport);
        let playout_delay = playout_delay(&packet, place.sequence as u16, false, consumer);
        let rtx = consumer.rtx.as_mut()?;
        let rtx_sequence = rtx.next_sequence;
        rtx.next_sequence += 1;
        return Some(Draft {
            packet,
            sequence: rtx_sequence,
            header: HeaderFields {
                ssrc: rtx.ssrc,
                payload_type: rtx_payload_type,
                sequence: rtx_sequence as u16,
                send_time: now,
                transport_sequence,
            },
            original: Some(place.sequence as u16),
            playout_delay,
            place,
            padding: Padding::Exactly(0),
        });
    }
    let sequence = place.sequence;
    let next_sequence = consumer.selector.next_sequence();
    let decided = match &consumer.as_sent {
        Some(as_sent) => as_sent.get(sequence, next_sequence)?,
        None => Decided::default(),
    };
    Some(Draft {
        sequence,
        header: HeaderFields {
            ssrc: consumer.config.ssrc,
            payload_type: types.media,
            sequence: sequence as u16,
            send_time: packet.meta.arrival,
            transport_sequence: decided.transport_sequence,
        },
        packet,
        place,
        original: None,
        playout_delay: None,
        padding: Padding::Exactly(decided.padding),
    })
}

/// The playout delay to tell with a packet. A sender that tells one of its own is left to it.
fn playout_delay(
    packet: &StoredPacket<'_>,
    sequence: u16,
    begins_picture: bool,
    consumer: &mut Consumer,
) -> Option<(u8, [u8; 3])> {
    let own = consumer.playout_delay.as_mut()?;
    if packet
        .carried()
        .any(|(kind, _)| kind == ExtensionKind::PlayoutDelay)
    {
        consumer.playout_delay = None;
        return None;
    }
    own.extension(sequence, begins_picture)
}

pub(crate) fn next_transport_sequence(
    consumer: &Consumer,
    transport: &mut Transport,
) -> Option<u16> {
    if !consumer.header.has_transport_sequence() {
        return None;
    }
    let sequence = transport.next_transport_sequence;
    transport.next_transport_sequence = sequence.wrapping_add(1);
    Some(sequence)
}

/// Writes a packet with `padding_of` its length, and says how much padding that is.
fn write(
    draft: &Draft<'_>,
    consumer: &Consumer,
    slot: &mut [u8],
    padding_of: impl FnOnce(usize) -> u8,
) -> Option<(RtpWritten, u8)> {
    let ids = &consumer.config.extensions;
    let mut writer = consumer.header.begin(slot, &draft.place, &draft.header)?;
    for (kind, data) in draft.packet.carried() {
        if let Some(id) = ids.get(kind) {
            writer.extension(id, data);
        }
    }
    if let Some((id, data)) = draft.playout_delay {
        writer.extension(id, &data);
    }
    let mut payload_offset = 0;
    if let Some(original) = draft.original {
        let original = original.to_be_bytes();
        writer.payload(&original)?;
        payload_offset = original.len();
    }
    if draft.place.is_filler {
        writer.padding(1)?;
        return Some((writer.finish()?, 0));
    }
    let mut media = draft.packet.payload;
    if let (header, header_len @ 1..) = joined_header(media, &draft.place) {
        writer.payload(&header[..header_len])?;
        media = &media[1..];
    }
    writer.payload(media)?;
    let unpadded_len = writer.written_len();
    let padding = padding_of(unpadded_len);
    writer.padding(padding)?;
    let written = writer.finish()?;
    let payload = slot.get_mut(written.header_len + payload_offset..unpadded_len)?;
    let meta = draft.packet.meta;
    rewrite(payload, &meta.layers, &draft.place);
    consumer.renumber_blocks(meta, payload);
    Some((written, padding))
}
