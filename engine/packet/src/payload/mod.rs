//! What an SFU reads of codec payloads: where key frames begin, and the descriptors in front.

pub mod av1;
pub mod dependency_descriptor;
pub mod h264;
mod picture_id;
pub mod red;
pub mod vp8;
pub mod vp9;

pub use picture_id::PictureId;

use weirgate_wire::Codec;

/// True where this packet begins a key frame, from which a decoder can start. Codecs without key
/// frames and payloads that are not understood have none.
pub fn is_key_frame(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => vp8::begins_key_frame(payload),
        Codec::Vp9 => vp9::begins_key_frame(payload),
        Codec::H264 => h264::begins_key_frame(payload),
        Codec::Av1 => av1::begins_key_frame(payload),
        Codec::Opus | Codec::Other | Codec::Red => false,
    }
}
