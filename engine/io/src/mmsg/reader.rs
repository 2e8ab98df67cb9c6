//! Takes what waits at sockets that a poll found ready.

use std::io;

use weirgate_shard::Datagram;

use super::poll::Poll;
use super::receive::Receiver;
use crate::backend::RECEIVE_BOUND;
use crate::counters::IoCounters;
use crate::incoming::{Delivery, Waits};
use crate::socket::{SocketTable, Token};

/// See the module.
#[derive(Debug)]
pub(crate) struct Reader {
    receiver: Receiver,
    ready: Vec<Token>,
}

impl Reader {
    /// One that takes so many messages by one call.
    pub(crate) fn new(buffers: u16) -> io::Result<Self> {
        Ok(Self {
            receiver: Receiver::new(buffers.into())?,
            // Of two polls.
            ready: Vec::with_capacity(2 * Poll::EVENTS),
        })
    }

    /// Whether sockets that were ready have not been emptied.
    pub(crate) fn is_behind(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The sockets to read next, of a new look at all.
    pub(crate) fn ready(&mut self) -> &mut Vec<Token> {
        &mut self.ready
    }

    /// Takes one call's worth from each ready socket in turn, until all are empty or there are
    /// [`RECEIVE_BOUND`] datagrams; how many there were.
    pub(crate) fn drain(
        &mut self,
        sockets: &mut SocketTable,
        counters: &mut IoCounters,
        handle: &mut dyn FnMut(&mut [Datagram<'_>]),
        waits: &mut Waits,
    ) -> usize {
        let mut datagrams = 0;
        let mut turn = 0;
        while !self.ready.is_empty() && datagrams < RECEIVE_BOUND {
            if turn >= self.ready.len() {
                turn = 0;
            }
            let mut delivery = Delivery::new(handle, waits);
            let token = self.ready[turn];
            let more = self
                .receiver
                .receive(token, sockets, &mut delivery, counters);
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
