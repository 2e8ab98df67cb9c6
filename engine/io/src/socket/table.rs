//! The sockets of a back end: dense slots, so that the kernel's events can carry a slot's number,
//! with a generation, so that an event of a socket that is gone is not taken for its successor's.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use weirgate_shard::{Path, SocketId};

use super::options::is_wildcard;
use super::quiet::is_media;
use crate::cmsg::Received;
use crate::counters::IoCounters;
use crate::outgoing::Way;

/// A socket is quiet until media come by it, and again after so many datagrams without.
const QUIET_AFTER: u8 = 8;

/// Names a socket in the kernel's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// Index of its slot.
    pub(crate) slot: u32,
    /// Modulo 2^24.
    pub(crate) generation: u32,
}

impl Token {
    const GENERATION_MASK: u32 = (1 << 24) - 1;

    /// In 56 bits.
    pub(crate) const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// From 56 bits; what is above is ignored.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self {
            slot: bits as u32,
            generation: (bits >> 32) as u32 & Self::GENERATION_MASK,
        }
    }
}

/// The sockets.
#[derive(Debug)]
pub(crate) struct SocketTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<SocketId, u32>,
    last: Option<(SocketId, u32)>,
    /// Sockets that became quiet, or no longer are.
    changed: Vec<Token>,
    limit: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    socket: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: SocketId,
    socket: UdpSocket,
    wildcard: bool,
    /// What it is connected to.
    peer: Option<SocketAddr>,
    drops: u32,
    drops_total: u64,
    /// Datagrams without media since the last one with, up to [`QUIET_AFTER`].
    others: u8,
}

impl Entry {
    const fn is_quiet(&self) -> bool {
        self.others == QUIET_AFTER
    }
}

