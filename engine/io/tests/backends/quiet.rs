//! Sockets by which no media come end no sleep where that is asked for, and lose nothing.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use weirgate_io::{IoKind, RECEIVE_BOUND, bind_media, bind_plain, bind_quiet};
use weirgate_shard::SocketId;

use crate::support::{Bench, peer};

const RTP: [u8; 4] = [0x80, 96, 0, 1];
const RTCP: [u8; 4] = [0x81, 201, 0, 1];
/// Datagrams without media after which a socket is quiet.
const QUIET_AFTER: usize = 8;
/// Limits are lower ones: a busy machine only makes sleeps longer.
const SLEEP: Duration = Duration::from_millis(50);
/// A sleep that nothing has ended.
const LONG_SLEEP: Duration = Duration::from_secs(20);

/// A media port with its quiet socket.
fn media_port(bench: &mut Bench) -> SocketAddr {
    let mut media = bind_media("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let mut quiet = bind_quiet(&media).unwrap();
    let to = media[0].local_addr().unwrap();
    bench.add(0, media.remove(0));
    let quiet = quiet.remove(0);
    bench.backend.add_quiet_socket(SocketId(0), quiet).unwrap();
    to
}

fn send(client: &UdpSocket, to: SocketAddr, bytes: &[u8]) {
    client.send_to(bytes, to).unwrap();
}

/// A sleep that nothing has ended gives the datagram all the same.
fn comes_without_a_wake(bench: &mut Bench, client: &UdpSocket, to: SocketAddr) {
    bench.receive_rest();
    let start = Instant::now();
    send(client, to, &RTCP);
    let mut got = bench.receive(Some(SLEEP));
    while got.is_empty() && start.elapsed() < SLEEP {
        got = bench.receive(Some(SLEEP));
    }
    assert!(start.elapsed() >= SLEEP, "it was woken");
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].bytes, RTCP);
    assert_eq!(got[0].path.remote, client.local_addr().unwrap());
}

/// What ended a sleep.
fn woken(bench: &mut Bench) -> usize {
    let start = Instant::now();
    let got = bench.receive(Some(LONG_SLEEP)).len();
    assert!(start.elapsed() < LONG_SLEEP, "nothing woke it");
    got
}

fn wakes(bench: &mut Bench, client: &UdpSocket, to: SocketAddr, bytes: &[u8]) {
    send(client, to, bytes);
    let start = Instant::now();
    loop {
        let got = bench.receive(Some(LONG_SLEEP));
        assert!(start.elapsed() < LONG_SLEEP, "it was not woken");
        if let [got] = got.as_slice() {
            assert_eq!(got.bytes, bytes);
            return;
        }
    }
}

/// What comes by a quiet socket wakes nobody, until media have come.
fn goes_from_quiet_to_loud(bench: &mut Bench, client: &UdpSocket, to: SocketAddr) {
    comes_without_a_wake(bench, client, to);
    send(client, to, &RTP);
    bench.receive_count(1);
    wakes(bench, client, to, &RTP);
    wakes(bench, client, to, &RTCP);
    wakes(bench, client, to, &RTP);
}

fn becomes_quiet(bench: &mut Bench, client: &UdpSocket, to: SocketAddr) {
    for _ in 0..QUIET_AFTER {
        wakes(bench, client, to, &RTCP);
    }
}

pub(crate) fn what_is_no_media_ends_no_sleep_of_a_hushed_media_port(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let to = media_port(&mut bench);
    let client = peer([127, 0, 0, 1]);
    for _ in 0..2 {
        wakes(&mut bench, &client, to, &RTCP);
        wakes(&mut bench, &client, to, &RTP);
        bench.backend.hush(true);
        comes_without_a_wake(&mut bench, &client, to);
        wakes(&mut bench, &client, to, &RTP);
        comes_without_a_wake(&mut bench, &client, to);
        bench.backend.hush(false);
    }
    wakes(&mut bench, &client, to, &RTCP);
}

pub(crate) fn a_socket_is_quiet_until_media_come_by_it(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let to = bench.add_local(3);
    let client = peer([127, 0, 0, 1]);
    bench.backend.hush(true);
    for _ in 0..3 {
        goes_from_quiet_to_loud(&mut bench, &client, to);
        becomes_quiet(&mut bench, &client, to);
    }
}

pub(crate) fn nothing_is_lost_while_sockets_become_quiet_and_wake(kind: IoKind) {
    const DATAGRAMS: u32 = 3_000;
    let mut bench = Bench::new(kind);
    let to = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let mut came = Vec::new();
    for number in 0..DATAGRAMS {
        let second = if number % 25 < 20 { RTCP[1] } else { RTP[1] };
        let mut bytes = vec![0x80, second];
        bytes.extend(number.to_be_bytes());
        send(&client, to, &bytes);
        bench.backend.hush(number % 100 < 50);
        if number % 7 == 0 {
            came.extend(bench.receive(Some(Duration::ZERO)));
        }
    }
    came.extend(bench.receive_count(DATAGRAMS as usize - came.len()));
    let numbers = came.iter().map(|got| got.bytes[2..].to_vec());
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort();
    assert!(
        (0..DATAGRAMS)
            .map(|it| it.to_be_bytes().to_vec())
            .eq(numbers)
    );
}

pub(crate) fn more_than_one_look_takes_is_looked_for_again_before_a_sleep(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let to = media_port(&mut bench);
    bench.backend.hush(true);
    let client = peer([127, 0, 0, 1]);
    let count = 2 * RECEIVE_BOUND + 10;
    for _ in 0..count {
        send(&client, to, &RTCP);
    }
    bench.backend.waker().wake();
    let mut came = 0;
    while came < count {
        came += woken(&mut bench);
    }
    assert_eq!(came, count);
}

pub(crate) fn hundreds_of_quiet_sockets_are_all_heard(kind: IoKind) {
    const SOCKETS: u32 = 300;
    let mut bench = Bench::new(kind);
    let client = peer([127, 0, 0, 1]);
    let all: Vec<_> = (0..SOCKETS).map(|id| bench.add_local(id)).collect();
    for round in 0..QUIET_AFTER + 3 {
        for &to in &all {
            send(&client, to, &RTCP);
        }
        let mut came = 0;
        while came < all.len() {
            // Each has its own to tell, hushed or not.
            if round % 2 == 1 {
                bench.backend.hush(true);
                bench.backend.waker().wake();
            }
            came += woken(&mut bench);
            bench.backend.hush(false);
        }
        assert_eq!(came, all.len());
    }
}

pub(crate) fn a_removed_quiet_socket_frees_its_port(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.backend.hush(true);
    let client = peer([127, 0, 0, 1]);
    for _ in 0..5 {
        let to = bench.add_local(0);
        comes_without_a_wake(&mut bench, &client, to);
        bench.backend.remove_socket(SocketId(0));
        let again = bind_plain(to.ip(), to.port()).unwrap();
        bench.add(0, again);
        goes_from_quiet_to_loud(&mut bench, &client, to);
        becomes_quiet(&mut bench, &client, to);
        bench.backend.remove_socket(SocketId(0));
    }
}
