//! What those who send send.

use crate::sender::Shape;

/// What each of them sends.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// One stream each.
    pub shapes: Vec<Shape>,
    /// Video goes in three layers, of which the server forwards one to each receiver at a time.
    pub simulcast: bool,
}

impl Traffic {
    /// These streams, without simulcast.
    pub fn of(shapes: Vec<Shape>) -> Self {
        Self {
            shapes,
            simulcast: false,
        }
    }

    /// To be shown.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        for shape in &self.shapes {
            match shape {
                Shape::Video(video) => {
                    let text = format!(
                        "{}p at {} frames/s, {} kbit/s, {}{}",
                        video.height,
                        video.frame_rate,
                        video.bitrate_bps / 1000,
                        match video.burst {
                            crate::sender::Burst::Paced => "paced",
                            crate::sender::Burst::Frame => "frames at once",
                        },
                        if self.simulcast { ", simulcast" } else { "" }
                    );
                    settings.push(("video", text));
                }
                Shape::Audio(audio) => {
                    let dtx = if audio.dtx { ", DTX" } else { "" };
                    let text = format!("{} packets/s{dtx}", audio.packet_rate);
                    settings.push(("audio", text));
                }
            }
        }
        settings
    }
}
