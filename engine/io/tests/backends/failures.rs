//! What the kernel does not send.

use std::net::{SocketAddr, UdpSocket};

use weirgate_io::{FailedTrain, IoKind, bind_plain};

use crate::support::{Bench, local_socket, next, path, payload, peer, set_option};

pub(crate) fn a_closed_port_disturbs_nobody(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addr = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let live = path(0, client.local_addr().unwrap());
    let closed = path(0, local_socket().local_addr().unwrap());
    for number in 0..20 {
        let bytes = payload(number, 100);
        let failed = bench.send([
            (closed, &bytes[..]),
            (closed, &bytes[..]),
            (live, &bytes[..]),
            (closed, &bytes[..]),
        ]);
        assert!(failed.iter().all(|train| train.index != 1), "{failed:?}");
        assert_eq!(next(&client), bytes);
        client.send_to(&bytes, addr).unwrap();
        assert_eq!(bench.receive_count(1)[0].bytes, bytes);
    }
}

pub(crate) fn what_can_not_be_sent_is_told_and_the_rest_goes(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let live = path(0, client.local_addr().unwrap());
    // Sending to everybody is forbidden where the socket did not ask for it.
    let forbidden = path(0, SocketAddr::from(([255, 255, 255, 255], 9)));
    let bytes = payload(1, 100);
    let failed = bench.send([
        (forbidden, &bytes[..]),
        (live, &bytes[..]),
        (forbidden, &bytes[..]),
        (forbidden, &bytes[..]),
        (live, &bytes[..]),
    ]);
    let lost = |index, segments_lost| FailedTrain {
        index,
        error: libc::EACCES,
        segments_lost,
    };
    assert_eq!(failed, [lost(0, 1), lost(2, 2)]);
    assert_eq!([next(&client), next(&client)], [bytes.clone(), bytes]);
    let counters = bench.counters();
    assert_eq!(counters.send_errors.denied, 3);
    assert_eq!(counters.send_errors.total(), 3);
    assert_eq!(counters.datagrams_out, 2);
}

/// Four datagrams of `len` bytes.
fn four(first: u32, len: usize) -> Vec<Vec<u8>> {
    (first..first + 4)
        .map(|number| payload(number, len))
        .collect()
}

/// Sends datagrams to a peer as a train and waits for them.
fn deliver(bench: &mut Bench, id: u32, peer: &UdpSocket, datagrams: &[Vec<u8>]) {
    let to_peer = path(id, peer.local_addr().unwrap());
    let failed = bench.send(datagrams.iter().map(|bytes| (to_peer, &bytes[..])));
    assert_eq!(failed, []);
    for bytes in datagrams {
        assert_eq!(&next(peer), bytes);
    }
}

pub(crate) fn refused_offload_falls_back_for_that_destination_only(kind: IoKind) {
    let mut bench = Bench::new(kind);
    // The kernel refuses to segment for a socket that sends no checksums: EINVAL, as on a route
    // without the offload.
    let without = local_socket();
    set_option(&without, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1);
    bench.add(0, without);
    bench.add_local(1);
    let refused = peer([127, 0, 0, 1]);
    let fine = peer([127, 0, 0, 2]);
    for round in 0..3 {
        deliver(&mut bench, 0, &refused, &four(round, 500));
        deliver(&mut bench, 1, &fine, &four(round, 500));
    }
    let counters = bench.counters();
    assert_eq!(counters.gso_fallbacks, 1, "once, then remembered");
    assert_eq!(counters.trains_out, 3, "the other goes on in trains");
    assert_eq!(counters.datagrams_out, 24);
    assert_eq!(counters.send_errors.total(), 0);
    // What the destination was remembered for holds for all sockets: it is the route's.
    deliver(&mut bench, 1, &refused, &four(9, 500));
    assert_eq!(bench.counters().trains_out, 3);
}

pub(crate) fn segments_over_the_mtu_go_one_by_one(kind: IoKind) {
    let Ok(narrow) = bind_plain("::1".parse().unwrap(), 0) else {
        println!("skipped: no IPv6 here");
        return;
    };
    let mut bench = Bench::new(kind);
    set_option(&narrow, libc::IPPROTO_IPV6, libc::IPV6_MTU, 1280);
    bench.add(0, narrow);
    let client = peer(std::net::Ipv6Addr::LOCALHOST);
    deliver(&mut bench, 0, &client, &four(0, 1400));
    deliver(&mut bench, 0, &client, &four(4, 1400));
    assert_eq!(bench.counters().gso_fallbacks, 1);
    assert_eq!(bench.counters().trains_out, 0);
}

pub(crate) fn a_bad_source_is_not_held_against_the_destination(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let any = bind_plain([0, 0, 0, 0].into(), 0).unwrap();
    bench.add(0, any);
    let client = peer([127, 0, 0, 1]);
    let mut from_elsewhere = path(0, client.local_addr().unwrap());
    // No source at all: EINVAL, as where the offload fails.
    from_elsewhere.local = Some([224, 0, 0, 1].into());
    let bytes = payload(1, 100);
    let failed = bench.send([(from_elsewhere, &bytes[..]), (from_elsewhere, &bytes[..])]);
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].index, failed[0].segments_lost), (0, 2));
    assert_eq!(failed[0].error, libc::EINVAL);
    deliver(&mut bench, 0, &client, &four(0, 100));
    assert_eq!(bench.counters().trains_out, 1);
}

pub(crate) fn a_socket_that_is_not_there_fails_its_trains(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let remote = client.local_addr().unwrap();
    let bytes = payload(1, 100);
    let failed = bench.send([
        (path(1, remote), &bytes[..]),
        (path(1, remote), &bytes[..]),
        (path(0, remote), &bytes[..]),
    ]);
    let expected = FailedTrain {
        index: 0,
        error: libc::EBADF,
        segments_lost: 2,
    };
    assert_eq!(failed, [expected]);
    assert_eq!(next(&client), bytes);
    assert_eq!(bench.counters().send_errors.unknown_socket, 2);
}
