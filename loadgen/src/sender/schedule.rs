//! When which packet is meant to leave.

use super::talk::Talk;
use crate::clock::{NS_PER_MS, NS_PER_S};

/// Interval of the pacer of browsers.
const PACER_INTERVAL_NS: u64 = 5 * NS_PER_MS;
/// The pacer sends at so many times the media's rate, in tenths.
const PACING_FACTOR_TENTHS: u64 = 25;
/// Key frames that are asked for are at least so far apart, as browsers make them.
const MIN_KEY_FRAME_DISTANCE_NS: u64 = 300 * NS_PER_MS;

/// How the packets of a frame are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Burst {
    /// In 5 ms bursts at 2.5 times the rate, as browsers do.
    Paced,
    /// All at once.
    Frame,
}

/// What a video stream looks like.
#[derive(Debug, Clone, Copy)]
pub struct VideoShape {
    /// bit/s of RTP payload.
    pub bitrate_bps: u64,
    /// Lines of the picture, told in key frames.
    pub height: u16,
    /// Frames per second.
    pub frame_rate: u32,
    /// A key frame every so many frames even if nobody asks; 0 for the first only.
    pub key_frame_interval: u32,
    /// A key frame is so many times as large as the others.
    pub key_frame_factor: u32,
    /// The most payload bytes in a packet.
    pub max_payload_bytes: usize,
    /// How the packets of a frame are spread.
    pub burst: Burst,
}

impl VideoShape {
    /// 30 frames per second with a key frame every 10 s, paced.
    pub fn of_bitrate(bitrate_bps: u64) -> Self {
        Self {
            bitrate_bps,
            height: 180,
            frame_rate: 30,
            key_frame_interval: 300,
            key_frame_factor: 4,
            max_payload_bytes: 1150,
            burst: Burst::Paced,
        }
    }
}

/// What an audio stream looks like.
#[derive(Debug, Clone, Copy)]
pub struct AudioShape {
    /// Packets per second.
    pub packet_rate: u32,
    /// Payload bytes of each.
    pub payload_bytes: usize,
    /// Discontinuous transmission: while nobody speaks, a packet every 400 ms only.
    pub dtx: bool,
}

impl Default for AudioShape {
    /// Opus at 32 kbit/s in 20 ms packets.
    fn default() -> Self {
        Self {
            packet_rate: 50,
            payload_bytes: 80,
            dtx: false,
        }
    }
}

/// Audio or video.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Audio.
    Audio(AudioShape),
    /// Video.
    Video(VideoShape),
}

impl Shape {
    /// `audio` or `video`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Audio(_) => "audio",
            Self::Video(_) => "video",
        }
    }
}

/// A packet as planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// When it is meant to leave, in ns after the schedule's start.
    pub at_ns: u64,
    /// When its frame was captured, in ns after the schedule's start.
    pub captured_ns: u64,
    /// Frame number.
    pub frame: u32,
    /// Whole payload bytes.
    pub payload_bytes: usize,
    /// First of its frame.
    pub first: bool,
    /// The RTP marker bit: last packet of a frame, first one of somebody's speaking.
    pub marker: bool,
    /// Part of a key frame.
    pub key_frame: bool,
    /// Somebody speaks.
    pub speaking: bool,
}

/// Plans frame by frame.
#[derive(Debug)]
pub(super) struct Schedule {
    shape: Shape,
    talk: Talk,
    next_frame: u32,
    latest_key_frame_ns: u64,
    /// How long it was silent.
    paused_ns: u64,
    /// The next frame is the first after that.
    is_resumed: bool,
    /// Until then the pacer is busy with earlier frames.
    pacer_free_ns: u64,
}

impl Schedule {
    /// `seed` makes pauses of speakers differ.
    pub(super) fn new(shape: Shape, seed: u32) -> Self {
        Self {
            shape,
            talk: Talk::new(seed),
            next_frame: 0,
            latest_key_frame_ns: 0,
            paused_ns: 0,
            is_resumed: false,
            pacer_free_ns: 0,
        }
    }

    /// When the next frame is captured, in ns after the start.
    pub(super) fn next_capture_ns(&self) -> u64 {
        u64::from(self.next_frame) * NS_PER_S / self.frames_per_second() + self.paused_ns
    }

    /// Goes on after silence up to `at_ns` after the start, in the rhythm it had before, with a key
    /// frame first.
    pub(super) fn resume(&mut self, at_ns: u64) {
        let late_ns = at_ns.saturating_sub(self.next_capture_ns());
        let frame_ns = NS_PER_S / self.frames_per_second();
        self.paused_ns += late_ns.div_ceil(frame_ns) * frame_ns;
        self.is_resumed = true;
    }

    fn frames_per_second(&self) -> u64 {
        let rate = match self.shape {
            Shape::Audio(audio) => audio.packet_rate,
            Shape::Video(video) => video.frame_rate,
        };
        u64::from(rate.max(1))
    }

    /// Whether the next frame can be a key frame because somebody asks.
    pub(super) fn takes_key_frame_requests(&self) -> bool {
        self.next_capture_ns() >= self.latest_key_frame_ns + MIN_KEY_FRAME_DISTANCE_NS
    }

    /// Appends the packets of the next frame.
    pub(super) fn plan_frame(&mut self, key_frame_wanted: bool, out: &mut Vec<Planned>) {
        match self.shape {
            Shape::Audio(audio) => self.plan_audio(audio, out),
            Shape::Video(video) => {
                let frame = self.next_frame;
                let captured_ns = self.next_capture_ns();
                self.next_frame += 1;
                let due =
                    video.key_frame_interval > 0 && frame.is_multiple_of(video.key_frame_interval);
                let is_resumed = std::mem::take(&mut self.is_resumed);
                let key_frame = frame == 0 || due || key_frame_wanted || is_resumed;
                if key_frame {
                    self.latest_key_frame_ns = captured_ns;
                }
                self.plan_video(video, frame, captured_ns, key_frame, out);
            }
        }
    }

