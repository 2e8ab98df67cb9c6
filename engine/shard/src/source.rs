//! A producer as one shard sees it: on its own shard with what receiving needs, on others as a
//! source that comes over crossings. Either way its packets are kept in one history per stream
//! and offered to the shard's consumers.

use std::time::Duration;

use uuid::Uuid;
use weirgate_congestion::allocator::LayerRate;
use weirgate_layers::{Incoming, LayerReader, PacketLayers};
use weirgate_packet::rtp::RtpPacket;
use weirgate_wire::{
    Codec, ConsumerType, ExtensionKind, MediaKind, ProducerCodec, ProducerConfig, VideoOrientation,
};

use crate::clock::ClockMapping;
use crate::config::Limits;
use crate::history::{History, PacketMeta};
use crate::inbound::Inbound;
use crate::key_frames::{DEFAULT_INTERVAL, KeyFrameRequests};
use crate::rates::{Counted, LayerRates};
use crate::trace::Traced;
use crate::wanted::Wanted;
use crate::{ShardNo, SourceNo, Timestamp};

/// Packets kept per stream, at most.
const VIDEO_HISTORY_PACKETS: usize = 1024;
const AUDIO_HISTORY_PACKETS: usize = 256;
/// A stream is there while its last packet is younger than this.
const ACTIVE: Duration = Duration::from_secs(1);
/// A stream has stopped when another of its source has been heard this long after it: a source
/// that sends little sends little of each.
const STOPPED: Duration = Duration::from_millis(400);
/// A source that is silent for this long has stopped.
const SILENT: Duration = Duration::from_secs(3);
/// Extended sequence numbers start here, so that a first late packet does not fall below zero, and
/// leap by this when the source restarts.
const SEQUENCE_LEAP: u64 = 1 << 20;

/// Opus encoders in DTX send a table of contents without frames, or with empty ones (RFC 6716
/// section 3.1): what is longer can be heard.
const MAX_DTX_BYTES: usize = 2;
/// The level of silence, which is that of 7 bits at most (RFC 6464 section 3).
const SILENCE: u8 = 127;

/// One RTP stream of a source.
#[derive(Debug)]
pub(crate) struct Encoding {
    pub(crate) history: History,
    pub(crate) clock: Option<ClockMapping>,
    pub(crate) last_packet: Timestamp,
    pub(crate) rates: LayerRates,
    /// RTP timestamp of the last key frame.
    key_timestamp: Option<u32>,
    pub(crate) key_frames: KeyFrameRequests,
    /// On the producer's own shard, once a packet or signaling gave an SSRC.
    pub(crate) inbound: Option<Inbound>,
    reader: LayerReader,
    ssrc: Option<u32>,
    newest: u64,
}

impl Encoding {
    fn new(kind: MediaKind, limits: &Limits) -> Self {
        let (packets, bytes) = match kind {
            MediaKind::Audio => (AUDIO_HISTORY_PACKETS, limits.audio_history_bytes),
            MediaKind::Video => (VIDEO_HISTORY_PACKETS, limits.video_history_bytes),
        };
        Self {
            history: History::new(packets, bytes),
            clock: None,
            last_packet: Timestamp::ZERO,
            rates: LayerRates::default(),
            key_timestamp: None,
            key_frames: KeyFrameRequests::default(),
            inbound: None,
            reader: LayerReader::default(),
            ssrc: None,
            newest: SEQUENCE_LEAP,
        }
    }

    /// Something came; true where it had not been heard for so long that it counted as stopped.
    pub(crate) fn heard(&mut self, now: Timestamp) -> bool {
        let before = std::mem::replace(&mut self.last_packet, now);
        now.since(before) > STOPPED
    }

    /// Takes note of a packet that came.
    pub(crate) fn count(&mut self, now: Timestamp, meta: &PacketMeta, payload_len: usize) {
        if meta.layers.begins_key_frame() {
            self.key_timestamp = Some(meta.timestamp);
        }
        let packet = Counted {
            layer: meta.layers.layer(),
            is_key: self.key_timestamp == Some(meta.timestamp),
            is_shared: meta.layers.serves_above(),
            payload_len,
        };
        self.rates.add(now, packet);
    }

    pub(crate) fn is_active(&self, now: Timestamp) -> bool {
        self.last_packet > Timestamp::ZERO && now.since(self.last_packet) < ACTIVE
    }

