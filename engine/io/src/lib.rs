//! The UDP back ends of one shard: datagrams from its sockets into batches, trains from a batch
//! out to the network.
//!
//! [`probe`] decides which back end the machine can have, [`bind_media`] and [`bind_plain`] make
//! sockets, and [`open`] makes the [`Backend`] on the shard's own thread. `uring` is multishot
//! receive into provided buffers and send requests on an io_uring; `mmsg` is epoll, `recvmmsg`
//! and `sendmmsg`. Both behave alike and pass the same suite (`tests/backends.rs`).

mod address;
mod backend;
mod bpf;
mod cmsg;
mod counters;
mod incoming;
mod memory;
mod mmsg;
mod netlink;
mod outgoing;
mod probe;
mod rights;
mod socket;
mod steering;
mod uring;
mod waker;
mod xdp;

pub use backend::{Backend, FailedTrain, IoOptions, RECEIVE_BOUND, open, open_xdp};
pub use counters::{IoCounters, SendErrors, XdpCounters};
pub use probe::{IoChoice, IoKind, Probe, probe};
pub use rights::{Duty, give_up_rights};
pub use socket::{bind_media, bind_plain, bind_quiet, poll_busily};
pub use steering::Steering;
pub use waker::Waker;
pub use xdp::{XdpOptions, XdpSeat, XdpSetup, set_up as set_up_xdp};
