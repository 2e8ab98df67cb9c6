//! After warm-up nothing is allocated per packet.

use std::net::UdpSocket;

use weirgate_io::bind_plain;
use weirgate_shard::TxBatch;

use crate::counting::allocations;
use crate::namespaces::{HERE, Namespaces, THERE};
use crate::{Bench, path};

#[test]
fn nothing_is_allocated_per_packet() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::with(1, true).remove(0);
    let local = bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peers: Vec<UdpSocket> = (0..4).map(|_| namespaces.peer(THERE[0])).collect();
    let paths = peers
        .iter()
        .map(|peer| path(0, None, peer.local_addr().unwrap()));
    let paths: Vec<_> = paths.collect();
    bench.send_until_by_frames(paths[0], &peers[0]);
    let mut batch = TxBatch::new(1 << 20);
    let mut failed = Vec::with_capacity(64);
    let mut bytes = [0; 2048];
    let mut round = || {
        batch.clear();
        // Singles, which are frames, and a train, which is for the sockets.
        for (path, datagrams) in paths.iter().zip([1, 2, 1, 5]) {
            for _ in 0..datagrams {
                batch.slot(900).unwrap().fill(7);
                batch.commit(*path, 900);
            }
        }
        bench.backend.send(&batch, &mut failed);
        assert!(failed.is_empty());
        for (peer, datagrams) in peers.iter().zip([1, 2, 1, 5]) {
            for _ in 0..datagrams {
                peer.recv(&mut bytes).unwrap();
            }
            peer.send_to(&bytes[..900], local).unwrap();
        }
        let mut came = 0;
        while came < peers.len() {
            came += bench.backend.receive(None, &mut |_| ()).unwrap();
        }
    };
    (0..20).for_each(|_| round());
    let before = allocations();
    (0..200).for_each(|_| round());
    assert_eq!(allocations() - before, 0);
}
