//! AF_XDP over a veth pair. Needs to be root; where it may not, each test says so and does nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod allocations;
#[path = "../counting/mod.rs"]
mod counting;
mod namespaces;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use namespaces::{HERE, Namespaces, PATIENCE, THERE, next, run, set_option};
use weirgate_io::{
    Backend, FailedTrain, IoKind, IoOptions, XdpOptions, XdpSeat, XdpSetup, bind_media, bind_plain,
    open_xdp, set_up_xdp,
};
use weirgate_shard::{Path, SocketId, TxBatch};

/// Ports by which the tests know what is the kernel's.
const OTHER_PORT: u16 = 9_999;

/// A received datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    path: Path,
    bytes: Vec<u8>,
}

/// A shard's back end under test.
struct Bench {
    backend: Box<dyn Backend>,
}

fn set_up(shards: u16) -> XdpSetup {
    set_up_at("wa", shards)
}

fn set_up_at(interface: &str, shards: u16) -> XdpSetup {
    let options = XdpOptions {
        interfaces: vec![interface.to_owned()],
        listen: vec!["0.0.0.0:10000".parse().unwrap()],
        shards,
    };
    set_up_xdp(&options).unwrap()
}

impl Bench {
    fn all(shards: u16) -> Vec<Self> {
        // Trains as frames too.
        Self::with(shards, false)
    }

    fn with(shards: u16, gso: bool) -> Vec<Self> {
        let options = IoOptions {
            gso,
            ..IoOptions::default()
        };
        let seats = set_up(shards).seats.into_iter();
        seats.map(|seat| Self::at(seat, &options)).collect()
    }

    fn at(seat: XdpSeat, options: &IoOptions) -> Self {
        let backend = open_xdp(seat, options).unwrap();
        assert_eq!(backend.kind(), IoKind::Xdp);
        Self { backend }
    }

    fn one() -> Self {
        Self::all(1).remove(0)
    }

    fn add(&mut self, id: u32, socket: UdpSocket) -> SocketAddr {
        let local = socket.local_addr().unwrap();
        self.backend.add_socket(SocketId(id), socket).unwrap();
        local
    }

    fn receive(&mut self) -> Vec<Got> {
        let mut got = Vec::new();
        let count = self
            .backend
            .receive(Some(Duration::from_millis(50)), &mut |batch| {
                got.extend(batch.iter().map(|datagram| Got {
                    path: datagram.path,
                    bytes: datagram.bytes.to_vec(),
                }));
            })
            .unwrap();
        assert_eq!(count, got.len());
        got
    }

    fn receive_count(&mut self, count: usize) -> Vec<Got> {
        let start = Instant::now();
        let mut got = Vec::new();
        while got.len() < count {
            assert!(
                start.elapsed() < PATIENCE,
                "{} of {count} came; {:?}",
                got.len(),
                self.backend.counters()
            );
            got.extend(self.receive());
        }
        assert_eq!(got.len(), count);
        got
    }

    fn send(&mut self, path: Path, datagrams: &[Vec<u8>]) -> Vec<FailedTrain> {
        let mut batch = TxBatch::new(1 << 20);
        for bytes in datagrams {
            batch.slot(bytes.len()).unwrap().copy_from_slice(bytes);
            batch.commit(path, bytes.len());
        }
        let mut failed = Vec::new();
        self.backend.send(&batch, &mut failed);
        failed
    }

    /// Sends single datagrams until one leaves as a frame.
    fn send_until_by_frames(&mut self, path: Path, peer: &UdpSocket) {
        let before = self.backend.counters().xdp.datagrams_out;
        let start = Instant::now();
        while self.backend.counters().xdp.datagrams_out == before {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.backend.counters());
            assert_eq!(self.send(path, &[payload(0, 40)]), []);
            assert_eq!(next(peer).0, payload(0, 40));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at as u32 * 7 + number) as u8).collect();
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn path(id: u32, local: Option<&str>, remote: SocketAddr) -> Path {
    Path {
        socket: SocketId(id),
        local: local.map(|ip| ip.parse().unwrap()),
        remote,
    }
}

