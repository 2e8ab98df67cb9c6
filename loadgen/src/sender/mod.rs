//! Marked media at a fixed schedule, whatever becomes of it (open loop).

mod feedback;
mod generator;
mod history;
mod schedule;
mod stream;
mod talk;

pub use feedback::{FeedbackSeen, SenderFeedback};
pub use generator::{Generator, GeneratorReport};
pub use schedule::{AudioShape, Burst, Shape, VideoShape};
pub use stream::{LayerName, Stream, StreamConfig, StreamTotals};
