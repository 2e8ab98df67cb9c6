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
