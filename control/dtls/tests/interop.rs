//! Against other implementations, over UDP on the loopback: the `dtls` crate in both roles, and
//! OpenSSL's command line tool where it is installed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use dtls::{
    config::{ClientAuthType, Config, ExtendedMasterSecretType},
    conn::DTLSConn,
    crypto,
    extension::extension_use_srtp::SrtpProtectionProfile,
};
use support::{Seen, Side};
use tokio::{net::UdpSocket, time::timeout};
use webrtc_util::KeyingMaterialExporter;
use weirgate_dtls::{
    Certificate, DtlsContext, DtlsEndpoint, DtlsOutput, DtlsRole, Fingerprint, SrtpKeys,
};
use weirgate_wire::SrtpSuite;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two sockets that talk to each other only.
async fn sockets() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    one.connect(other.local_addr().unwrap()).await.unwrap();
    other.connect(one.local_addr().unwrap()).await.unwrap();
    (one, other)
}

/// Runs `endpoint` on `socket` until `is_enough`.
async fn drive(
    endpoint: &mut DtlsEndpoint,
    socket: &UdpSocket,
    seen: &mut Seen,
    is_enough: impl Fn(&Seen) -> bool,
) {
    let mut buffer = [0; 4096];
    loop {
        while let Some(output) = endpoint.poll_output() {
            match output {
                DtlsOutput::Datagram(datagram) => {
                    socket.send(&datagram).await.unwrap();
                }
                DtlsOutput::Connected(keys) => seen.keys = Some(keys),
                DtlsOutput::Failed(reason) => seen.failed = Some(reason),
                DtlsOutput::Closed => seen.closed = true,
            }
        }
        if is_enough(seen) {
            return;
        }
        let wait = endpoint
            .poll_timeout()
            .map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
        match timeout(wait, socket.recv(&mut buffer)).await {
            Ok(received) => {
                let len = received.unwrap();
                endpoint.handle_datagram(&buffer[..len], Instant::now());
            }
            Err(_) => endpoint.handle_timeout(Instant::now()),
        }
    }
}

fn fingerprint_of(der: &[u8]) -> Fingerprint {
    let digest = openssl::hash::hash(openssl::hash::MessageDigest::sha256(), der).unwrap();
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Fingerprint {
        algorithm: "sha-256".to_owned(),
        value: bytes.join(":"),
    }
}

fn profile_of(suite: SrtpSuite) -> SrtpProtectionProfile {
    match suite {
        SrtpSuite::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        SrtpSuite::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        SrtpSuite::AesCm128HmacSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        SrtpSuite::AesCm128HmacSha1_32 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
    }
}

/// The keys in the exporter's order: client key, server key, client salt, server salt.
fn exporter_order(keys: &SrtpKeys, we_are_client: bool) -> Vec<u8> {
    let (client, server) = match we_are_client {
        true => (&keys.send, &keys.receive),
        false => (&keys.receive, &keys.send),
    };
    let key_len = keys.suite.key_len();
    [
        &client.key_and_salt[..key_len],
        &server.key_and_salt[..key_len],
        &client.key_and_salt[key_len..],
        &server.key_and_salt[key_len..],
    ]
    .concat()
}

