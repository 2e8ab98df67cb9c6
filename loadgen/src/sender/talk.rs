//! When somebody speaks: spurts of one to three seconds, pauses of a half to two and a half, each
//! speaker at times of their own, and the same in every run.

/// Frames of 20 ms between two packets while nobody speaks, as Opus has it (RFC 7587 section 3.1.3).
const SILENCE_FRAMES: u32 = 20;

/// One speaker.
#[derive(Debug)]
pub(super) struct Talk {
    random: u32,
    speaking: bool,
    frames_left: u32,
}

impl Talk {
    pub(super) fn new(seed: u32) -> Self {
        Self {
            random: seed.wrapping_mul(2_654_435_761) | 1,
            speaking: false,
            frames_left: 0,
        }
    }

    /// Whether the next packet is spoken, and if so whether it begins a spurt; and how many frames
    /// there are until the packet after it, at that many frames per second.
    pub(super) fn next(&mut self, frame_rate: u32) -> (Option<bool>, u32) {
        let mut begins = false;
        if self.frames_left == 0 {
            self.speaking = !self.speaking;
            begins = self.speaking;
            let (least, spread) = if self.speaking { (1, 2) } else { (0, 2) };
            let frames = least * frame_rate + frame_rate / 2 * (1 - least);
            self.frames_left = frames + self.draw() % (spread * frame_rate).max(1);
        }
        if self.speaking {
            self.frames_left -= 1;
            return (Some(begins), 1);
        }
        let frames = self.frames_left.clamp(1, SILENCE_FRAMES);
        self.frames_left -= frames;
        (None, frames)
    }

    /// Marsaglia's xorshift.
    fn draw(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}