    /// Extends a sequence number; a new SSRC in the stream's place leaps ahead, so that nothing
    /// of it is taken for a late packet of the old one. The low 16 bits are always the packet's.
    pub(crate) fn extend(&mut self, ssrc: u32, sequence: u16) -> u64 {
        let newest = self.newest;
        if self.ssrc == Some(ssrc) {
            let step = sequence.wrapping_sub(newest as u16) as i16;
            let extended = newest.saturating_add_signed(i64::from(step));
            self.newest = newest.max(extended);
            return extended;
        }
        let restarted = self.ssrc.replace(ssrc).is_some();
        let base = newest + if restarted { SEQUENCE_LEAP } else { 0 };
        self.newest = (base & !0xffff) | u64::from(sequence);
        if restarted {
            self.clock = None;
            if let Some(inbound) = &mut self.inbound {
                inbound.restart(ssrc);
            }
        }
        self.newest
    }

    /// True where `sequence` belongs to a source restarted since `before`.
    pub(crate) const fn is_restart(before: u64, sequence: u64) -> bool {
        sequence > before + SEQUENCE_LEAP / 2
    }
}

/// RFC 6464 levels of an audio source since the last look.
#[derive(Debug)]
pub(crate) struct LevelMeter {
    sum: u32,
    count: u32,
    /// The loudest: levels count downwards.
    loudest: u8,
    /// It was heard at the last look.
    heard: bool,
}

impl LevelMeter {
    /// Takes the extension's data: 7 bits of −dBov.
    pub(crate) fn add(&mut self, data: &[u8]) {
        if let [level, ..] = data {
            let level = level & SILENCE;
            self.sum += u32::from(level);
            self.loudest = self.loudest.min(level);
            self.count += 1;
        }
    }

    /// It was heard at the last look.
    pub(crate) const fn was_heard(&self) -> bool {
        self.heard
    }

    /// Mean and loudest since the last look, in dBov; silence once when packets stop.
    pub(crate) fn take(&mut self) -> Option<(i8, i8)> {
        let mean = self.sum.checked_div(self.count);
        let level = mean.map(|mean| (-(mean as i8), -(self.loudest as i8)));
        let fell_silent = level.is_none() && self.heard;
        *self = Self {
            heard: level.is_some(),
            ..Self::default()
        };
        let silence = -(SILENCE as i8);
        level.or(fell_silent.then_some((silence, silence)))
    }
}

impl Default for LevelMeter {
    fn default() -> Self {
        Self {
            sum: 0,
            count: 0,
            loudest: SILENCE,
            heard: false,
        }
    }
}

/// A producer as this shard sees it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) no: SourceNo,
    pub(crate) config: ProducerConfig,
    pub(crate) encodings: Vec<Encoding>,
    /// Consumers on this shard, by index.
    pub(crate) consumers: Vec<u32>,
    /// Those of them that are not idle: what comes is offered to these alone.
    pub(crate) takers: Vec<u32>,
    /// Those that would take it if the shard had time for them.
    pub(crate) shed: Vec<u32>,
    /// Its transport, on its own shard.
    pub(crate) transport: Option<u32>,
    /// Its own shard, on others.
    pub(crate) origin: Option<ShardNo>,
    /// Shards its packets cross to.
    pub(crate) relays: Vec<ShardNo>,
    /// What consumers want of it.
    pub(crate) wanted: Wanted,
    pub(crate) traced: Traced,
    pub(crate) level: LevelMeter,
    /// Some packet of the present talk was metered.
    pub(crate) level_listed: bool,
    /// The orientation that came last.
    pub(crate) orientation_seen: Option<VideoOrientation>,
    /// The orientation told last.
    pub(crate) orientation: Option<VideoOrientation>,
    /// Another one is told from here on.
    pub(crate) orientation_at: Timestamp,
}

impl Source {
    pub(crate) fn new(
        no: SourceNo,
        config: ProducerConfig,
        limits: &Limits,
        now: Timestamp,
    ) -> Self {
        let encodings = config
            .encodings
            .iter()
            .map(|_| Encoding::new(config.kind, limits))
            .collect();
        let wanted = Wanted::new(top_layer(&config), now);
        Self {
            no,
            config,
            encodings,
            wanted,
            consumers: Vec::new(),
            takers: Vec::new(),
            shed: Vec::new(),
            transport: None,
            origin: None,
            relays: Vec::new(),
            traced: Traced::default(),
            level: LevelMeter::default(),
            level_listed: false,
            orientation_seen: None,
            orientation: None,
            orientation_at: Timestamp::ZERO,
        }
    }

    /// The highest simulcast stream, or spatial layer, that it can have.
    pub(crate) fn top_layer(&self) -> u8 {
        top_layer(&self.config)
    }

    pub(crate) fn id(&self) -> Uuid {
        self.config.id
    }

    pub(crate) fn is_audio(&self) -> bool {
        self.config.kind == MediaKind::Audio
    }

    pub(crate) fn codec(&self, payload_type: u8) -> Option<&ProducerCodec> {
        self.config
            .codecs
            .iter()
            .find(|codec| codec.payload_type == payload_type)
    }

