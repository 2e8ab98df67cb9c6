//! A simulcast sender: streams of frames whose payload says which they are, with key frames where
//! they are asked for.

use weirgate_packet::rtcp::{RtcpPacket, packets};
use weirgate_wire::{ProducerConfig, ProducerEncoding};

use super::{PT, Peer, plain_path, rtp, video_producer};

/// Bytes in front of a frame's padding: VP8 descriptor and header, then what it is.
const MARK_BYTES: usize = 5 + 18;
const MAX_PAYLOAD: usize = 1_100;

/// A packet's place in its stream, as it is written in its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub stream: u8,
    pub key: bool,
    pub frame: u32,
    pub index: u16,
    pub count: u16,
    pub captured_us: u64,
}

impl Mark {
    fn payload(self, len: usize) -> Vec<u8> {
        let first = self.index == 0;
        // Descriptor with S for the first packet, then a frame header with P clear for a key frame.
        let mut bytes = vec![if first { 0x10 } else { 0 }, u8::from(!self.key)];
        bytes.extend([0x9d, 0x01, 0x2a, self.stream, u8::from(self.key)]);
        bytes.extend(self.frame.to_be_bytes());
        bytes.extend(self.index.to_be_bytes());
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(self.captured_us.to_be_bytes());
        bytes.resize(len.max(MARK_BYTES), 0);
        bytes
    }

    pub fn read(payload: &[u8]) -> Option<Self> {
        let mark = payload.get(5..23)?;
        Some(Self {
            stream: mark[0],
            key: mark[1] == 1,
            frame: u32::from_be_bytes(mark[2..6].try_into().ok()?),
            index: u16::from_be_bytes(mark[6..8].try_into().ok()?),
            count: u16::from_be_bytes(mark[8..10].try_into().ok()?),
            captured_us: u64::from_be_bytes(mark[10..18].try_into().ok()?),
        })
    }
}

#[derive(Debug, Clone)]
pub struct CameraStream {
    pub ssrc: u32,
    pub rate_bps: u64,
    pub active: bool,
    pub requests: u32,
    sequence: u16,
    frame: u32,
    key_due: bool,
}

pub struct Camera {
    pub peer: Peer,
    pub socket: u32,
    pub streams: Vec<CameraStream>,
    next_frame_us: u64,
    frame_us: u64,
    /// How long an encoder takes to answer a request.
    key_at_us: Vec<Option<u64>>,
}

impl Camera {
    pub fn new(peer: Peer, socket: u32, ssrc: u32, rates_bps: &[u64]) -> Self {
        let streams = (0..).zip(rates_bps).map(|(index, &rate_bps)| CameraStream {
            ssrc: ssrc + index,
            rate_bps,
            active: true,
            requests: 0,
            sequence: 100,
            frame: 0,
            key_due: true,
        });
        Self {
            peer,
            socket,
            streams: streams.collect(),
            next_frame_us: 0,
            frame_us: 33_333,
            key_at_us: vec![None; rates_bps.len()],
        }
    }

    pub fn producer(&self, number: u128) -> ProducerConfig {
        let mut producer = video_producer(number);
        let encoding = |stream: &CameraStream| ProducerEncoding {
            ssrc: Some(stream.ssrc),
            spatial_layers: 1,
            temporal_layers: 1,
            ..ProducerEncoding::default()
        };
        producer.encodings = self.streams.iter().map(encoding).collect();
        producer
    }

    /// RTCP for the sender: requests are answered a little later.
    pub fn on_rtcp(&mut self, now_us: u64, compound: &[u8]) {
        for packet in packets(compound) {
            let RtcpPacket::Pli { media, .. } = packet else {
                continue;
            };
            for (stream, key_at_us) in self.streams.iter_mut().zip(&mut self.key_at_us) {
                if stream.ssrc == media {
                    stream.requests += 1;
                    key_at_us.get_or_insert(now_us + 60_000);
                }
            }
        }
    }

    /// The packets due now, in the clear.
    pub fn tick(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if now_us < self.next_frame_us {
            return out;
        }
        self.next_frame_us = now_us.max(self.next_frame_us) + self.frame_us;
        for (number, stream) in (0u8..).zip(&mut self.streams) {
            let key_at_us = &mut self.key_at_us[usize::from(number)];
            if !stream.active {
                *key_at_us = None;
                stream.key_due = true;
                continue;
            }
            if key_at_us.is_some_and(|at_us| at_us <= now_us) {
                *key_at_us = None;
                stream.key_due = true;
            }
            stream.push_frame(number, now_us, self.frame_us, &mut out);
        }
        out
    }

    pub fn path(&self) -> weirgate_shard::Path {
        plain_path(self.socket, self.peer.remote)
    }
}

impl CameraStream {
    fn push_frame(&mut self, number: u8, now_us: u64, frame_us: u64, out: &mut Vec<Vec<u8>>) {
        let key = std::mem::take(&mut self.key_due);
        let frame_bytes = (self.rate_bps * frame_us / 8_000_000) as usize;
        // Key frames are larger; the mean rate is hardly changed by them.
        let bytes = if key { frame_bytes * 4 } else { frame_bytes };
        let count = bytes.div_ceil(MAX_PAYLOAD).max(1);
        let timestamp = (now_us * 9 / 100) as u32;
        for index in 0..count {
            let mark = Mark {
                stream: number,
                key,
                frame: self.frame,
                index: index as u16,
                count: count as u16,
                captured_us: now_us,
            };
            let payload = mark.payload(bytes / count);
            out.push(rtp(PT, self.sequence, timestamp, self.ssrc, None, &payload));
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.frame += 1;
    }
}
