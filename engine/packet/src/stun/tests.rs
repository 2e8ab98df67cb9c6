//! RFC 5769 vectors and round trips.

use std::net::SocketAddr;

use super::*;

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: [u8; 12] = [
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
];

/// RFC 5769 section 2.1.
const REQUEST: [u8; 108] = [
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
];

/// RFC 5769 section 2.2.
const RESPONSE_V4: [u8; 80] = [
    0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
    0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
    0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9,
    0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96,
];

/// RFC 5769 section 2.3.
const RESPONSE_V6: [u8; 92] = [
    0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
    0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa,
    0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14,
    0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75,
    0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c,
];

const MAPPED_V4: &str = "192.0.2.1:32853";
const MAPPED_V6: &str = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn the_vectors_are_read_and_verified() {
    let request = StunMessage::parse(&REQUEST).unwrap();
    assert_eq!(request.class(), Class::Request);
    assert_eq!(request.method(), METHOD_BINDING);
    assert_eq!(request.transaction_id(), TRANSACTION);
    assert_eq!(request.username(), Some("evtj:h6vY"));
    assert_eq!(request.priority(), Some(0x6e00_01ff));
    assert_eq!(
        request.role(),
        Some((IceRole::Controlled, 0x932f_f9b1_5126_3b36))
    );
    assert!(!request.use_candidate());
    assert_eq!(request.nomination(), None);
    assert!(request.unknown_required().is_empty());

    let v4 = StunMessage::parse(&RESPONSE_V4).unwrap();
    assert_eq!(v4.class(), Class::Success);
    assert_eq!(v4.xor_mapped_address(), Some(address(MAPPED_V4)));
    let v6 = StunMessage::parse(&RESPONSE_V6).unwrap();
    assert_eq!(v6.xor_mapped_address(), Some(address(MAPPED_V6)));
    for message in [request, v4, v6] {
        assert!(message.verify_integrity(PASSWORD));
        assert!(!message.verify_integrity(b"VOkJxbRl1RmTxUk/WvJxBT"));
        assert!(message.verify_fingerprint());
    }
}

#[test]
fn the_vectors_are_written_byte_for_byte() {
    for vector in [&REQUEST[..], &RESPONSE_V4, &RESPONSE_V6] {
        // Attributes as given, since the RFC pads with spaces where we pad with zeros.
        let integrity_offset = vector.len() - 32;
        let mut out = vec![0; vector.len()];
        let len = write::sign_attributes(&mut out, &vector[..integrity_offset], PASSWORD);
        assert_eq!(len, Some(vector.len()));
        assert_eq!(out, vector);
    }
    for (mapped, vector) in [(MAPPED_V4, &RESPONSE_V4[..]), (MAPPED_V6, &RESPONSE_V6)] {
        let mut out = [0; 128];
        let len = write_binding_success(&mut out, TRANSACTION, address(mapped), PASSWORD).unwrap();
        // The vector has SOFTWARE of 16 bytes in front, which we do not send.
        assert_eq!(out[20..len - 32], vector[36..vector.len() - 32]);
    }
}

#[test]
fn any_changed_byte_is_noticed() {
    for vector in [&REQUEST[..], &RESPONSE_V4, &RESPONSE_V6] {
        for index in 0..vector.len() {
            let mut bytes = vector.to_vec();
            bytes[index] ^= 1;
            let authentic = StunMessage::parse(&bytes)
                .is_some_and(|stun| stun.verify_integrity(PASSWORD) && stun.verify_fingerprint());
            assert!(!authentic, "byte {index}");
        }
    }
}

#[test]
fn a_cut_or_extended_message_is_refused() {
    for len in 0..REQUEST.len() {
        assert!(StunMessage::parse(&REQUEST[..len]).is_none(), "{len} bytes");
    }
    let longer = [&REQUEST[..], &[0]].concat();
    assert!(StunMessage::parse(&longer).is_none());
}

fn request(use_candidate: bool, nomination: Option<u32>) -> BindingRequest<'static> {
    BindingRequest {
        transaction_id: TRANSACTION,
        username: "local:remote",
        priority: 5,
        role: (IceRole::Controlling, 7),
        use_candidate,
        nomination,
        password: PASSWORD,
    }
}

#[test]
fn a_request_that_nominates() {
    for (use_candidate, nomination) in [(true, None), (false, Some(9)), (true, Some(0))] {
        let mut out = [0; 256];
        let len = write_binding_request(&mut out, &request(use_candidate, nomination)).unwrap();
        let stun = StunMessage::parse(&out[..len]).unwrap();
        assert_eq!(stun.class(), Class::Request);
        assert_eq!(stun.username(), Some("local:remote"));
        assert_eq!(stun.role(), Some((IceRole::Controlling, 7)));
        assert_eq!(stun.use_candidate(), use_candidate);
        assert_eq!(stun.nomination(), nomination);
        assert!(stun.unknown_required().is_empty());
        assert!(stun.verify_integrity(PASSWORD) && stun.verify_fingerprint());
    }
}

