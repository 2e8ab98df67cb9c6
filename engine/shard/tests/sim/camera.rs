//! A simulcast sender: streams of frames whose payload says which they are, with key frames where
//! they are asked for.

use weirgate_packet::rtcp::{RtcpPacket, packets};
use weirgate_wire::{ExtensionKind, ProducerConfig, ProducerEncoding};

use super::link::Random;
use super::{PLAYOUT_DELAY_ID, PT, Peer, plain_path, rtp, video_producer};

/// What a frame is, in its payload.
const MARK_BYTES: usize = 22;
/// VP8 descriptor and frame header in front of it, without temporal layers and with.
const PLAIN_HEADER_BYTES: usize = 5;
const LAYERED_HEADER_BYTES: usize = 10;
const MAX_PAYLOAD: usize = 1_100;
/// Temporal layers in the order browsers send them, and how far back the frame is that each needs.
const TEMPORAL_PATTERN: [(u8, u32); 4] = [(0, 4), (2, 1), (1, 2), (2, 1)];
/// Sizes of frames by temporal layer, in percent of the mean.
const TEMPORAL_PERCENT: [u64; 3] = [160, 80, 80];
/// The same of key frames, by stream: the larger the picture, the more; and of what follows until the
/// encoder has made up for one.
const KEY_PERCENT: [u64; 3] = [240, 300, 540];
const AFTER_KEY_PERCENT: u64 = 50;
/// Key frames of a camera whose frames are all alike.
const PLAIN_KEY_PERCENT: u64 = 400;

/// A packet's place in its stream, as it is written in its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub stream: u8,
    pub key: bool,
    pub frame: u32,
    pub index: u16,
    pub count: u16,
    pub captured_us: u64,
    /// The frame of the same stream that a decoder must have had before.
    pub needs: u32,
}

impl Mark {
    fn payload(self, temporal: Option<u8>, len: usize) -> Vec<u8> {
        // S for the first packet.
        let start = if self.index == 0 { 0x10 } else { 0 };
        let mut bytes = match temporal {
            None => vec![start],
            Some(temporal) => {
                let non_reference = if temporal == 2 { 0x20 } else { 0 };
                // Those that need the base layer alone, which has an even number.
                let sync = temporal > 0 && self.needs.is_multiple_of(4);
                let id = (self.frame as u16 | 0x8000).to_be_bytes();
                let tl0 = (self.frame / 4) as u8;
                let layer = temporal << 6 | u8::from(sync) << 5;
                vec![0x80 | start | non_reference, 0xe0, id[0], id[1], tl0, layer]
            }
        };
        // A frame header with P clear for a key frame.
        bytes.extend([u8::from(!self.key), 0x9d, 0x01, 0x2a]);
        bytes.extend([self.stream, u8::from(self.key)]);
        bytes.extend(self.frame.to_be_bytes());
        bytes.extend(self.index.to_be_bytes());
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(self.captured_us.to_be_bytes());
        bytes.extend(self.needs.to_be_bytes());
        bytes.resize(len.max(bytes.len()), 0);
        bytes
    }

    pub fn read(payload: &[u8]) -> Option<Self> {
        let is_layered = payload.first()? & 0x80 != 0;
        let start = if is_layered {
            LAYERED_HEADER_BYTES
        } else {
            PLAIN_HEADER_BYTES
        };
        let mark = payload.get(start..start + MARK_BYTES)?;
        Some(Self {
            stream: mark[0],
            key: mark[1] == 1,
            frame: u32::from_be_bytes(mark[2..6].try_into().ok()?),
            index: u16::from_be_bytes(mark[6..8].try_into().ok()?),
            count: u16::from_be_bytes(mark[8..10].try_into().ok()?),
            captured_us: u64::from_be_bytes(mark[10..18].try_into().ok()?),
            needs: u32::from_be_bytes(mark[18..22].try_into().ok()?),
        })
    }
}

#[derive(Debug, Clone)]
pub struct CameraStream {
    pub ssrc: u32,
    pub rate_bps: u64,
    pub active: bool,
    pub requests: u32,
    /// Payload of all frames so far.
    pub sent_bytes: u64,
    sequence: u16,
    frame: u32,
    key_due: bool,
    /// What key frames took beyond the rate and those after them have not made up for.
    owed_bytes: u64,
}

pub struct Camera {
    pub peer: Peer,
    pub socket: u32,
    pub streams: Vec<CameraStream>,
    next_frame_us: u64,
    frame_us: u64,
    /// As a browser's: with temporal layers, and frames of unlike sizes.
    natural: Option<Random>,
    /// Its rate swings about the mean.
    swing: Option<Swing>,
    /// How long an encoder takes to answer a request.
    key_at_us: Vec<Option<u64>>,
    /// What all its packets carry in that extension.
    pub playout_delay: Option<[u8; 3]>,
}

