//! Valid packets, each with a name. The fuzz targets start from them.

// Public for the fuzz crate, which takes this file in.
#![allow(unreachable_pub)]
// A sample that can not be made is a broken test.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use weirgate_packet::rtcp::{DlrrReport, ReportBlock, RtcpWriter};
use weirgate_packet::rtp::{ExtensionForm, RtpWriter};
use weirgate_packet::stun::{
    BindingRequest, IceRole, write_binding_error, write_binding_request, write_binding_success,
};
use weirgate_wire::Codec;

/// The ICE password of every STUN sample.
pub const PASSWORD: &[u8] = b"0123456789abcdefghijklmn";

const TRANSACTION: [u8; 12] = *b"transaction!";

/// A name and a packet.
pub type Sample = (&'static str, Vec<u8>);

/// RTP in the clear.
pub fn rtp() -> Vec<Sample> {
    let mut csrcs = rtp_packet(
        ExtensionForm::OneByte,
        &[(1, b"0"), (4, &[0xe0])],
        b"opus",
        0,
    );
    csrcs[0] |= 2;
    csrcs.splice(12..12, [0, 0, 0, 1, 0, 0, 0, 2]);
    vec![
        (
            "plain",
            rtp_packet(ExtensionForm::OneByte, &[], b"payload", 0),
        ),
        ("csrcs", csrcs),
        (
            "one-byte",
            rtp_packet(
                ExtensionForm::OneByte,
                &[(1, b"mid"), (3, &[1, 2, 3]), (5, &[0, 7]), (14, &[9; 16])],
                &[0x90, 0x80, 0x05, 0x10, 0x02, 0x00],
                0,
            ),
        ),
        (
            "two-byte",
            rtp_packet(
                ExtensionForm::TwoByte,
                &[(1, b""), (20, &[7; 40]), (255, &[1])],
                b"payload",
                4,
            ),
        ),
        (
            "padding-only",
            rtp_packet(ExtensionForm::OneByte, &[(3, &[1, 2, 3])], b"", 255),
        ),
    ]
}

/// Compound and single RTCP packets but for transport-wide feedback.
pub fn rtcp() -> Vec<Sample> {
    let block = ReportBlock {
        ssrc: 9,
        fraction_lost: 64,
        cumulative_lost: -2,
        highest_sequence: 0x0001_fffe,
        jitter: 7,
        last_sr: 0x0102_0304,
        delay_since_last_sr: 65_536,
    };
    let answer = DlrrReport {
        ssrc: 2,
        last_rr: 3,
        delay_since_last_rr: 4,
    };
    let mut padded = written(|out| out.pli(1, 2));
    padded[0] |= 0x20;
    padded[3] += 1;
    padded.extend_from_slice(&[0, 0, 0, 4]);
    vec![
        (
            "sender-report",
            written(|out| {
                out.sender_report(1, 0xe000_0001_8000_0000, 6, 7, 8, &[block, block])
                    && out.sdes_cname(1, "cname of five words")
            }),
        ),
        (
            "receiver-report",
            written(|out| {
                out.receiver_report(1, &[block])
                    && out.nack(1, 2, [65_530, 65_535, 0, 9, 400].into_iter())
                    && out.remb(1, 2_500_000, &[2, 3])
            }),
        ),
        (
            "key-frames",
            written(|out| out.receiver_report(1, &[]) && out.pli(1, 2) && out.fir(1, 2, 3)),
        ),
        (
            "extended",
            written(|out| {
                out.receiver_reference_time(1, 0xe000 << 48) && out.dlrr(1, &[answer; 2])
            }),
        ),
        ("bye", written(|out| out.sdes_cname(1, "") && out.bye(1))),
        ("padded", padded),
        (
            "application",
            vec![0x85, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'],
        ),
    ]
}

/// Transport-wide feedback with every kind of chunk.
pub fn transport_feedback() -> Vec<Sample> {
    let feedback = |base, statuses: &[Option<i32>]| {
        written(|out| {
            let statuses = statuses.iter().copied();
            out.transport_feedback(1, 2, base, -5, 7, statuses) > 0
        })
    };
    let mut mixed = vec![Some(4); 20];
    mixed.extend([None, Some(1), None, None, Some(255)].repeat(4));
    mixed.extend([Some(256), None, Some(-3), Some(0)].repeat(4));
    let mut gap = vec![Some(4)];
    gap.extend([None; 9_000]);
    gap.push(Some(30_000));
    vec![
        ("run", feedback(65_530, &[Some(4); 12])),
        ("mixed", feedback(65_530, &mixed)),
        ("gap", feedback(100, &gap)),
        ("lost", feedback(100, &[None; 3])),
    ]
}

/// Connectivity checks and their answers.
pub fn stun() -> Vec<Sample> {
    let request = BindingRequest {
        transaction_id: TRANSACTION,
        username: "local:remote",
        priority: 0x6e00_01ff,
        role: (IceRole::Controlling, 7),
        use_candidate: true,
        nomination: None,
        password: PASSWORD,
    };
    let renomination = BindingRequest {
        role: (IceRole::Controlled, 8),
        use_candidate: false,
        nomination: Some(3),
        ..request
    };
    let v4 = SocketAddr::from(([192, 0, 2, 1], 32_853));
    let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 32_853));
    let unknown = [0x7f00, 0x0003];
    let out = |write: &dyn Fn(&mut [u8]) -> Option<usize>| {
        let mut slot = [0; 512];
        let len = write(&mut slot).unwrap();
        slot[..len].to_vec()
    };
    vec![
        (
            "nominating",
            out(&|slot| write_binding_request(slot, &request)),
        ),
        (
            "renominating",
            out(&|slot| write_binding_request(slot, &renomination)),
        ),
        (
            "success-v4",
            out(&|slot| write_binding_success(slot, TRANSACTION, v4, PASSWORD)),
        ),
        (
            "success-v6",
            out(&|slot| write_binding_success(slot, TRANSACTION, v6, PASSWORD)),
        ),
        (
            "role-conflict",
            out(&|slot| {
                write_binding_error(slot, TRANSACTION, 487, "Role Conflict", &[], Some(PASSWORD))
            }),
        ),
        (
            "unknown-attributes",
            out(&|slot| write_binding_error(slot, TRANSACTION, 420, "Unknown", &unknown, None)),
        ),
    ]
}

