//! What completions say.

use std::net::SocketAddr;

use io_uring::cqueue;

use crate::address::{self, ADDRESS_LEN, array};
use crate::cmsg;
use crate::socket::Token;

/// What a request was for; told by the completion in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Multishot receive of a socket.
    Receive(Token),
    /// Send of the message of this index.
    Send(u32),
    /// Multishot poll of the waker.
    Wake,
    /// Multishot poll of the quiet sockets' poll.
    Quiet,
    /// Cancellation of another request.
    Cancel,
}

impl Operation {
    const KIND_SHIFT: u32 = 56;

    pub(super) const fn user_data(self) -> u64 {
        let (kind, rest) = match self {
            Self::Receive(token) => (1, token.to_bits()),
            Self::Send(index) => (2, index as u64),
            Self::Wake => (3, 0),
            Self::Cancel => (4, 0),
            Self::Quiet => (5, 0),
        };
        kind << Self::KIND_SHIFT | rest
    }

    const fn from_user_data(data: u64) -> Option<Self> {
        match data >> Self::KIND_SHIFT {
            1 => Some(Self::Receive(Token::from_bits(data))),
            2 => Some(Self::Send(data as u32)),
            3 => Some(Self::Wake),
            4 => Some(Self::Cancel),
            5 => Some(Self::Quiet),
            _ => None,
        }
    }
}

/// A completion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

impl From<cqueue::Entry> for Completion {
    fn from(entry: cqueue::Entry) -> Self {
        Self {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }
    }
}

impl Completion {
    pub(super) const fn operation(&self) -> Option<Operation> {
        Operation::from_user_data(self.user_data)
    }

    /// The errno; 0 for none.
    pub(super) const fn error(&self) -> i32 {
        if self.result < 0 { -self.result } else { 0 }
    }

    /// Bytes received, headers included.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.result).unwrap_or(0)
    }

    /// The buffer it filled.
    pub(super) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }

    /// The request goes on and will complete again.
    pub(super) fn more(&self) -> bool {
        cqueue::more(self.flags)
    }
}

/// A message as a multishot receive lays it out: `struct io_uring_recvmsg_out` (four 32-bit
/// numbers: length of the name, of the control data, of the payload, flags), room for a name, room
/// for control data, the payload.
pub(super) struct Received<'b> {
    pub(super) remote: SocketAddr,
    pub(super) control: cmsg::Received,
    pub(super) payload: &'b mut [u8],
}

impl<'b> Received<'b> {
    const NAME: usize = 16;
    const CONTROL: usize = Self::NAME + ADDRESS_LEN;
    const PAYLOAD: usize = Self::CONTROL + cmsg::RECEIVE_LEN;

    /// `None` where the message, or what came with it, was cut.
    pub(super) fn parse(bytes: &'b mut [u8]) -> Option<Self> {
        let (head, payload) = bytes.split_at_mut_checked(Self::PAYLOAD)?;
        let number = |at| array(head, at).map(u32::from_ne_bytes);
        let control_len = number(4)? as usize;
        let flags = number(12)? as i32;
        if flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return None;
        }
        let control = head[Self::CONTROL..].get(..control_len)?;
        Some(Self {
            remote: address::read(&head[Self::NAME..Self::CONTROL])?,
            control: cmsg::read(control),
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_survive_the_kernel() {
        let token = Token {
            slot: u32::MAX,
            generation: (1 << 24) - 1,
        };
        for operation in [
            Operation::Receive(token),
            Operation::Send(7),
            Operation::Wake,
            Operation::Quiet,
            Operation::Cancel,
        ] {
            assert_eq!(
                Operation::from_user_data(operation.user_data()),
                Some(operation)
            );
        }
        assert_eq!(Operation::from_user_data(0), None);
    }

    #[test]
    fn cut_messages_are_none() {
        let remote: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let mut name = [0; ADDRESS_LEN];
        address::write(&remote, &mut name);
        let mut bytes = vec![0; Received::PAYLOAD + 3];
        bytes[Received::NAME..Received::CONTROL].copy_from_slice(&name);
        let whole = Received::parse(&mut bytes).unwrap();
        assert_eq!((whole.remote, whole.payload.len()), (remote, 3));
        for cut in 0..Received::PAYLOAD {
            assert!(Received::parse(&mut bytes[..cut]).is_none());
        }
        bytes[12..16].copy_from_slice(&libc::MSG_TRUNC.to_ne_bytes());
        assert!(Received::parse(&mut bytes).is_none());
    }
}