#[test]
fn an_error_with_unknown_attributes() {
    let mut out = [0; 256];
    let unknown = [0x7f00, 0x0003, 0x0004];
    let len = write_binding_error(
        &mut out,
        TRANSACTION,
        420,
        "Unknown",
        &unknown,
        Some(PASSWORD),
    );
    let stun = StunMessage::parse(&out[..len.unwrap()]).unwrap();
    assert_eq!(stun.class(), Class::Error);
    assert_eq!(stun.error_code(), Some(420));
    assert!(stun.verify_integrity(PASSWORD) && stun.verify_fingerprint());
    // UNKNOWN-ATTRIBUTES, 6 bytes and 2 of padding, behind the 16 bytes of ERROR-CODE.
    assert_eq!(out[36..48], [0, 0x0a, 0, 6, 0x7f, 0, 0, 3, 0, 4, 0, 0]);
}

#[test]
fn an_error_without_a_password_has_a_fingerprint_only() {
    let mut out = [0; 256];
    let len = write_binding_error(&mut out, TRANSACTION, 400, "", &[], None).unwrap();
    let stun = StunMessage::parse(&out[..len]).unwrap();
    assert_eq!((stun.error_code(), len), (Some(400), 36));
    assert!(stun.verify_fingerprint());
    assert!(!stun.verify_integrity(PASSWORD));
    for code in [299, 700] {
        assert_eq!(
            write_binding_error(&mut out, TRANSACTION, code, "", &[], None),
            None
        );
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut out = [0; 256];
    let len = write_binding_request(&mut out, &request(true, Some(1))).unwrap();
    for short in 0..len {
        assert_eq!(
            write_binding_request(&mut out[..short], &request(true, Some(1))),
            None
        );
    }
    assert!(write_binding_request(&mut out[..len], &request(true, Some(1))).is_some());
}

/// A request without integrity and fingerprint, made of these attributes.
fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend_from_slice(&TRANSACTION);
    for (kind, value) in attributes {
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let len = (bytes.len() - HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

#[test]
fn attributes_behind_the_integrity_are_not_read() {
    let bytes = message(&[
        (attribute::USERNAME, b"a:b"),
        (attribute::MESSAGE_INTEGRITY, &[0; 20]),
        (attribute::USE_CANDIDATE, &[]),
        (0x7f00, &[]),
        (attribute::FINGERPRINT, &[0; 4]),
    ]);
    let stun = StunMessage::parse(&bytes).unwrap();
    assert_eq!(stun.username(), Some("a:b"));
    assert!(!stun.use_candidate());
    assert!(stun.unknown_required().is_empty());
}

#[test]
fn a_fingerprint_that_is_not_the_last_does_not_verify() {
    let mut bytes = message(&[(attribute::FINGERPRINT, &[0; 4])]);
    let crc = fingerprint(&bytes[..20]);
    bytes[24..28].copy_from_slice(&crc);
    assert!(StunMessage::parse(&bytes).unwrap().verify_fingerprint());
    let mut bytes = message(&[
        (attribute::FINGERPRINT, &[0; 4]),
        (attribute::USE_CANDIDATE, &[]),
    ]);
    let crc = fingerprint(&bytes[..20]);
    bytes[24..28].copy_from_slice(&crc);
    let stun = StunMessage::parse(&bytes).unwrap();
    assert!(!stun.verify_fingerprint() && !stun.use_candidate());
}

#[test]
fn unknown_types_are_listed_once_and_up_to_a_limit() {
    let kinds: Vec<u16> = (0x7f00..0x7f10).collect();
    let mut attributes: Vec<(u16, &[u8])> = vec![(0x7f00, &[]), (0x8fff, &[]), (0xc001, &[])];
    attributes.extend(kinds.iter().map(|kind| (*kind, &[][..])));
    let bytes = message(&attributes);
    let unknown = StunMessage::parse(&bytes).unwrap().unknown_required();
    assert_eq!(unknown.as_slice(), &kinds[..UnknownRequired::MAX]);
}

#[test]
fn values_of_a_wrong_length_are_not_there() {
    let bytes = message(&[
        (attribute::PRIORITY, &[0; 5]),
        (attribute::NOMINATION, &[0; 3]),
        (attribute::ICE_CONTROLLING, &[0; 4]),
        (attribute::USERNAME, &[0xff]),
        (attribute::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 1, 2, 3]),
        (attribute::ERROR_CODE, &[0, 0, 2, 0]),
    ]);
    let stun = StunMessage::parse(&bytes).unwrap();
    assert_eq!(stun.priority(), None);
    assert_eq!(stun.nomination(), None);
    assert_eq!(stun.role(), None);
    assert_eq!(stun.username(), None);
    assert_eq!(stun.xor_mapped_address(), None);
    assert_eq!(stun.error_code(), None);
    for (kind, len) in [
        (attribute::MESSAGE_INTEGRITY, 19),
        (attribute::FINGERPRINT, 5),
    ] {
        assert!(StunMessage::parse(&message(&[(kind, &[0; 20][..len])])).is_none());
    }
}
