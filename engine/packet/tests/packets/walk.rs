//! Walks that read all a parser gives for any bytes, and check what must hold whatever they are. The fuzz
//! targets are made of them.

// Public for the fuzz crate, which takes this file in.
#![allow(unreachable_pub)]
// A sample that does not parse is a broken test.
#![allow(clippy::unwrap_used)]

use weirgate_packet::payload::dependency_descriptor::{
    DependencyDescriptor, FrameDependencies, Indication,
};
use weirgate_packet::payload::{self, PictureId, av1, h264, red, vp8, vp9};
use weirgate_packet::rtcp::{self, ExtendedBlock, RtcpPacket, TransportFeedback};
use weirgate_packet::rtp::{self, RtpPacket};
use weirgate_packet::{demux, dtls, stun};
use weirgate_wire::Codec;

use crate::samples::DEPENDENCY_STRUCTURE;

/// Reads `bytes` as RTP.
pub fn rtp(bytes: &[u8]) {
    let _ = demux::classify(bytes);
    let header_len = rtp::header_len(bytes);
    let Some(packet) = RtpPacket::parse(bytes) else {
        return;
    };
    assert_eq!(header_len, Some(packet.header_len()));
    assert_eq!(rtp::ssrc(bytes), Some(packet.ssrc()));
    assert_eq!(rtp::sequence(bytes), Some(packet.sequence()));
    assert!(packet.payload_type() < 128);
    let parts = packet.header_len() + packet.payload().len() + packet.padding_len();
    assert_eq!(parts, bytes.len());
    let extensions: usize = packet.extensions().map(|(_, data)| data.len() + 1).sum();
    assert!(extensions <= packet.header_len());
}

/// Reads `bytes` as a compound of RTCP packets and tells what is in each.
pub fn rtcp(bytes: &[u8]) -> Vec<String> {
    rtcp::packets(bytes).map(describe).collect()
}

/// Reads `bytes` as STUN.
pub fn stun(bytes: &[u8]) {
    let Some(message) = stun::StunMessage::parse(bytes) else {
        return;
    };
    assert!(bytes[0] < 0x40);
    assert!(message.method() < 1 << 12);
    assert!(
        message
            .unknown_required()
            .as_slice()
            .iter()
            .all(|kind| *kind < 0x8000)
    );
    let code = message.error_code();
    assert!(code.is_none_or(|code| (300..700).contains(&code)));
    // All is read once; what comes of it may be anything.
    let _ = (message.class(), message.transaction_id());
    let _ = (message.username(), message.priority(), message.role());
    let _ = (message.use_candidate(), message.nomination());
    let _ = message.xor_mapped_address();
    let _ = (
        message.verify_integrity(b"password"),
        message.verify_fingerprint(),
    );
}

/// Reads `bytes` as DTLS records.
pub fn dtls(bytes: &[u8]) {
    let records = dtls::is_dtls_records(bytes);
    assert!(records || !dtls::is_client_hello(bytes));
}

/// Reads `bytes` as a payload of every codec and as a dependency descriptor.
pub fn payloads(bytes: &[u8]) {
    for codec in [
        Codec::Opus,
        Codec::Vp8,
        Codec::Vp9,
        Codec::H264,
        Codec::Av1,
        Codec::Other,
        Codec::Red,
    ] {
        payload::is_key_frame(codec, bytes);
    }
    if let Some((payload_type, block)) = red::primary(bytes) {
        assert!(payload_type < 128 && bytes.ends_with(block));
        let mut same = bytes.to_vec();
        assert!(red::rewrite(&mut same, Some) && same == bytes);
    }
    if let Some(descriptor) = vp8::Vp8Descriptor::parse(bytes) {
        assert!(descriptor.len <= bytes.len());
        assert_eq!(
            byte_at(bytes, descriptor.tl0_pic_idx_offset),
            descriptor.tl0_pic_idx
        );
        assert!(
            descriptor
                .layer_offset
                .is_none_or(|offset| offset < descriptor.len)
        );
        rewrite_picture_id(bytes, descriptor.picture_id);
    }
    if let Some(descriptor) = vp9::Vp9Descriptor::parse(bytes) {
        assert!(descriptor.len <= bytes.len());
        assert_eq!(
            byte_at(bytes, descriptor.tl0_pic_idx_offset),
            descriptor.tl0_pic_idx
        );
        assert!(descriptor.spatial_layer() < 8 && descriptor.temporal_layer() < 8);
        rewrite_picture_id(bytes, descriptor.picture_id);
    }
    let nal_bytes: usize = h264::nals(bytes).map(|nal| nal.data.len() + 1).sum();
    assert!(nal_bytes <= bytes.len());
    av1::Av1AggregationHeader::parse(bytes);
    dependencies(bytes);
}

