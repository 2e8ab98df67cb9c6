//! Our client against our server on a good network.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use openssl::{asn1::Asn1Time, bn::BigNum, hash::MessageDigest, pkey::PKey, rsa::Rsa, x509::X509};
use support::{Call, Fate, From, Side};
use weirgate_dtls::{Certificate, DtlsOutput, DtlsRole, FailureReason};
use weirgate_wire::SrtpSuite;

#[test]
fn gcm_128_is_taken_where_both_have_everything() {
    let (client, server) = (Side::new(), Side::new());
    let mut call = Call::new(&client, &server);
    call.run_clean();
    call.assert_connected();
    let keys = call.server_seen.keys.unwrap();
    assert_eq!(keys.suite, SrtpSuite::AeadAes128Gcm);
    let fingerprints = client.certificate.fingerprints();
    assert!(fingerprints.contains(&keys.remote_fingerprint));
    assert!(keys.remote_cert_pem.starts_with("-----BEGIN CERTIFICATE"));
    assert_eq!(call.client.poll_timeout(), None);
    assert_eq!(call.server.poll_timeout(), None);
}

#[test]
fn every_suite_connects() {
    for suite in SrtpSuite::ALL {
        let (client, server) = (Side::with_suites(&[suite]), Side::new());
        for (client, server) in [(&client, &server), (&server, &client)] {
            let mut call = Call::new(client, server);
            call.run_clean();
            call.assert_connected();
            assert_eq!(call.client_seen.keys.unwrap().suite, suite);
        }
    }
}

#[test]
fn the_servers_order_of_suites_wins() {
    let chromium = Side::with_suites(&[
        SrtpSuite::AesCm128HmacSha1_80,
        SrtpSuite::AeadAes256Gcm,
        SrtpSuite::AeadAes128Gcm,
    ]);
    let mut call = Call::new(&chromium, &Side::new());
    call.run_clean();
    call.assert_connected();
    assert_eq!(
        call.client_seen.keys.unwrap().suite,
        SrtpSuite::AeadAes128Gcm
    );
}

#[test]
fn no_suite_in_common_fails() {
    let client = Side::with_suites(&[SrtpSuite::AeadAes256Gcm]);
    let server = Side::with_suites(&[SrtpSuite::AesCm128HmacSha1_80]);
    let mut call = Call::new(&client, &server);
    call.run_clean();
    assert!(call.client_seen.keys.is_none() && call.server_seen.keys.is_none());
    assert_eq!(call.server_seen.failed, Some(FailureReason::NoSrtpProfile));
}

#[test]
fn keys_come_before_the_datagrams_of_the_last_flight() {
    let (client, server) = (Side::new(), Side::new());
    let mut call = Call::new(&client, &server);
    // Stop when the client's second flight is about to arrive.
    let mut second_flight = Vec::new();
    call.settle(&mut |from, ordinal, datagram| match (from, ordinal) {
        (From::Client, 1..) => {
            second_flight.push(datagram.to_vec());
            Fate::Lose
        }
        _ => Fate::Deliver,
    });
    assert!(!second_flight.is_empty());
    for datagram in second_flight {
        call.server.handle_datagram(&datagram, call.now);
    }
    let outputs: Vec<_> = std::iter::from_fn(|| call.server.poll_output()).collect();
    assert!(matches!(outputs[0], DtlsOutput::Connected(_)));
    assert!(outputs.len() > 1);
    let mut rest = outputs[1..].iter();
    assert!(rest.all(|output| matches!(output, DtlsOutput::Datagram(_))));
}

#[test]
fn a_wrong_fingerprint_gives_no_keys() {
    let (client, server, other) = (Side::new(), Side::new(), Side::new());
    let right = |side: &Side| side.certificate.fingerprints();
    let mut call = Call::with_fingerprints(&client, &server, right(&server), right(&other));
    call.run_clean();
    assert_eq!(
        call.server_seen.failed,
        Some(FailureReason::FingerprintMismatch)
    );
    assert!(call.server_seen.keys.is_none() && call.client_seen.keys.is_none());
    assert!(
        call.client_seen.failed.is_some(),
        "the alert tells the client"
    );

    let mut call = Call::with_fingerprints(&client, &server, right(&other), right(&client));
    call.run_clean();
    assert_eq!(
        call.client_seen.failed,
        Some(FailureReason::FingerprintMismatch)
    );
    assert!(call.server_seen.keys.is_none() && call.client_seen.keys.is_none());
    assert!(
        call.server_seen.failed.is_some(),
        "the alert tells the server"
    );
}

#[test]
fn rsa_peers_connect_in_both_roles() {
    let rsa = Side::with_certificate(rsa_certificate(), &SrtpSuite::ALL);
    let ours = Side::new();
    for (client, server) in [(&rsa, &ours), (&ours, &rsa), (&rsa, &rsa)] {
        let mut call = Call::new(client, server);
        call.run_clean();
        call.assert_connected();
    }
}

#[test]
fn close_is_told_to_the_peer() {
    let mut call = Call::new(&Side::new(), &Side::new());
    call.run_clean();
    call.assert_connected();
    call.client.close();
    assert!(call.client.is_ended());
    call.settle(&mut |_, _, _| Fate::Deliver);
    assert!(call.server_seen.closed && !call.client_seen.closed);
    assert!(call.server.is_ended());
    assert_eq!(call.server.poll_timeout(), None);
}

#[test]
fn silence_fails_at_the_deadline() {
    let mut call = Call::new(&Side::new(), &Side::new());
    assert_eq!(
        call.server.poll_timeout(),
        None,
        "a server waits for a hello"
    );
    let end = call.now + Duration::from_secs(60);
    while call.step(end, &mut |from, _, _| match from {
        From::Client => Fate::Deliver,
        From::Server => Fate::Lose,
    }) {}
    assert_eq!(call.client_seen.failed, Some(FailureReason::TimedOut));
    assert_eq!(call.server_seen.failed, Some(FailureReason::TimedOut));
}

#[test]
fn an_endpoint_needs_a_role_and_a_fingerprint() {
    let side = Side::new();
    let now = std::time::Instant::now();
    let fingerprints = side.certificate.fingerprints();
    let make = |role, fingerprints| {
        weirgate_dtls::DtlsEndpoint::new(&side.context, role, fingerprints, now).map(|_| ())
    };
    assert!(make(DtlsRole::Auto, fingerprints).is_err());
    assert!(make(DtlsRole::Client, Vec::new()).is_err());
}

fn rsa_certificate() -> Certificate {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    let now = Asn1Time::days_from_now(0).unwrap();
    let later = Asn1Time::days_from_now(1).unwrap();
    builder.set_not_before(&now).unwrap();
    builder.set_not_after(&later).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let mut pem = key.private_key_to_pem_pkcs8().unwrap();
    pem.extend(builder.build().to_pem().unwrap());
    Certificate::from_pem(&pem).unwrap()
}
