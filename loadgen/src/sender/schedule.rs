//! When which packet is meant to leave.

use crate::clock::{NS_PER_MS, NS_PER_S};

/// Interval of the pacer of browsers.
const PACER_INTERVAL_NS: u64 = 5 * NS_PER_MS;
/// The pacer sends at so many times the media's rate, in tenths.
const PACING_FACTOR_TENTHS: u64 = 25;

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
}

impl Default for AudioShape {
    /// Opus at 32 kbit/s in 20 ms packets.
    fn default() -> Self {
        Self {
            packet_rate: 50,
            payload_bytes: 80,
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
    /// Last of its frame.
    pub last: bool,
    /// Part of a key frame.
    pub key_frame: bool,
}

/// Plans frame by frame.
#[derive(Debug)]
pub(super) struct Schedule {
    shape: Shape,
    next_frame: u32,
    /// Until then the pacer is busy with earlier frames.
    pacer_free_ns: u64,
}

impl Schedule {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            next_frame: 0,
            pacer_free_ns: 0,
        }
    }

    /// When the next frame is captured, in ns after the start.
    pub(super) fn next_capture_ns(&self) -> u64 {
        let rate = match self.shape {
            Shape::Audio(audio) => audio.packet_rate,
            Shape::Video(video) => video.frame_rate,
        };
        u64::from(self.next_frame) * NS_PER_S / u64::from(rate.max(1))
    }

    /// Appends the packets of the next frame.
    pub(super) fn plan_frame(&mut self, key_frame_wanted: bool, out: &mut Vec<Planned>) {
        let captured_ns = self.next_capture_ns();
        let frame = self.next_frame;
        self.next_frame += 1;
        match self.shape {
            Shape::Audio(audio) => out.push(Planned {
                at_ns: captured_ns,
                captured_ns,
                frame,
                payload_bytes: audio.payload_bytes,
                first: true,
                last: true,
                key_frame: false,
            }),
            Shape::Video(video) => {
                let due =
                    video.key_frame_interval > 0 && frame.is_multiple_of(video.key_frame_interval);
                let key_frame = frame == 0 || due || key_frame_wanted;
                self.plan_video(video, frame, captured_ns, key_frame, out);
            }
        }
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
                last: index + 1 == packets,
                key_frame,
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
        let mut schedule = Schedule::new(Shape::Video(shape));
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
            assert!(frame[0].first && frame[frame.len() - 1].last);
        }
        assert!(packets.is_sorted_by_key(|packet| packet.at_ns));
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
