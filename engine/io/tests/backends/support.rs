//! What the tests stand on: a back end with a log of what came, peers on std sockets.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use weirgate_io::{
    Backend, FailedTrain, IoChoice, IoCounters, IoKind, IoOptions, bind_plain, open, probe,
};
use weirgate_shard::{Path, SocketId, TxBatch};

/// Long enough for any machine; only waited for where a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on a back end, if the machine has it.
pub(crate) fn run(kind: IoKind, test: fn(IoKind)) {
    if kind == IoKind::Uring
        && let Err(reason) = probe(IoChoice::Uring)
    {
        println!("skipped: {reason}");
        return;
    }
    test(kind);
}

/// A received datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) path: Path,
    pub(crate) bytes: Vec<u8>,
    /// See [`Datagram::waited`](weirgate_shard::Datagram::waited).
    pub(crate) waited: Duration,
}

/// A back end under test.
pub(crate) struct Bench {
    pub(crate) backend: Box<dyn Backend>,
}

impl Bench {
    pub(crate) fn new(kind: IoKind) -> Self {
        Self::with(kind, IoOptions::default())
    }

    pub(crate) fn with(kind: IoKind, options: IoOptions) -> Self {
        let backend = open(kind, &options).unwrap();
        assert_eq!(backend.kind(), kind);
        Self { backend }
    }

    /// Adds a socket of 127.0.0.1; returns its address.
    pub(crate) fn add_local(&mut self, id: u32) -> SocketAddr {
        let socket = local_socket();
        let addr = socket.local_addr().unwrap();
        self.add(id, socket);
        addr
    }

    pub(crate) fn add(&mut self, id: u32, socket: UdpSocket) {
        self.backend.add_socket(SocketId(id), socket).unwrap();
    }

    /// One call; what it gave.
    pub(crate) fn receive(&mut self, timeout: Option<Duration>) -> Vec<Got> {
        let mut got = Vec::new();
        let count = self
            .backend
            .receive(timeout, &mut |batch| {
                assert!(!batch.is_empty());
                got.extend(batch.iter().map(|datagram| Got {
                    path: datagram.path,
                    bytes: datagram.bytes.to_vec(),
                    waited: datagram.waited,
                }));
            })
            .unwrap();
        assert_eq!(count, got.len());
        got
    }

    /// Receives until there are `count` datagrams.
    pub(crate) fn receive_count(&mut self, count: usize) -> Vec<Got> {
        let start = Instant::now();
        let mut got = Vec::new();
        while got.len() < count {
            assert!(
                start.elapsed() < PATIENCE,
                "{} of {count} datagrams came; {:?}",
                got.len(),
                self.counters()
            );
            got.extend(self.receive(Some(Duration::from_millis(100))));
        }
        assert_eq!(got.len(), count);
        got
    }

    /// Receives what is there already.
    pub(crate) fn receive_rest(&mut self) -> Vec<Got> {
        let mut got = Vec::new();
        loop {
            let more = self.receive(Some(Duration::from_millis(20)));
            if more.is_empty() {
                return got;
            }
            got.extend(more);
        }
    }

    /// Sends datagrams as one batch.
    pub(crate) fn send<'a>(
        &mut self,
        datagrams: impl IntoIterator<Item = (Path, &'a [u8])>,
    ) -> Vec<FailedTrain> {
        let mut batch = TxBatch::new(4 << 20);
        for (path, bytes) in datagrams {
            let slot = batch.slot(bytes.len()).expect("a batch too small");
            slot.copy_from_slice(bytes);
            batch.commit(path, bytes.len());
        }
        let mut failed = Vec::new();
        self.backend.send(&batch, &mut failed);
        failed
    }

    pub(crate) fn counters(&self) -> IoCounters {
        self.backend.counters()
    }
}

/// A socket of 127.0.0.1 on a port of its own.
pub(crate) fn local_socket() -> UdpSocket {
    bind_plain([127, 0, 0, 1].into(), 0).unwrap()
}

/// A peer with patient, blocking calls and large buffers.
pub(crate) fn peer(ip: impl Into<IpAddr>) -> UdpSocket {
    let socket = bind_plain(ip.into(), 0).unwrap();
    // Peers stand for machines whose kernel does not join datagrams.
    set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 0);
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sets a socket option std does not have.
pub(crate) fn set_option(socket: &impl std::os::fd::AsFd, level: i32, name: i32, value: i32) {
    use std::os::fd::AsRawFd;
    let fd = socket.as_fd().as_raw_fd();
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: reads four bytes from a live integer.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// The next datagram of a peer.
pub(crate) fn next(peer: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let len = peer.recv(&mut bytes).expect("a datagram that never came");
    bytes.truncate(len);
    bytes
}

/// A path to a peer from a socket bound to one address.
pub(crate) fn path(id: u32, remote: SocketAddr) -> Path {
    Path {
        socket: SocketId(id),
        local: None,
        remote,
    }
}

/// Bytes that tell datagrams apart, and look like media: a number, then a pattern that depends on it.
pub(crate) fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at as u32 * 7 + number) as u8).collect();
    let head = [[0x80, 96].as_slice(), &number.to_be_bytes()].concat();
    let both = len.min(head.len());
    bytes[..both].copy_from_slice(&head[..both]);
    bytes
}