#[test]
fn datagrams_of_both_families_go_both_ways_as_frames() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::one();
    for (id, (here, there)) in (0..).zip(HERE.into_iter().zip(THERE)) {
        let local = bench.add(id, bind_plain(here.parse().unwrap(), 0).unwrap());
        let peer = namespaces.peer(there);
        let path = path(id, None, peer.local_addr().unwrap());
        bench.send_until_by_frames(path, &peer);

        // The peer's kernel verifies our checksums, of every length and in every sum.
        let trains: Vec<_> = (0..200).map(|number| payload(number, 900)).collect();
        let odd: Vec<_> = (4..1400).step_by(37).map(|len| payload(7, len)).collect();
        for datagrams in [trains, odd] {
            assert_eq!(bench.send(path, &datagrams), []);
            for datagram in datagrams {
                assert_eq!(next(&peer), (datagram, local));
            }
        }

        // Its own are partial: no wire has had them.
        let before = bench.backend.counters().xdp;
        for number in 0..100 {
            peer.send_to(&payload(number, 1000), local).unwrap();
        }
        for (number, got) in (0..).zip(bench.receive_count(100)) {
            assert_eq!(
                got,
                Got {
                    path,
                    bytes: payload(number, 1000)
                }
            );
        }
        let after = bench.backend.counters().xdp;
        assert_eq!(after.datagrams_in - before.datagrams_in, 100);
        assert_eq!((after.bad_checksums, after.malformed), (0, 0));
    }
}

#[test]
fn trains_of_a_peer_come_as_their_datagrams() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::one();
    for (id, (here, there)) in (0..).zip(HERE.into_iter().zip(THERE)) {
        let local = bench.add(id, bind_plain(here.parse().unwrap(), 0).unwrap());
        let peer = namespaces.peer(there);
        set_option(&peer, libc::SOL_UDP, libc::UDP_SEGMENT, 700);
        let train: Vec<u8> = (0..10).flat_map(|number| payload(number, 700)).collect();
        peer.send_to(&train, local).unwrap();
        for (number, got) in (0..).zip(bench.receive_count(10)) {
            assert_eq!(got.bytes, payload(number, 700));
        }
        assert_eq!(bench.backend.counters().xdp.bad_checksums, 0);
    }
    assert_eq!(bench.backend.counters().xdp.datagrams_in, 20);
}

#[test]
fn answers_leave_from_the_address_that_was_hit() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    run("ip address add 10.71.0.9/24 dev wa");
    let mut bench = Bench::one();
    let media = bind_media("0.0.0.0:0".parse().unwrap(), 1).unwrap();
    let port = bench.add(0, media.into_iter().next().unwrap()).port();
    let peer = namespaces.peer(THERE[0]);
    for local in ["10.71.0.9", "10.71.0.1"] {
        let to: SocketAddr = format!("{local}:{port}").parse().unwrap();
        let path = path(0, Some(local), peer.local_addr().unwrap());
        peer.send_to(b"whom do I hit?", to).unwrap();
        let got = bench.receive_count(1);
        assert_eq!(got[0].path, path);
        bench.send_until_by_frames(path, &peer);
        bench.send(path, &[payload(1, 100)]);
        assert_eq!(next(&peer), (payload(1, 100), to));
    }
    assert_eq!(bench.backend.counters().xdp.datagrams_in, 2);

    // An address that comes later is learned of; until then its datagrams come by the socket.
    run("ip address add 10.71.0.8/24 dev wa");
    let start = Instant::now();
    while bench.backend.counters().xdp.datagrams_in == 2 {
        assert!(start.elapsed() < PATIENCE);
        peer.send_to(b"and now?", ("10.71.0.8", port)).unwrap();
        let got = bench.receive_count(1);
        assert_eq!(got[0].path.local, Some([10, 71, 0, 8].into()));
    }
}

#[test]
fn link_local_peers_keep_their_link() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    run("ip address add fe80::71 dev wa nodad");
    namespaces.there(|| run("ip address add fe80::72 dev wb nodad"));
    let mut bench = Bench::one();
    let media = bind_media("[::]:0".parse().unwrap(), 1).unwrap();
    let port = bench.add(0, media.into_iter().next().unwrap()).port();
    let peer = namespaces.there(|| UdpSocket::bind("[::]:0").unwrap());
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    // The interface there has the number its twin has here.
    let scope =
        namespaces.there(|| std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
    let line = scope
        .lines()
        .find(|line| line.ends_with("wb") && line.starts_with("fe80"))
        .unwrap();
    let scope = u32::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
    let to: SocketAddr = format!("[fe80::71%{scope}]:{port}").parse().unwrap();
    peer.send_to(b"hello", to).unwrap();
    let got = bench.receive_count(1);
    let path = got[0].path;
    assert_eq!(path.local, Some("fe80::71".parse().unwrap()));
    assert!(matches!(path.remote, SocketAddr::V6(remote) if remote.scope_id() != 0));
    assert_eq!(bench.backend.counters().xdp.datagrams_in, 1);
    bench.send_until_by_frames(path, &peer);
}

