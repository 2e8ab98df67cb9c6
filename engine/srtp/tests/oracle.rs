//! Byte for byte against `webrtc-srtp`, both ways.
#![allow(clippy::unwrap_used, reason = "a test that can not set up has failed")]

mod common;

use common::{key, seal_rtcp, seal_rtp};
use proptest::prelude::*;
use proptest::sample::select;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;
use weirgate_srtp::{Opener, Sealer, SrtpKey, SrtpSuite};

const MAX_PAYLOAD_BYTES: usize = 1400;

fn oracle(key: &SrtpKey) -> Context {
    let profile = match key.suite {
        SrtpSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let (master, salt) = key.key_and_salt.split_at(key.suite.key_len());
    Context::new(master, salt, profile, None, None).unwrap()
}

fn suites() -> impl Strategy<Value = SrtpSuite> {
    select(SrtpSuite::ALL.to_vec())
}

/// A header extension: none, or one of RFC 8285's two forms with whole elements.
fn extension() -> impl Strategy<Value = Vec<u8>> {
    let one_byte =
        prop::collection::vec((1u8..15, prop::collection::vec(any::<u8>(), 1..=16)), 1..5)
            .prop_map(|elements| {
                let mut body = Vec::new();
                for (id, data) in elements {
                    body.push(id << 4 | (data.len() - 1) as u8);
                    body.extend(data);
                }
                with_profile(0xbede, body)
            });
    let two_byte = prop::collection::vec((1u8.., prop::collection::vec(any::<u8>(), 0..40)), 1..5)
        .prop_map(|elements| {
            let mut body = Vec::new();
            for (id, data) in elements {
                body.extend([id, data.len() as u8]);
                body.extend(data);
            }
            with_profile(0x1000, body)
        });
    prop_oneof![Just(Vec::new()), one_byte, two_byte]
}

fn with_profile(profile: u16, mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().next_multiple_of(4), 0);
    let words = (body.len() / 4) as u16;
    [&profile.to_be_bytes()[..], &words.to_be_bytes(), &body].concat()
}

/// A plaintext packet and the length of its header.
fn rtp_packet() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let csrcs = prop::collection::vec(any::<u32>(), 0..=15);
    let payload = prop::collection::vec(any::<u8>(), 0..MAX_PAYLOAD_BYTES);
    let padding = prop_oneof![Just(0u8), 1u8..];
    let fields = (any::<u8>(), any::<u16>(), any::<u32>(), any::<u32>());
    (fields, csrcs, extension(), payload, padding).prop_map(
        |((second, sequence, timestamp, ssrc), csrcs, extension, payload, padding)| {
            let has_extension = u8::from(!extension.is_empty()) << 4;
            let has_padding = u8::from(padding > 0) << 5;
            let mut packet = vec![
                0x80 | has_padding | has_extension | csrcs.len() as u8,
                second,
            ];
            packet.extend(sequence.to_be_bytes());
            packet.extend(timestamp.to_be_bytes());
            packet.extend(ssrc.to_be_bytes());
            packet.extend(csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
            packet.extend(extension);
            let header_len = packet.len();
            packet.extend(payload);
            packet.resize(packet.len() + usize::from(padding), padding);
            (packet, header_len)
        },
    )
}

proptest! {
    #[test]
    fn rtp_is_the_oracles_and_opens_both_ways(
        suite in suites(),
        seed: u8,
        (packet, header_len) in rtp_packet(),
    ) {
        let key = key(suite, seed);
        let index = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
        let sealed = seal_rtp(&Sealer::new(&key).unwrap(), &packet, header_len, index);
        prop_assert_eq!(&oracle(&key).encrypt_rtp(&packet).unwrap()[..], &sealed[..]);
        prop_assert_eq!(&oracle(&key).decrypt_rtp(&sealed).unwrap()[..], &packet[..]);

        let mut in_place = sealed;
        let opened = Opener::new(&key, 1).unwrap().open_rtp(&mut in_place).unwrap();
        prop_assert_eq!(&in_place[..opened.len], &packet[..]);
        prop_assert_eq!(opened.index, index);
    }

    #[test]
    fn streams_keep_the_oracles_rollover_counter(
        suite in suites(),
        start: u16,
        steps in prop::collection::vec(prop_oneof![1u64..5, 1u64..0x7fff], 1..40),
    ) {
        let key = key(suite, 1);
        let sealer = Sealer::new(&key).unwrap();
        let mut opener = Opener::new(&key, 1).unwrap();
        let (mut sending, mut receiving) = (oracle(&key), oracle(&key));
        let mut index = u64::from(start);
        for step in steps {
            let packet = common::rtp(7, index as u16, 30);
            let mut sealed = seal_rtp(&sealer, &packet, 12, index);
            prop_assert_eq!(&sending.encrypt_rtp(&packet).unwrap()[..], &sealed[..]);
            prop_assert_eq!(&receiving.decrypt_rtp(&sealed).unwrap()[..], &packet[..]);
            prop_assert_eq!(opener.open_rtp(&mut sealed).unwrap().index, index);
            index += step;
        }
    }

    #[test]
    fn rtcp_is_the_oracles_and_opens_both_ways(
        suite in suites(),
        seed: u8,
        ssrc: u32,
        body in prop::collection::vec(any::<u32>(), 0..300),
    ) {
        let key = key(suite, seed);
        let mut packet = vec![0x80, 201];
        packet.extend((1 + body.len() as u16).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(body.iter().flat_map(|word| word.to_be_bytes()));

        // The oracle's first index is 1.
        let mut sealer = Sealer::with_rtcp_index(&key, 1).unwrap();
        let mut opener = Opener::new(&key, 1).unwrap();
        let (mut sending, mut receiving) = (oracle(&key), oracle(&key));
        for _ in 0..3 {
            let mut sealed = seal_rtcp(&mut sealer, &packet);
            prop_assert_eq!(&sending.encrypt_rtcp(&packet).unwrap()[..], &sealed[..]);
            prop_assert_eq!(&receiving.decrypt_rtcp(&sealed).unwrap()[..], &packet[..]);
            let len = opener.open_rtcp(&mut sealed).unwrap();
            prop_assert_eq!(&sealed[..len], &packet[..]);
        }
    }
}
