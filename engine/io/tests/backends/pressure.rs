//! More than fits.

use std::time::Duration;

use weirgate_io::{IoKind, IoOptions, RECEIVE_BOUND};
use weirgate_shard::SocketId;

use crate::support::{Bench, local_socket, payload, peer};

fn few_buffers(kind: IoKind) -> Bench {
    let options = IoOptions {
        buffers: Some(4),
        ..IoOptions::default()
    };
    Bench::with(kind, options)
}

pub(crate) fn more_datagrams_than_buffers_all_arrive(kind: IoKind) {
    let mut bench = few_buffers(kind);
    let addrs = [bench.add_local(0), bench.add_local(1)];
    let client = peer([127, 0, 0, 1]);
    for round in 0..3 {
        for number in 0..200 {
            let to = addrs[number as usize % 2];
            client.send_to(&payload(number, 100), to).unwrap();
        }
        let got = bench.receive_count(200);
        for id in 0..2 {
            let of_id: Vec<_> = got
                .iter()
                .filter(|got| got.path.socket == SocketId(id))
                .map(|got| got.bytes.clone())
                .collect();
            let sent = (0..200).filter(|number| number % 2 == id);
            let sent: Vec<_> = sent.map(|number| payload(number, 100)).collect();
            assert_eq!(of_id, sent, "round {round}, socket {id}");
        }
    }
    if kind == IoKind::Uring {
        assert!(bench.counters().buffers_exhausted > 0);
    }
}

pub(crate) fn more_datagrams_than_the_bound_arrive_by_several_calls(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let addr = bench.add_local(0);
    let client = peer([127, 0, 0, 1]);
    let sent = 3 * RECEIVE_BOUND as u32 / 2;
    for number in 0..sent {
        client.send_to(&payload(number, 60), addr).unwrap();
    }
    let first = bench.receive(Some(Duration::from_secs(5)));
    assert!(!first.is_empty() && first.len() < sent as usize);
    let mut got = first;
    got.extend(bench.receive_count(sent as usize - got.len()));
    for (number, got) in got.iter().enumerate() {
        assert_eq!(got.bytes, payload(number as u32, 60));
    }
}

pub(crate) fn a_flood_on_one_socket_does_not_starve_another(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let flooded = bench.add_local(0);
    let quiet = bench.add_local(1);
    let client = peer([127, 0, 0, 1]);
    for _ in 0..3000 {
        // What does not fit is dropped by the socket; there is enough in any case.
        client.send_to(&[0; 20], flooded).unwrap();
    }
    client.send_to(b"here", quiet).unwrap();
    let mut before = 0;
    loop {
        let got = bench.receive(Some(Duration::from_secs(5)));
        assert!(!got.is_empty());
        if got.iter().any(|got| got.bytes == b"here") {
            break;
        }
        before += got.len();
    }
    assert!(before <= 2 * RECEIVE_BOUND, "{before} came first");
}

pub(crate) fn drops_of_a_full_socket_are_counted(kind: IoKind) {
    let mut bench = Bench::new(kind);
    let socket = local_socket();
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(20_000)
        .unwrap();
    let addr = socket.local_addr().unwrap();
    bench.add(5, socket);
    let client = peer([127, 0, 0, 1]);
    for _ in 0..500 {
        client.send_to(&[1; 1000], addr).unwrap();
    }
    let came = bench.receive_rest().len() as u64;
    assert!(came < 500);
    // The count comes with the next datagram.
    client.send_to(&[1; 1000], addr).unwrap();
    bench.receive_count(1);
    assert_eq!(bench.counters().kernel_drops, 500 - came);
    assert_eq!(bench.backend.socket_drops(SocketId(5)), Some(500 - came));
    assert_eq!(bench.backend.socket_drops(SocketId(6)), None);
}