    /// Timestamp units per second of a payload type.
    pub(crate) fn clock_rate(&self, payload_type: u8) -> u32 {
        self.codec(payload_type)
            .or(self.config.codecs.first())
            .map_or(90_000, |codec| codec.clock_rate)
    }

    /// The codec whose RTX has that payload type.
    pub(crate) fn rtx_codec(&self, payload_type: u8) -> Option<&ProducerCodec> {
        self.config
            .codecs
            .iter()
            .find(|codec| codec.rtx_payload_type == Some(payload_type))
    }

    /// Adds the layers there are now for a consumer of that type, in ascending order. A layer
    /// whose rate is not known yet is none, but for the lowest.
    pub(crate) fn layers(
        &mut self,
        now: Timestamp,
        consumer_type: ConsumerType,
        out: &mut Vec<LayerRate>,
    ) {
        let heard = self.encodings.iter().map(|encoding| encoding.last_packet);
        let newest = heard.max().unwrap_or(Timestamp::ZERO);
        if newest == Timestamp::ZERO || now.since(newest) > SILENT {
            return;
        }
        let start = out.len();
        let mut add = |spatial, temporal, bps: Option<u64>| {
            if out.len() == start || bps.is_some() {
                out.push(LayerRate {
                    spatial,
                    temporal,
                    bps: bps.unwrap_or(0),
                });
            }
        };
        for (index, encoding) in (0u8..).zip(&mut self.encodings) {
            if newest.since(encoding.last_packet) > STOPPED {
                continue;
            }
            match consumer_type {
                ConsumerType::Simple => {
                    add(0, 0, encoding.rates.total_bps(now));
                    return;
                }
                ConsumerType::Simulcast => {
                    for (_, temporal, bps) in encoding.rates.layers(now) {
                        add(index, temporal, bps);
                    }
                }
                ConsumerType::Svc => {
                    for (spatial, temporal, bps) in encoding.rates.layers(now) {
                        add(spatial, temporal, bps);
                    }
                }
            }
        }
    }

    /// Lists a consumer among those that are offered packets, among those that are shed, or among
    /// neither.
    pub(crate) fn list_taker(&mut self, consumer: u32, takes: bool, is_shed: bool) {
        for (list, belongs) in [(&mut self.takers, takes), (&mut self.shed, is_shed)] {
            match list.iter().position(|&known| known == consumer) {
                None if belongs => list.push(consumer),
                Some(position) if !belongs => {
                    list.remove(position);
                }
                _ => {}
            }
        }
    }

    /// A consumer can begin at this packet.
    pub(crate) fn is_entry(&self, meta: &PacketMeta) -> bool {
        meta.layers.begins_key_frame() || !self.has_key_frames(meta.payload_type)
    }

    pub(crate) fn key_frame_interval(&self) -> Duration {
        match self.config.key_frame_request_delay_ms {
            0 => DEFAULT_INTERVAL,
            ms => Duration::from_millis(u64::from(ms)),
        }
    }

    /// What is kept of a packet of that stream beside its bytes.
    pub(crate) fn meta(
        &mut self,
        encoding: usize,
        packet: &RtpPacket<'_>,
        sequence: u64,
        arrival: Timestamp,
    ) -> PacketMeta {
        let payload_type = packet.payload_type();
        let codec = self.codec(payload_type).map(|codec| codec.codec);
        let is_red = self.is_audio() && codec == Some(Codec::Red);
        let is_dtx = codec == Some(Codec::Opus) && packet.payload().len() <= MAX_DTX_BYTES;
        let codec = codec.filter(|_| self.config.kind == MediaKind::Video);
        let descriptor_id = self
            .config
            .extensions
            .get(ExtensionKind::DependencyDescriptor);
        let layers = match (codec, self.encodings.get_mut(encoding)) {
            (Some(codec), Some(encoding)) => encoding.reader.read(&Incoming {
                codec,
                sequence,
                timestamp: packet.timestamp(),
                marker: packet.marker(),
                payload: packet.payload(),
                descriptor: descriptor_id.and_then(|id| {
                    let mut extensions = packet.extensions();
                    extensions.find_map(|(found, data)| (found == id).then_some(data))
                }),
            }),
            _ => PacketLayers::unknown(packet.marker()),
        };
        PacketMeta {
            sequence,
            timestamp: packet.timestamp(),
            arrival,
            payload_type,
            is_red,
            is_dtx,
            layers,
        }
    }

    fn has_key_frames(&self, payload_type: u8) -> bool {
        self.config.kind == MediaKind::Video
            && self
                .codec(payload_type)
                .is_some_and(|codec| codec.codec != Codec::Other)
    }
}

fn top_layer(config: &ProducerConfig) -> u8 {
    match config.encodings.as_slice() {
        [only] => only.spatial_layers.saturating_sub(1),
        several => several.len().saturating_sub(1) as u8,
    }
}
