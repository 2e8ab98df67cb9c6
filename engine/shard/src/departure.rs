//! Departures: here a queued descriptor becomes a packet. It is numbered, written and sealed in
//! the order it leaves, straight into the batch's arena.

use slab::Slab;
use weirgate_congestion::PacketKind;
use weirgate_packet::rtp::{ExtensionForm, RtpWriter, RtpWritten};
use weirgate_wire::{ExtensionKind, MediaKind};

use crate::clock::abs_send_time;
use crate::consumer::Consumer;
use crate::counters::Counters;
use crate::history::StoredPacket;
use crate::net::TxBatch;
use crate::source::Source;
use crate::splice::Place;
use crate::transport::{Departure, Transport};
use crate::{Path, Timestamp};

/// Room for header, extensions, original sequence number and tag around a payload.
const OVERHEAD_BYTES: usize = 12 + 4 + 160 + 2 + 16;

/// What is needed to write one packet.
struct Draft<'a> {
    packet: StoredPacket<'a>,
    ssrc: u32,
    payload_type: u8,
    /// Extended: ROC and SEQ.
    sequence: u64,
    timestamp: u32,
    /// Original sequence number, for RTX (RFC 4588).
    original: Option<u16>,
    /// Time for abs-send-time.
    send_time: Timestamp,
    /// Transport-wide sequence number.
    transport_sequence: Option<u16>,
}

/// Sends what a transport has queued, until the queue is empty (true) or the batch full (false).
pub(crate) fn drain(
    now: Timestamp,
    transport: &mut Transport,
    consumers: &mut Slab<Consumer>,
    sources: &Slab<Source>,
    batch: &mut TxBatch,
    counters: &mut Counters,
) -> bool {
    let Some(path) = transport.rtp_path() else {
        counters.departures_dropped += transport.queue.len() as u64;
        transport.queue.clear();
        return true;
    };
    while let Some(departure) = transport.queue.front().copied() {
        let sent = depart(
            now, departure, path, transport, consumers, sources, batch, counters,
        );
        if sent == Outcome::BatchFull {
            return false;
        }
        transport.queue.pop_front();
    }
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    BatchFull,
}

#[expect(
    clippy::too_many_arguments,
    reason = "the disjoint parts of the shard a packet touches"
)]
fn depart(
    now: Timestamp,
    departure: Departure,
    path: Path,
    transport: &mut Transport,
    consumers: &mut Slab<Consumer>,
    sources: &Slab<Source>,
    batch: &mut TxBatch,
    counters: &mut Counters,
) -> Outcome {
    let Some(consumer) = consumers.get_mut(departure.consumer as usize) else {
        return Outcome::Done;
    };
    let Some(source) = sources.get(consumer.source as usize) else {
        return Outcome::Done;
    };
    let history = source
        .encodings
        .get(usize::from(departure.encoding))
        .map(|e| &e.history);
    let Some(packet) = history.and_then(|history| history.get(departure.sequence)) else {
        counters.departures_expired += 1;
        consumer.discarded += 1;
        return Outcome::Done;
    };
    let Some(slot) = batch.slot(packet.payload.len() + OVERHEAD_BYTES) else {
        return Outcome::BatchFull;
    };
    let draft = if departure.resend {
        draft_resend(now, departure, packet, consumer, transport)
    } else {
        draft_media(now, departure, packet, consumer, transport)
    };
    let Some(draft) = draft else {
        return Outcome::Done;
    };
    let is_rtx = draft.original.is_some();
    let Some(written) = write(&draft, consumer, slot) else {
        consumer.discarded += 1;
        return Outcome::Done;
    };
    let sealed = match &transport.sealer {
        Some(sealer) => sealer.seal_rtp(slot, written.header_len, written.len, draft.sequence),
        None => Some(written.len),
    };
    let Some(len) = sealed else {
        consumer.discarded += 1;
        return Outcome::Done;
    };
    batch.commit(path, len);
    transport.traffic.sent.add(now, len);
    let kind = match (departure.resend, consumer.kind) {
        (true, _) => PacketKind::Rtx,
        (false, MediaKind::Audio) => PacketKind::Audio,
        (false, MediaKind::Video) => PacketKind::Video,
    };
    transport.note_sent(now, draft.transport_sequence, len, kind);
    if is_rtx || departure.resend {
        transport.traffic.rtx_bytes_sent += len as u64;
        consumer.resent += 1;
        consumer.resent_bytes += len as u64;
        counters.packets_retransmitted += 1;
    } else {
        count_media(now, &draft, len, consumer, transport, counters);
    }
    Outcome::Done
}

