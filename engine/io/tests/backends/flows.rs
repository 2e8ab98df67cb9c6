//! Addresses, sizes, shared ports.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use weirgate_io::{IoKind, bind_media};

use crate::support::{Bench, next, path, payload, peer};

/// Sends to each address of the socket and echoes on the path it came; peers are connected, so an
/// answer from another address would not reach them.
fn echo(kind: IoKind, wildcard: &str, addresses: &[&str]) {
    let mut bench = Bench::new(kind);
    let socket = bind_media(SocketAddr::new(wildcard.parse().unwrap(), 0), 1).unwrap();
    let port = socket[0].local_addr().unwrap().port();
    bench.add(0, socket.into_iter().next().unwrap());
    for (number, text) in addresses.iter().enumerate() {
        let ip: IpAddr = text.parse().unwrap();
        let client = peer(ip);
        client.connect((ip, port)).unwrap();
        let bytes = payload(number as u32, 100);
        client.send(&bytes).unwrap();
        let got = bench.receive_count(1).remove(0);
        assert_eq!(got.bytes, bytes);
        assert_eq!(got.path.local, Some(ip));
        assert_eq!(got.path.remote, client.local_addr().unwrap());
        assert_eq!(bench.send([(got.path, &bytes[..])]), []);
        assert_eq!(next(&client), bytes);
        // The same with a train, whose control data is two messages.
        let train = [payload(9, 50), payload(8, 50)];
        bench.send(train.iter().map(|bytes| (got.path, &bytes[..])));
        assert_eq!([next(&client), next(&client)], train);
    }
}

pub(crate) fn answers_leave_from_the_ipv4_address_that_was_hit(kind: IoKind) {
    echo(kind, "0.0.0.0", &["127.0.0.1", "127.0.0.2", "127.3.4.5"]);
}

pub(crate) fn answers_leave_from_the_ipv6_address_that_was_hit(kind: IoKind) {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    echo(kind, "::", &["::1"]);
}

pub(crate) fn a_socket_of_one_address_has_no_choice_of_source(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addr = bench.add_local(3);
    let client = peer([127, 0, 0, 1]);
    client.send_to(b"x", addr).unwrap();
    let got = bench.receive_count(1).remove(0);
    assert_eq!(got.path, path(3, client.local_addr().unwrap()));
}

pub(crate) fn empty_datagrams_arrive_among_others(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addr = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let sent: Vec<Vec<u8>> = (0..60).map(|n| vec![n; usize::from(n % 3)]).collect();
    for bytes in &sent {
        client.send_to(bytes, addr).unwrap();
    }
    let got = bench.receive_count(sent.len());
    let got: Vec<Vec<u8>> = got.into_iter().map(|got| got.bytes).collect();
    assert_eq!(got, sent);
}

pub(crate) fn datagrams_up_to_the_longest_pass_both_ways(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addr = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    for len in [1, 1200, 2048, 2049, 9000, 65_507] {
        let bytes = payload(len as u32, len);
        client.send_to(&bytes, addr).unwrap();
        let got = bench.receive_count(1).remove(0);
        assert_eq!(got.bytes, bytes, "{len}");
        assert_eq!(bench.send([(got.path, &bytes[..])]), [], "{len}");
        assert_eq!(next(&client), bytes, "{len}");
    }
    assert_eq!(bench.counters().receive_truncated, 0);
}

pub(crate) fn a_port_shared_by_two_shards_gets_disjoint_flows(kind: IoKind) {
    let sockets = bind_media("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    let addr = sockets[0].local_addr().unwrap();
    let mut shards: Vec<Bench> = sockets
        .into_iter()
        .map(|socket| {
            let mut bench = Bench::new(kind);
            bench.add(0, socket);
            bench
        })
        .collect();
    let clients: Vec<UdpSocket> = (0..64).map(|_| peer([127, 0, 0, 1])).collect();
    for number in 0..3 {
        for client in &clients {
            client.send_to(&payload(number, 40), addr).unwrap();
        }
    }
    let mut shard_of = HashMap::new();
    let mut total = 0;
    for (shard, bench) in shards.iter_mut().enumerate() {
        let got = bench.receive_rest();
        assert!(!got.is_empty(), "shard {shard} got nothing");
        total += got.len();
        for got in got {
            let known = *shard_of.entry(got.path.remote).or_insert(shard);
            assert_eq!(known, shard, "a flow on two shards");
        }
    }
    assert_eq!(total, clients.len() * 3);
}