#[test]
fn what_frames_can_not_carry_goes_by_sockets() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::one();
    let local = bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peer = namespaces.peer(THERE[0]);
    let path = path(0, None, peer.local_addr().unwrap());
    bench.send_until_by_frames(path, &peer);
    let before = bench.backend.counters();

    // Too long for the MTU, both ways: fragments.
    assert_eq!(bench.send(path, &[payload(1, 3000)]), []);
    assert_eq!(next(&peer).0, payload(1, 3000));
    peer.send_to(&payload(2, 3000), local).unwrap();
    assert_eq!(bench.receive_count(1)[0].bytes, payload(2, 3000));
    assert_eq!(bench.backend.counters().xdp, before.xdp);
    assert_eq!(
        bench.backend.counters().datagrams_out,
        before.datagrams_out + 1
    );

    // Loopback.
    let neighbour = bind_plain([127, 0, 0, 1].into(), 0).unwrap();
    let own = bench.add(1, bind_plain([127, 0, 0, 1].into(), 0).unwrap());
    neighbour.send_to(b"next door", own).unwrap();
    assert_eq!(bench.receive_count(1)[0].bytes, b"next door");
    assert_eq!(
        bench.backend.counters().xdp.datagrams_in,
        before.xdp.datagrams_in
    );

    // Other programs' datagrams are theirs.
    let other = UdpSocket::bind((HERE[0], OTHER_PORT)).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.send_to(b"not for weirgate", (HERE[0], OTHER_PORT))
        .unwrap();
    assert_eq!(next(&other).0, b"not for weirgate");
}

#[test]
fn long_trains_go_by_sockets_and_nothing_overtakes_them() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::with(1, true).remove(0);
    bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peer = namespaces.peer(THERE[0]);
    let path = path(0, None, peer.local_addr().unwrap());
    bench.send_until_by_frames(path, &peer);
    let before = bench.backend.counters();
    // Trains of 1, 2, 5 and 1.
    let lens = [700, 500, 500, 600, 600, 600, 600, 600, 800];
    let datagrams: Vec<_> = (0..)
        .zip(lens)
        .map(|(number, len)| payload(number, len))
        .collect();
    assert_eq!(bench.send(path, &datagrams), []);
    for datagram in datagrams {
        assert_eq!(next(&peer).0, datagram);
    }
    let after = bench.backend.counters();
    assert_eq!(after.xdp.datagrams_out - before.xdp.datagrams_out, 3);
    assert_eq!(after.datagrams_out - before.datagrams_out, 9);
    assert_eq!(after.trains_out - before.trains_out, 1);
}

#[test]
fn a_long_train_keeps_back_its_own_peer_and_no_other_of_the_host() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::with(1, true).remove(0);
    bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peer = namespaces.peer(THERE[0]);
    let port = |peer: &UdpSocket| peer.local_addr().unwrap().port();
    // Ports a multiple of 1024 apart may be taken for one peer.
    let other = std::iter::repeat_with(|| namespaces.peer(THERE[0]))
        .find(|other| port(other) % 1024 != port(&peer) % 1024)
        .unwrap();
    let to = |peer: &UdpSocket| path(0, None, peer.local_addr().unwrap());
    bench.send_until_by_frames(to(&peer), &peer);
    let before = bench.backend.counters().xdp.datagrams_out;
    let mut batch = TxBatch::new(1 << 20);
    let long = [&peer; 5].into_iter().zip([600; 5]);
    for (to_whom, len) in long.chain([(&other, 700), (&peer, 800)]) {
        batch.slot(len).unwrap().fill(7);
        batch.commit(to(to_whom), len);
    }
    let mut failed = Vec::new();
    bench.backend.send(&batch, &mut failed);
    assert_eq!(failed, []);
    assert_eq!(next(&other).0, [7; 700]);
    for len in [600, 600, 600, 600, 600, 800] {
        assert_eq!(next(&peer).0, vec![7; len]);
    }
    assert_eq!(bench.backend.counters().xdp.datagrams_out - before, 1);
}

#[test]
fn an_interface_that_is_named_may_do_without_its_drivers_help() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    for command in [
        "ip link add wbr type bridge",
        "ip address flush dev wa",
        "ip link set wa master wbr",
        "ip address add 10.71.0.1/24 dev wbr",
        "ip link set wbr up",
    ] {
        run(command);
    }
    let set_up = set_up_at("wbr", 1);
    assert_eq!(set_up.summary, "wbr: generic XDP, copy mode, 1 queue");
    let seat = set_up.seats.into_iter().next().unwrap();
    let mut bench = Bench::at(seat, &IoOptions::default());
    let local = bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peer = namespaces.peer(THERE[0]);
    let path = path(0, None, peer.local_addr().unwrap());
    bench.send_until_by_frames(path, &peer);
    for number in 0..100 {
        peer.send_to(&payload(number, 1000), local).unwrap();
    }
    for (number, got) in (0..).zip(bench.receive_count(100)) {
        assert_eq!(got.bytes, payload(number, 1000));
    }
    assert_eq!(bench.backend.counters().xdp.datagrams_in, 100);
}

