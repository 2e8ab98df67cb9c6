//! Reading what layer a packet is of, once, as it comes from its source.

mod dependency;
mod units;
mod vp8;
mod vp9;

use weirgate_packet::payload;
use weirgate_packet::payload::av1;
use weirgate_wire::Codec;

use crate::packet_layers::{PacketLayers, PictureNumber};
use dependency::Dependencies;
use units::Units;

/// Pictures whose late packets are told apart.
const RECENT_PICTURES: usize = 8;

/// A packet as it comes from its source.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// What the payload is.
    pub codec: Codec,
    /// Sequence number in the source stream, counted on over wraps and restarts.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// The payload without padding.
    pub payload: &'a [u8],
    /// Data of the dependency descriptor extension.
    pub descriptor: Option<&'a [u8]>,
}

/// Reads the packets of one source stream. About 140 bytes, and some 5 KiB more from the first
/// dependency structure on, 80 bytes from VP9's first scalability structure on.
#[derive(Debug, Default)]
pub struct LayerReader {
    units: Units,
    pictures: Pictures,
    dependencies: Option<Box<Dependencies>>,
    group: Option<Box<vp9::Group>>,
    vp8: vp8::KeyFrames,
}

/// Counts pictures by timestamp, and knows how many spatial layers the last ones had.
#[derive(Debug, Default)]
struct Pictures {
    count: u64,
    /// Timestamps of the last pictures, by count.
    timestamps: [u32; RECENT_PICTURES],
    newest_sequence: Option<u64>,
    /// Highest spatial layer of the newest picture, as far as it came.
    top: u8,
    /// That of the picture before.
    top_before: u8,
}

impl LayerReader {
    /// Reads a packet. Each is to be read once, in the order of arrival.
    pub fn read(&mut self, packet: &Incoming<'_>) -> PacketLayers {
        let start = packet.descriptor.and_then(dependency::start);
        let is_key = match (start, packet.codec) {
            // Behind end-to-end encryption nothing else is to be trusted.
            (Some(start), _) => start.start_of_frame && start.has_structure,
            (None, Codec::Vp8) => self.vp8.begins_key_frame(packet.payload),
            (None, codec) => payload::is_key_frame(codec, packet.payload),
        };
        let mut layers = match packet.codec {
            Codec::Vp8 => self.read_vp8(packet, is_key),
            Codec::Vp9 => vp9::read(&mut self.units, &mut self.group, packet),
            _ => self.read_plain(packet),
        };
        layers.begins_key_frame = is_key;
        layers.marker = packet.marker;
        if layers.is_layered {
            self.pictures.place(packet, &mut layers);
        }
        layers
    }

    /// Beside the dependency descriptor libwebrtc leaves VP8's own without numbers and layers.
    fn read_vp8(&mut self, packet: &Incoming<'_>, is_key: bool) -> PacketLayers {
        let layers = vp8::read(&mut self.units, packet, is_key);
        if layers.picture_number != PictureNumber::None {
            return layers;
        }
        self.read_descriptor(packet).unwrap_or(layers)
    }

    /// Codecs whose payload tells nothing of layers: the dependency descriptor may.
    fn read_plain(&mut self, packet: &Incoming<'_>) -> PacketLayers {
        let is_fragment = || {
            av1::Av1AggregationHeader::parse(packet.payload)
                .is_some_and(|header| header.continues_previous)
        };
        let by_descriptor = self.read_descriptor(packet).map(|layers| PacketLayers {
            is_joinable: packet.codec == Codec::Av1,
            ..layers
        });
        by_descriptor.unwrap_or_else(|| PacketLayers {
            begins_frame: packet.codec != Codec::Av1 || !is_fragment(),
            ends_frame: packet.marker,
            ..PacketLayers::default()
        })
    }

    fn read_descriptor(&mut self, packet: &Incoming<'_>) -> Option<PacketLayers> {
        let data = packet.descriptor?;
        let dependencies = self.dependencies.get_or_insert_default();
        dependencies.read(&mut self.units, packet.sequence, data)
    }
}

impl Pictures {
    /// Gives a packet of a layered frame its picture, and what spatial layers there are now.
    fn place(&mut self, packet: &Incoming<'_>, layers: &mut PacketLayers) {
        let spatial = layers.frame.layer.spatial;
        if self.newest_sequence.is_none_or(|s| packet.sequence > s) {
            let is_first = self.newest_sequence.is_none();
            self.newest_sequence = Some(packet.sequence);
            if is_first || self.timestamp(0) != packet.timestamp {
                self.count += 1;
                self.timestamps[self.count as usize % RECENT_PICTURES] = packet.timestamp;
                self.top_before = if is_first { 0 } else { self.top };
                self.top = spatial;
            }
        }
        let mut recent = 0..RECENT_PICTURES as u64;
        let back = recent.find(|&back| self.timestamp(back) == packet.timestamp);
        if back == Some(0) {
            self.top = self.top.max(spatial);
        }
        // What is older is of no picture that matters.
        layers.frame.picture = back.map_or(0, |back| self.count.saturating_sub(back));
        let there = crate::Targets::up_to_spatial(self.top_before.max(spatial));
        layers.frame.available = layers.frame.available.and(there);
    }

    /// That of the picture so far before the newest.
    fn timestamp(&self, back: u64) -> u32 {
        self.timestamps[self.count.wrapping_sub(back) as usize % RECENT_PICTURES]
    }
}