    fn plan_audio(&mut self, audio: AudioShape, out: &mut Vec<Planned>) {
        let captured_ns = self.next_capture_ns();
        let frame = self.next_frame;
        let (spoken, frames) = if audio.dtx {
            self.talk.next(audio.packet_rate)
        } else {
            (Some(frame == 0), 1)
        };
        self.next_frame += frames;
        out.push(Planned {
            at_ns: captured_ns,
            captured_ns,
            frame,
            // Comfort noise is as small as a marker can be.
            payload_bytes: spoken.map_or(0, |_| audio.payload_bytes),
            first: true,
            marker: spoken == Some(true),
            key_frame: false,
            speaking: spoken.is_some(),
        });
    }

    fn plan_video(
        &mut self,
        video: VideoShape,
        frame: u32,
        captured_ns: u64,
        key_frame: bool,
        out: &mut Vec<Planned>,
    ) {
        let frame_bytes = frame_bytes(video, key_frame);
        let packets = frame_bytes.div_ceil(video.max_payload_bytes).max(1);
        let interval_bytes =
            video.bitrate_bps * PACING_FACTOR_TENTHS * PACER_INTERVAL_NS / (80 * NS_PER_S);
        let mut at_ns = captured_ns.max(self.pacer_free_ns);
        let mut in_interval = 0;
        for index in 0..packets {
            // About equal: the first packets get the odd bytes.
            let payload_bytes = frame_bytes / packets + usize::from(index < frame_bytes % packets);
            if video.burst == Burst::Paced && in_interval >= interval_bytes {
                at_ns += PACER_INTERVAL_NS;
                in_interval -= interval_bytes;
            }
            in_interval += payload_bytes as u64;
            out.push(Planned {
                at_ns,
                captured_ns,
                frame,
                payload_bytes,
                first: index == 0,
                marker: index + 1 == packets,
                key_frame,
                speaking: false,
            });
        }
        if video.burst == Burst::Paced {
            self.pacer_free_ns = at_ns;
        }
    }
}

/// Frames are sized so that the bitrate holds over a key frame interval.
fn frame_bytes(video: VideoShape, key_frame: bool) -> usize {
    let per_frame = video.bitrate_bps / 8 / u64::from(video.frame_rate.max(1));
    let interval = u64::from(video.key_frame_interval.max(1));
    let factor = u64::from(video.key_frame_factor.max(1));
    let delta = if video.key_frame_interval == 0 {
        per_frame
    } else {
        per_frame * interval / (interval - 1 + factor)
    };
    (if key_frame { delta * factor } else { delta }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(shape: VideoShape, frames: u32) -> Vec<Planned> {
        let mut schedule = Schedule::new(Shape::Video(shape), 0);
        let mut out = Vec::new();
        (0..frames).for_each(|_| schedule.plan_frame(false, &mut out));
        out
    }

    #[test]
    fn a_key_frame_interval_has_the_bytes_of_its_bitrate() {
        let shape = VideoShape::of_bitrate(1_500_000);
        let bytes: usize = planned(shape, 300)
            .iter()
            .map(|packet| packet.payload_bytes)
            .sum();
        let expected = 1_500_000 / 8 * 10;
        assert!(
            bytes.abs_diff(expected) < expected / 100,
            "{bytes} of {expected}"
        );
    }

    #[test]
    fn packets_of_a_frame_differ_by_a_byte_at_most_and_keep_their_order() {
        let packets = planned(VideoShape::of_bitrate(2_000_000), 100);
        for frame in packets.chunk_by(|left, right| left.frame == right.frame) {
            let sizes = frame.iter().map(|packet| packet.payload_bytes);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            assert!(frame[0].first && frame[frame.len() - 1].marker);
        }
        assert!(packets.is_sorted_by_key(|packet| packet.at_ns));
    }

    #[test]
    fn with_dtx_silence_takes_a_packet_every_400_ms() {
        let shape = AudioShape {
            dtx: true,
            ..AudioShape::default()
        };
        let mut schedule = Schedule::new(Shape::Audio(shape), 3);
        let mut out = Vec::new();
        while schedule.next_capture_ns() < 60 * NS_PER_S {
            schedule.plan_frame(false, &mut out);
        }
        let silent = out.iter().filter(|packet| !packet.speaking).count();
        let spurts = out.iter().filter(|packet| packet.marker).count();
        assert!((500..2500).contains(&out.len()) && silent > 20 && spurts > 5);
        for pair in out.windows(2) {
            let distance = pair[1].at_ns - pair[0].at_ns;
            let expected = if pair[0].speaking { 20 } else { 400 };
            assert!(
                distance == expected * NS_PER_MS || (!pair[0].speaking && pair[1].speaking),
                "{pair:?}"
            );
            assert_eq!(pair[1].marker, !pair[0].speaking && pair[1].speaking);
        }
    }

    #[test]
    fn pacing_spreads_what_a_frame_burst_sends_at_once() {
        let paced = VideoShape::of_bitrate(1_500_000);
        let burst = VideoShape {
            burst: Burst::Frame,
            ..paced
        };
        let instants = |shape| {
            let mut at: Vec<u64> = planned(shape, 1)
                .iter()
                .map(|packet| packet.at_ns)
                .collect();
            at.dedup();
            at.len()
        };
        assert_eq!(instants(burst), 1);
        assert!(instants(paced) > 5);
    }
}
