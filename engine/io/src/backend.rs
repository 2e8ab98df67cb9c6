//! What every back end does for its shard.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use weirgate_shard::{Datagram, SocketId, TxBatch};

use crate::counters::IoCounters;
use crate::mmsg::Mmsg;
use crate::probe::IoKind;
use crate::socket::segmentation_offload_known;
use crate::uring::Uring;
use crate::waker::Waker;
use crate::xdp::{Xdp, XdpSeat};

/// Datagrams after which [`Backend::receive`] returns although more may wait, so that sending and
/// timers get their turn. Messages that were taken from the kernel together are not divided, so a
/// call can give more.
pub const RECEIVE_BOUND: usize = 256;

/// How a back end is built.
#[derive(Debug, Clone)]
pub struct IoOptions {
    /// Receive buffers, each for one message of up to 64 KiB; `None` for what suits the back end
    /// (256 for `uring`, 32 for `mmsg`). Memory is only taken as messages fill it. `uring` rounds up
    /// to a power of two.
    pub buffers: Option<u16>,
    /// Let the kernel join datagrams of one flow (UDP_GRO) where it can.
    pub gro: bool,
    /// Send trains by one UDP_SEGMENT call each where the kernel can; else datagram by datagram.
    pub gso: bool,
    /// Sockets the back end holds at most.
    pub max_sockets: u32,
    /// How long a wait looks for itself, of the kernel's NAPI, whether the network cards have
    /// something before it sleeps; whole microseconds. Sockets are to know too:
    /// [`poll_busily`](crate::poll_busily).
    pub busy_poll: Option<Duration>,
}

impl Default for IoOptions {
    fn default() -> Self {
        Self {
            buffers: None,
            gro: true,
            gso: true,
            max_sockets: 4096 + 64,
            busy_poll: None,
        }
    }
}

/// A train of which not all datagrams went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedTrain {
    /// Index in [`TxBatch::trains`].
    pub index: usize,
    /// Why the last lost datagram did not go: an errno.
    pub error: i32,
    /// Datagrams lost.
    pub segments_lost: u16,
}

/// The sockets of one shard. Lives on the shard's thread.
pub trait Backend {
    /// Which one it is.
    fn kind(&self) -> IoKind;

    /// What ends a sleeping [`Self::receive`] from other threads.
    fn waker(&self) -> Waker;

    /// Takes a socket over; it receives from now on.
    ///
    /// # Errors
    /// `AlreadyExists` for an id in use, `OutOfMemory` over [`IoOptions::max_sockets`], and what
    /// the kernel says.
    fn add_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()>;

    /// Takes a second socket over at the address of socket `id`, by which no media come
    /// ([`bind_quiet`](crate::bind_quiet)). What comes by it is given as if by `id`. It stays as long as
    /// the back end.
    ///
    /// # Errors
    /// As [`Self::add_socket`].
    fn add_quiet_socket(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()>;

    /// From now on sleeps of [`Self::receive`] are not ended by sockets by which no media come, nor have
    /// come for some datagrams; what comes by them is given when it returns for anything else. Or they
    /// are ended by all sockets again. `xdp` ignores it.
    fn hush(&mut self, _hushed: bool) {}

    /// From now on all datagrams of that socket go to `remote` and come from it: the kernel finds the
    /// way once instead of with each send, and drops what comes from elsewhere. Sends to another
    /// address go on working. Where the kernel refuses all stays as it was, and the sends tell why.
    /// Unknown ids are ignored.
    fn connect_socket(&mut self, id: SocketId, remote: SocketAddr);

    /// Closes a socket; datagrams of it that were not given yet are lost. Unknown ids are ignored.
    fn remove_socket(&mut self, id: SocketId);

    /// From now on sleeps of [`Self::receive`] last at least so long, so that datagrams gather meanwhile;
    /// zero: the first ends them. Only `uring` can do so without one sleep more, from Linux 6.12 on; the
    /// others ignore it.
    fn let_gather(&mut self, _time: Duration) {}

    /// Waits until datagrams came, the waker was used, or `timeout` passed (`None`: no limit; zero:
    /// does not sleep), and gives datagrams in batches to `handle` until nothing is left or
    /// [`RECEIVE_BOUND`] is reached. Returns how many datagrams it gave. May return early with 0.
    ///
    /// # Errors
    /// Only where the back end as a whole is of no more use.
    fn receive(
        &mut self,
        timeout: Option<Duration>,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
    ) -> io::Result<usize>;

    /// Sends all trains, in order per destination, and never blocks: what the kernel does not take
    /// is lost, and its train appended to `failed`. Where a destination's segmentation offload
    /// fails, that train is sent again datagram by datagram, and so are the destination's trains of
    /// the next minutes; with `uring`, datagrams to it that stood behind that one train in the same
    /// submission can come before it.
    fn send(&mut self, batch: &TxBatch, failed: &mut Vec<FailedTrain>);

    /// What it did so far.
    fn counters(&self) -> IoCounters;

    /// Datagrams a socket's full receive buffer dropped so far, as far as the kernel told (with
    /// the datagrams that came after); `None` for an unknown socket.
    fn socket_drops(&self, id: SocketId) -> Option<u64>;
}

/// Makes the back end of a shard's part of AF_XDP, on the thread that will use it.
///
/// # Errors
/// What the kernel says.
pub fn open_xdp(seat: XdpSeat, options: &IoOptions) -> io::Result<Box<dyn Backend>> {
    Ok(Box::new(Xdp::new(seat, &supported(options))?))
}

/// Makes a back end. Must be called on the thread that will use it: an io_uring has one issuer.
///
/// # Errors
/// What the kernel says; see [`probe`](crate::probe()) for finding out before. `Unsupported` for
/// AF_XDP, which is set up for all shards together: [`open_xdp`].
pub fn open(kind: IoKind, options: &IoOptions) -> io::Result<Box<dyn Backend>> {
    let options = supported(options);
    Ok(match kind {
        IoKind::Uring => Box::new(Uring::new(&options)?),
        IoKind::Mmsg => Box::new(Mmsg::new(&options)?),
        IoKind::Xdp => return Err(io::ErrorKind::Unsupported.into()),
    })
}

/// The options as far as the kernel can.
fn supported(options: &IoOptions) -> IoOptions {
    IoOptions {
        gso: options.gso && segmentation_offload_known(),
        ..options.clone()
    }
}
