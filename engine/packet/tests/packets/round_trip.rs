//! Random bytes never panic, and what is written is read back.

use proptest::collection::vec;
use proptest::prelude::*;
use weirgate_packet::rtcp::{self, ReportBlock, RtcpPacket, RtcpWriter};
use weirgate_packet::rtp::{ExtensionForm, RtpPacket, RtpWriter};

use crate::{samples, walk};

fn walk_all(bytes: &[u8]) {
    walk::rtp(bytes);
    walk::rtcp(bytes);
    walk::stun(bytes);
    walk::dtls(bytes);
    walk::payloads(bytes);
}

fn any_sample() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<_> = [
        samples::rtp(),
        samples::rtcp(),
        samples::transport_feedback(),
        samples::stun(),
        samples::dtls(),
        samples::dependency_descriptors(),
    ]
    .concat()
    .into_iter()
    .map(|(_, bytes)| bytes)
    .collect();
    prop::sample::select(all)
}

fn extensions(form: ExtensionForm) -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let element = match form {
        ExtensionForm::OneByte => (1..15u8, vec(any::<u8>(), 1..=16)).boxed(),
        ExtensionForm::TwoByte => (1..=255u8, vec(any::<u8>(), 0..40)).boxed(),
    };
    vec(element, 0..6)
}

fn form() -> impl Strategy<Value = ExtensionForm> {
    prop_oneof![Just(ExtensionForm::OneByte), Just(ExtensionForm::TwoByte)]
}

fn report() -> impl Strategy<Value = ReportBlock> {
    let lost = -(1i32 << 23)..1 << 23;
    (any::<[u32; 5]>(), any::<u8>(), lost).prop_map(|(words, fraction_lost, cumulative_lost)| {
        ReportBlock {
            ssrc: words[0],
            fraction_lost,
            cumulative_lost,
            highest_sequence: words[1],
            jitter: words[2],
            last_sr: words[3],
            delay_since_last_sr: words[4],
        }
    })
}