/// A handshake with the `dtls` crate that offers or takes only `suite`, then its close_notify.
async fn with_dtls_crate(role: DtlsRole, suite: SrtpSuite) {
    // The crate asks rustls for its cryptography; where others bring another, none is the default.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let side = Side::new();
    let theirs = crypto::Certificate::generate_self_signed(vec!["peer".to_owned()]).unwrap();
    let expected = vec![fingerprint_of(&theirs.certificate[0])];
    let config = Config {
        certificates: vec![theirs],
        srtp_protection_profiles: vec![profile_of(suite)],
        client_auth: ClientAuthType::RequireAnyClientCert,
        extended_master_secret: ExtendedMasterSecretType::Require,
        insecure_skip_verify: true,
        ..Config::default()
    };
    let we_are_client = role == DtlsRole::Client;
    let (our_socket, their_socket) = sockets().await;
    let peer = tokio::spawn(async move {
        DTLSConn::new(Arc::new(their_socket), config, !we_are_client, None)
            .await
            .unwrap()
    });
    let mut endpoint = side.endpoint(role, expected, Instant::now());
    let mut seen = Seen::default();
    let done = |seen: &Seen| seen.keys.is_some() || seen.failed.is_some();
    drive(&mut endpoint, &our_socket, &mut seen, done).await;
    assert_eq!(seen.failed, None);
    let keys = seen.keys.take().unwrap();
    assert_eq!(keys.suite, suite);

    let peer = peer.await.unwrap();
    assert_eq!(peer.selected_srtpprotection_profile(), profile_of(suite));
    let ours = exporter_order(&keys, we_are_client);
    let state = peer.connection_state().await;
    let exported = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], ours.len());
    assert_eq!(exported.await.unwrap(), ours);

    peer.close().await.unwrap();
    drive(&mut endpoint, &our_socket, &mut seen, |seen| seen.closed).await;
    assert!(endpoint.is_ended());
}

#[tokio::test]
async fn the_dtls_crate_as_client() {
    for suite in SrtpSuite::ALL {
        let run = with_dtls_crate(DtlsRole::Server, suite);
        timeout(PATIENCE, run).await.unwrap();
    }
}

#[tokio::test]
async fn the_dtls_crate_as_server() {
    for suite in SrtpSuite::ALL {
        let run = with_dtls_crate(DtlsRole::Client, suite);
        timeout(PATIENCE, run).await.unwrap();
    }
}

/// Exports the same keys, and a renegotiation it asks for is refused without harm.
#[tokio::test]
async fn openssl_s_client() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: the openssl command is not installed");
        return;
    }
    let side = Side::new();
    let theirs = Certificate::generate().unwrap();
    let folder = std::env::temp_dir().join(format!("weirgate-dtls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pem = folder.join("peer.pem");
    std::fs::write(&pem, theirs.to_pem().unwrap()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut process = Command::new("openssl")
        .args([
            "s_client",
            "-dtls1_2",
            "-use_srtp",
            "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM",
        ])
        .args([
            "-keymatexport",
            "EXTRACTOR-dtls_srtp",
            "-keymatexportlen",
            "88",
        ])
        .args(["-connect", &format!("127.0.0.1:{port}"), "-cert"])
        .arg(&pem)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    let run = async {
        let (_, address) = socket.peek_from(&mut [0; 2048]).await.unwrap();
        socket.connect(address).await.unwrap();
        let mut endpoint = DtlsEndpoint::new(
            &DtlsContext::new(&side.certificate).unwrap(),
            DtlsRole::Server,
            theirs.fingerprints(),
            Instant::now(),
        )
        .unwrap();
        let mut seen = Seen::default();
        let done = |seen: &Seen| seen.keys.is_some() || seen.failed.is_some();
        drive(&mut endpoint, &socket, &mut seen, done).await;
        assert_eq!(seen.failed, None);

        // R asks for a renegotiation, which ends the tool where it is refused.
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(b"R\n").unwrap();
        stdin.flush().unwrap();
        let keys = seen.keys.take().unwrap();
        drive(&mut endpoint, &socket, &mut seen, |seen| {
            assert!(seen.keys.is_none(), "no second handshake");
            seen.closed
        })
        .await;
        keys
    };
    let result = timeout(PATIENCE, run).await;
    let _ = process.kill();
    let output = process.wait_with_output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();

    let keys = result.unwrap();
    assert_eq!(keys.suite, SrtpSuite::AeadAes256Gcm, "our order wins");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let hex: String = exporter_order(&keys, false)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert!(
        printed.contains(&format!("Keying material: {hex}")),
        "{printed}"
    );
}
