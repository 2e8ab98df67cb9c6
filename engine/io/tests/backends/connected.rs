//! Sockets that have one peer.

use std::net::{SocketAddr, UdpSocket};

use weirgate_io::{IoKind, IoOptions};
use weirgate_shard::SocketId;

use crate::support::{Bench, next, path, payload, peer};

/// A socket connected to a peer.
fn connected(kind: IoKind, client: &UdpSocket) -> (Bench, SocketAddr) {
    let mut bench = Bench::new(kind);
    let addr = bench.add_local(0);
    let remote = client.local_addr().unwrap();
    bench.backend.connect_socket(SocketId(0), remote);
    (bench, addr)
}

pub(crate) fn a_connected_socket_hears_its_peer_only(kind: IoKind) {
    let client = peer([127, 0, 0, 1]);
    let (mut bench, addr) = connected(kind, &client);
    let stranger = peer([127, 0, 0, 1]);
    stranger.send_to(b"stranger", addr).unwrap();
    client.send_to(b"peer", addr).unwrap();
    let got = bench.receive_count(1).remove(0);
    assert_eq!(got.bytes, b"peer");
    assert_eq!(got.path, path(0, client.local_addr().unwrap()));
    assert_eq!(bench.receive_rest(), []);
}

pub(crate) fn a_connected_socket_sends_to_its_peer_and_to_others(kind: IoKind) {
    let client = peer([127, 0, 0, 1]);
    let other = peer([127, 0, 0, 1]);
    let (mut bench, _) = connected(kind, &client);
    let to_client = path(0, client.local_addr().unwrap());
    let to_other = path(0, other.local_addr().unwrap());
    // A single, one to somebody else, and a train.
    let sent: Vec<Vec<u8>> = (0..5).map(|number| payload(number, 300)).collect();
    let paths = [to_client, to_other, to_client, to_client, to_client];
    let batch = paths.into_iter().zip(sent.iter().map(Vec::as_slice));
    assert_eq!(bench.send(batch), []);
    assert_eq!(next(&other), sent[1]);
    for number in [0, 2, 3, 4] {
        assert_eq!(next(&client), sent[number]);
    }
    assert_eq!(bench.counters().datagrams_out, 5);
    assert_eq!(bench.counters().trains_out, 1);
}

/// A refusal is told to a connected socket with what it does next, sending or receiving.
pub(crate) fn a_peer_that_comes_back_misses_nothing_for_having_been_away(kind: IoKind) {
    let client = peer([127, 0, 0, 1]);
    let remote = client.local_addr().unwrap();
    let (mut bench, addr) = connected(kind, &client);
    drop(client);
    for number in 0..3 {
        let bytes = payload(number, 100);
        assert_eq!(bench.send([(path(0, remote), &bytes[..])]), []);
    }
    let client = UdpSocket::bind(remote).unwrap();
    let single = payload(10, 100);
    assert_eq!(bench.send([(path(0, remote), &single[..])]), []);
    assert_eq!(next(&client), single);
    client.send_to(b"back", addr).unwrap();
    assert_eq!(bench.receive_count(1).remove(0).bytes, b"back");
    let counters = bench.counters();
    assert_eq!(counters.send_errors.total(), 0);
    assert_eq!(counters.gso_fallbacks, 0);
}

pub(crate) fn busy_polling_waits_like_any_other(kind: IoKind) {
    let options = IoOptions {
        busy_poll: Some(std::time::Duration::from_micros(50)),
        ..IoOptions::default()
    };
    let mut bench = match weirgate_io::open(kind, &options) {
        Ok(backend) => Bench { backend },
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("busy polling by "), "{text}");
            println!("skipped: {text}");
            return;
        }
    };
    let addr = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    client.send_to(b"x", addr).unwrap();
    assert_eq!(bench.receive_count(1).len(), 1);
    assert_eq!(bench.receive_rest(), []);
}