/// Arrivals as they come: mostly small deltas, some large, losses alone and in long rows.
fn statuses() -> impl Strategy<Value = Vec<Option<i32>>> {
    let small = (0..256i32).prop_map(Some);
    let large = (-32_768..32_768i32).prop_map(Some);
    let stretch = prop_oneof![
        4 => vec(small.clone(), 1..30),
        1 => vec(large, 1..20),
        2 => vec(prop_oneof![small, Just(None)], 1..30),
        1 => (1..10_000usize).prop_map(|len| std::vec::from_elem(None, len)),
    ];
    vec(stretch, 1..6).prop_map(|stretches| stretches.concat())
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        walk_all(&bytes);
    }

    #[test]
    fn damaged_packets_never_panic(
        mut bytes in any_sample(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        len in any::<prop::sample::Index>(),
    ) {
        for (index, byte) in damage {
            *index.get_mut(&mut bytes) = byte;
        }
        walk_all(&bytes);
        walk_all(&bytes[..len.index(bytes.len())]);
    }

    #[test]
    fn rtp_is_read_back(
        (form, extensions) in form().prop_flat_map(|form| (Just(form), extensions(form))),
        marker: bool,
        payload_type in 0..128u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        payload in vec(any::<u8>(), 0..300),
        padding: u8,
    ) {
        let mut slot = [0xff; 1200];
        let mut out =
            RtpWriter::new(&mut slot, marker, payload_type, sequence, timestamp, ssrc, form)
                .unwrap();
        let mut offsets = vec![];
        for (id, data) in &extensions {
            offsets.push(out.extension(*id, data).unwrap());
        }
        out.payload(&payload).unwrap();
        out.padding(padding).unwrap();
        let written = out.finish();

        let packet = RtpPacket::parse(&slot[..written.len]).unwrap();
        prop_assert_eq!(packet.marker(), marker);
        prop_assert_eq!(packet.payload_type(), payload_type);
        prop_assert_eq!(packet.sequence(), sequence);
        prop_assert_eq!(packet.timestamp(), timestamp);
        prop_assert_eq!(packet.ssrc(), ssrc);
        prop_assert_eq!(packet.header_len(), written.header_len);
        prop_assert_eq!(packet.payload(), &payload[..]);
        prop_assert_eq!(packet.padding_len(), usize::from(padding));
        let read: Vec<_> = packet.extensions().map(|(id, data)| (id, data.to_vec())).collect();
        prop_assert_eq!(&read, &extensions);
        for (offset, (_, data)) in offsets.into_iter().zip(&extensions) {
            prop_assert_eq!(&slot[offset..offset + data.len()], &data[..]);
        }
    }

    #[test]
    fn reports_are_read_back(
        words: [u32; 4],
        clock: u64,
        blocks in vec(report(), 0..=31),
    ) {
        let mut slot = [0; 2000];
        let mut out = RtcpWriter::new(&mut slot);
        prop_assert!(out.sender_report(words[0], clock, words[1], words[2], words[3], &blocks));
        prop_assert!(out.receiver_report(words[0], &blocks));
        let len = out.len();
        let mut read = rtcp::packets(&slot[..len]);
        let Some(RtcpPacket::SenderReport { ssrc, ntp, rtp, packet_count, octet_count, reports }) =
            read.next()
        else {
            panic!("no sender report");
        };
        prop_assert_eq!([ssrc, rtp, packet_count, octet_count], words);
        prop_assert_eq!(ntp, clock);
        prop_assert_eq!(reports.collect::<Vec<_>>(), blocks.clone());
        let Some(RtcpPacket::ReceiverReport { reports, .. }) = read.next() else {
            panic!("no receiver report");
        };
        prop_assert_eq!(reports.collect::<Vec<_>>(), blocks);
        prop_assert!(read.next().is_none() && !read.malformed());
    }

    #[test]
    fn lost_packets_are_read_back(first: u16, gaps in vec(1..100u16, 0..60)) {
        let mut wanted = vec![first];
        wanted.extend(gaps.iter().scan(first, |sequence, gap| {
            *sequence = sequence.wrapping_add(*gap);
            Some(*sequence)
        }));
        let mut slot = [0; 600];
        let mut out = RtcpWriter::new(&mut slot);
        prop_assert!(out.nack(1, 2, wanted.iter().copied()));
        let len = out.len();
        let Some(RtcpPacket::Nack { lost, .. }) = rtcp::packets(&slot[..len]).next() else {
            panic!("no NACK");
        };
        prop_assert_eq!(lost.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_bitrate_is_read_back_rounded_down(bitrate: u64, sources in vec(any::<u32>(), 0..=255)) {
        let mut slot = [0; 1200];
        let mut out = RtcpWriter::new(&mut slot);
        prop_assert!(out.remb(1, bitrate, &sources));
        let len = out.len();
        let Some(RtcpPacket::Remb { bitrate_bps, ssrcs, .. }) = rtcp::packets(&slot[..len]).next()
        else {
            panic!("no REMB");
        };
        prop_assert!(bitrate_bps <= bitrate && bitrate - bitrate_bps <= bitrate >> 17);
        prop_assert_eq!(ssrcs.collect::<Vec<_>>(), sources);
    }

    #[test]
    fn transport_feedback_is_read_back_over_as_many_packets_as_it_takes(
        base: u16,
        reference in -(1i32 << 23)..1 << 23,
        wanted in statuses(),
        capacity in 28..1200usize,
    ) {
        let mut slot = vec![0; capacity];
        let mut read = vec![];
        while read.len() < wanted.len() {
            let sequence = base.wrapping_add(read.len() as u16);
            let rest = wanted[read.len()..].iter().copied();
            let mut out = RtcpWriter::new(&mut slot);
            let count = out.transport_feedback(1, 2, sequence, reference, 3, rest);
            let len = out.len();
            prop_assert!(count > 0, "28 bytes hold any one status");
            let Some(RtcpPacket::TransportFeedback(feedback)) =
                rtcp::packets(&slot[..len]).next()
            else {
                panic!("no feedback");
            };
            prop_assert_eq!(feedback.base_sequence, sequence);
            prop_assert_eq!(feedback.reference_time, reference);
            prop_assert_eq!(usize::from(feedback.status_count), count);
            prop_assert!(feedback.received().eq(feedback
                .statuses()
                .filter_map(|(sequence, delta)| Some((sequence, delta?)))));
            for (sequence, delta) in feedback.statuses() {
                prop_assert_eq!(sequence, base.wrapping_add(read.len() as u16));
                read.push(delta.map(i32::from));
            }
        }
        prop_assert_eq!(read, wanted);
    }
}
