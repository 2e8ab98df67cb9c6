//! Padding: what a probe is filled with where media does not fill it. As RTX without a payload where
//! a consumer has RTX; else as a stream of its own, mediasoup's `probator`. Packets sent of late
//! would do as well, but receivers count those as losses repaired.

use weirgate_congestion::{ClusterId, PacketKind};
use weirgate_packet::rtp::{ExtensionForm, RtpWriter, RtpWritten};
use weirgate_wire::{ExtensionKind, MediaKind};

use crate::Path;
use crate::clock::abs_send_time;
use crate::consumer::Consumer;
use crate::departure::{Gate, Outcome};
use crate::draft::next_transport_sequence;
use crate::trace::trace_probe;
use crate::transport::Transport;

/// The stream of probes where no RTX is negotiated.
pub(crate) const PROBATOR_SSRC: u32 = 1234;
const PROBATOR_PAYLOAD_TYPE: u8 = 127;
const PROBATOR_MID: &[u8] = b"probator";
/// An RTX packet of nothing but padding: as much as its count can say.
const PADDING_BYTES: u8 = 255;
const ZEROS: [u8; 1_000] = [0; 1_000];
/// Room for header, extensions and tag.
const SLOT_BYTES: usize = 128 + ZEROS.len();

/// Sends the padding that the probe under way needs now.
pub(crate) fn fill_probe(
    index: u32,
    path: Path,
    transport: &mut Transport,
    gate: &mut Gate<'_>,
) -> Outcome {
    let now = gate.now;
    let Transport {
        downlink: Some(downlink),
        consumers,
        ..
    } = transport
    else {
        return Outcome::Done;
    };
    let is_probing = downlink.start_probe(now, || {
        consumers.iter().copied().find(|&consumer| {
            let consumer = gate.consumers.get(consumer as usize);
            consumer.is_some_and(|consumer| rtx_payload_type(consumer).is_some())
        })
    });
    if !is_probing {
        return Outcome::Done;
    }
    loop {
        let queued = transport.queue.paced_bytes();
        let padding = transport
            .downlink
            .as_ref()
            .and_then(|downlink| downlink.padding(now, queued));
        let Some((cluster, carrier)) = padding else {
            return Outcome::Done;
        };
        let sent_before = transport.traffic.probation_sent.packets;
        let carrier = carrier.filter(|&carrier| {
            let consumer = gate.consumers.get(carrier as usize);
            consumer.is_some_and(|consumer| consumer.transport == index)
        });
        let outcome = match carrier {
            Some(carrier) => pad_by_rtx(carrier, cluster, path, transport, gate),
            None => pad_by_probator(cluster, path, transport, gate),
        };
        if outcome == Outcome::BatchFull {
            return Outcome::BatchFull;
        }
        if transport.traffic.probation_sent.packets == sent_before {
            // There is nothing to pad with: the probe ends by its time.
            return Outcome::Done;
        }
    }
}

/// Payload type of the RTX that a consumer can lend.
fn rtx_payload_type(consumer: &Consumer) -> Option<u8> {
    consumer.rtx.as_ref()?;
    if consumer.kind != MediaKind::Video {
        return None;
    }
    let codecs = &consumer.config.codecs;
    codecs.iter().find_map(|codec| codec.rtx_payload_type)
}

fn pad_by_rtx(
    carrier: u32,
    cluster: ClusterId,
    path: Path,
    transport: &mut Transport,
    gate: &mut Gate<'_>,
) -> Outcome {
    let Some(consumer) = gate.consumers.get_mut(carrier as usize) else {
        return Outcome::Done;
    };
    let now = gate.now;
    let Some(payload_type) = rtx_payload_type(consumer) else {
        return Outcome::Done;
    };
    let Some(slot) = gate.batch.slot(SLOT_BYTES) else {
        return Outcome::BatchFull;
    };
    let transport_sequence = next_transport_sequence(consumer, transport);
    let Some(rtx) = &mut consumer.rtx else {
        return Outcome::Done;
    };
    let sequence = rtx.next_sequence;
    rtx.next_sequence += 1;
    let blank = Blank {
        ssrc: rtx.ssrc,
        payload_type,
        sequence,
        timestamp: consumer.last_timestamp,
        mid: consumer.config.mid.as_bytes(),
        transport_sequence,
    };
    let written = blank.write(slot, consumer, now, &[], PADDING_BYTES);
    let sent = SentBlank {
        written,
        sequence,
        transport_sequence,
        cluster,
    };
    finish(sent, path, transport, gate);
    Outcome::Done
}