/// DTLS records of both versions.
pub fn dtls() -> Vec<Sample> {
    let mut hello = vec![0xfe, 0xfd];
    hello.resize(100, 0);
    let first = dtls_record(22, 0, &hello_fragment(100, 0, &hello[..60]));
    let second = dtls_record(22, 0, &hello_fragment(100, 60, &hello[60..]));
    let alert = dtls_record(21, 1, &[7; 26]);
    let unified = [&[0x2c, 0, 1, 0, 16][..], &[7; 16], &[0x2b, 0, 2], &[7; 20]].concat();
    vec![
        ("hello-first", first.clone()),
        ("hello-later", second.clone()),
        ("hello-both", [first, second].concat()),
        ("alert", alert.clone()),
        ("two-records", [alert.clone(), alert].concat()),
        ("unified", unified),
    ]
}

/// Payloads whose first packet begins a key frame, with their codecs.
pub fn key_frames() -> Vec<(Codec, Vec<u8>)> {
    let vp9_structure = [
        0xba, 0x81, 0x02, 0x00, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0x04, 1, 0x20, 0x82,
    ];
    vec![
        (Codec::Vp8, vec![0x10, 0x00, 0x9d]),
        (Codec::Vp8, vec![0x90, 0xf0, 0x81, 0x02, 0x33, 0xa5, 0x10]),
        (Codec::Vp9, vec![0x8c, 0x05, 0x82]),
        (Codec::Vp9, vec![0xac, 0x81, 0x02, 0x00, 0x44, 0x82]),
        (Codec::Vp9, vp9_structure.to_vec()),
        (Codec::H264, vec![0x65, 1, 2]),
        (
            Codec::H264,
            vec![0x78, 0, 2, 0x67, 9, 0, 1, 0x68, 0, 2, 0x65, 1],
        ),
        (Codec::H264, vec![0x7c, 0x85, 1]),
        (Codec::Av1, vec![0x18, 0x0a, 0x0b]),
    ]
}

/// A dependency descriptor with a structure of two temporal layers.
pub const DEPENDENCY_STRUCTURE: [u8; 11] = [
    0xc7, 0x00, 0x10, 0x80, 0xe1, 0x1e, 0xa8, 0x53, 0x45, 0x02, 0x10,
];

/// Data of the dependency descriptor header extension.
pub fn dependency_descriptors() -> Vec<Sample> {
    vec![
        ("mandatory", vec![0xc5, 1, 2]),
        ("structure", DEPENDENCY_STRUCTURE.to_vec()),
        ("own", vec![0xc8, 0, 18, 0x7b, 0x08, 0x62, 0x56, 0x04, 0x80]),
    ]
}

fn rtp_packet(
    form: ExtensionForm,
    extensions: &[(u8, &[u8])],
    payload: &[u8],
    padding: u8,
) -> Vec<u8> {
    let mut slot = [0; 1200];
    let mut packet =
        RtpWriter::new(&mut slot, true, 96, 65_535, 90_000, 0xcafe_babe, form).unwrap();
    for (id, data) in extensions {
        packet.extension(*id, data).unwrap();
    }
    packet.payload(payload).unwrap();
    packet.padding(padding).unwrap();
    let len = packet.finish().len;
    slot[..len].to_vec()
}

fn written(write: impl FnOnce(&mut RtcpWriter<'_>) -> bool) -> Vec<u8> {
    let mut slot = [0; 1200];
    let mut writer = RtcpWriter::new(&mut slot);
    assert!(write(&mut writer));
    let len = writer.len();
    slot[..len].to_vec()
}

fn dtls_record(content_type: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1];
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn hello_fragment(message_len: u8, offset: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, message_len, 0, 0, 0, 0, offset, 0, 0];
    bytes.push(body.len() as u8);
    bytes.extend_from_slice(body);
    bytes
}
