//! From received messages to batches of datagrams.

use std::time::{Duration, SystemTime};

use arrayvec::ArrayVec;
use weirgate_shard::{Datagram, Path};

use crate::cmsg::Received;
use crate::counters::IoCounters;

/// Datagrams given to the shard at once.
const BATCH: usize = 64;

/// What the kernel says a datagram waited is not believed over this: the wall clock was set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// For how long what is taken at one time has been on this host: as of the first datagram, however long
/// it takes to handle them, so that what came later is not told to have come before. The wall clock, by
/// which the kernel stamps, is read once, and only where there is a stamp.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    now: Option<Duration>,
}

impl Waits {
    fn since(&mut self, arrival: Option<Duration>) -> Duration {
        let Some(arrival) = arrival else {
            return Duration::ZERO;
        };
        let since_1970 = || SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let waited = self
            .now
            .get_or_insert_with(since_1970)
            .saturating_sub(arrival);
        if waited > LONGEST_WAIT {
            return Duration::ZERO;
        }
        waited
    }
}

/// Collects datagrams and gives them on in batches. What is left must be given by
/// [`Self::flush`].
pub(crate) struct Delivery<'b, 'h> {
    batch: ArrayVec<Datagram<'b>, BATCH>,
    handle: &'h mut dyn FnMut(&mut [Datagram<'_>]),
    waits: &'h mut Waits,
    datagrams: usize,
}

impl<'b, 'h> Delivery<'b, 'h> {
    pub(crate) fn new(
        handle: &'h mut dyn FnMut(&mut [Datagram<'_>]),
        waits: &'h mut Waits,
    ) -> Self {
        Self {
            batch: ArrayVec::new(),
            handle,
            waits,
            datagrams: 0,
        }
    }

    /// Datagrams given or held so far.
    pub(crate) fn datagrams(&self) -> usize {
        self.datagrams
    }

    /// Takes a message and what came with it: one datagram, or several of one length of which the last
    /// may be shorter.
    pub(crate) fn message(
        &mut self,
        path: Path,
        mut bytes: &'b mut [u8],
        received: &Received,
        counters: &mut IoCounters,
    ) {
        let waited = self.waits.since(received.arrival);
        counters.bytes_in += bytes.len() as u64;
        let before = self.datagrams;
        if let Some(segment_len) = received.segment_len {
            while bytes.len() > segment_len {
                let (first, rest) = bytes.split_at_mut(segment_len);
                self.datagram(path, first, waited);
                bytes = rest;
            }
        }
        self.datagram(path, bytes, waited);
        let datagrams = self.datagrams - before;
        counters.datagrams_in += datagrams as u64;
        counters.trains_in += u64::from(datagrams > 1);
    }

    /// Gives what is held.
    pub(crate) fn flush(&mut self) {
        if !self.batch.is_empty() {
            (self.handle)(&mut self.batch);
            self.batch.clear();
        }
    }

    fn datagram(&mut self, path: Path, bytes: &'b mut [u8], waited: Duration) {
        if self.batch.is_full() {
            self.flush();
        }
        self.batch.push(Datagram {
            path,
            bytes,
            waited,
        });
        self.datagrams += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use weirgate_shard::SocketId;

    const PATH: Path = Path {
        socket: SocketId(3),
        local: None,
        remote: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9),
    };

    fn lengths(len: usize, segment_len: Option<usize>) -> (Vec<usize>, IoCounters) {
        let mut bytes = vec![0; len];
        let mut counters = IoCounters::default();
        let mut lengths = Vec::new();
        let mut handle = |batch: &mut [Datagram<'_>]| {
            lengths.extend(batch.iter().map(|datagram| datagram.bytes.len()));
        };
        let mut waits = Waits::default();
        let mut delivery = Delivery::new(&mut handle, &mut waits);
        let received = Received {
            segment_len,
            ..Received::default()
        };
        delivery.message(PATH, &mut bytes, &received, &mut counters);
        delivery.flush();
        (lengths, counters)
    }

    #[test]
    fn a_message_is_split_by_its_segment_length() {
        assert_eq!(lengths(2500, Some(1200)).0, [1200, 1200, 100]);
        assert_eq!(lengths(2400, Some(1200)).0, [1200, 1200]);
        assert_eq!(lengths(1200, Some(1200)).0, [1200]);
        assert_eq!(lengths(700, None).0, [700]);
        assert_eq!(lengths(0, None).0, [0]);
    }

    #[test]
    fn a_wait_is_told_where_it_can_be_true() {
        let mut waits = Waits {
            now: Some(Duration::from_secs(100)),
        };
        let mut waited = |ms| waits.since(Some(Duration::from_millis(ms)));
        assert_eq!(waited(99_995), Duration::from_millis(5));
        // The clock was set back, or forth.
        assert_eq!(waited(100_001), Duration::ZERO);
        assert_eq!(waited(90_000), Duration::ZERO);
        assert_eq!(waits.since(None), Duration::ZERO);
    }

    #[test]
    fn more_than_a_batch_is_given_in_several() {
        let (lengths, counters) = lengths(1000, Some(3));
        assert_eq!(lengths.len(), 334);
        assert_eq!(counters.datagrams_in, 334);
        assert_eq!(counters.bytes_in, 1000);
        assert_eq!(counters.trains_in, 1);
    }
}
