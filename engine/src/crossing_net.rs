//! What shards share: a bounded pool of crossings, an inbox per shard, and who sleeps.
//!
//! Boxes circulate: pool, a shard's stock, another shard's inbox, back. None is made after the
//! start. Where boxes or room in an inbox get short, video is refused first.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam::queue::ArrayQueue;
use weirgate_io::Waker;
use weirgate_shard::{CROSSING_BYTES, Crossing, CrossingClass, CrossingKind, ShardNo, SourceNo};

/// Boxes in the pool for every shard, beside those in the shards' stocks: 4.5 MB each.
const POOL_PER_SHARD: usize = 2_048;
/// Crossings an inbox holds. The pool bounds the sum of all.
const INBOX_LEN: usize = 4_096;

/// Carries crossings between the shards of an engine.
#[derive(Debug)]
pub(crate) struct CrossingNet {
    pool: ArrayQueue<Box<Crossing>>,
    /// Video is refused while fewer boxes are free.
    video_reserve: usize,
    ports: Vec<Port>,
}

#[derive(Debug)]
struct Port {
    inbox: ArrayQueue<Box<Crossing>>,
    sleeper: Sleeper,
}

impl CrossingNet {
    /// For that many shards, each with a stock of that many boxes.
    pub(crate) fn new(shards: u16, stock: usize) -> Self {
        match shards {
            // Nothing crosses, but a shard's stock is filled all the same.
            0 | 1 => Self::with_sizes(shards, stock.max(1), 1),
            _ => Self::with_sizes(
                shards,
                usize::from(shards) * (POOL_PER_SHARD + stock),
                INBOX_LEN,
            ),
        }
    }

    fn with_sizes(shards: u16, boxes: usize, inbox_len: usize) -> Self {
        let pool = ArrayQueue::new(boxes);
        for _ in 0..boxes {
            // The pool has room for exactly these.
            let _ = pool.push(Box::new(empty()));
        }
        let ports = (0..shards).map(|_| Port {
            inbox: ArrayQueue::new(inbox_len),
            sleeper: Sleeper::default(),
        });
        Self {
            pool,
            video_reserve: boxes / 4,
            ports: ports.collect(),
        }
    }

    /// Fills a shard's stock up to `len` boxes, as far as there are any.
    #[expect(
        clippy::vec_box,
        reason = "boxes move from queue to queue; their content does not"
    )]
    pub(crate) fn refill(&self, stock: &mut Vec<Box<Crossing>>, len: usize) {
        while stock.len() < len {
            let Some(crossing) = self.pool.pop() else {
                return;
            };
            stock.push(crossing);
        }
    }

    /// Takes a box back that is of no more use.
    pub(crate) fn give_back(&self, crossing: Box<Crossing>) {
        // The pool has room for every box there is.
        let _ = self.pool.push(crossing);
    }

    /// Puts a crossing into the inbox of `to`. False where it was refused; its box is back in the
    /// pool then. The caller wakes the shard once it has delivered all it has.
    pub(crate) fn deliver(&self, to: ShardNo, crossing: Box<Crossing>) -> bool {
        let Some(port) = self.ports.get(usize::from(to)) else {
            self.give_back(crossing);
            return false;
        };
        let short = || {
            self.pool.len() < self.video_reserve
                || port.inbox.len() >= port.inbox.capacity() / 4 * 3
        };
        if crossing.class() == CrossingClass::Video && short() {
            self.give_back(crossing);
            return false;
        }
        match port.inbox.push(crossing) {
            Ok(()) => true,
            Err(crossing) => {
                self.give_back(crossing);
                false
            }
        }
    }

    /// The next crossing for `shard`.
    pub(crate) fn take(&self, shard: ShardNo) -> Option<Box<Crossing>> {
        self.ports.get(usize::from(shard))?.inbox.pop()
    }

    /// Whether nothing waits for `shard`.
    pub(crate) fn is_empty(&self, shard: ShardNo) -> bool {
        self.ports
            .get(usize::from(shard))
            .is_none_or(|port| port.inbox.is_empty())
    }

    /// Boxes nobody holds.
    pub(crate) fn free(&self) -> usize {
        self.pool.len()
    }

    /// The sleep of `shard`.
    pub(crate) fn sleeper(&self, shard: ShardNo) -> Option<&Sleeper> {
        self.ports.get(usize::from(shard)).map(|port| &port.sleeper)
    }
}

/// Whether a shard sleeps, so that only sleepers are woken: a wake is a system call.
///
/// The sleeper says that it will sleep and then looks at its queues once more; others fill a
/// queue and then look whether it sleeps. Between the two steps of each side is a sequentially
/// consistent fence, so at least one of them sees what the other did.
#[derive(Debug, Default)]
pub(crate) struct Sleeper {
    sleeping: AtomicBool,
    waker: OnceLock<Waker>,
}

