//! Time per datagram to classify, parse and write, without cryptography but for STUN's.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that can not set up stops")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weirgate_benches::{RTP_HEADER_BYTES, rtp_packet};
use weirgate_packet::demux::classify;
use weirgate_packet::rtcp::{RtcpPacket, RtcpWriter, packets};
use weirgate_packet::rtp::{ExtensionForm, RtpPacket, RtpWriter};
use weirgate_packet::stun::write_binding_success;
use weirgate_packet::stun::{BindingRequest, IceRole, StunMessage, write_binding_request};

const PASSWORD: &[u8] = b"0123456789abcdefghijklmn";
const TRANSACTION: [u8; 12] = *b"transaction!";
const MTU_BYTES: usize = 1500;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(60)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = demux, rtp, rtcp, stun
}
criterion_main!(benches);

fn demux(criterion: &mut Criterion) {
    let mut stun = [0; 256];
    let len = write_request(&mut stun);
    let datagrams = [
        rtp_packet(1, 1, 1200),
        vec![0x81, 201, 0, 7],
        stun[..len].to_vec(),
        vec![22, 0xfe, 0xfd],
    ];
    criterion.bench_function("packet/demux/4_datagrams", |bencher| {
        bencher.iter(|| {
            for datagram in &datagrams {
                black_box(classify(black_box(datagram)));
            }
        });
    });
}

fn rtp(criterion: &mut Criterion) {
    let source = rtp_packet(0x1234_5678, 7, 1200);
    criterion.bench_function("packet/rtp/parse_with_extensions", |bencher| {
        bencher.iter(|| {
            let packet = RtpPacket::parse(black_box(&source)).unwrap();
            let extensions = packet
                .extensions()
                .fold(0, |sum, (id, data)| sum + usize::from(id) + data.len());
            black_box((
                packet.ssrc(),
                packet.sequence(),
                packet.timestamp(),
                extensions,
            ))
        });
    });

    let payload = &source[RTP_HEADER_BYTES..];
    let mut slot = vec![0; MTU_BYTES];
    criterion.bench_function("packet/rtp/write_1200", |bencher| {
        bencher.iter(|| {
            let slot = black_box(&mut slot[..]);
            let form = ExtensionForm::OneByte;
            let mut writer = RtpWriter::new(slot, true, 96, 7, 90_000, 0x1234_5678, form).unwrap();
            writer.extension(1, b"0").unwrap();
            writer.extension(2, &[0x12, 0x34, 0x56]).unwrap();
            writer.extension(3, &[0x12, 0x34]).unwrap();
            writer.payload(black_box(payload)).unwrap();
            black_box(writer.finish())
        });
    });
}

/// A report and feedback on 100 packets, of which every tenth was lost, as a browser sends it ten
/// times a second.
fn rtcp(criterion: &mut Criterion) {
    let mut slot = vec![0; MTU_BYTES];
    criterion.bench_function("packet/rtcp/write_report_and_feedback", |bencher| {
        bencher.iter(|| black_box(write_feedback(black_box(&mut slot))));
    });

    let len = write_feedback(&mut slot);
    let compound = &slot[..len];
    criterion.bench_function("packet/rtcp/parse_report_and_feedback", |bencher| {
        bencher.iter(|| {
            let mut received = 0;
            for packet in packets(black_box(compound)) {
                if let RtcpPacket::TransportFeedback(feedback) = packet {
                    received += feedback.received().count();
                }
            }
            black_box(received)
        });
    });
}

fn write_feedback(slot: &mut [u8]) -> usize {
    let mut writer = RtcpWriter::new(slot);
    assert!(writer.receiver_report(1, &[]));
    let statuses = (0..100).map(|number| (number % 10 != 9).then_some(8));
    assert_eq!(writer.transport_feedback(1, 2, 500, 1000, 0, statuses), 100);
    writer.len()
}

/// What a consent check costs: parse, both checks, answer.
fn stun(criterion: &mut Criterion) {
    let mut request = [0; 256];
    let len = write_request(&mut request);
    let request = &request[..len];
    let from = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let mut answer = [0; 256];
    criterion.bench_function("packet/stun/check_and_answer", |bencher| {
        bencher.iter(|| {
            let message = StunMessage::parse(black_box(request)).unwrap();
            assert!(message.verify_fingerprint() && message.verify_integrity(PASSWORD));
            let id = message.transaction_id();
            black_box(write_binding_success(&mut answer, id, from, PASSWORD))
        });
    });

    let mut forged = request.to_vec();
    forged[len - 1] ^= 1;
    criterion.bench_function("packet/stun/refuse_wrong_fingerprint", |bencher| {
        bencher.iter(|| {
            let message = StunMessage::parse(black_box(&forged)).unwrap();
            black_box(message.verify_fingerprint())
        });
    });
}

fn write_request(out: &mut [u8]) -> usize {
    let request = BindingRequest {
        transaction_id: TRANSACTION,
        username: "00abcdef:ghij",
        priority: 1_853_817_087,
        role: (IceRole::Controlling, 7),
        use_candidate: true,
        nomination: None,
        password: PASSWORD,
    };
    write_binding_request(out, &request).unwrap()
}
