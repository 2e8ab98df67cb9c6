//! How many may be connected.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    eventually,
    server::{Control, Host},
    signaling::Client,
};

/// The figures; none where the connection was closed at once.
async fn metrics(control: &Control) -> Option<String> {
    let mut stream = TcpStream::connect(control.address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // What is closed by then tells below.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    (!text.is_empty()).then_some(text)
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let host = Host::new();
    let control = host.control(&["--max-connections", "2"]).await;
    // Idle ones take places, and so do WebSockets.
    let idle = TcpStream::connect(control.address).await.unwrap();
    let signaling = Client::connect(&control).await;
    assert_eq!(metrics(&control).await, None);
    drop(idle);
    let metrics = eventually("a place", async || metrics(&control).await).await;
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    assert_eq!(value("weirgate_http_connections "), 2.0);
    assert!(value("weirgate_http_connections_refused_total ") >= 1.0);
    drop(signaling);
}