/// Reads `bytes` as a dependency descriptor, of a stream whose structure is not known and of one
/// whose is.
fn dependencies(bytes: &[u8]) {
    let Some(start) = DependencyDescriptor::parse(bytes) else {
        return;
    };
    assert!(start.template_id < 64);
    let mut known = None;
    assert!(FrameDependencies::parse(&DEPENDENCY_STRUCTURE, &mut known).is_some());
    for mut structure in [None, known] {
        let before = structure.clone();
        let Some(frame) = FrameDependencies::parse(bytes, &mut structure) else {
            assert_eq!(structure, before);
            continue;
        };
        let structure = structure.unwrap();
        assert!(frame.spatial < 4 && frame.temporal < 8);
        assert!(usize::from(frame.template_index) < structure.templates().len());
        let beyond = structure.decode_targets()..=u8::MAX;
        assert!(
            beyond
                .into_iter()
                .all(|target| frame.indications.of(target) == Indication::NotPresent)
        );
        let chains = usize::from(structure.chains());
        assert!(frame.chain_diffs[chains..].iter().all(|&diff| diff == 0));
        let active = frame.active_decode_targets.unwrap_or(0);
        assert_eq!(u64::from(active) >> structure.decode_targets(), 0);
    }
}

/// A picture id written over itself changes nothing.
fn rewrite_picture_id(bytes: &[u8], picture_id: Option<PictureId>) {
    if let Some(id) = picture_id {
        let mut copy = bytes.to_vec();
        assert!(id.write(&mut copy, id.value).is_some());
        assert_eq!(copy, bytes);
    }
}

fn byte_at(bytes: &[u8], offset: Option<usize>) -> Option<u8> {
    offset.and_then(|offset| bytes.get(offset).copied())
}

fn describe(packet: RtcpPacket<'_>) -> String {
    match packet {
        RtcpPacket::SenderReport {
            ssrc,
            ntp,
            rtp,
            packet_count,
            octet_count,
            reports,
        } => {
            let reports: Vec<_> = reports.collect();
            format!("SR {ssrc} {ntp} {rtp} {packet_count} {octet_count} {reports:?}")
        }
        RtcpPacket::ReceiverReport { ssrc, reports } => {
            format!("RR {ssrc} {:?}", reports.collect::<Vec<_>>())
        }
        RtcpPacket::Sdes(cnames) => format!("SDES {:?}", cnames.collect::<Vec<_>>()),
        RtcpPacket::Bye { ssrcs } => format!("BYE {:?}", ssrcs.collect::<Vec<_>>()),
        RtcpPacket::Nack {
            sender,
            media,
            lost,
        } => format!("NACK {sender} {media} {:?}", lost.collect::<Vec<_>>()),
        RtcpPacket::Fir { sender, entries } => {
            format!("FIR {sender} {:?}", entries.collect::<Vec<_>>())
        }
        RtcpPacket::Remb {
            sender,
            bitrate_bps,
            ssrcs,
        } => format!(
            "REMB {sender} {bitrate_bps} {:?}",
            ssrcs.collect::<Vec<_>>()
        ),
        RtcpPacket::TransportFeedback(feedback) => describe_feedback(&feedback),
        RtcpPacket::ExtendedReport { ssrc, blocks } => {
            let blocks: Vec<_> = blocks.map(describe_block).collect();
            format!("XR {ssrc} {blocks:?}")
        }
        RtcpPacket::Pli { .. } | RtcpPacket::Other { .. } => format!("{packet:?}"),
    }
}

fn describe_block(block: ExtendedBlock<'_>) -> String {
    match block {
        ExtendedBlock::Dlrr(reports) => format!("DLRR {:?}", reports.collect::<Vec<_>>()),
        _ => format!("{block:?}"),
    }
}

fn describe_feedback(feedback: &TransportFeedback<'_>) -> String {
    let mut statuses = 0;
    let mut received = vec![];
    for (sequence, delta) in feedback.statuses() {
        statuses += 1;
        received.extend(delta.map(|delta| (sequence, delta)));
    }
    assert_eq!(statuses, feedback.status_count);
    assert!(feedback.received().eq(received.iter().copied()));
    format!(
        "TWCC {} {} {} {statuses} {} {} {received:?}",
        feedback.sender,
        feedback.media,
        feedback.base_sequence,
        feedback.reference_time,
        feedback.feedback_count
    )
}
