//! What a selector makes of streams that Chromium sent: recorded by `scripts/e2e/record`, held as text.

// A trace that can not be read is a broken test.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::PathBuf;

use weirgate_layers::{
    Before, Incoming, Layer, LayerReader, Offer, PacketLayers, Place, Selector, Target,
    joined_header, rewrite,
};
use weirgate_packet::payload::{vp8::Vp8Descriptor, vp9::Vp9Descriptor};
use weirgate_packet::rtp::RtpPacket;
use weirgate_wire::Codec;

/// When the receiver is to have which layers, as the spatial and the temporal one. The spatial steps
/// are those of the recording: key frames come where they were asked for then.
const STEPS: [(u64, u8, u8); 6] = [
    (0, 2, 2),
    (2_500, 0, 2),
    (3_500, 1, 2),
    (5_000, 2, 2),
    (6_500, 2, 0),
    (7_200, 2, 2),
];
const CLOCK_PER_MS: u64 = 90;

/// A packet as it was sent, its payload filled up with zeros.
struct Recorded {
    ms: u64,
    stream: u8,
    header: Vec<u8>,
    payload: Vec<u8>,
}

struct Recording {
    descriptor_id: u8,
    streams: usize,
    packets: Vec<Recorded>,
}

fn read(name: &str) -> Recording {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let number_after = |what: &str| -> usize {
        let rest = text.split(what).nth(1).unwrap();
        let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit());
        digits.clone().next().unwrap().parse().unwrap()
    };
    let packet = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let mut payload = bytes(fields[4]);
        payload.resize(fields[3].parse().unwrap(), 0);
        Recorded {
            ms: fields[0].parse().unwrap(),
            stream: fields[1].parse().unwrap(),
            header: bytes(fields[2]),
            payload,
        }
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Recording {
        descriptor_id: number_after("dependency descriptor") as u8,
        streams: number_after("streams"),
        packets: lines.map(packet).collect(),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// A receiver's leg.
struct Replay {
    codec: Codec,
    simulcast: bool,
    readers: Vec<LayerReader>,
    highest: Vec<Option<u64>>,
    selector: Selector,
    last_ms: u64,
    held: Option<Arrived>,
    left: Vec<Left>,
}

/// A packet that came.
struct Arrived {
    ms: u64,
    stream: u8,
    sequence: u64,
    timestamp: u32,
    layers: PacketLayers,
    payload: Vec<u8>,
}

/// A packet that left.
struct Left {
    ms: u64,
    stream: u8,
    source_timestamp: u32,
    layer: Layer,
    begins_key_frame: bool,
    sequence: u64,
    timestamp: u32,
    marker: bool,
    is_filler: bool,
    payload: Vec<u8>,
}

impl Replay {
    fn of(recording: &Recording, codec: Codec) -> Self {
        let streams = recording.streams;
        Self {
            codec,
            simulcast: streams > 1,
            readers: (0..streams).map(|_| LayerReader::default()).collect(),
            highest: vec![None; streams],
            selector: Selector::new(1_000, true),
            last_ms: 0,
            held: None,
            left: Vec::new(),
        }
    }

    fn aim(&mut self, spatial: u8, temporal: u8) {
        let (encoding, spatial) = match self.simulcast {
            true => (spatial, Layer::TOP.spatial),
            false => (0, spatial),
        };
        self.selector.set_target(Some(Target {
            encoding,
            layer: Layer::new(spatial, temporal),
            meanwhile: 0,
        }));
    }

    fn take(&mut self, recorded: &Recorded, descriptor_id: u8) {
        let mut wire = recorded.header.clone();
        wire.extend(&recorded.payload);
        let packet = RtpPacket::parse(&wire).unwrap();
        let sequence = self.extend(recorded.stream, packet.sequence());
        let mut extensions = packet.extensions();
        let layers = self.readers[usize::from(recorded.stream)].read(&Incoming {
            codec: self.codec,
            sequence,
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            payload: packet.payload(),
            descriptor: extensions.find_map(|(id, data)| (id == descriptor_id).then_some(data)),
        });
        let is_entry = layers.begins_key_frame();
        let offered = self
            .selector
            .offer(recorded.stream, sequence, is_entry, &layers);
        let arrived = Arrived {
            ms: recorded.ms,
            stream: recorded.stream,
            sequence,
            timestamp: packet.timestamp(),
            layers,
            payload: packet.payload().to_vec(),
        };
        if let Some(released) = offered.released {
            let held = self.held.take().unwrap();
            assert_eq!(held.sequence, released);
            self.leave(&held);
        }
        if offered.is_held {
            self.held = Some(arrived);
        } else if offered.offer != Offer::Skip {
            self.leave(&arrived);
        }
    }

    fn leave(&mut self, arrived: &Arrived) {
        let Arrived {
            ms,
            stream,
            sequence,
            timestamp: source_timestamp,
            layers,
            ref payload,
        } = *arrived;
        let elapsed_ms = ms - self.last_ms;
        let timestamp = |before: &Before| match before.encoding == stream {
            true => source_timestamp.wrapping_add(before.timestamp_delta),
            false => before
                .timestamp
                .wrapping_add((elapsed_ms * CLOCK_PER_MS) as u32),
        };
        let place = self
            .selector
            .place(stream, sequence, source_timestamp, &layers, timestamp);
        self.last_ms = ms;
        if let Some(place) = place {
            self.left.push(Left {
                ms,
                stream,
                source_timestamp,
                layer: layers.layer(),
                begins_key_frame: layers.begins_key_frame(),
                sequence: place.sequence,
                timestamp: place.timestamp,
                marker: place.marker,
                is_filler: place.is_filler,
                payload: written(payload, &layers, &place),
            });
        }
    }

    fn extend(&mut self, stream: u8, sequence: u16) -> u64 {
        let highest = &mut self.highest[usize::from(stream)];
        let newest = highest.unwrap_or((1 << 20) | u64::from(sequence));
        let step = sequence.wrapping_sub(newest as u16) as i16;
        let extended = newest.saturating_add_signed(step.into());
        *highest = Some(newest.max(extended));
        extended
    }
}

/// The payload as it leaves.
fn written(payload: &[u8], layers: &PacketLayers, place: &Place) -> Vec<u8> {
    let (header, header_len) = joined_header(payload, place);
    let kept = usize::from(header_len > 0);
    let mut out = [&header[..header_len], &payload[kept..]].concat();
    rewrite(&mut out, layers, place);
    out
}

fn replay(name: &str, codec: Codec) -> Replay {
    let recording = read(name);
    let mut replay = Replay::of(&recording, codec);
    let mut steps = STEPS.into_iter().peekable();
    for packet in &recording.packets {
        while let Some((_, spatial, temporal)) = steps.next_if(|step| step.0 <= packet.ms) {
            replay.aim(spatial, temporal);
        }
        replay.take(packet, recording.descriptor_id);
    }
    replay
}

/// One line per picture that left: when, its source, its layers with `*` for a key frame and the
/// outgoing numbers of each, then what the payload counts.
fn picture_lines(replay: &Replay) -> String {
    let mut text = String::new();
    let mut picture = None;
    let mut layer = None;
    for left in &replay.left {
        if picture.replace((left.stream, left.source_timestamp))
            != Some((left.stream, left.source_timestamp))
        {
            layer = None;
            let numbers = numbers(replay.codec, &left.payload);
            write!(text, "\n{:5} stream {}{numbers}", left.ms, left.stream).unwrap();
        }
        if layer.replace(left.layer) != Some(left.layer) {
            let key = if left.begins_key_frame { "*" } else { "" };
            let Layer { spatial, temporal } = left.layer;
            write!(text, " S{spatial}T{temporal}{key}").unwrap();
        }
        let end = if left.marker { "!" } else { "" };
        let filler = if left.is_filler { "-" } else { "" };
        write!(text, " {}{end}{filler}", left.sequence).unwrap();
    }
    text
}

fn numbers(codec: Codec, payload: &[u8]) -> String {
    let (id, tl0) = match codec {
        Codec::Vp8 => {
            let descriptor = Vp8Descriptor::parse(payload).unwrap();
            (descriptor.picture_id, descriptor.tl0_pic_idx)
        }
        Codec::Vp9 => {
            let descriptor = Vp9Descriptor::parse(payload).unwrap();
            (descriptor.picture_id, descriptor.tl0_pic_idx)
        }
        _ => return format!(" head {:02x}", payload[0]),
    };
    let id = id.map_or(0, |id| id.value);
    format!(" id {id} tl0 {}", tl0.unwrap_or(0))
}

/// Nothing was lost on the way to us, so there is no hole, and time does not go back.
fn assert_continuous(replay: &Replay) {
    for pair in replay.left.windows(2) {
        let [before, after] = pair else { continue };
        assert_eq!(after.sequence, before.sequence + 1, "{} ms", after.ms);
        let step = after.timestamp.wrapping_sub(before.timestamp) as i32;
        assert!(step >= 0, "{} ms: {step}", after.ms);
    }
}

/// Layers that left between two steps, the highest of each dimension.
fn highest(replay: &Replay, from_ms: u64, until_ms: u64) -> (u8, u8) {
    let left = replay.left.iter();
    let left = left.filter(|left| (from_ms..until_ms).contains(&left.ms));
    left.fold((0, 0), |(spatial, temporal), left| {
        let own = match replay.simulcast {
            true => left.stream,
            false => left.layer.spatial,
        };
        (spatial.max(own), temporal.max(left.layer.temporal))
    })
}

fn check(name: &str, codec: Codec) -> String {
    let replay = replay(name, codec);
    assert_continuous(&replay);
    // Each step is reached some time before the next.
    assert_eq!(highest(&replay, 1_900, 2_500).0, 2, "all");
    assert_eq!(highest(&replay, 3_000, 3_500).0, 0, "the lowest");
    assert_eq!(highest(&replay, 4_500, 5_000).0, 1, "the middle one");
    assert_eq!(highest(&replay, 6_000, 6_500), (2, 2), "all again");
    assert_eq!(
        highest(&replay, 6_800, 7_200).1,
        0,
        "a quarter of the pictures"
    );
    assert_eq!(highest(&replay, 7_700, 8_000), (2, 2), "all at the end");
    picture_lines(&replay)
}

#[test]
fn vp8_simulcast() {
    insta::assert_snapshot!(check("vp8-simulcast", Codec::Vp8));
}

#[test]
fn vp9_k_svc() {
    insta::assert_snapshot!(check("vp9-l3t3-key", Codec::Vp9));
}

#[test]
fn av1_full_svc() {
    insta::assert_snapshot!(check("av1-l3t3", Codec::Av1));
}