fn pad_by_probator(
    cluster: ClusterId,
    path: Path,
    transport: &mut Transport,
    gate: &mut Gate<'_>,
) -> Outcome {
    let now = gate.now;
    let consumer = transport
        .consumers
        .iter()
        .filter_map(|&consumer| gate.consumers.get(consumer as usize))
        .find(|consumer| consumer.kind == MediaKind::Video);
    let Some(consumer) = consumer else {
        return Outcome::Done;
    };
    let Some(slot) = gate.batch.slot(SLOT_BYTES) else {
        return Outcome::BatchFull;
    };
    let transport_sequence = next_transport_sequence(consumer, transport);
    let sequence = transport.probator_sequence;
    transport.probator_sequence += 1;
    let blank = Blank {
        ssrc: PROBATOR_SSRC,
        payload_type: PROBATOR_PAYLOAD_TYPE,
        sequence,
        // 90 kHz, as of any video.
        timestamp: (now.as_micros() * 9 / 100) as u32,
        mid: PROBATOR_MID,
        transport_sequence,
    };
    let written = blank.write(slot, consumer, now, &ZEROS, 0);
    let sent = SentBlank {
        written,
        sequence,
        transport_sequence,
        cluster,
    };
    finish(sent, path, transport, gate);
    Outcome::Done
}

/// A packet that carries nothing.
struct Blank<'a> {
    ssrc: u32,
    payload_type: u8,
    sequence: u64,
    timestamp: u32,
    mid: &'a [u8],
    transport_sequence: Option<u16>,
}

impl Blank<'_> {
    /// With the extension ids of a consumer: one set holds for a whole transport.
    fn write(
        &self,
        slot: &mut [u8],
        consumer: &Consumer,
        now: crate::Timestamp,
        payload: &[u8],
        padding: u8,
    ) -> Option<RtpWritten> {
        let ids = &consumer.config.extensions;
        let mut writer = RtpWriter::new(
            slot,
            false,
            self.payload_type,
            self.sequence as u16,
            self.timestamp,
            self.ssrc,
            ExtensionForm::OneByte,
        )?;
        if let Some(id) = ids.get(ExtensionKind::Mid) {
            writer.extension(id, self.mid);
        }
        if let Some(id) = ids.get(ExtensionKind::AbsSendTime) {
            writer.extension(id, &abs_send_time(now));
        }
        if let (Some(id), Some(sequence)) = (
            ids.get(ExtensionKind::TransportWideCc),
            self.transport_sequence,
        ) {
            writer.extension(id, &sequence.to_be_bytes());
        }
        writer.payload(payload)?;
        writer.padding(padding)?;
        Some(writer.finish())
    }
}

/// What is left to do of a blank packet, once written.
struct SentBlank {
    written: Option<RtpWritten>,
    sequence: u64,
    transport_sequence: Option<u16>,
    cluster: ClusterId,
}

/// Seals a blank packet where it lies and counts it.
fn finish(blank: SentBlank, path: Path, transport: &mut Transport, gate: &mut Gate<'_>) {
    let (Some(written), Some(slot)) = (blank.written, gate.batch.slot(SLOT_BYTES)) else {
        return;
    };
    trace_probe(
        transport,
        gate.now,
        &slot[..written.len],
        gate.tracer,
        gate.counters,
    );
    let sealed = match &transport.sealer {
        Some(sealer) => sealer.seal_rtp(slot, written.header_len, written.len, blank.sequence),
        None => Some(written.len),
    };
    let Some(len) = sealed else {
        return;
    };
    gate.batch.commit(path, len);
    transport.traffic.sent.add(gate.now, len);
    transport.traffic.probation_sent.add(gate.now, written.len);
    gate.counters.probe_packets_sent += 1;
    let cluster = blank.cluster;
    let kind = PacketKind::Padding { cluster };
    transport.note_sent(gate.now, blank.transport_sequence, len, kind);
}
