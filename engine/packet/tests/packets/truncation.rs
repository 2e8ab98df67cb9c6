//! Every valid packet, cut at every byte: nothing panics, and what is cut is not taken for whole.

use weirgate_packet::payload::{h264, is_key_frame, vp8::Vp8Descriptor, vp9::Vp9Descriptor};
use weirgate_packet::rtp::RtpPacket;
use weirgate_packet::stun::StunMessage;
use weirgate_packet::{dtls, rtcp};
use weirgate_wire::Codec;

use crate::{samples, walk};

#[test]
fn rtp() {
    for (name, bytes) in samples::rtp() {
        let whole = RtpPacket::parse(&bytes).unwrap();
        for len in 0..bytes.len() {
            walk::rtp(&bytes[..len]);
            if let Some(cut) = RtpPacket::parse(&bytes[..len]) {
                assert_eq!(cut.header_len(), whole.header_len(), "{name}: {len} bytes");
                assert!(cut.payload().len() <= whole.payload().len() + whole.padding_len());
            }
        }
    }
}

#[test]
fn rtcp() {
    for (name, bytes) in samples::rtcp()
        .into_iter()
        .chain(samples::transport_feedback())
    {
        let whole = walk::rtcp(&bytes);
        let mut all = rtcp::packets(&bytes);
        assert_eq!(all.by_ref().count(), whole.len());
        assert!(!all.malformed(), "{name}");
        for len in 0..bytes.len() {
            let cut = walk::rtcp(&bytes[..len]);
            assert!(cut.len() < whole.len(), "{name}: {len} bytes");
            assert_eq!(cut, whole[..cut.len()], "{name}: {len} bytes");
        }
    }
}

#[test]
fn stun() {
    for (name, bytes) in samples::stun() {
        assert!(StunMessage::parse(&bytes).unwrap().verify_fingerprint());
        for len in 0..bytes.len() {
            let cut = StunMessage::parse(&bytes[..len]);
            assert!(cut.is_none(), "{name}: {len} bytes");
        }
    }
}

#[test]
fn dtls() {
    for (name, bytes) in samples::dtls() {
        assert!(dtls::is_dtls_records(&bytes), "{name}");
        assert_eq!(dtls::is_client_hello(&bytes), name.starts_with("hello"));
        for len in 0..bytes.len() {
            walk::dtls(&bytes[..len]);
            // The last record of `unified` has no length and takes what there is.
            let between_records = matches!(name, "hello-both" | "two-records" | "unified");
            let accepted = dtls::is_dtls_records(&bytes[..len]);
            assert!(!accepted || between_records, "{name}: {len} bytes");
        }
    }
}

#[test]
fn payloads() {
    for (codec, bytes) in samples::key_frames() {
        assert!(is_key_frame(codec, &bytes), "{codec:?} {bytes:?}");
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            walk::payloads(cut);
            match codec {
                Codec::Vp8 => assert_cut(Vp8Descriptor::parse, &bytes, len),
                Codec::Vp9 => assert_cut(Vp9Descriptor::parse, &bytes, len),
                Codec::H264 => {
                    let units = h264::nals(&bytes).count();
                    assert!(h264::nals(cut).count() <= units, "{len} bytes");
                }
                _ => {}
            }
        }
    }
    for (_, bytes) in samples::dependency_descriptors() {
        for len in 0..=bytes.len() {
            walk::payloads(&bytes[..len]);
        }
    }
}

/// A descriptor of cut bytes is the same as of all of them, or none.
fn assert_cut<T: PartialEq + std::fmt::Debug>(
    parse: impl Fn(&[u8]) -> Option<T>,
    bytes: &[u8],
    len: usize,
) {
    let cut = parse(&bytes[..len]);
    assert!(
        cut.is_none() || cut == parse(bytes),
        "{len} bytes of {bytes:?}"
    );
}
