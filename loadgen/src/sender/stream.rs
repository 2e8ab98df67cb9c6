//! One RTP stream: packets from planned ones, retransmissions, reports.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rtcp::sender_report::SenderReport;
use rtp::header::Header;
use webrtc_util::marshal::{Marshal, MarshalSize};

use super::history::History;
use super::schedule::{Planned, Shape};
use crate::clock::{NS_PER_S, now_ns, ntp_time};
use crate::leg::{Outbound, lock};
use crate::marker::{FramePosition, MARKER_BYTES, Marker, PayloadFormat};

/// What a stream is to the server.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Its number in the payload markers, unique in a run.
    pub stream: u32,
    /// SSRC.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// How payloads begin.
    pub format: PayloadFormat,
    /// Its traffic.
    pub shape: Shape,
    /// MID and the id of its header extension.
    pub mid: Option<(u8, String)>,
    /// Its layer's name, with simulcast.
    pub rid: Option<LayerName>,
    /// Id of the audio level's header extension (RFC 6464).
    pub audio_level_id: Option<u8>,
    /// Id of the transport-wide sequence number's header extension.
    pub transport_cc_id: Option<u8>,
    /// Id of abs-send-time's header extension.
    pub abs_send_time_id: Option<u8>,
    /// Payload type and SSRC of retransmissions (RFC 4588).
    pub rtx: Option<(u8, u32)>,
    /// Sequence number of the first packet.
    pub first_sequence: u16,
    /// Every so many packets one is withheld at first, as if lost on the way; 0 for none.
    pub withhold_every: u64,
}

/// The name of a layer of simulcast (RFC 8852), and the ids of the header extensions it goes in.
#[derive(Debug, Clone)]
pub struct LayerName {
    /// The restriction identifier.
    pub rid: String,
    /// Extension of the stream.
    pub id: u8,
    /// Extension of its retransmissions.
    pub repaired_id: Option<u8>,
}

/// Audio levels in -dBov.
const LEVEL_SPEAKING: u8 = 30;
const LEVEL_SILENT: u8 = 127;

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// Packets made, without retransmissions, with withheld ones.
    pub packets: u64,
    /// Payload bytes of those.
    pub payload_bytes: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Packets withheld at first.
    pub withheld: u64,
    /// Key frames begun.
    pub key_frames: u64,
}

/// A stream; shared by the generator, which sends, and the leg, which hears the feedback.
pub struct Stream {
    config: StreamConfig,
    outbound: Arc<Outbound>,
    key_frame_wanted: AtomicBool,
    packets: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    totals: StreamTotals,
    history: History,
    next_rtx_sequence: u16,
    /// `(capture time, RTP timestamp)` of the latest frame.
    latest: Option<(u64, u32)>,
}

impl Stream {
    /// A stream that leaves by `outbound`.
    pub fn new(config: StreamConfig, outbound: Arc<Outbound>) -> Arc<Self> {
        Arc::new(Self {
            config,
            outbound,
            key_frame_wanted: AtomicBool::new(false),
            packets: AtomicU64::new(0),
            state: Mutex::new(State::default()),
        })
    }

    /// What it is to the server.
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// What was sent so far.
    pub fn totals(&self) -> StreamTotals {
        lock(&self.state).totals
    }

