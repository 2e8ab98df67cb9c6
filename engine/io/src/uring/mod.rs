//! The io_uring back end: one multishot `recvmsg` per socket fills buffers from a common pool, and
//! the sends of many sockets go in by one call; what one socket has many of goes by `sendmmsg`.
//!
//! Completions are handled when this asks for them only (IORING_SETUP_DEFER_TASKRUN), so receive
//! buffers are taken during [`Backend::receive`], and all are back when it returns.

mod completions;
mod pool;
mod ring;
mod trial;
mod wire;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{opcode, types};
use weirgate_shard::{Datagram, SocketId, TxBatch};

use crate::address::ADDRESS_LEN;
use crate::backend::{Backend, FailedTrain, IoOptions, RECEIVE_BOUND};
use crate::cmsg;
use crate::counters::IoCounters;
use crate::incoming::{Delivery, Waits};
use crate::mmsg::{Poll, Reader};
use crate::outgoing::Sender;
use crate::probe::IoKind;
use crate::socket::{SocketTable, Token, join_datagrams};
use crate::waker::Waker;
use completions::{Completion, Operation, Received};
use pool::Pool;
use ring::Ring;
use wire::UringWire;

pub(crate) use trial::{Trouble, try_out};

/// Receive buffers, where the options do not say.
const DEFAULT_BUFFERS: u16 = 256;
/// Messages of quiet sockets taken by one call.
const QUIET_BUFFERS: u16 = 32;

/// See the module.
pub(crate) struct Uring {
    gro: bool,
    // Before what requests point to: the ring is closed first.
    ring: Ring,
    pool: Pool,
    template: Template,
    waker: Waker,
    sockets: SocketTable,
    sender: Sender,
    /// Sockets without a receive request, or with one that is being cancelled.
    unarmed: Vec<Token>,
    waker_armed: bool,
    quiet: Quiet,
    gather: Duration,
    counters: IoCounters,
}

/// Sockets by which no media come. The ring does not receive by them, for what it receives ends sleeps.
struct Quiet {
    poll: Poll,
    reader: Reader,
    /// They do not end sleeps.
    hushed: bool,
    /// There is a request that ends sleeps when one of them has something.
    armed: bool,
    /// One of them has something, or may.
    look: bool,
}

impl Uring {
    pub(crate) fn new(options: &IoOptions) -> io::Result<Self> {
        let buffers = options.buffers.unwrap_or(DEFAULT_BUFFERS).max(1);
        let buffers = buffers.checked_next_power_of_two().unwrap_or(1 << 15);
        let buffers = buffers.min(1 << 15);
        let ring = Ring::new(options.max_sockets)?;
        if let Some(time) = options.busy_poll {
            ring.poll_busily(time)?;
        }
        let pool = Pool::new(&ring, buffers)?;
        Ok(Self {
            gro: options.gro,
            ring,
            pool,
            template: Template::new(),
            waker: Waker::new()?,
            sockets: SocketTable::new(options.max_sockets),
            sender: Sender::new(options.gso)?,
            unarmed: Vec::new(),
            waker_armed: false,
            quiet: Quiet {
                poll: Poll::new()?,
                reader: Reader::new(options.buffers.unwrap_or(QUIET_BUFFERS).max(1))?,
                hushed: false,
                armed: false,
                look: false,
            },
            gather: Duration::ZERO,
            counters: IoCounters::default(),
        })
    }

    /// Asks for datagrams of the sockets whose request has ended, for the waker, and for the quiet
    /// sockets where these are to end sleeps.
    fn arm(&mut self) -> io::Result<()> {
        let poll = |fd| {
            let entry = opcode::PollAdd::new(types::Fd(fd), libc::POLLIN as u32);
            entry.multi(true).build()
        };
        if !self.waker_armed {
            let entry = poll(self.waker.raw_fd());
            self.ring.push(entry, Operation::Wake, &mut self.counters)?;
            self.waker_armed = true;
        }
        if !self.quiet.hushed && !self.quiet.armed {
            let entry = poll(self.quiet.poll.raw_fd());
            self.ring
                .push(entry, Operation::Quiet, &mut self.counters)?;
            self.quiet.armed = true;
        }
        while let Some(&token) = self.unarmed.last() {
            if self.sockets.is_current(token) && !self.sockets.is_quiet(token) {
                let entry = self.template.receive(token.slot);
                let operation = Operation::Receive(token);
                self.ring.push(entry, operation, &mut self.counters)?;
            }
            self.unarmed.pop();
        }
        Ok(())
    }