#[test]
fn a_closed_socket_is_the_kernels_again() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::one();
    let local = bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peer = namespaces.peer(THERE[0]);
    peer.send_to(b"first", local).unwrap();
    bench.receive_count(1);
    assert_eq!(bench.backend.counters().xdp.datagrams_in, 1);
    bench.backend.remove_socket(SocketId(0));
    let heir = UdpSocket::bind(local).unwrap();
    heir.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.send_to(b"second", local).unwrap();
    assert_eq!(next(&heir).0, b"second");
}

#[test]
fn plain_transports_of_any_shard_get_all_whichever_queue_it_comes_to() {
    let Some(namespaces) = Namespaces::new(2) else {
        return;
    };
    let mut benches = Bench::all(2);
    let local = benches[1].add(5, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    // A veth pair takes the queue of the sender's core: both, in a while.
    let peer = namespaces.peer(THERE[0]);
    for core in [0, 1] {
        let core = core_affinity(core);
        for number in 0..20 {
            peer.send_to(&payload(number, 100), local).unwrap();
        }
        drop(core);
    }
    assert_eq!(benches[1].receive_count(40).len(), 40);
    assert_eq!(benches[0].receive(), []);
    let by_frames = benches[1].backend.counters().xdp.datagrams_in;
    println!("{by_frames} of 40 came as frames");
}

/// Keeps the thread on a core while it lives, where there is such a core.
fn core_affinity(core: usize) -> impl Drop {
    struct Stay(libc::cpu_set_t);
    impl Drop for Stay {
        fn drop(&mut self) {
            // SAFETY: reads a live set.
            unsafe { libc::sched_setaffinity(0, size_of_val(&self.0), &raw const self.0) };
        }
    }
    // SAFETY: numbers, for which zero is valid; the calls read and write live sets.
    unsafe {
        let mut before: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&before), &raw mut before);
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut one);
        libc::sched_setaffinity(0, size_of_val(&one), &raw const one);
        Stay(before)
    }
}

#[test]
fn a_neighbour_that_gets_another_ethernet_address_is_followed() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::one();
    bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peer = namespaces.peer(THERE[0]);
    let path = path(0, None, peer.local_addr().unwrap());
    bench.send_until_by_frames(path, &peer);
    namespaces.there(|| run("ip link set wb address 02:00:00:00:71:02"));
    run("ip neighbour replace 10.71.0.2 lladdr 02:00:00:00:71:02 dev wa");
    peer.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let start = Instant::now();
    let mut bytes = [0; 100];
    loop {
        assert!(start.elapsed() < PATIENCE);
        let before = bench.backend.counters().xdp.datagrams_out;
        bench.send(path, &[payload(1, 40)]);
        let by_frame = bench.backend.counters().xdp.datagrams_out > before;
        if peer.recv(&mut bytes).is_ok() && by_frame {
            break;
        }
    }
}

#[test]
fn a_flood_is_sent_whole_or_told() {
    let Some(namespaces) = Namespaces::new(1) else {
        return;
    };
    let mut bench = Bench::one();
    bench.add(0, bind_plain(HERE[0].parse().unwrap(), 0).unwrap());
    let peer = namespaces.peer(THERE[0]);
    let path = path(0, None, peer.local_addr().unwrap());
    bench.send_until_by_frames(path, &peer);
    let datagrams: Vec<_> = (0..1000).map(|number| payload(number, 100)).collect();
    let before = bench.backend.counters().xdp.datagrams_out;
    let mut lost = 0;
    for _ in 0..20 {
        let failed = bench.send(path, &datagrams);
        lost += failed
            .iter()
            .map(|it| u64::from(it.segments_lost))
            .sum::<u64>();
    }
    let sent = bench.backend.counters().xdp.datagrams_out - before;
    assert_eq!(sent + lost, 20_000);
    assert_eq!(lost, 0, "{:?}", bench.backend.counters());
}

#[test]
fn where_rights_are_missing_they_are_named() {
    let Some(_namespaces) = Namespaces::new(1) else {
        return;
    };
    let nobody = 65_534;
    // SAFETY: no pointers. The bare call changes this thread only, which ends with the test.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
    assert_eq!(result, 0);
    let options = XdpOptions {
        interfaces: Vec::new(),
        listen: vec!["0.0.0.0:10000".parse().unwrap()],
        shards: 1,
    };
    let error = set_up_xdp(&options).unwrap_err();
    for right in ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF"] {
        assert!(error.contains(right), "{error}");
    }
}

#[test]
fn the_summary_names_interface_mode_and_queues() {
    let Some(_namespaces) = Namespaces::new(2) else {
        return;
    };
    assert_eq!(set_up(2).summary, "wa: native XDP, copy mode, 2 queues");
    let unknown = XdpOptions {
        interfaces: vec!["wx".to_owned()],
        listen: Vec::new(),
        shards: 1,
    };
    let error = set_up_xdp(&unknown).unwrap_err();
    assert_eq!(error, "there is no interface `wx`");
}
