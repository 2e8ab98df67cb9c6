//! What must not end a handshake or a connection, and what comes in pieces.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use support::{Call, Fate, From, Side};
use weirgate_dtls::{DtlsEndpoint, DtlsOutput, DtlsRole, FailureReason, MAX_DATAGRAM_BYTES};

const HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

fn record(content_type: u8, epoch: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![content_type, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, sequence];
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Datagrams that belong to no handshake, or are broken in some way.
fn junk() -> Vec<Vec<u8>> {
    let mut fragment = vec![2, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 40];
    fragment.extend_from_slice(&[7; 40]);
    let mut over_end = fragment.clone();
    over_end[8] = 1;
    let mut hello_shaped = fragment.clone();
    hello_shaped[0] = 1;
    vec![
        Vec::new(),
        vec![0; 1],
        vec![22; 2000],
        vec![22; MAX_DATAGRAM_BYTES + 1],
        b"\x00\x01\x00\x00\x21\x12\xA4\x42 not ours".to_vec(),
        record(23, 0, 200, b"application data"),
        record(23, 1, 200, b"forged application data"),
        record(21, 0, 200, &[2, 40]),
        record(21, 0, 201, &[1, 0]),
        record(21, 1, 200, &[2, 40]),
        record(20, 0, 202, &[2]),
        record(20, 0, 203, &[]),
        record(22, 0, 204, &fragment[..20]),
        record(22, 0, 205, &over_end),
        record(22, 0, 206, &hello_shaped),
        record(22, 1, 207, &[0; 60]),
        record(22, 7, 208, &fragment),
    ]
}

#[test]
fn junk_before_and_between_changes_nothing() {
    let mut call = Call::new(&Side::new(), &Side::new());
    for datagram in junk() {
        call.server.handle_datagram(&datagram, call.now);
        assert_eq!(call.server.poll_output(), None);
        call.client.handle_datagram(&datagram, call.now);
    }
    // The ClientHello arrives, the answer does not; more junk; then all goes on.
    call.settle(&mut |from, _, _| match from {
        From::Client => Fate::Deliver,
        From::Server => Fate::Lose,
    });
    for datagram in junk() {
        call.server.handle_datagram(&datagram, call.now);
        call.client.handle_datagram(&datagram, call.now);
    }
    // Before an alert nobody proved can matter.
    call.run(Duration::from_secs(4), &mut |_, _, _| Fate::Deliver);
    call.assert_connected();
    for datagram in junk() {
        call.server.handle_datagram(&datagram, call.now);
        call.client.handle_datagram(&datagram, call.now);
    }
    call.settle(&mut |_, _, _| Fate::Deliver);
    call.assert_connected();
    assert!(!call.client_seen.closed && !call.server_seen.closed);
}

#[test]
fn every_datagram_cut_short_is_no_end() {
    let mut call = Call::new(&Side::new(), &Side::new());
    let mut whole = Vec::new();
    call.settle(&mut |from, _, datagram| {
        whole.push((from, datagram.to_vec()));
        Fate::Deliver
    });
    call.assert_connected();
    for (from, datagram) in &whole {
        let mut call = Call::new(&Side::new(), &Side::new());
        // A whole record of another handshake is no cut, and nothing tells a client what it is.
        let first_record = HEADER + usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
        for len in 0..first_record {
            match from {
                From::Client => call.server.handle_datagram(&datagram[..len], call.now),
                From::Server => call.client.handle_datagram(&datagram[..len], call.now),
            }
        }
        call.settle(&mut |_, _, _| Fate::Lose);
        assert_eq!(call.client_seen.failed, None);
        assert_eq!(call.server_seen.failed, None);
    }
    let (_, hello) = &whole[0];
    let mut call = Call::new(&Side::new(), &Side::new());
    for len in 0..hello.len() {
        call.server.handle_datagram(&hello[..len], call.now);
    }
    call.settle(&mut |_, _, _| Fate::Deliver);
    call.assert_connected();
}

#[test]
fn an_unproved_alert_ends_a_handshake_only_where_nothing_follows() {
    let mut call = Call::new(&Side::new(), &Side::new());
    call.client
        .handle_datagram(&record(21, 0, 0, &[2, 40]), call.now);
    let start = call.now;
    while call.step(start + Duration::from_secs(60), &mut |_, _, _| Fate::Lose) {
        if call.client.is_ended() {
            break;
        }
    }
    assert!(call.now - start < Duration::from_secs(10));
    call.settle(&mut |_, _, _| Fate::Lose);
    assert_eq!(call.client_seen.failed, Some(FailureReason::PeerAlert(40)));
}

/// The one ClientHello of `client`, as two datagrams with a fragment each.
fn hello_in_two(client: &mut DtlsEndpoint) -> [Vec<u8>; 2] {
    let Some(DtlsOutput::Datagram(hello)) = client.poll_output() else {
        panic!("a client starts with a datagram");
    };
    fragments(&hello[HEADER + MESSAGE_HEADER..])
}

fn fragments(body: &[u8]) -> [Vec<u8>; 2] {
    let middle = body.len() * 2 / 3;
    [(0, middle), (middle, body.len())].map(|(start, end)| {
        let mut message = vec![1];
        message.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(&(start as u32).to_be_bytes()[1..]);
        message.extend_from_slice(&((end - start) as u32).to_be_bytes()[1..]);
        message.extend_from_slice(&body[start..end]);
        // Number 1 is the next one of a client that does not know of this cut.
        record(22, 0, 0, &message)
    })
}

#[test]
fn a_hello_in_two_datagrams_may_be_swapped_and_doubled() {
    for order in [
        &[0, 1][..],
        &[1, 0],
        &[0, 0, 1],
        &[0, 1, 0, 1],
        &[1, 1, 0, 0],
    ] {
        let mut call = Call::new(&Side::new(), &Side::new());
        let halves = hello_in_two(&mut call.client);
        for &index in order {
            call.server.handle_datagram(&halves[index], call.now);
        }
        call.settle(&mut |_, _, _| Fate::Deliver);
        call.assert_connected();
    }
}

#[test]
fn a_lost_half_of_a_hello_is_made_up_by_the_next_one() {
    for lost in [0, 1] {
        let mut call = Call::new(&Side::new(), &Side::new());
        let halves = hello_in_two(&mut call.client);
        call.server.handle_datagram(&halves[1 - lost], call.now);
        assert_eq!(call.server.poll_output(), None);
        call.server.handle_datagram(&halves[1 - lost], call.now);
        assert_eq!(call.server.poll_output(), None);
        call.server.handle_datagram(&halves[lost], call.now);
        call.settle(&mut |_, _, _| Fate::Deliver);
        call.assert_connected();
    }
}

/// Like a browser's: 1.3 and 1.2 offered, a key share of 1,216 bytes, in two datagrams.
#[test]
fn a_hello_that_also_offers_dtls_1_3_gets_1_2() {
    let side = Side::new();
    let now = std::time::Instant::now();
    let fingerprints = side.certificate.fingerprints();
    let mut client = side.endpoint(DtlsRole::Client, fingerprints.clone(), now);
    let Some(DtlsOutput::Datagram(hello)) = client.poll_output() else {
        panic!("a client starts with a datagram");
    };
    let halves = fragments(&with_dtls_1_3(&hello[HEADER + MESSAGE_HEADER..]));
    let mut server = side.endpoint(DtlsRole::Server, fingerprints, now);
    for half in &halves {
        server.handle_datagram(half, now);
    }
    let Some(DtlsOutput::Datagram(flight)) = server.poll_output() else {
        panic!("a server answers a hello");
    };
    assert_eq!(flight[0], 22, "a handshake record, no alert");
    let message = &flight[HEADER..];
    assert_eq!(message[0], 2, "ServerHello");
    assert_eq!(message[MESSAGE_HEADER..MESSAGE_HEADER + 2], [0xFE, 0xFD]);
    // use_srtp with profile 7, AEAD_AES_128_GCM, and no MKI.
    let use_srtp = [0, 14, 0, 5, 0, 2, 0, 7, 0];
    assert!(
        flight
            .windows(use_srtp.len())
            .any(|window| window == use_srtp)
    );
}

fn with_dtls_1_3(hello: &[u8]) -> Vec<u8> {
    // Version, random, session id, cookie, suites, compression; then the extensions' length.
    let mut at = 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 1 + usize::from(hello[at]);
    at += 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    at += 1 + usize::from(hello[at]);
    let mut extensions = hello[at + 2..].to_vec();
    extensions.extend_from_slice(&[0, 43, 0, 5, 4, 0xFE, 0xFC, 0xFE, 0xFD]);
    let share_len: u16 = 1216;
    extensions.extend_from_slice(&[0, 51]);
    extensions.extend_from_slice(&(share_len + 6).to_be_bytes());
    extensions.extend_from_slice(&(share_len + 4).to_be_bytes());
    extensions.extend_from_slice(&[0x11, 0xEC]);
    extensions.extend_from_slice(&share_len.to_be_bytes());
    extensions.extend(std::iter::repeat_n(0x5A, usize::from(share_len)));
    let mut changed = hello[..at].to_vec();
    changed.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    changed.extend_from_slice(&extensions);
    changed
}
