//! HTTPS.

use std::io::{Read, Write};

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use weirgate_dtls::Certificate;

use crate::support::server::Host;

fn get(address: std::net::SocketAddr) -> String {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    let stream = std::net::TcpStream::connect(address).unwrap();
    let mut stream = connector.build().connect("localhost", stream).unwrap();
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // Whether the end comes politely is of no interest.
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test]
async fn with_certificate_and_key_it_is_https() {
    let host = Host::new();
    // Any certificate will do.
    let pem = Certificate::generate().unwrap().to_pem().unwrap();
    let file = host.dir.path().join("tls.pem");
    std::fs::write(&file, pem).unwrap();
    let file = file.to_str().unwrap();
    let control = host.control(&["--tls-cert", file, "--tls-key", file]).await;
    let address = control.address;
    // One that never begins its handshake is in nobody's way.
    let idle = std::net::TcpStream::connect(address).unwrap();
    let answer = tokio::task::spawn_blocking(move || get(address))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(idle);
}
