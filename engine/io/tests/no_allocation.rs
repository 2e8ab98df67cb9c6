//! After warm-up nothing is allocated per packet, by either back end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use weirgate_io::{FailedTrain, IoChoice, IoKind, IoOptions, bind_media, open, probe};
use weirgate_shard::{Path, SocketId, TxBatch};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's word.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends trains to itself, and to a destination that refuses them, and receives.
fn allocations_of(kind: IoKind) -> u64 {
    let mut backend = open(kind, &IoOptions::default()).unwrap();
    let socket = bind_media("0.0.0.0:0".parse().unwrap(), 1)
        .unwrap()
        .remove(0);
    let port = socket.local_addr().unwrap().port();
    backend.add_socket(SocketId(0), socket).unwrap();
    let path = |last| Path {
        socket: SocketId(0),
        local: Some([127, 0, 0, 1].into()),
        remote: ([127, 0, 0, last], port).into(),
    };
    let refused = Path {
        remote: ([255, 255, 255, 255], 9).into(),
        ..path(1)
    };
    let mut batch = TxBatch::new(1 << 20);
    let mut failed: Vec<FailedTrain> = Vec::with_capacity(64);
    let mut round = || {
        batch.clear();
        failed.clear();
        for path in [path(1), refused, path(2), path(1)] {
            for _ in 0..20 {
                batch.slot(900).unwrap().fill(7);
                batch.commit(path, 900);
            }
        }
        backend.send(&batch, &mut failed);
        assert_eq!(failed.len(), 1);
        let mut came = 0;
        while came < 60 {
            came += backend
                .receive(Some(Duration::from_secs(5)), &mut |batch| {
                    assert!(batch.iter().all(|datagram| datagram.bytes.len() == 900));
                })
                .unwrap();
        }
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.with(Cell::get);
    (0..200).for_each(|_| round());
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn mmsg_allocates_nothing_per_packet() {
    assert_eq!(allocations_of(IoKind::Mmsg), 0);
}

#[test]
fn uring_allocates_nothing_per_packet() {
    if let Err(reason) = probe(IoChoice::Uring) {
        println!("skipped: {reason}");
        return;
    }
    assert_eq!(allocations_of(IoKind::Uring), 0);
}
