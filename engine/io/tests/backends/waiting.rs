//! Sleeping and waking.

use std::thread;
use std::time::{Duration, Instant};

use weirgate_io::IoKind;

use crate::support::{Bench, peer};

pub(crate) fn a_wake_ends_a_sleep(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.add_local(0);
    for _ in 0..3 {
        let waker = bench.backend.waker();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            waker.wake();
        });
        // Without a limit: this test hangs where the wake is lost.
        assert_eq!(bench.receive(None), []);
        thread.join().unwrap();
    }
}

pub(crate) fn a_wake_before_the_sleep_counts(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.backend.waker().wake();
    assert_eq!(bench.receive(None), []);
    bench.backend.waker().wake();
    bench.backend.waker().wake();
    assert_eq!(bench.receive(None), []);
}

pub(crate) fn a_wake_is_used_up(kind: IoKind) {
    let mut bench = Bench::new(kind);
    for _ in 0..10 {
        bench.backend.waker().wake();
    }
    bench.receive(None);
    bench.receive(Some(Duration::ZERO));
    let start = Instant::now();
    for _ in 0..5 {
        bench.receive(Some(Duration::from_millis(20)));
    }
    // A lower limit: a busy machine only makes it longer.
    assert!(start.elapsed() >= Duration::from_millis(80), "it spins");
}

pub(crate) fn timeouts_end_a_sleep(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.add_local(0);
    for timeout in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_micros(300),
        Duration::from_millis(20),
    ] {
        assert_eq!(bench.receive(Some(timeout)), []);
    }
}

pub(crate) fn a_datagram_ends_a_sleep(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addr = bench.add_local(0);
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        peer([127, 0, 0, 1]).send_to(b"now", addr).unwrap();
    });
    let mut got = bench.receive(None);
    while got.is_empty() {
        got = bench.receive(None);
    }
    assert_eq!(got[0].bytes, b"now");
    thread.join().unwrap();
    // The poll without sleep sees it as well.
    peer([127, 0, 0, 1]).send_to(b"then", addr).unwrap();
    assert_eq!(bench.receive(Some(Duration::ZERO))[0].bytes, b"then");
}

pub(crate) fn datagrams_gather_in_a_sleep_where_the_kernel_can(kind: IoKind) {
    const GATHER: Duration = Duration::from_millis(100);
    let mut bench = Bench::new(kind);
    let to = bench.add_local(0);
    bench.backend.let_gather(GATHER);
    // One that was there before the sleep ends it at once, so there is more than one try.
    let lasted = (0..5).any(|_| {
        let sender = thread::spawn(move || {
            thread::sleep(GATHER / 4);
            peer(to.ip()).send_to(b"x", to).unwrap();
        });
        let start = Instant::now();
        let got = bench.receive(Some(Duration::from_secs(10)));
        let lasted = start.elapsed() >= GATHER;
        sender.join().unwrap();
        assert_eq!(got.len(), 1);
        lasted
    });
    assert!(lasted || kind != IoKind::Uring || !kernel_can_gather());
    bench.backend.let_gather(Duration::ZERO);
    assert_eq!(bench.receive(Some(Duration::from_millis(1))), []);
}

/// Linux 6.12 and later.
fn kernel_can_gather() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let numbers: Vec<u32> = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect();
    numbers.as_slice() >= [6, 12].as_slice()
}

pub(crate) fn a_datagram_tells_how_long_it_waited(kind: IoKind) {
    const WAIT: Duration = Duration::from_millis(30);
    let mut bench = Bench::new(kind);
    let to = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    for _ in 0..3 {
        client.send_to(b"before", to).unwrap();
        thread::sleep(WAIT);
        client.send_to(b"after", to).unwrap();
        let got = bench.receive_count(2);
        // The one came that much before the other, whenever they are taken.
        let apart = got[0].waited - got[1].waited;
        assert!(apart >= WAIT, "{apart:?}");
    }
}

pub(crate) fn what_came_later_waited_for_less(kind: IoKind) {
    // More than the kernel gives of one socket at a time.
    const DATAGRAMS: usize = 100;
    let mut bench = Bench::new(kind);
    let to = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    for _ in 0..DATAGRAMS {
        client.send_to(b"one of many", to).unwrap();
    }
    let mut waits = Vec::new();
    let received = bench
        .backend
        .receive(Some(Duration::from_secs(1)), &mut |batch| {
            waits.extend(batch.iter().map(|datagram| datagram.waited));
            // However long it takes to handle them.
            thread::sleep(Duration::from_millis(5));
        });
    assert!(received.unwrap() > DATAGRAMS / 2, "{}", waits.len());
    assert!(waits.is_sorted_by(|one, next| one >= next), "{waits:?}");
}
