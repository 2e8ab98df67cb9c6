//! How often a turn of the loop reads the clock.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Sender, unbounded};
use weirgate_io::{Backend, FailedTrain, IoCounters, IoKind, IoOptions, Waker};
use weirgate_shard::{Datagram, Limits, Path, Shard, ShardConfig, SocketId, TxBatch};

use super::driver::{Driver, DriverParts};
use super::gathering::Gathering;
use super::{ShardInput, ShardStatus};
use crate::clock::{Clock, reads};
use crate::crossing_net::CrossingNet;

const TURNS: usize = 20;
/// At its begin, before and after a sleep, and where datagrams ended it.
const MOST_READS: usize = 4;

/// Gives the same datagrams in every turn, and ends the loop after the last.
struct Scripted {
    /// For what the loop does beside.
    real: Box<dyn Backend>,
    inputs: Sender<ShardInput>,
    /// Datagrams of a turn, by batches.
    batches: Vec<usize>,
    turns_left: usize,
}

impl Backend for Scripted {
    fn kind(&self) -> IoKind {
        self.real.kind()
    }

    fn waker(&self) -> Waker {
        self.real.waker()
    }

    fn add_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        self.real.add_socket(id, socket)
    }

    fn add_quiet_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        self.real.add_quiet_socket(id, socket)
    }

    fn connect_socket(&mut self, id: SocketId, remote: SocketAddr) {
        self.real.connect_socket(id, remote);
    }

    fn remove_socket(&mut self, id: SocketId) {
        self.real.remove_socket(id);
    }

    fn receive(
        &mut self,
        _timeout: Option<Duration>,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
    ) -> io::Result<usize> {
        if self.turns_left == 0 {
            self.inputs.send(ShardInput::Stop).unwrap();
            return Ok(0);
        }
        self.turns_left -= 1;
        let path = Path {
            socket: SocketId(0),
            local: None,
            remote: (Ipv4Addr::LOCALHOST, 4_000).into(),
        };
        for &count in &self.batches {
            let mut bytes = vec![[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4]; count];
            let datagrams = bytes.iter_mut().map(|bytes| Datagram {
                path,
                bytes,
                waited: Duration::ZERO,
            });
            handle(&mut datagrams.collect::<Vec<_>>());
        }
        Ok(self.batches.iter().sum())
    }

    fn send(&mut self, batch: &TxBatch, failed: &mut Vec<FailedTrain>) {
        self.real.send(batch, failed);
    }

    fn counters(&self) -> IoCounters {
        self.real.counters()
    }

    fn socket_drops(&self, id: SocketId) -> Option<u64> {
        self.real.socket_drops(id)
    }
}

/// Clock reads of all turns, each of which has these batches of datagrams.
fn reads_with(batches: &[usize]) -> usize {
    let clock = Clock::start();
    let limits = Limits::default();
    let net = Arc::new(CrossingNet::new(1, limits.crossing_stock));
    let (to_shard, inputs) = unbounded();
    let (hub, _events) = unbounded();
    let config = ShardConfig {
        shard: 0,
        shards: 1,
        media_locals: vec![(Ipv4Addr::LOCALHOST, 4_001).into()],
        wall_clock_offset: clock.wall_clock_offset(),
        seed: 1,
        limits,
    };
    let driver = Driver::new(DriverParts {
        number: 0,
        shards: 1,
        shard: Shard::new(config, clock.now()),
        clock,
        net,
        steering: None,
        inputs,
        hub,
        status: Arc::new(ShardStatus::default()),
        gathering: Gathering::new(Duration::from_millis(1)),
    });
    let mut backend = Scripted {
        real: weirgate_io::open(IoKind::Mmsg, &IoOptions::default()).unwrap(),
        inputs: to_shard,
        batches: batches.to_vec(),
        turns_left: TURNS,
    };
    reads::take();
    driver.run(&mut backend).unwrap();
    reads::take() as usize
}

#[test]
fn a_turn_reads_the_clock_as_often_for_one_datagram_as_for_hundreds() {
    for batches in [&[1][..], &[250], &[1; 250], &[32; 8]] {
        let reads = reads_with(batches);
        assert!(reads >= TURNS, "nothing was counted: {reads}");
        // Two turns more end the loop, and it is read twice before the first.
        let most = (TURNS + 2) * MOST_READS + 2;
        assert!(reads <= most, "{reads} in {TURNS} turns with {batches:?}");
    }
}
