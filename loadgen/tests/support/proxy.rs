//! A proxy that harms exactly the datagrams that it was told to.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

/// By how much [`Fate::Late`] is later.
pub const LATE: Duration = Duration::from_millis(60);

/// What becomes of the n-th RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Drop,
    Double,
    Flip,
    /// Goes after the next one.
    Swap,
    /// Goes after [`LATE`].
    Late,
}

/// Carries what comes from one port to an address, for ever. RTCP goes unharmed and uncounted.
pub async fn carry(socket: UdpSocket, from_port: u16, to: SocketAddr, fate: fn(u64) -> Fate) {
    let socket = Arc::new(socket);
    let (late, mut due) = unbounded_channel::<(Instant, Vec<u8>)>();
    let late_socket = Arc::clone(&socket);
    tokio::spawn(async move {
        while let Some((at, datagram)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            late_socket.send_to(&datagram, to).await.unwrap();
        }
    });
    let mut buffer = [0; 2048];
    let mut held = None;
    let mut number = 0;
    loop {
        let (len, sender) = socket.recv_from(&mut buffer).await.unwrap();
        if sender.port() != from_port {
            continue;
        }
        let datagram = &mut buffer[..len];
        // RFC 5761 section 4
        if (192..=223).contains(&datagram[1]) {
            socket.send_to(datagram, to).await.unwrap();
            continue;
        }
        let fate = fate(number);
        number += 1;
        match fate {
            Fate::Drop => continue,
            Fate::Swap => {
                held = Some(datagram.to_vec());
                continue;
            }
            Fate::Late => {
                let _ = late.send((Instant::now() + LATE, datagram.to_vec()));
                continue;
            }
            Fate::Flip => datagram[len / 2] ^= 4,
            Fate::Pass | Fate::Double => {}
        }
        for _ in 0..1 + u8::from(fate == Fate::Double) {
            socket.send_to(datagram, to).await.unwrap();
        }
        if let Some(held) = held.take() {
            socket.send_to(&held, to).await.unwrap();
        }
    }
}
