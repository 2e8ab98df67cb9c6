//! The back end that works on every kernel: epoll tells which sockets have datagrams, `recvmmsg`
//! takes many per call, `sendmmsg` sends many.

mod poll;
mod receive;
mod wire;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::RawFd;
use std::time::Duration;

use weirgate_shard::{Datagram, SocketId, TxBatch};

use crate::backend::{Backend, FailedTrain, IoOptions, RECEIVE_BOUND};
use crate::counters::IoCounters;
use crate::incoming::Delivery;
use crate::outgoing::Sender;
use crate::probe::IoKind;
use crate::socket::{SocketTable, Token, join_datagrams};
use crate::waker::Waker;
use poll::Poll;
use receive::Receiver;
use wire::MmsgWire;

pub(crate) use wire::{run_at, send_run};

/// Messages taken by one call, where the options do not say.
const DEFAULT_BUFFERS: u16 = 32;
/// In the events of the poll: no socket of the table.
const WAKER: u64 = u64::MAX;
/// Likewise: somebody else's descriptor, see [`Mmsg::watch`].
const WATCHED: u64 = u64::MAX - 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct Mmsg {
    gro: bool,
    poll: Poll,
    waker: Waker,
    sockets: SocketTable,
    receiver: Receiver,
    sender: Sender,
    ready: Vec<Token>,
    counters: IoCounters,
}

impl Mmsg {
    pub(crate) fn new(options: &IoOptions) -> io::Result<Self> {
        let poll = Poll::new()?;
        if let Some(time) = options.busy_poll {
            poll.set_busy(time)?;
        }
        let waker = Waker::new()?;
        poll.add_edges(waker.raw_fd(), WAKER)?;
        let buffers = options.buffers.unwrap_or(DEFAULT_BUFFERS).max(1);
        Ok(Self {
            gro: options.gro,
            poll,
            waker,
            sockets: SocketTable::new(options.max_sockets),
            receiver: Receiver::new(buffers.into())?,
            sender: Sender::new(options.gso)?,
            ready: Vec::with_capacity(Poll::EVENTS),
            counters: IoCounters::default(),
        })
    }

    /// Ends sleeps also when that descriptor has something to read; nothing is read from it. It is
    /// forgotten when it is closed.
    pub(crate) fn watch(&self, fd: RawFd) -> io::Result<()> {
        self.poll.add(fd, WATCHED)
    }

    /// Sends some trains of a batch, as [`Backend::send`] does all.
    pub(crate) fn send_some(
        &mut self,
        batch: &TxBatch,
        trains: &[u32],
        failed: &mut Vec<FailedTrain>,
    ) {
        let trains = trains.iter().map(|&index| index as usize);
        let mut wire = MmsgWire {
            sockets: &mut self.sockets,
        };
        self.sender
            .send(&mut wire, batch, trains, failed, &mut self.counters);
    }

    /// Takes one call's worth from each ready socket in turn, until all are empty or the bound is
    /// reached.
    fn drain(&mut self, handle: &mut dyn FnMut(&mut [Datagram<'_>])) -> usize {
        let mut datagrams = 0;
        let mut turn = 0;
        while !self.ready.is_empty() && datagrams < RECEIVE_BOUND {
            if turn >= self.ready.len() {
                turn = 0;
            }
            let mut delivery = Delivery::new(handle);
            let more = self.receiver.receive(
                self.ready[turn],
                &mut self.sockets,
                &mut delivery,
                &mut self.counters,
            );
            delivery.flush();
            datagrams += delivery.datagrams();
            if more {
                turn += 1;
            } else {
                self.ready.swap_remove(turn);
            }
        }
        datagrams
    }
}

impl Backend for Mmsg {
    fn kind(&self) -> IoKind {
        IoKind::Mmsg
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn add_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        join_datagrams(&socket, self.gro);
        let token = self.sockets.insert(id, socket)?;
        let added = match self.sockets.fd(token.slot) {
            Some(fd) => self.poll.add(fd, token.to_bits()),
            None => Ok(()),
        };
        if added.is_err() {
            self.sockets.remove(id);
        }
        added
    }

    fn connect_socket(&mut self, id: SocketId, remote: SocketAddr) {
        self.sockets.connect(id, remote);
    }

    fn remove_socket(&mut self, id: SocketId) {
        // The poll forgets a descriptor that is closed; an event it gave before carries a token
        // that is no longer good.
        self.sockets.remove(id);
    }

    fn receive(
        &mut self,
        timeout: Option<Duration>,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
    ) -> io::Result<usize> {
        self.counters.syscalls += 1;
        self.ready.clear();
        let ready = &mut self.ready;
        self.poll.wait(timeout, |data| {
            if data != WAKER && data != WATCHED {
                ready.push(Token::from_bits(data));
            }
        })?;
        Ok(self.drain(handle))
    }

    fn send(&mut self, batch: &TxBatch, failed: &mut Vec<FailedTrain>) {
        let trains = 0..batch.trains().len();
        let mut wire = MmsgWire {
            sockets: &mut self.sockets,
        };
        self.sender
            .send(&mut wire, batch, trains, failed, &mut self.counters);
    }

    fn counters(&self) -> IoCounters {
        self.counters
    }

    fn socket_drops(&self, id: SocketId) -> Option<u64> {
        self.sockets.drops(id)
    }
}