    /// Handles completions at hand until there are none or datagrams enough, and gives all their
    /// buffers back.
    fn drain(
        &mut self,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
        waits: &mut Waits,
        enough: usize,
    ) -> usize {
        let mut delivery = Delivery::new(handle, waits);
        while delivery.datagrams() < enough {
            let Some(completion) = self.ring.next() else {
                break;
            };
            match completion.operation() {
                Some(Operation::Receive(token)) => {
                    received(
                        &mut self.pool,
                        &mut self.sockets,
                        &mut self.counters,
                        &mut delivery,
                        token,
                        &completion,
                    );
                    // One that was cancelled has its successor, where it is to have one.
                    let ended = !completion.more() && completion.error() != libc::ECANCELED;
                    if ended && self.sockets.is_current(token) {
                        self.counters.rearms += u64::from(!self.sockets.is_quiet(token));
                        self.unarmed.push(token);
                    }
                }
                Some(Operation::Wake) => self.waker_armed &= completion.more(),
                Some(Operation::Quiet) => {
                    self.quiet.armed &= completion.more();
                    self.quiet.look = true;
                }
                // Sends are reaped by `send`; of a cancellation nothing is to know.
                Some(Operation::Send(_) | Operation::Cancel) | None => {}
            }
        }
        delivery.flush();
        let datagrams = delivery.datagrams();
        self.pool.give_back();
        datagrams
    }

    /// Handles completions until nothing more comes of itself, or there are datagrams enough.
    fn drain_all(
        &mut self,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
        waits: &mut Waits,
    ) -> io::Result<usize> {
        let mut datagrams = 0;
        loop {
            let new = self.drain(handle, waits, RECEIVE_BOUND - datagrams);
            datagrams += new;
            // A socket that still has datagrams after its share of a call is put off by the kernel;
            // one that used up the buffers, or gave an empty datagram, is armed again.
            let more = self.ring.has_deferred() || !self.unarmed.is_empty();
            if new == 0 || datagrams >= RECEIVE_BOUND || !more {
                return Ok(datagrams);
            }
            self.arm()?;
            self.ring.run_deferred(&mut self.counters)?;
        }
    }

    /// Gives what came by quiet sockets.
    fn look_at_quiet(
        &mut self,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
        waits: &mut Waits,
    ) -> io::Result<usize> {
        let Quiet { poll, reader, .. } = &mut self.quiet;
        let ready = reader.ready();
        ready.clear();
        self.counters.syscalls += 1;
        poll.wait(Some(Duration::ZERO), |data| {
            ready.push(Token::from_bits(data));
        })?;
        // There may be more than one look tells.
        let all_told = ready.len() < Poll::EVENTS;
        let (sockets, counters) = (&mut self.sockets, &mut self.counters);
        let datagrams = reader.drain(sockets, counters, handle, waits);
        self.quiet.look = self.quiet.reader.is_behind() || !all_told;
        Ok(datagrams)
    }

    /// Receives by the ring, or no longer does, what comes to a socket that is no longer quiet, or became
    /// so. Which of both it did before, its being in the poll tells. The ring takes requests in order: one
    /// to receive that follows a cancellation is not what that finds.
    fn change(&mut self, token: Token) -> io::Result<()> {
        let Some(fd) = self.sockets.fd(token.slot) else {
            return Ok(());
        };
        if !self.sockets.is_quiet(token) {
            // A request that ended of itself meanwhile is in the list already.
            if self.quiet.poll.remove(fd).is_ok() && !self.unarmed.contains(&token) {
                self.unarmed.push(token);
            }
            return Ok(());
        }
        match self.quiet.poll.add(fd, token.to_bits()) {
            Ok(()) => self.cancel(Operation::Receive(token)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(_) => {
                // For want of memory.
                self.sockets.stay_loud(token);
                Ok(())
            }
        }
    }

    fn cancel(&mut self, operation: Operation) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(operation.user_data()).build();
        self.ring.push(entry, Operation::Cancel, &mut self.counters)
    }

    fn cancel_now(&mut self, token: Token) -> io::Result<()> {
        self.cancel(Operation::Receive(token))?;
        self.ring.submit(&mut self.counters)?;
        // The cancelled request holds the socket open until its completion has run.
        self.ring.run_all_deferred(&mut self.counters)
    }
}

