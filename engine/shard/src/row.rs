//! Rows: packets of one consumer that leave one right after the other. Each is numbered, written and
//! sealed in the order it leaves, straight into the batch's arena. HMAC tags are written last,
//! those of many packets at once.

use weirgate_congestion::PacketKind;
use weirgate_packet::rtp::RtpWritten;
use weirgate_srtp::{Sealer, TagBatch};
use weirgate_wire::{ObjectKind, TraceDirection};

use crate::Timestamp;
use crate::as_sent::Decided;
use crate::consumer::{Consumer, LegTypes};
use crate::counters::Counters;
use crate::departure::{Outcome, next_of};
use crate::draft::Draft;
use crate::equal_sizes;
use crate::history::StoredPacket;
use crate::net::Outgoing;
use crate::queue::{Departure, Lane};
use crate::source::Source;
use crate::trace::{Subject, Tracer, packet_info};
use crate::transport::Transport;

/// Room for header, extensions, original sequence number and tag around a payload.
const OVERHEAD_BYTES: usize = 12 + 4 + 160 + 2 + equal_sizes::MAX_PADDING_BYTES + 16;

/// Packets of one consumer that leave one right after the other.
pub(crate) struct Row<'a, 'batch> {
    pub(crate) now: Timestamp,
    pub(crate) lane: Lane,
    pub(crate) consumer: &'a mut Consumer,
    pub(crate) source: &'a Source,
    pub(crate) transport: &'a mut Transport,
    pub(crate) out: &'a mut Outgoing<'batch>,
    /// Tags still to be written into packets of the batch.
    pub(crate) tags: &'a mut TagBatch,
    pub(crate) counters: &'a mut Counters,
    pub(crate) tracer: &'a mut Tracer,
}

/// How far a row came.
pub(crate) enum Left {
    /// It is over; what the lane has after it, if that may leave.
    AllOfRow(Option<Departure>),
    BatchFull,
}

/// What left.
#[derive(Default)]
struct Sum {
    packets: u64,
    bytes: u64,
    padding_bytes: u64,
}

impl Row<'_, '_> {
    /// Makes packets of the descriptors at the front of the lane, from `departure` on.
    pub(crate) fn depart(mut self, mut departure: Departure, room_bytes: &mut u64) -> Left {
        let consumer = departure.consumer;
        let mut sum = Sum::default();
        let left = loop {
            if self.depart_one(departure, *room_bytes, &mut sum) == Outcome::BatchFull {
                break Left::BatchFull;
            }
            let queue = &mut self.transport.queue;
            queue.pop(self.lane);
            if self.lane != Lane::Audio {
                *room_bytes = room_bytes.saturating_sub(u64::from(departure.bytes));
            }
            match next_of(self.lane, queue, self.out, *room_bytes) {
                Some(next) if next.consumer == consumer => departure = next,
                next => break Left::AllOfRow(next),
            }
        };
        self.count(&sum);
        left
    }

    #[inline]
    fn depart_one(&mut self, departure: Departure, room_bytes: u64, sum: &mut Sum) -> Outcome {
        let stored = stored(departure, self.consumer, self.source, self.counters);
        let Some((packet, types)) = stored else {
            self.consumer.discarded += 1;
            return Outcome::Done;
        };
        let train = self.out.open_train();
        let offset = self.out.batch.next_offset();
        let Some(slot) = self.out.batch.slot(packet.payload.len() + OVERHEAD_BYTES) else {
            return Outcome::BatchFull;
        };
        let (now, encoding, source) = (self.now, departure.encoding, self.source);
        let (consumer, transport) = (&mut *self.consumer, &mut *self.transport);
        let is_repair = self.lane == Lane::Repair;
        let draft = if is_repair {
            Draft::resend(now, encoding, packet, types, consumer, transport)
        } else {
            Draft::media(now, encoding, packet, types, consumer, source, transport)
        };
        let Some(draft) = draft else {
            return Outcome::Done;
        };
        let overhead = transport.sealer.as_ref().map_or(0, Sealer::rtp_overhead);
        let padding_of = |len: usize| match (draft.padding, self.lane) {
            (Some(decided), _) => decided,
            (None, Lane::Audio) => 0,
            (None, _) => {
                let len = len + overhead;
                let wanted = train
                    .filter(|&train| len <= train)
                    .unwrap_or_else(|| len + transport.queue.lead(room_bytes));
                equal_sizes::padding(len, wanted)
            }
        };
        let Some((written, padding)) = draft.write(packet, consumer, slot, padding_of) else {
            consumer.discarded += 1;
            return Outcome::Done;
        };
        if let Some(as_sent) = consumer.as_sent.as_mut().filter(|_| !is_repair) {
            let decided = Decided {
                transport_sequence: draft.transport_sequence,
                padding,
            };
            as_sent.set(draft.sequence, decided);
        }
        sum.padding_bytes += u64::from(padding);
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
        self.out.commit(len);
        if !self.tags.has_room() {
            self.out.batch.finish_tags(self.tags);
        }
        sum.packets += 1;
        sum.bytes += len as u64;
        self.note(packet, encoding, &draft, written, len);
        Outcome::Done
    }