/// A packet that leaves for the first time.
fn draft_media<'a>(
    now: Timestamp,
    departure: Departure,
    packet: StoredPacket<'a>,
    consumer: &mut Consumer,
    transport: &mut Transport,
) -> Option<Draft<'a>> {
    let (payload_type, _) = consumer.payload_types(packet.meta.payload_type)?;
    let Place {
        sequence,
        timestamp_delta,
    } = consumer
        .splices
        .place(departure.encoding, departure.sequence)?;
    let transport_sequence = next_transport_sequence(consumer, transport);
    if let (Some(kept), Some(assigned)) =
        (&mut consumer.sent_transport_sequences, transport_sequence)
    {
        kept[sequence as usize % kept.len()] = assigned;
    }
    // Without RTX a packet is sent again byte by byte, so what is written into it must not
    // depend on when it leaves (the nonce rules of SRTP).
    let send_time = if consumer.rtx.is_some() {
        now
    } else {
        packet.meta.arrival
    };
    Some(Draft {
        ssrc: consumer.config.ssrc,
        payload_type,
        sequence,
        timestamp: packet.meta.timestamp.wrapping_add(timestamp_delta),
        original: None,
        send_time,
        transport_sequence,
        packet,
    })
}

/// A packet that leaves again: as RTX (RFC 4588), or byte by byte as before.
fn draft_resend<'a>(
    now: Timestamp,
    departure: Departure,
    packet: StoredPacket<'a>,
    consumer: &mut Consumer,
    transport: &mut Transport,
) -> Option<Draft<'a>> {
    let (payload_type, rtx_payload_type) = consumer.payload_types(packet.meta.payload_type)?;
    let Place {
        sequence,
        timestamp_delta,
    } = consumer
        .splices
        .find(departure.encoding, departure.sequence)?;
    let timestamp = packet.meta.timestamp.wrapping_add(timestamp_delta);
    if let (Some(rtx_payload_type), true) = (rtx_payload_type, consumer.rtx.is_some()) {
        let transport_sequence = next_transport_sequence(consumer, transport);
        let rtx = consumer.rtx.as_mut()?;
        let rtx_sequence = rtx.next_sequence;
        rtx.next_sequence += 1;
        return Some(Draft {
            ssrc: rtx.ssrc,
            payload_type: rtx_payload_type,
            sequence: rtx_sequence,
            timestamp,
            original: Some(sequence as u16),
            send_time: now,
            transport_sequence,
            packet,
        });
    }
    let kept = consumer.sent_transport_sequences.as_ref();
    if kept.is_some_and(|kept| consumer.splices.next_out() > sequence + kept.len() as u64) {
        return None;
    }
    Some(Draft {
        ssrc: consumer.config.ssrc,
        payload_type,
        sequence,
        timestamp,
        original: None,
        send_time: packet.meta.arrival,
        transport_sequence: kept.map(|kept| kept[sequence as usize % kept.len()]),
        packet,
    })
}

fn next_transport_sequence(consumer: &Consumer, transport: &mut Transport) -> Option<u16> {
    consumer
        .config
        .extensions
        .get(ExtensionKind::TransportWideCc)?;
    let sequence = transport.next_transport_sequence;
    transport.next_transport_sequence = sequence.wrapping_add(1);
    Some(sequence)
}

fn write(draft: &Draft<'_>, consumer: &Consumer, slot: &mut [u8]) -> Option<RtpWritten> {
    let ids = &consumer.config.extensions;
    let mut writer = RtpWriter::new(
        slot,
        draft.packet.meta.marker,
        draft.payload_type,
        draft.sequence as u16,
        draft.timestamp,
        draft.ssrc,
        ExtensionForm::OneByte,
    )?;
    if let Some(id) = ids.get(ExtensionKind::Mid) {
        writer.extension(id, consumer.config.mid.as_bytes());
    }
    if let Some(id) = ids.get(ExtensionKind::AbsSendTime) {
        writer.extension(id, &abs_send_time(draft.send_time));
    }
    if let (Some(id), Some(sequence)) = (
        ids.get(ExtensionKind::TransportWideCc),
        draft.transport_sequence,
    ) {
        writer.extension(id, &sequence.to_be_bytes());
    }
    for (kind, data) in draft.packet.carried() {
        if let Some(id) = ids.get(kind) {
            writer.extension(id, data);
        }
    }
    if let Some(original) = draft.original {
        writer.payload(&original.to_be_bytes())?;
    }
    writer.payload(draft.packet.payload)?;
    writer.finish()
}

fn count_media(
    now: Timestamp,
    draft: &Draft<'_>,
    len: usize,
    consumer: &mut Consumer,
    transport: &mut Transport,
    counters: &mut Counters,
) {
    consumer.sent.add(now, len);
    consumer.payload_octets += draft.packet.payload.len() as u64;
    consumer.payload_type = draft.payload_type;
    consumer.key_frames += u64::from(draft.packet.meta.key_frame);
    consumer.last_departure = now;
    if (draft.timestamp.wrapping_sub(consumer.last_timestamp) as i32) > 0
        || consumer.sent.packets == 1
    {
        consumer.last_timestamp = draft.timestamp;
    }
    transport.traffic.rtp_sent.add(now, len);
    counters.rtp_packets_sent += 1;
    counters.rtp_bytes_sent += len as u64;
}