/// Delivers one completion of a receive request.
fn received<'b>(
    pool: &mut Pool,
    sockets: &mut SocketTable,
    counters: &mut IoCounters,
    delivery: &mut Delivery<'b, '_>,
    token: Token,
    completion: &Completion,
) {
    let Some(buffer) = completion.buffer() else {
        match completion.error() {
            // The last buffer is taken: armed again when they are back, and then what the socket
            // holds comes.
            libc::ENOBUFS => counters.buffers_exhausted += 1,
            0 | libc::ECANCELED => {}
            _ => counters.receive_errors += 1,
        }
        return;
    };
    // SAFETY: the completion says that the kernel is done with the buffer, and names it once; it
    // is given back, by `drain`, only when the delivery is over.
    let bytes: &'b mut [u8] = unsafe { pool.take(buffer, completion.len()) };
    if completion.error() != 0 {
        counters.receive_errors += 1;
        return;
    }
    let Some(message) = Received::parse(bytes) else {
        counters.receive_truncated += 1;
        return;
    };
    let Some(path) = sockets.path(token, message.remote, &message.control, counters) else {
        return;
    };
    sockets.came(token, message.payload);
    delivery.message(path, message.payload, &message.control, counters);
}

impl Backend for Uring {
    fn kind(&self) -> IoKind {
        IoKind::Uring
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn add_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        join_datagrams(&socket, self.gro);
        let token = self.sockets.insert(id, socket)?;
        let fd = self.sockets.fd(token.slot).unwrap_or(-1);
        let added = self.quiet.poll.add(fd, token.to_bits());
        if let Err(e) = added.and_then(|()| self.ring.set_file(token.slot, fd)) {
            self.sockets.remove(id);
            return Err(e);
        }
        Ok(())
    }

    fn add_quiet_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        join_datagrams(&socket, self.gro);
        let token = self.sockets.insert_second(id, socket)?;
        let fd = self.sockets.fd(token.slot).unwrap_or(-1);
        self.quiet.poll.add(fd, token.to_bits())
    }

    fn connect_socket(&mut self, id: SocketId, remote: SocketAddr) {
        self.sockets.connect(id, remote);
    }

    fn remove_socket(&mut self, id: SocketId) {
        let Some((token, socket)) = self.sockets.remove(id) else {
            return;
        };
        // A socket that is not quiet is not there.
        let _ = self.quiet.poll.remove(socket.as_raw_fd());
        // Where one of these fails the ring is of no more use, which `receive` will say.
        let _ = self.ring.set_file(token.slot, -1);
        drop(socket);
        let _ = self.cancel_now(token);
    }

    fn let_gather(&mut self, time: Duration) {
        self.gather = time;
    }

    fn hush(&mut self, hushed: bool) {
        if hushed && !self.quiet.hushed && self.quiet.armed {
            // Where that fails the ring is of no more use, which `receive` will say.
            let _ = self.cancel(Operation::Quiet);
        }
        self.quiet.hushed = hushed;
    }

    fn receive(
        &mut self,
        timeout: Option<Duration>,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
    ) -> io::Result<usize> {
        self.arm()?;
        let timeout = match self.quiet.look {
            true => Some(Duration::ZERO),
            false => timeout,
        };
        self.ring.wait(timeout, self.gather, &mut self.counters)?;
        let mut waits = Waits::default();
        let mut datagrams = self.drain_all(handle, &mut waits)?;
        if self.quiet.hushed || self.quiet.look {
            datagrams += self.look_at_quiet(handle, &mut waits)?;
        }
        while let Some(token) = self.sockets.next_changed() {
            self.change(token)?;
        }
        Ok(datagrams)
    }

    fn send(&mut self, batch: &TxBatch, failed: &mut Vec<FailedTrain>) {
        let trains = 0..batch.trains().len();
        let mut wire = UringWire {
            ring: &mut self.ring,
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

impl Drop for Uring {
    fn drop(&mut self) {
        // Until they have ended, requests may write into the pool, which is about to be freed.
        self.ring.shut_down();
    }
}

/// The header all receive requests share: only its lengths are read.
struct Template {
    header: Box<libc::msghdr>,
}

impl Template {
    fn new() -> Self {
        // SAFETY: numbers and pointers, for which zero is valid.
        let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        header.msg_namelen = ADDRESS_LEN as _;
        header.msg_controllen = cmsg::RECEIVE_LEN as _;
        Self { header }
    }

    /// A receive request for the socket in a slot.
    fn receive(&self, slot: u32) -> io_uring::squeue::Entry {
        opcode::RecvMsgMulti::new(types::Fixed(slot), &raw const *self.header, Pool::GROUP).build()
    }
}
