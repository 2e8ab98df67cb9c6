//! Whether two descriptions of a codec mean the same one.

use crate::{
    RtpCodecCapability, RtpCodecParameters,
    h264::{self, Answer},
    json::{CodecParameters, integer},
};

/// What capabilities and parameters have in common.
pub(crate) trait Codec {
    fn mime_type(&self) -> &str;
    fn clock_rate(&self) -> u32;
    fn channels(&self) -> Option<u8>;
    fn parameters(&self) -> &CodecParameters;

    fn is(&self, mime_type: &str) -> bool {
        self.mime_type().eq_ignore_ascii_case(mime_type)
    }

    fn is_rtx(&self) -> bool {
        let subtype = self.mime_type().split_once('/').map(|(_, subtype)| subtype);
        subtype.is_some_and(|subtype| subtype.eq_ignore_ascii_case("rtx"))
    }

    /// RFC 2198: blocks of another codec, useless without it.
    fn is_red(&self) -> bool {
        self.is("audio/red")
    }

    /// For an RTX codec, the payload type it repairs (RFC 4588 section 8.6).
    fn apt(&self) -> Option<u8> {
        integer(self.parameters(), "apt").and_then(|apt| u8::try_from(apt).ok())
    }
}

impl Codec for RtpCodecCapability {
    fn mime_type(&self) -> &str {
        &self.mime_type
    }
    fn clock_rate(&self) -> u32 {
        self.clock_rate
    }
    fn channels(&self) -> Option<u8> {
        self.channels
    }
    fn parameters(&self) -> &CodecParameters {
        &self.parameters
    }
}

impl Codec for RtpCodecParameters {
    fn mime_type(&self) -> &str {
        &self.mime_type
    }
    fn clock_rate(&self) -> u32 {
        self.clock_rate
    }
    fn channels(&self) -> Option<u8> {
        self.channels
    }
    fn parameters(&self) -> &CodecParameters {
        &self.parameters
    }
}

/// Whether they are the same kind of codec, whatever its profile. The number of streams in a
/// multichannel Opus belongs to its kind.
pub(crate) fn is_same_family(a: &dyn Codec, b: &dyn Codec) -> bool {
    let is_equal = |name| integer(a.parameters(), name) == integer(b.parameters(), name);
    a.is(b.mime_type())
        && a.clock_rate() == b.clock_rate()
        && a.channels() == b.channels()
        && (!a.is("audio/multiopus") || (is_equal("num_streams") && is_equal("coupled_streams")))
}

/// Whether what `a` sends `b` can read: the profile counts too (RFC 6184 section 8.2.2, RFC 9628
/// section 6).
pub(crate) fn is_compatible(a: &dyn Codec, b: &dyn Codec) -> bool {
    if !is_same_family(a, b) {
        return false;
    }
    if a.is("video/H264") {
        return h264::answer(a.parameters(), b.parameters()) != Answer::Mismatch;
    }
    if a.is("video/VP9") {
        let profile = |codec: &dyn Codec| integer(codec.parameters(), "profile-id").unwrap_or(0);
        return profile(a) == profile(b);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(json: serde_json::Value) -> RtpCodecCapability {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn letter_case_of_the_mime_type_does_not_matter() {
        let a = codec(serde_json::json!({"mimeType": "video/vp8", "clockRate": 90000}));
        let b = codec(serde_json::json!({"mimeType": "VIDEO/VP8", "clockRate": 90000}));
        assert!(is_compatible(&a, &b));
        let slower = codec(serde_json::json!({"mimeType": "video/VP8", "clockRate": 8000}));
        assert!(!is_same_family(&a, &slower));
    }

    #[test]
    fn a_vp9_profile_may_be_a_text() {
        let vp9 = |profile: serde_json::Value| {
            codec(serde_json::json!({
                "mimeType": "video/VP9", "clockRate": 90000, "parameters": {"profile-id": profile}
            }))
        };
        assert!(is_compatible(&vp9(2.into()), &vp9("2".into())));
        assert!(!is_compatible(&vp9(0.into()), &vp9(2.into())));
        assert!(is_same_family(&vp9(0.into()), &vp9(2.into())));
    }

    #[test]
    fn multichannel_opus_is_told_apart_by_its_streams() {
        let multiopus = |streams: u8| {
            codec(serde_json::json!({
                "mimeType": "audio/multiopus", "clockRate": 48000, "channels": 6,
                "parameters": {"num_streams": streams, "coupled_streams": 2}
            }))
        };
        assert!(is_same_family(&multiopus(4), &multiopus(4)));
        assert!(!is_same_family(&multiopus(4), &multiopus(5)));
    }
}
