//! Datagrams between the core and its drivers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use weirgate_srtp::TagBatch;

/// A UDP socket of a shard's driver. The media sockets come first, in the order of
/// `--media-listen`; sockets of plain transports get the numbers the hub gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// The address a datagram was sent to (from `IP_PKTINFO`), or is to leave from. `None` where the
/// socket is bound to one address and so nothing is to choose.
pub type LocalAddr = Option<IpAddr>;

/// One way between us and a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// The socket at our end.
    pub socket: SocketId,
    /// Our address, where the socket has several.
    pub local: LocalAddr,
    /// The peer. IPv4 peers are always `V4`, never v4-mapped.
    pub remote: SocketAddr,
}

/// A received datagram; the core decrypts in place.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The way it came.
    pub path: Path,
    /// Its payload. One datagram: a driver splits what UDP_GRO has joined.
    pub bytes: &'a mut [u8],
    /// For how long it had been on this host when it was given to the shard; zero where that is not known.
    pub waited: Duration,
}

/// Datagrams for one destination that lie back to back in [`TxBatch::bytes`], all of
/// `segment_len` bytes but the last, which may be shorter: one UDP_SEGMENT send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Train {
    /// The way it goes.
    pub path: Path,
    /// Offset of the first datagram in the arena.
    pub offset: u32,
    /// Bytes of all its datagrams.
    pub len: u32,
    /// Bytes of each datagram but the last.
    pub segment_len: u16,
    /// Number of datagrams.
    pub segments: u16,
}

impl Train {
    /// Takes the next datagram in: the longest that can follow it.
    fn join(&mut self, len: usize) -> usize {
        self.len += len as u32;
        self.segments += 1;
        let segment_len = usize::from(self.segment_len);
        let has_room = len == segment_len
            && self.segments < TxBatch::MAX_SEGMENTS
            && self.len + u32::from(self.segment_len) <= TxBatch::MAX_TRAIN_BYTES;
        if has_room { segment_len } else { 0 }
    }
}

/// Datagrams on their way out: an arena of fixed size and the trains in it, in sending order.
#[derive(Debug)]
pub struct TxBatch {
    bytes: Box<[u8]>,
    used: usize,
    trains: Vec<Train>,
    /// Bytes of the longest datagram that the last train still takes.
    open_len: usize,
}

impl TxBatch {
    /// The largest number of datagrams the kernel takes in one UDP_SEGMENT send is 64 (128 in
    /// newer ones); this stays under every kernel's.
    pub const MAX_SEGMENTS: u16 = 64;
    /// The largest UDP payload of one UDP_SEGMENT send.
    pub const MAX_TRAIN_BYTES: u32 = 65_000;
    /// Trains one batch can have.
    pub const MAX_TRAINS: usize = 1024;

    /// An empty batch over an arena of `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into_boxed_slice(),
            used: 0,
            trains: Vec::with_capacity(Self::MAX_TRAINS),
            open_len: 0,
        }
    }

    /// The trains, in sending order.
    pub fn trains(&self) -> &[Train] {
        &self.trains
    }

    /// The bytes of a train's datagrams.
    pub fn train_bytes(&self, train: &Train) -> &[u8] {
        let start = train.offset as usize;
        &self.bytes[start..start + train.len as usize]
    }

    /// True where nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    /// Forgets all trains.
    pub fn clear(&mut self) {
        self.used = 0;
        self.trains.clear();
        self.open_len = 0;
    }

    /// Room for one datagram of at most `len` bytes, to be followed by [`Self::commit`]; `None`
    /// where the batch is full and has to be sent first.
    pub fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.trains.len() == Self::MAX_TRAINS {
            return None;
        }
        self.bytes.get_mut(self.used..self.used + len)
    }

    /// Where the next [`Self::slot`] begins in the arena.
    pub(crate) const fn next_offset(&self) -> usize {
        self.used
    }

    /// Writes the tags of the datagrams that wait for theirs.
    pub(crate) fn finish_tags(&mut self, tags: &mut TagBatch) {
        tags.finish(&mut self.bytes[..self.used]);
    }

    /// Makes the first `len` bytes of the last [`Self::slot`] a datagram on `path`: it joins the
    /// last train where that goes the same way, is not closed by a shorter datagram, and `len`
    /// fits its segment length.
    #[inline]
    pub fn commit(&mut self, path: Path, len: usize) {
        self.toward(path).commit(len);
    }

    /// The batch, for datagrams that all go one way.
    #[inline]
    pub(crate) fn toward(&mut self, path: Path) -> Outgoing<'_> {
        if self.trains.last().is_some_and(|train| train.path != path) {
            self.open_len = 0;
        }
        Outgoing { batch: self, path }
    }
}

/// A batch to which datagrams on one path are added.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) batch: &'a mut TxBatch,
    pub(crate) path: Path,
}

impl Outgoing<'_> {
    /// How long the datagrams are of the train that the next one could join, were it no longer.
    #[inline]
    pub(crate) fn open_train(&self) -> Option<usize> {
        let open_len = self.batch.open_len;
        (open_len > 0).then_some(open_len)
    }

    /// As [`TxBatch::commit`].
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) {
        let batch = &mut *self.batch;
        assert!(len > 0 && batch.used + len <= batch.bytes.len());
        let offset = batch.used;
        batch.used += len;
        let train = match batch.trains.last_mut() {
            Some(train) if len <= batch.open_len => train,
            _ => batch.trains.push_mut(Train {
                path: self.path,
                offset: offset as u32,
                len: 0,
                segment_len: len as u16,
                segments: 0,
            }),
        };
        batch.open_len = train.join(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path {
            socket: SocketId(0),
            local: None,
            remote: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    fn add(batch: &mut TxBatch, port: u16, len: usize) {
        batch.slot(len).unwrap().fill(len as u8);
        batch.commit(path(port), len);
    }

    #[test]
    fn equal_datagrams_to_one_peer_make_a_train_that_a_shorter_one_closes() {
        let mut batch = TxBatch::new(4096);
        for len in [100, 100, 60, 60, 100] {
            add(&mut batch, 1, len);
        }
        add(&mut batch, 2, 100);
        let shape: Vec<_> = batch
            .trains()
            .iter()
            .map(|train| (train.path.remote.port(), train.segments, train.len))
            .collect();
        assert_eq!(shape, [(1, 3, 260), (1, 1, 60), (1, 1, 100), (2, 1, 100)]);
        assert!(
            batch
                .train_bytes(&batch.trains()[1])
                .iter()
                .all(|&byte| byte == 60)
        );
    }

    #[test]
    fn a_full_arena_refuses_a_slot() {
        let mut batch = TxBatch::new(150);
        add(&mut batch, 1, 100);
        assert!(batch.slot(51).is_none());
        assert!(batch.slot(50).is_some());
    }
}