    /// Packets sent so far; the index of the next one.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// The next frame will be a key frame.
    pub fn request_key_frame(&self) {
        self.key_frame_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether a key frame was asked for since the last call.
    pub(super) fn take_key_frame_wanted(&self) -> bool {
        self.key_frame_wanted.swap(false, Ordering::Relaxed)
    }

    /// Sends a planned packet of a schedule that began at `start_ns`.
    pub(super) fn send(&self, planned: &Planned, start_ns: u64) {
        let mut state = lock(&self.state);
        let index = state.totals.packets;
        let captured_ns = start_ns + planned.captured_ns;
        let timestamp = self.timestamp(planned.captured_ns);
        let sequence = self.config.first_sequence.wrapping_add(index as u16);
        let payload = self.payload(planned, index, timestamp, start_ns);
        state.totals.packets += 1;
        state.totals.payload_bytes += payload.len() as u64;
        state.totals.key_frames += u64::from(planned.first && planned.key_frame);
        state.latest = Some((captured_ns, timestamp));
        let every = self.config.withhold_every;
        let withheld = every > 0 && index % every == every - 1;
        let level = if planned.speaking {
            0x80 | LEVEL_SPEAKING
        } else {
            LEVEL_SILENT
        };
        let mut kept = None;
        let mut write = |transport_sequence| {
            let mut header = self.header(sequence, timestamp, planned.marker, transport_sequence);
            if let Some(id) = self.config.audio_level_id {
                extend(&mut header, id, Bytes::copy_from_slice(&[level]));
            }
            if let Some(name) = &self.config.rid {
                extend(
                    &mut header,
                    name.id,
                    Bytes::copy_from_slice(name.rid.as_bytes()),
                );
            }
            let packet = join(&header, &payload);
            kept = Some((header.marshal_size(), packet.clone()));
            packet
        };
        if withheld {
            state.totals.withheld += 1;
            // Takes no transport-wide number: those count what really leaves.
            write(None);
        } else {
            self.outbound
                .send_rtp_with(|transport_sequence| write(Some(transport_sequence)));
        }
        if let Some((payload_at, packet)) = kept {
            state.history.keep(sequence, payload_at, packet);
        }
        self.packets.store(index + 1, Ordering::Relaxed);
    }

    /// Sends a packet again, as RTX where that was negotiated, else as it was; false where it is
    /// not known any more.
    pub fn retransmit(&self, sequence: u16) -> bool {
        let mut state = lock(&self.state);
        let Some((payload_at, packet)) = state.history.find(sequence) else {
            return false;
        };
        let packet = packet.to_vec();
        state.totals.retransmitted += 1;
        let Some((payload_type, ssrc)) = self.config.rtx else {
            // Byte for byte the same, so that the same SRTP index seals the same bytes.
            self.outbound.send_rtp(packet);
            return true;
        };
        let rtx_sequence = state.next_rtx_sequence;
        state.next_rtx_sequence = rtx_sequence.wrapping_add(1);
        let marker = packet[1] & 0x80;
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        self.outbound.send_rtp_with(|transport_sequence| {
            let mut header = self.header(
                rtx_sequence,
                timestamp,
                marker != 0,
                Some(transport_sequence),
            );
            header.payload_type = payload_type;
            header.ssrc = ssrc;
            if let Some(name) = &self.config.rid
                && let Some(id) = name.repaired_id
            {
                extend(&mut header, id, Bytes::copy_from_slice(name.rid.as_bytes()));
            }
            let payload = [&sequence.to_be_bytes()[..], &packet[payload_at..]].concat();
            join(&header, &payload)
        });
        true
    }

    /// A report of what was sent so far; `None` before the first packet.
    pub(super) fn sender_report(&self, now_ns: u64) -> Option<SenderReport> {
        let state = lock(&self.state);
        let (captured_ns, timestamp) = state.latest?;
        let since_ns = now_ns.saturating_sub(captured_ns);
        let units = u128::from(since_ns) * u128::from(self.config.clock_rate);
        Some(SenderReport {
            ssrc: self.config.ssrc,
            ntp_time: ntp_time(now_ns),
            rtp_time: timestamp.wrapping_add((units / u128::from(NS_PER_S)) as u32),
            packet_count: (state.totals.packets - state.totals.withheld) as u32,
            octet_count: state.totals.payload_bytes as u32,
            ..SenderReport::default()
        })
    }

    /// Descriptor, marker and filler.
    fn payload(&self, planned: &Planned, index: u64, timestamp: u32, start_ns: u64) -> Vec<u8> {
        let marker = Marker {
            stream: self.config.stream,
            index,
            intended_ns: start_ns + planned.at_ns,
            frame: planned.frame,
            timestamp,
            key_frame: planned.key_frame,
        };
        let mut payload = Vec::with_capacity(planned.payload_bytes + PayloadFormat::MAX_BYTES);
        let position = FramePosition {
            frame: planned.frame,
            first: planned.first,
            key_frame: planned.key_frame,
            height: match self.config.shape {
                Shape::Video(video) => video.height,
                Shape::Audio(_) => 0,
            },
        };
        self.config.format.write(position, &mut payload);
        let rest = planned
            .payload_bytes
            .saturating_sub(payload.len())
            .max(MARKER_BYTES);
        marker.write(rest, &mut payload);
        payload
    }

    fn timestamp(&self, captured_ns: u64) -> u32 {
        let units = u128::from(captured_ns) * u128::from(self.config.clock_rate);
        // An arbitrary beginning, close to the wrap so that a minute's run crosses it.
        0xffff_0000_u32.wrapping_add((units / u128::from(NS_PER_S)) as u32)
    }

    fn header(
        &self,
        sequence_number: u16,
        timestamp: u32,
        marker: bool,
        transport_sequence: Option<u16>,
    ) -> Header {
        let config = &self.config;
        let mut header = Header {
            version: 2,
            marker,
            payload_type: config.payload_type,
            sequence_number,
            timestamp,
            ssrc: config.ssrc,
            ..Header::default()
        };
        if let Some((id, mid)) = &config.mid {
            extend(&mut header, *id, Bytes::copy_from_slice(mid.as_bytes()));
        }
        if let Some(id) = config.abs_send_time_id {
            let units = ((now_ns() % (64 * NS_PER_S)) << 18) / NS_PER_S;
            let bytes = (units as u32).to_be_bytes();
            extend(&mut header, id, Bytes::copy_from_slice(&bytes[1..]));
        }
        if let (Some(id), Some(number)) = (config.transport_cc_id, transport_sequence) {
            extend(
                &mut header,
                id,
                Bytes::copy_from_slice(&number.to_be_bytes()),
            );
        }
        header
    }
}

fn extend(header: &mut Header, id: u8, value: Bytes) {
    // Fails only for ids and lengths that the one-byte form lacks.
    let _ = header.set_extension(id, value);
}

fn join(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; header.marshal_size()];
    // Fails only where the buffer is shorter than the size just asked for.
    let _ = header.marshal_to(&mut packet);
    packet.extend_from_slice(payload);
    packet
}
