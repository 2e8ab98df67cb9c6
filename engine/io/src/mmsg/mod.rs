//! The back end that works on every kernel: epoll tells which sockets have datagrams, `recvmmsg`
//! takes many per call, `sendmmsg` sends many.

mod poll;
mod reader;
mod receive;
mod wire;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::RawFd;
use std::time::Duration;

use weirgate_shard::{Datagram, SocketId, TxBatch};

use crate::backend::{Backend, FailedTrain, IoOptions};
use crate::counters::IoCounters;
use crate::incoming::Waits;
use crate::outgoing::Sender;
use crate::probe::IoKind;
use crate::socket::{SocketTable, Token, join_datagrams};
use crate::waker::Waker;
use wire::MmsgWire;

pub(crate) use poll::Poll;
pub(crate) use reader::Reader;
pub(crate) use wire::{run_at, send_run};

/// Messages taken by one call, where the options do not say.
const DEFAULT_BUFFERS: u16 = 32;
/// In the events of the poll: no socket of the table.
const WAKER: u64 = u64::MAX;
/// Likewise: somebody else's descriptor, see [`Mmsg::watch`].
const WATCHED: u64 = u64::MAX - 1;
/// Likewise: quiet sockets, which have a poll of their own.
const QUIET: u64 = u64::MAX - 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Mmsg {
    gro: bool,
    poll: Poll,
    /// Sockets by which no media come.
    quiet: Poll,
    /// They do not end waits.
    hushed: bool,
    waker: Waker,
    sockets: SocketTable,
    reader: Reader,
    sender: Sender,
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
        let quiet = Poll::new()?;
        poll.add(quiet.raw_fd(), QUIET)?;
        let buffers = options.buffers.unwrap_or(DEFAULT_BUFFERS).max(1);
        Ok(Self {
            gro: options.gro,
            poll,
            quiet,
            hushed: false,
            waker,
            sockets: SocketTable::new(options.max_sockets),
            reader: Reader::new(buffers)?,
            sender: Sender::new(options.gso)?,
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

    fn poll_of(&self, token: Token) -> &Poll {
        match self.sockets.is_quiet(token) {
            true => &self.quiet,
            false => &self.poll,
        }
    }

    fn watch_socket(&self, token: Token) -> io::Result<()> {
        match self.sockets.fd(token.slot) {
            Some(fd) => self.poll_of(token).add(fd, token.to_bits()),
            None => Ok(()),
        }
    }

    /// Moves a socket that became quiet, or no longer is, to the other poll, where it is not there yet.
    fn change_poll(&self, token: Token) {
        let old = match self.sockets.is_quiet(token) {
            true => &self.poll,
            false => &self.quiet,
        };
        if let Some(fd) = self.sockets.fd(token.slot)
            && old.remove(fd).is_ok()
            && self.watch_socket(token).is_err()
        {
            // For want of memory: where it was it had room.
            let _ = old.add(fd, token.to_bits());
        }
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
        let added = self.watch_socket(token);
        if added.is_err() {
            self.sockets.remove(id);
        }
        added
    }

    fn add_quiet_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        join_datagrams(&socket, self.gro);
        let token = self.sockets.insert_second(id, socket)?;
        self.watch_socket(token)
    }

    fn connect_socket(&mut self, id: SocketId, remote: SocketAddr) {
        self.sockets.connect(id, remote);
    }

    fn remove_socket(&mut self, id: SocketId) {
        // The poll forgets a descriptor that is closed; an event it gave before carries a token
        // that is no longer good.
        self.sockets.remove(id);
    }

    fn hush(&mut self, hushed: bool) {
        if hushed == self.hushed {
            return;
        }
        let changed = match hushed {
            true => self.poll.remove(self.quiet.raw_fd()),
            false => self.poll.add(self.quiet.raw_fd(), QUIET),
        };
        if changed.is_ok() {
            self.hushed = hushed;
        }
    }

    fn receive(
        &mut self,
        timeout: Option<Duration>,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
    ) -> io::Result<usize> {
        let timeout = match self.reader.is_behind() {
            true => Some(Duration::ZERO),
            false => timeout,
        };
        let ready = self.reader.ready();
        ready.clear();
        let mut look = self.hushed;
        self.counters.syscalls += 1;
        self.poll.wait(timeout, |data| match data {
            WAKER | WATCHED => {}
            QUIET => look = true,
            _ => ready.push(Token::from_bits(data)),
        })?;
        if look {
            self.counters.syscalls += 1;
            let now = Some(Duration::ZERO);
            self.quiet
                .wait(now, |data| ready.push(Token::from_bits(data)))?;
        }
        let (sockets, counters) = (&mut self.sockets, &mut self.counters);
        let mut waits = Waits::default();
        let datagrams = self.reader.drain(sockets, counters, handle, &mut waits);
        while let Some(token) = self.sockets.next_changed() {
            self.change_poll(token);
        }
        Ok(datagrams)
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
