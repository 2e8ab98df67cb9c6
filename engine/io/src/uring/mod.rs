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
use std::time::Duration;

use io_uring::{opcode, types};
use weirgate_shard::{Datagram, SocketId, TxBatch};

use crate::address::ADDRESS_LEN;
use crate::backend::{Backend, FailedTrain, IoOptions, RECEIVE_BOUND};
use crate::cmsg;
use crate::counters::IoCounters;
use crate::incoming::Delivery;
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
    /// Sockets without a receive request.
    unarmed: Vec<Token>,
    waker_armed: bool,
    gather: Duration,
    counters: IoCounters,
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
            gather: Duration::ZERO,
            counters: IoCounters::default(),
        })
    }

    /// Asks for datagrams of the sockets whose request has ended, and for the waker.
    fn arm(&mut self) -> io::Result<()> {
        if !self.waker_armed {
            let entry = opcode::PollAdd::new(types::Fd(self.waker.raw_fd()), libc::POLLIN as u32)
                .multi(true)
                .build();
            self.ring.push(entry, Operation::Wake, &mut self.counters)?;
            self.waker_armed = true;
        }
        while let Some(&token) = self.unarmed.last() {
            if self.sockets.is_current(token) {
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
    fn drain(&mut self, handle: &mut dyn FnMut(&mut [Datagram<'_>]), enough: usize) -> usize {
        let mut delivery = Delivery::new(handle);
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
                    if !completion.more() && self.sockets.is_current(token) {
                        self.counters.rearms += 1;
                        self.unarmed.push(token);
                    }
                }
                Some(Operation::Wake) => self.waker_armed &= completion.more(),
                // Sends are reaped by `send`; of a cancellation nothing is to know.
                Some(Operation::Send(_) | Operation::Cancel) | None => {}
            }
        }
        delivery.flush();
        let datagrams = delivery.datagrams();
        self.pool.give_back();
        datagrams
    }

    fn cancel(&mut self, token: Token) -> io::Result<()> {
        let target = Operation::Receive(token).user_data();
        let entry = opcode::AsyncCancel::new(target).build();
        self.ring
            .push(entry, Operation::Cancel, &mut self.counters)?;
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
    delivery.message(path, message.payload, message.control.segment_len, counters);
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
        if let Err(e) = self.ring.set_file(token.slot, fd) {
            self.sockets.remove(id);
            return Err(e);
        }
        self.unarmed.push(token);
        self.arm()
    }

    fn connect_socket(&mut self, id: SocketId, remote: SocketAddr) {
        self.sockets.connect(id, remote);
    }

    fn remove_socket(&mut self, id: SocketId) {
        let Some((token, socket)) = self.sockets.remove(id) else {
            return;
        };
        // Where one of these fails the ring is of no more use, which `receive` will say.
        let _ = self.ring.set_file(token.slot, -1);
        drop(socket);
        let _ = self.cancel(token);
    }

    fn let_gather(&mut self, time: Duration) {
        self.gather = time;
    }

    fn receive(
        &mut self,
        timeout: Option<Duration>,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
    ) -> io::Result<usize> {
        self.arm()?;
        self.ring.wait(timeout, self.gather, &mut self.counters)?;
        let mut datagrams = 0;
        loop {
            let new = self.drain(handle, RECEIVE_BOUND - datagrams);
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