impl Camera {
    pub fn new(peer: Peer, socket: u32, ssrc: u32, rates_bps: &[u64]) -> Self {
        let streams = (0..).zip(rates_bps).map(|(index, &rate_bps)| CameraStream {
            ssrc: ssrc + index,
            rate_bps,
            active: true,
            requests: 0,
            sent_bytes: 0,
            sequence: 100,
            frame: 0,
            key_due: true,
            owed_bytes: 0,
        });
        Self {
            peer,
            socket,
            streams: streams.collect(),
            next_frame_us: 0,
            frame_us: 33_333,
            natural: None,
            swing: None,
            key_at_us: vec![None; rates_bps.len()],
            playout_delay: None,
        }
    }

    /// From now on fifteen frames a second in three temporal layers, of unlike sizes.
    pub fn be_natural(&mut self, seed: u64) {
        self.natural = Some(Random(seed));
        self.frame_us = 66_667;
    }

    /// From now on frames are larger for half a second now and then, as where something moves, and smaller
    /// the rest of the time.
    pub fn swing(&mut self, seed: u64) {
        self.swing = Some(Swing {
            random: Random(seed ^ 0x5eed),
            percent: 100,
            until_us: 0,
        });
    }

    pub fn producer(&self, number: u128) -> ProducerConfig {
        let mut producer = video_producer(number);
        let encoding = |stream: &CameraStream| ProducerEncoding {
            ssrc: Some(stream.ssrc),
            spatial_layers: 1,
            temporal_layers: if self.natural.is_some() { 3 } else { 1 },
            ..ProducerEncoding::default()
        };
        producer.encodings = self.streams.iter().map(encoding).collect();
        let ids = &mut producer.extensions;
        ids.set(ExtensionKind::PlayoutDelay, PLAYOUT_DELAY_ID);
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
            if self.natural.is_some() {
                // Browsers encode all streams anew.
                let first_us = self.key_at_us.iter().flatten().min().copied();
                self.key_at_us.fill(first_us);
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
        let percent = self
            .swing
            .as_mut()
            .map_or(100, |swing| swing.percent(now_us));
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
            let natural = self.natural.as_mut();
            let mean_bytes = stream.rate_bps * self.frame_us / 8_000_000 * percent / 100;
            stream.push_frame(number, now_us, mean_bytes, natural, &mut out);
        }
        if let Some([high, middle, low]) = self.playout_delay {
            const HEADER_BYTES: usize = 12;
            let head = PLAYOUT_DELAY_ID << 4 | 2;
            let extension = [0xbe, 0xde, 0, 1, head, high, middle, low];
            for packet in &mut out {
                packet[0] |= 0x10;
                packet.splice(HEADER_BYTES..HEADER_BYTES, extension);
            }
        }
        out
    }

    pub fn path(&self) -> weirgate_shard::Path {
        plain_path(self.socket, self.peer.remote)
    }
}

/// How much larger or smaller than the mean frames are at present.
#[derive(Debug)]
struct Swing {
    random: Random,
    percent: u64,
    until_us: u64,
}

impl Swing {
    fn percent(&mut self, now_us: u64) -> u64 {
        if now_us >= self.until_us {
            self.until_us = now_us + 500_000;
            // A fifth of the time 140, else 90 on average.
            self.percent = match self.random.next() % 5 {
                0 => 130 + self.random.next() % 21,
                _ => 75 + self.random.next() % 31,
            };
        }
        self.percent
    }
}

impl CameraStream {
    fn push_frame(
        &mut self,
        number: u8,
        now_us: u64,
        mean_bytes: u64,
        natural: Option<&mut Random>,
        out: &mut Vec<Vec<u8>>,
    ) {
        let key = std::mem::take(&mut self.key_due);
        let mut frame_bytes = mean_bytes;
        let mut temporal = None;
        let mut needs = self.frame.wrapping_sub(1);
        if let Some(random) = natural {
            if key {
                // A key frame begins the pattern.
                self.frame = self.frame.next_multiple_of(4);
            }
            let (layer, back) = TEMPORAL_PATTERN[self.frame as usize % TEMPORAL_PATTERN.len()];
            needs = self.frame.wrapping_sub(back);
            if !key {
                frame_bytes = frame_bytes * TEMPORAL_PERCENT[usize::from(layer)] / 100;
            }
            frame_bytes = frame_bytes * (80 + random.next() % 41) / 100;
            temporal = Some(layer);
        }
        if key {
            let percent = match temporal {
                Some(_) => KEY_PERCENT[usize::from(number)],
                None => PLAIN_KEY_PERCENT,
            };
            let mean_bytes = frame_bytes;
            frame_bytes = frame_bytes * percent / 100;
            self.owed_bytes += frame_bytes - mean_bytes;
        } else if temporal.is_some() {
            let less = frame_bytes * (100 - AFTER_KEY_PERCENT) / 100;
            let less = less.min(self.owed_bytes);
            self.owed_bytes -= less;
            frame_bytes -= less;
        }
        self.sent_bytes += frame_bytes;
        let bytes = frame_bytes as usize;
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
                needs,
            };
            let payload = mark.payload(temporal, bytes / count);
            out.push(rtp(PT, self.sequence, timestamp, self.ssrc, None, &payload));
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.frame += 1;
    }
}