    /// Takes note of a packet that leaves.
    #[inline]
    fn note(
        &mut self,
        packet: StoredPacket<'_>,
        encoding: u8,
        draft: &Draft,
        written: RtpWritten,
        len: usize,
    ) {
        let consumer = &mut *self.consumer;
        let kind = match self.lane {
            Lane::Audio => PacketKind::Audio,
            Lane::Repair => PacketKind::Rtx,
            Lane::Video => PacketKind::Video,
        };
        let transport_sequence = draft.transport_sequence;
        self.transport
            .note_sent(self.now, transport_sequence, len, kind);
        let is_key_frame = packet.meta.layers.begins_key_frame();
        if self.lane != Lane::Repair {
            if !draft.place.is_filler {
                consumer.payload_octets += packet.payload.len() as u64;
                consumer.key_frames += u64::from(is_key_frame);
            }
            consumer.payload_type = draft.payload_type;
            consumer.note_departure(self.now, draft.place.timestamp);
        }
        if let Some(trace) = consumer.traced.packet(is_key_frame) {
            let packet = draft.traced(packet, encoding, written);
            let subject = Subject {
                kind: ObjectKind::Consumer,
                id: consumer.config.id,
                traced: &mut consumer.traced,
            };
            let (direction, info) = (TraceDirection::Out, packet_info(trace, packet));
            self.tracer
                .tell(self.now, subject, direction, info, self.counters);
        }
    }

    /// Counts what left.
    fn count(self, sum: &Sum) {
        let Self {
            now,
            lane,
            consumer,
            transport,
            counters,
            ..
        } = self;
        let &Sum {
            packets,
            bytes,
            padding_bytes,
        } = sum;
        if packets == 0 {
            return;
        }
        counters.padding_bytes_sent += padding_bytes;
        let traffic = &mut transport.traffic;
        traffic.sent.add_all(now, packets, bytes);
        transport.repairs.earn(bytes);
        // Figures of RTP are of packets in the clear, as those of receivers are.
        let overhead = transport.sealer.as_ref().map_or(0, Sealer::rtp_overhead);
        let bytes = bytes - packets * overhead as u64;
        if lane == Lane::Repair {
            traffic.rtx_sent.add_all(now, packets, bytes);
            consumer.resent += packets;
            counters.packets_retransmitted += packets;
            return;
        }
        traffic.rtp_sent.add_all(now, packets, bytes);
        consumer.sent.add_all(now, packets, bytes);
        counters.rtp_packets_sent += packets;
        counters.rtp_bytes_sent += bytes;
    }
}

/// The packet that a descriptor is of, as the consumer's leg can carry it.
#[inline]
fn stored<'a>(
    departure: Departure,
    consumer: &Consumer,
    source: &'a Source,
    counters: &mut Counters,
) -> Option<(StoredPacket<'a>, LegTypes)> {
    let encoding = source.encodings.get(usize::from(departure.encoding));
    let packet = encoding.and_then(|encoding| encoding.history.get(departure.sequence));
    if packet.is_none() {
        counters.departures_expired += 1;
    }
    consumer.for_its_leg(packet?)
}
