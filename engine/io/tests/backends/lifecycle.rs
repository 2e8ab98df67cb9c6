//! Sockets that come and go.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use weirgate_io::{IoKind, IoOptions, RECEIVE_BOUND, bind_plain};
use weirgate_shard::SocketId;

use crate::support::{Bench, local_socket, next, path, payload, peer};

pub(crate) fn sockets_come_and_go_in_mid_traffic(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let steady = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let to_client = client.local_addr().unwrap();
    for round in 0..50 {
        let other = bench.add_local(1);
        for number in 0..4 {
            client.send_to(&payload(number, 30), steady).unwrap();
            client.send_to(&payload(round, 31), other).unwrap();
        }
        if round % 2 == 0 {
            // Some of its datagrams were given, some wait.
            bench.receive_count(8);
            client.send_to(&payload(round, 31), other).unwrap();
            client.send_to(&payload(4, 30), steady).unwrap();
            bench.backend.remove_socket(SocketId(1));
            assert_eq!(bench.receive_count(1)[0].path.socket, SocketId(0));
        } else {
            bench.backend.remove_socket(SocketId(1));
            let got = bench.receive_count(4);
            assert!(got.iter().all(|got| got.path.socket == SocketId(0)));
        }
        let bytes = payload(round, 20);
        assert_eq!(bench.send([(path(0, to_client), &bytes[..])]), []);
        assert_eq!(next(&client), bytes);
    }
    bench.backend.remove_socket(SocketId(9));
    assert_eq!(bench.receive_rest(), []);
}

/// Where only these tests bind, so that nobody else takes a port that was just freed.
const ASIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 66, 7, 8));

pub(crate) fn a_removed_socket_frees_its_port(kind: IoKind) {
    let mut bench = Bench::new(kind);
    for _ in 0..20 {
        let socket = bind_plain(ASIDE, 0).unwrap();
        let addr = socket.local_addr().unwrap();
        bench.add(0, socket);
        bench.receive(Some(Duration::ZERO));
        bench.backend.remove_socket(SocketId(0));
        let again = bind_plain(addr.ip(), addr.port()).unwrap();
        bench.add(0, again);
        let client = peer([127, 0, 0, 1]);
        client.send_to(b"again", addr).unwrap();
        assert_eq!(bench.receive_count(1)[0].bytes, b"again");
        bench.backend.remove_socket(SocketId(0));
    }
}

pub(crate) fn a_closed_back_end_frees_its_ports(kind: IoKind) {
    // More than the kernel ends by one call.
    let mut ports = [0; 50];
    for _ in 0..5 {
        let mut bench = Bench::new(kind);
        for (id, port) in ports.iter_mut().enumerate() {
            let socket = bind_plain(ASIDE, *port).unwrap();
            let addr = socket.local_addr().unwrap();
            *port = addr.port();
            bench.add(id as u32, socket);
            peer([127, 0, 0, 1]).send_to(b"unread", addr).unwrap();
        }
        bench.receive(Some(Duration::ZERO));
    }
}

pub(crate) fn datagrams_of_a_removed_socket_take_no_buffers_away(kind: IoKind) {
    let options = IoOptions {
        buffers: Some(2),
        ..IoOptions::default()
    };
    let mut bench = Bench::with(kind, options);
    let steady = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    for round in 0..40 {
        let other = bench.add_local(1);
        for number in 0..5 {
            client.send_to(&payload(number, 31), other).unwrap();
        }
        bench.backend.remove_socket(SocketId(1));
        for number in 0..5 {
            client.send_to(&payload(number, 30), steady).unwrap();
        }
        let got = bench.receive_count(5);
        assert!(got.iter().all(|got| got.bytes.len() == 30), "round {round}");
    }
}

pub(crate) fn datagrams_of_a_removed_socket_are_not_its_successors(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let client = peer([127, 0, 0, 1]);
    let steady = bench.add_local(0);
    for round in 0..10 {
        let before = bench.add_local(1);
        // So that a call ends at its bound, with some of the first socket's taken from the kernel
        // already.
        for _ in 0..5 + round {
            client.send_to(b"steady", steady).unwrap();
        }
        for _ in 0..2 * RECEIVE_BOUND {
            client.send_to(b"before", before).unwrap();
        }
        bench.receive(Some(Duration::from_secs(5)));
        bench.backend.remove_socket(SocketId(1));
        let after = bench.add_local(1);
        client.send_to(b"after", after).unwrap();
        let mut got = bench.receive_rest();
        got.retain(|got| got.path.socket == SocketId(1));
        assert_eq!(got.len(), 1, "round {round}");
        assert_eq!(got[0].bytes, b"after");
        bench.backend.remove_socket(SocketId(1));
    }
}

pub(crate) fn hundreds_of_sockets_keep_their_names(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addrs: Vec<_> = (0..300).map(|id| bench.add_local(id * 7)).collect();
    let client = peer([127, 0, 0, 1]);
    for round in 0..2 {
        for (number, addr) in addrs.iter().enumerate() {
            client.send_to(&payload(number as u32, 16), addr).unwrap();
        }
        let got = bench.receive_count(addrs.len());
        let names: HashSet<u32> = got
            .iter()
            .map(|got| {
                let number = u32::from_be_bytes(got.bytes[2..6].try_into().unwrap());
                assert_eq!(got.path.socket, SocketId(number * 7), "round {round}");
                number
            })
            .collect();
        assert_eq!(names.len(), addrs.len());
    }
}

pub(crate) fn an_id_in_use_and_a_socket_too_many_are_refused(kind: IoKind) {
    let options = IoOptions {
        max_sockets: 2,
        ..IoOptions::default()
    };
    let mut bench = Bench::with(kind, options);
    bench.add_local(1);
    let twice = bench.backend.add_socket(SocketId(1), local_socket());
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
    bench.add_local(2);
    let full = bench.backend.add_socket(SocketId(3), local_socket());
    assert_eq!(full.unwrap_err().kind(), ErrorKind::OutOfMemory);
    bench.backend.remove_socket(SocketId(1));
    bench.add_local(3);
}