impl SocketTable {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            last: None,
            changed: Vec::new(),
            limit,
        }
    }

    /// Takes a socket in: a quiet one.
    pub(crate) fn insert(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<Token> {
        if self.by_id.contains_key(&id) {
            let text = format!("socket {} is there already", id.0);
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let token = self.put(id, socket)?;
        self.by_id.insert(id, token.slot);
        Ok(token)
    }

    /// Takes a second socket of an id in, that gets no media and by which nothing leaves. It stays.
    pub(crate) fn insert_second(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<Token> {
        self.put(id, socket)
    }

    fn put(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<Token> {
        if self.slots.len() - self.free.len() >= self.limit as usize {
            let text = format!("a shard holds {} sockets at most", self.limit);
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, text));
        }
        let entry = Entry {
            id,
            wildcard: is_wildcard(socket.local_addr()?),
            socket,
            peer: None,
            drops: 0,
            drops_total: 0,
            others: QUIET_AFTER,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                socket: None,
            });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.socket = Some(entry);
        Ok(Token {
            slot: index,
            generation: slot.generation,
        })
    }

    /// Gives a socket back; its token is no longer good.
    pub(crate) fn remove(&mut self, id: SocketId) -> Option<(Token, UdpSocket)> {
        let index = self.by_id.remove(&id)?;
        self.last = None;
        let slot = self.slots.get_mut(index as usize)?;
        let entry = slot.socket.take()?;
        let token = Token {
            slot: index,
            generation: slot.generation,
        };
        slot.generation = (slot.generation + 1) & Token::GENERATION_MASK;
        self.free.push(index);
        Some((token, entry.socket))
    }

    /// How to get along a path.
    pub(crate) fn way(&mut self, path: &Path) -> Option<Way> {
        let slot = self.slot(path.socket)?;
        Some(Way {
            slot,
            connected: self.is_peer(slot, &path.remote),
        })
    }

    /// Slot of a socket.
    fn slot(&mut self, id: SocketId) -> Option<u32> {
        // Nearly all trains of a batch leave by the same socket.
        if let Some((last, slot)) = self.last
            && last == id
        {
            return Some(slot);
        }
        let slot = *self.by_id.get(&id)?;
        self.last = Some((id, slot));
        Some(slot)
    }

    /// Connects a socket; where that fails it stays as it was.
    pub(crate) fn connect(&mut self, id: SocketId, remote: SocketAddr) {
        let index = self.by_id.get(&id).copied();
        let slot = index.and_then(|index| self.slots.get_mut(index as usize));
        if let Some(entry) = slot.and_then(|slot| slot.socket.as_mut())
            && entry.socket.connect(remote).is_ok()
        {
            entry.peer = Some(remote);
        }
    }

    /// Whether the socket in a slot is connected to that address.
    fn is_peer(&self, slot: u32, remote: &SocketAddr) -> bool {
        let slot = self.slots.get(slot as usize);
        slot.and_then(|slot| slot.socket.as_ref()?.peer.as_ref()) == Some(remote)
    }

    /// The descriptor in a slot.
    pub(crate) fn fd(&self, slot: u32) -> Option<RawFd> {
        let entry = self.slots.get(slot as usize)?.socket.as_ref()?;
        Some(entry.socket.as_raw_fd())
    }

    /// Whether the token's socket is still there.
    pub(crate) fn is_current(&self, token: Token) -> bool {
        self.slots
            .get(token.slot as usize)
            .is_some_and(|slot| slot.generation == token.generation && slot.socket.is_some())
    }

    /// The path of a message that came to a socket, and its drop count taken down; `None` where
    /// the socket is gone.
    pub(crate) fn path(
        &mut self,
        token: Token,
        remote: SocketAddr,
        received: &Received,
        counters: &mut IoCounters,
    ) -> Option<Path> {
        let slot = self.slots.get_mut(token.slot as usize)?;
        if slot.generation != token.generation {
            return None;
        }
        let entry = slot.socket.as_mut()?;
        if let Some(drops) = received.drops {
            let new = u64::from(drops.wrapping_sub(entry.drops));
            entry.drops = drops;
            entry.drops_total += new;
            counters.kernel_drops += new;
        }
        Some(Path {
            socket: entry.id,
            local: received.local.filter(|_: &IpAddr| entry.wildcard),
            remote,
        })
    }

    /// Whether no media come by a token's socket.
    pub(crate) fn is_quiet(&self, token: Token) -> bool {
        let entry = self.slots.get(token.slot as usize);
        entry.is_some_and(|slot| slot.socket.as_ref().is_some_and(Entry::is_quiet))
    }

    /// Notes that something came by a token's socket.
    pub(crate) fn came(&mut self, token: Token, bytes: &[u8]) {
        let slot = self.slots.get_mut(token.slot as usize);
        let Some(entry) = slot.and_then(|slot| slot.socket.as_mut()) else {
            return;
        };
        let before = entry.is_quiet();
        entry.others = match is_media(bytes) {
            true => 0,
            false => (entry.others + 1).min(QUIET_AFTER),
        };
        if before != entry.is_quiet() {
            self.changed.push(token);
        }
    }

    /// The next socket that became quiet, or no longer is; perhaps one that has changed back since.
    pub(crate) fn next_changed(&mut self) -> Option<Token> {
        self.changed.pop()
    }

    /// A token's socket is not quiet for some more datagrams, whatever comes.
    pub(crate) fn stay_loud(&mut self, token: Token) {
        let slot = self.slots.get_mut(token.slot as usize);
        if let Some(entry) = slot.and_then(|slot| slot.socket.as_mut()) {
            entry.others = 0;
        }
    }

    /// Datagrams a socket's receive buffer dropped.
    pub(crate) fn drops(&self, id: SocketId) -> Option<u64> {
        let index = *self.by_id.get(&id)?;
        let entry = self.slots.get(index as usize)?.socket.as_ref()?;
        Some(entry.drops_total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn a_slot_used_again_does_not_answer_to_the_old_token() {
        let mut table = SocketTable::new(4);
        let old = table.insert(SocketId(1), socket()).unwrap();
        table.remove(SocketId(1)).unwrap();
        let new = table.insert(SocketId(2), socket()).unwrap();
        assert_eq!(old.slot, new.slot);
        assert!(!table.is_current(old));
        assert!(table.is_current(new));
        assert_eq!(Token::from_bits(new.to_bits() | 7 << 56), new);
        assert_eq!(table.slot(SocketId(1)), None);
        assert_eq!(table.slot(SocketId(2)), Some(new.slot));
    }

    #[test]
    fn ids_are_unique_and_sockets_bounded() {
        let mut table = SocketTable::new(1);
        table.insert(SocketId(1), socket()).unwrap();
        let twice = table.insert(SocketId(1), socket()).unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
        let full = table.insert(SocketId(2), socket()).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn sockets_are_quiet_while_no_media_come() {
        let mut table = SocketTable::new(2);
        let token = table.insert(SocketId(1), socket()).unwrap();
        let beside = table.insert_second(SocketId(1), socket()).unwrap();
        assert!(table.is_quiet(token) && table.is_quiet(beside));
        let (rtp, rtcp) = ([0x80, 96], [0x80, 200]);
        let mut changes = |bytes: &[u8]| {
            table.came(token, bytes);
            table.next_changed() == Some(token)
        };
        assert!(changes(&rtp) && !changes(&rtp));
        assert!((1..QUIET_AFTER).all(|_| !changes(&rtcp)));
        assert!(changes(&rtcp) && !changes(&rtcp));
        assert!(changes(&rtp) && !changes(&rtp));
        assert_eq!(table.slot(SocketId(1)), Some(token.slot));
    }

    #[test]
    fn drop_counts_are_summed_over_their_wrap() {
        let mut table = SocketTable::new(1);
        let token = table.insert(SocketId(1), socket()).unwrap();
        let mut counters = IoCounters::default();
        let remote = "127.0.0.1:9".parse().unwrap();
        for drops in [u32::MAX, 4] {
            let received = Received {
                drops: Some(drops),
                ..Received::default()
            };
            table.path(token, remote, &received, &mut counters).unwrap();
        }
        assert_eq!(counters.kernel_drops, u64::from(u32::MAX) + 5);
        assert_eq!(table.drops(SocketId(1)), Some(counters.kernel_drops));
    }
}
