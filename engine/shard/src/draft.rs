//! Drafts: what is decided of a packet before it is written.

use weirgate_layers::{Place, joined_header, rewrite};
use weirgate_packet::rtp::RtpWritten;
use weirgate_wire::{ExtensionKind, TracedPacket};

use crate::Timestamp;
use crate::as_sent::Decided;
use crate::consumer::{Consumer, LegTypes};
use crate::history::StoredPacket;
use crate::source::Source;
use crate::transport::Transport;

/// What is written of a packet beside its payload.
pub(crate) struct Draft {
    pub(crate) place: Place,
    /// Extended: ROC and SEQ.
    pub(crate) sequence: u64,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// Time for abs-send-time.
    pub(crate) send_time: Timestamp,
    /// Transport-wide sequence number, where it was negotiated.
    pub(crate) transport_sequence: Option<u16>,
    /// Original sequence number, for RTX (RFC 4588).
    original: Option<u16>,
    /// Id and data of the extension, where the receiver is to be told something new.
    playout_delay: Option<(u8, [u8; 3])>,
    /// Where it was decided when it left for the first time, or is none.
    pub(crate) padding: Option<u8>,
}

impl Draft {
    /// A packet that leaves for the first time.
    #[inline]
    pub(crate) fn media(
        now: Timestamp,
        encoding: u8,
        packet: StoredPacket<'_>,
        types: LegTypes,
        consumer: &mut Consumer,
        source: &Source,
        transport: &mut Transport,
    ) -> Option<Self> {
        let place = consumer.place(source, encoding, packet.meta)?;
        let begins_picture = (place.timestamp.wrapping_sub(consumer.last_timestamp) as i32) > 0;
        Some(Self {
            playout_delay: playout_delay(packet, place.sequence as u16, begins_picture, consumer),
            sequence: place.sequence,
            ssrc: consumer.config.ssrc,
            payload_type: types.media,
            // Without RTX a packet is sent again byte by byte, so what is written into it must not
            // depend on when it leaves (the nonce rules of SRTP), or be remembered.
            send_time: match consumer.rtx {
                Some(_) => now,
                None => packet.meta.arrival,
            },
            transport_sequence: next_transport_sequence(consumer, transport),
            original: None,
            padding: None,
            place,
        })
    }

    /// A packet that leaves again: as RTX (RFC 4588), or byte by byte as before.
    #[inline(never)]
    pub(crate) fn resend(
        now: Timestamp,
        encoding: u8,
        packet: StoredPacket<'_>,
        types: LegTypes,
        consumer: &mut Consumer,
        transport: &mut Transport,
    ) -> Option<Self> {
        let place = consumer.placed(encoding, packet.meta)?;
        if consumer.rtx.is_some() {
            // The time it left was in it: it can not go again as it was.
            let payload_type = types.rtx?;
            let transport_sequence = next_transport_sequence(consumer, transport);
            let playout_delay = playout_delay(packet, place.sequence as u16, false, consumer);
            let rtx = consumer.rtx.as_mut()?;
            let sequence = rtx.next_sequence;
            rtx.next_sequence += 1;
            return Some(Self {
                sequence,
                ssrc: rtx.ssrc,
                payload_type,
                send_time: now,
                transport_sequence,
                original: Some(place.sequence as u16),
                playout_delay,
                padding: Some(0),
                place,
            });
        }
        let sequence = place.sequence;
        let next_sequence = consumer.selector.next_sequence();
        let decided = match &consumer.as_sent {
            Some(as_sent) => as_sent.get(sequence, next_sequence)?,
            None => Decided::default(),
        };
        Some(Self {
            sequence,
            ssrc: consumer.config.ssrc,
            payload_type: types.media,
            send_time: packet.meta.arrival,
            transport_sequence: decided.transport_sequence,
            original: None,
            playout_delay: None,
            padding: Some(decided.padding),
            place,
        })
    }

    /// Writes a packet with `padding_of` its length, and says how much padding that is.
    #[inline]
    pub(crate) fn write(
        &self,
        packet: StoredPacket<'_>,
        consumer: &Consumer,
        slot: &mut [u8],
        padding_of: impl FnOnce(usize) -> u8,
    ) -> Option<(RtpWritten, u8)> {
        let ids = &consumer.config.extensions;
        let mut writer = consumer.header.begin(slot, self)?;
        for (kind, data) in packet.carried() {
            if let Some(id) = ids.get(kind) {
                writer.extension(id, data);
            }
        }
        if let Some((id, data)) = self.playout_delay {
            writer.extension(id, &data);
        }
        let mut payload_offset = 0;
        if let Some(original) = self.original {
            let original = original.to_be_bytes();
            writer.payload(&original)?;
            payload_offset = original.len();
        }
        if self.place.is_filler {
            writer.padding(1)?;
            return Some((writer.finish(), 0));
        }
        let mut media = packet.payload;
        if let (header, header_len @ 1..) = joined_header(media, &self.place) {
            writer.payload(&header[..header_len])?;
            media = &media[1..];
        }
        writer.payload(media)?;
        let unpadded_len = writer.written_len();
        let padding = padding_of(unpadded_len);
        writer.padding(padding)?;
        let written = writer.finish();
        let payload = slot.get_mut(written.header_len + payload_offset..unpadded_len)?;
        let meta = packet.meta;
        rewrite(payload, &meta.layers, &self.place);
        if meta.is_red {
            consumer.renumber_blocks(meta, payload);
        }
        Some((written, padding))
    }

    /// The packet, for who traces it.
    #[cold]
    pub(crate) fn traced(
        &self,
        packet: StoredPacket<'_>,
        encoding: u8,
        written: RtpWritten,
    ) -> TracedPacket {
        let meta = packet.meta;
        let layer = meta.layers.layer();
        let is_filler = self.place.is_filler;
        TracedPacket {
            payload_type: self.payload_type,
            sequence_number: self.sequence as u16,
            timestamp: self.place.timestamp,
            marker: self.place.marker,
            ssrc: self.ssrc,
            is_key_frame: meta.layers.begins_key_frame() && !is_filler,
            size: written.len as u16,
            payload_size: if is_filler {
                0
            } else {
                (written.len - written.header_len) as u16
            },
            spatial_layer: layer.spatial,
            temporal_layer: layer.temporal,
            wide_sequence_number: self.transport_sequence,
            is_rtx: self.original.is_some(),
            encoding,
        }
    }
}

/// The playout delay to tell with a packet. A sender that tells one of its own is left to it.
#[inline]
fn playout_delay(
    packet: StoredPacket<'_>,
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

/// Takes the number of a packet that leaves now, where the leg has such.
#[inline]
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
