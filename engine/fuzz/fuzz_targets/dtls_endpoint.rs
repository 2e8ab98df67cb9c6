#![no_main]
//! Datagrams of a peer, each behind its length, into control's end of a DTLS handshake. Without the
//! peer's certificate nothing may ever connect.

use std::sync::OnceLock;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use weirgate_dtls::{Certificate, DtlsContext, DtlsEndpoint, DtlsOutput, DtlsRole};

static SERVER: OnceLock<(DtlsContext, Certificate)> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let (context, certificate) = SERVER.get_or_init(|| {
        let certificate = Certificate::generate().expect("a certificate");
        (
            DtlsContext::new(&certificate).expect("a context"),
            certificate,
        )
    });
    let now = Instant::now();
    let fingerprints = certificate.fingerprints();
    let mut endpoint =
        DtlsEndpoint::new(context, DtlsRole::Server, fingerprints, now).expect("an endpoint");
    let mut rest = bytes;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(after.len());
        let (datagram, after) = after.split_at(len);
        rest = after;
        endpoint.handle_datagram(datagram, now);
        while let Some(output) = endpoint.poll_output() {
            assert!(!matches!(output, DtlsOutput::Connected(_)));
        }
    }
});
