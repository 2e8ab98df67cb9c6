//! After warm-up nothing is allocated per packet, by either back end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod counting;

use std::time::Duration;

use counting::allocations;
use weirgate_io::{FailedTrain, IoChoice, IoKind, IoOptions, bind_media, open, probe};
use weirgate_shard::{Path, SocketId, TxBatch};

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
                // Media by the first two bytes.
                batch.slot(900).unwrap().fill(0x80);
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
    let before = allocations();
    (0..200).for_each(|_| round());
    allocations() - before
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