impl Sleeper {
    /// Says by what the shard is woken; before its first sleep.
    pub(crate) fn set_waker(&self, waker: Waker) {
        // A second one could only be the same.
        let _ = self.waker.set(waker);
    }

    /// Called by the shard before it looks at its queues for the last time.
    pub(crate) fn will_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Called by the shard when it is up again, or did not sleep after all.
    pub(crate) fn is_awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Called by others after they filled one of its queues.
    pub(crate) fn wake(&self) {
        if self.must_wake()
            && let Some(waker) = self.waker.get()
        {
            waker.wake();
        }
    }

    fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        // The plain look first: swapping would take the cache line from its owner each time.
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::Relaxed)
    }
}

fn empty() -> Crossing {
    Crossing {
        kind: CrossingKind::KeyFrameRequest {
            source: SourceNo::new(0, 0),
            encoding: 0,
            is_patient: false,
        },
        from: 0,
        len: 0,
        buffer: [0; CROSSING_BYTES],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use weirgate_shard::Timestamp;

    fn media(audio: bool, mut crossing: Box<Crossing>) -> Box<Crossing> {
        crossing.kind = CrossingKind::Media {
            source: SourceNo::new(1, 0),
            encoding: 0,
            arrival: Timestamp::from_micros(1),
            audio,
        };
        crossing
    }

    fn take_box(net: &CrossingNet) -> Box<Crossing> {
        let mut stock = Vec::new();
        net.refill(&mut stock, 1);
        stock.pop().unwrap()
    }

    #[test]
    fn video_is_refused_while_less_than_a_quarter_of_the_boxes_is_free() {
        let net = CrossingNet::with_sizes(2, 8, 64);
        let mut held = Vec::new();
        net.refill(&mut held, 6);
        assert!(
            net.deliver(1, media(false, held.pop().unwrap())),
            "2 of 8 are free"
        );
        let seventh = take_box(&net);
        assert!(
            !net.deliver(1, media(false, held.pop().unwrap())),
            "1 of 8 is free"
        );
        assert_eq!(net.free(), 2, "the refused box is back");
        held.push(seventh);
        held.push(take_box(&net));
        held.push(take_box(&net));
        while let Some(crossing) = held.pop() {
            assert!(net.deliver(1, media(true, crossing)));
        }
        assert_eq!(net.free(), 0);
    }

    #[test]
    fn a_full_inbox_keeps_a_quarter_for_audio_then_refuses_all() {
        let net = CrossingNet::with_sizes(2, 64, 8);
        let delivered = |audio| {
            (0..8)
                .filter(|_| net.deliver(1, media(audio, take_box(&net))))
                .count()
        };
        assert_eq!((delivered(false), delivered(true)), (6, 2));
        assert!(!net.deliver(7, take_box(&net)), "there is no shard 7");
        let taken = std::iter::from_fn(|| net.take(1)).map(|crossing| net.give_back(crossing));
        assert_eq!((taken.count(), net.free()), (8, 64));
    }

    /// Hangs where a wake is lost.
    #[test]
    fn a_shard_that_goes_to_sleep_is_always_woken_for_what_is_in_its_inbox() {
        const CROSSINGS: usize = 20_000;
        let net = Arc::new(CrossingNet::with_sizes(1, 16, 16));
        let wakes = Arc::new(AtomicUsize::new(0));
        let sleeper = thread::spawn({
            let net = net.clone();
            move || {
                let mut seen = 0;
                while seen < CROSSINGS {
                    while let Some(crossing) = net.take(0) {
                        net.give_back(crossing);
                        seen += 1;
                    }
                    if seen == CROSSINGS {
                        return;
                    }
                    let sleep = net.sleeper(0).unwrap();
                    sleep.will_sleep();
                    if net.is_empty(0) {
                        thread::park();
                    }
                    sleep.is_awake();
                }
            }
        });
        let mut stock = Vec::new();
        for _ in 0..CROSSINGS {
            while stock.is_empty() {
                net.refill(&mut stock, 1);
                thread::yield_now();
            }
            assert!(net.deliver(0, media(true, stock.pop().unwrap())));
            if net.sleeper(0).unwrap().must_wake() {
                wakes.fetch_add(1, Ordering::Relaxed);
                sleeper.thread().unpark();
            }
        }
        sleeper.join().unwrap();
        assert!(wakes.load(Ordering::Relaxed) <= CROSSINGS);
    }
}
