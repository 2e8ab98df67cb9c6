//! Trains out, joined datagrams in.

use weirgate_io::{IoKind, IoOptions};

use crate::support::{Bench, next, path, payload, peer};

/// Datagrams of one train: all as long but the last.
fn train(segments: usize) -> Vec<Vec<u8>> {
    (0..segments)
        .map(|at| {
            let last = at + 1 == segments && segments > 1;
            payload(at as u32, if last { 333 } else { 1000 })
        })
        .collect()
}

pub(crate) fn trains_of_every_length_arrive_as_their_datagrams(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let to_client = path(0, client.local_addr().unwrap());
    for segments in 1..=64 {
        let sent = train(segments);
        let failed = bench.send(sent.iter().map(|bytes| (to_client, &bytes[..])));
        assert_eq!(failed, []);
        for bytes in &sent {
            assert_eq!(&next(&client), bytes, "train of {segments}");
        }
    }
    let counters = bench.counters();
    assert_eq!(counters.datagrams_out, (1..=64).sum::<u64>());
    assert_eq!(counters.trains_out, 63);
    assert_eq!(counters.gso_fallbacks, 0);
}

/// Sends trains from one back end to another, which may join datagrams or not.
fn exchange(kind: IoKind, gro: bool, gso: bool) -> (Bench, Bench) {
    let mut sender = Bench::with(
        kind,
        IoOptions {
            gso,
            ..IoOptions::default()
        },
    );
    let from = sender.add_local(0);
    let mut receiver = Bench::with(
        kind,
        IoOptions {
            gro,
            ..IoOptions::default()
        },
    );
    let to = receiver.add_local(7);
    for segments in [1, 2, 3, 17, 40, 63, 64] {
        let sent = train(segments);
        sender.send(sent.iter().map(|bytes| (path(0, to), &bytes[..])));
        let got = receiver.receive_count(segments);
        let expected = sent.into_iter().map(|bytes| (path(7, from), bytes));
        assert!(
            got.into_iter()
                .map(|got| (got.path, got.bytes))
                .eq(expected)
        );
    }
    (sender, receiver)
}

pub(crate) fn trains_arrive_joined_and_are_split_again(kind: IoKind) {
    let (_, receiver) = exchange(kind, true, true);
    let counters = receiver.counters();
    assert_eq!(counters.trains_in, 6);
    assert_eq!(counters.datagrams_in, 190);
    assert_eq!(counters.bytes_in, 184 * 1000 + 6 * 333);
}

pub(crate) fn joining_can_be_turned_off(kind: IoKind) {
    let (_, receiver) = exchange(kind, false, true);
    assert_eq!(receiver.counters().trains_in, 0);
}

pub(crate) fn segmentation_can_be_turned_off(kind: IoKind) {
    let (sender, _) = exchange(kind, true, false);
    let counters = sender.counters();
    assert_eq!((counters.trains_out, counters.datagrams_out), (0, 190));
}

pub(crate) fn more_trains_than_one_call_takes_stay_in_order(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let to_client = path(0, client.local_addr().unwrap());
    // Each longer than the one before: no two of a train.
    let sent: Vec<Vec<u8>> = (0..400).map(|n| payload(n, 40 + n as usize)).collect();
    let failed = bench.send(sent.iter().map(|bytes| (to_client, &bytes[..])));
    assert_eq!(failed, []);
    for bytes in &sent {
        assert_eq!(&next(&client), bytes);
    }
}

pub(crate) fn trains_of_several_sockets_stay_in_order_per_destination(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addrs: Vec<_> = (0..3).map(|id| bench.add_local(id)).collect();
    let clients: Vec<_> = (0..3).map(|_| peer([127, 0, 0, 1])).collect();
    let sent: Vec<_> = (0..300u32)
        .map(|n| (n as usize % 7 % 3, payload(n, 200)))
        .collect();
    let failed = bench.send(sent.iter().map(|(to, bytes)| {
        let remote = clients[*to].local_addr().unwrap();
        (path(*to as u32, remote), &bytes[..])
    }));
    assert_eq!(failed, []);
    for (to, bytes) in sent {
        let mut came = vec![0; 2048];
        let (len, from) = clients[to].recv_from(&mut came).unwrap();
        assert_eq!(came[..len], bytes);
        assert_eq!(from, addrs[to]);
    }
}

/// Many messages of one socket at once may go another way than a few of many sockets.
pub(crate) fn long_and_short_runs_of_sockets_stay_in_order(kind: IoKind) {
    let mut bench = Bench::new(kind);
    bench.add_local(0);
    bench.add_local(1);
    let ends = [peer([127, 0, 0, 1]), peer([127, 0, 0, 1])];
    let runs = [3, 20, 1, 1, 2, 40, 7, 9];
    let mut sent = Vec::new();
    for (socket, run) in (0..).map(|turn| turn % 2).zip(runs) {
        for _ in 0..run {
            for end in &ends {
                let path = path(socket, end.local_addr().unwrap());
                sent.push((path, payload(sent.len() as u32, 60)));
            }
        }
    }
    let batch = sent.iter().map(|(path, bytes)| (*path, &bytes[..]));
    assert_eq!(bench.send(batch), []);
    for end in &ends {
        let to_it = sent
            .iter()
            .filter(|(path, _)| path.remote == end.local_addr().unwrap());
        for (_, bytes) in to_it {
            assert_eq!(next(end), *bytes);
        }
    }
}
