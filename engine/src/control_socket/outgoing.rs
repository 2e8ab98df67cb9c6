//! The way to control: a queue the hub never waits for, and the thread that writes it out.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use rustix::event::{PollFd, PollFlags, poll};

use super::ControlInput;

/// How long the end of the process waits for a control that reads slowly.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Queues frames for one connection. Once dropped, what is queued is written and the connection
/// closed. How much may be queued is the hub's to decide.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frames: Sender<Vec<u8>>,
    shared: Arc<Shared>,
    stream: UnixStream,
    /// Closed once the writer has ended.
    writer_end: Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    /// The hub wants to hear when the queue is empty.
    drain_wanted: AtomicBool,
}

impl Outgoing {
    /// Starts the writer of a connection.
    pub(super) fn start(stream: &UnixStream, hub: Sender<ControlInput>) -> io::Result<Self> {
        let (frames, queue) = unbounded();
        let (ended, writer_end) = bounded(0);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            stream: stream.try_clone()?,
            shared: shared.clone(),
            hub,
        };
        thread::Builder::new()
            .name("control-write".to_owned())
            .spawn(move || {
                let _ended: Sender<()> = ended;
                writer.write_all(&queue);
            })?;
        Ok(Self {
            frames,
            shared,
            stream: stream.try_clone()?,
            writer_end,
        })
    }

    /// Queues a frame.
    pub(crate) fn queue(&self, frame: Vec<u8>) {
        let bytes = frame.len();
        self.shared.queued_bytes.fetch_add(bytes, Ordering::SeqCst);
        if self.frames.send(frame).is_err() {
            // The writer has given up; the reader will find the end of the connection.
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::SeqCst);
        }
    }

    /// Bytes queued and not yet taken by the kernel.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.shared.queued_bytes.load(Ordering::SeqCst)
    }

    /// Whether more than `bytes` are queued. If so, [`ControlInput::Drained`] comes once they are
    /// written.
    pub(crate) fn is_behind(&self, bytes: usize) -> bool {
        if self.queued_bytes() <= bytes {
            return false;
        }
        self.shared.drain_wanted.store(true, Ordering::SeqCst);
        // The writer may have finished before it could see the wish.
        self.queued_bytes() > 0
    }

    /// Whether the other end has closed, also where messages of it are still unread.
    pub(crate) fn peer_is_gone(&self) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::empty())];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let polled = poll(&mut fds, Some(&now));
        polled.is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// Closes the connection now, whatever is queued.
    pub(crate) fn cut_off(&self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits until everything is written, or control does not read.
    pub(crate) fn finish(self) {
        let Self {
            frames, writer_end, ..
        } = self;
        drop(frames);
        // Nothing is ever sent: the end of the writer ends this.
        let _ = writer_end.recv_timeout(FINISH_TIMEOUT);
    }
}

struct Writer {
    stream: UnixStream,
    shared: Arc<Shared>,
    hub: Sender<ControlInput>,
}

impl Writer {
    fn write_all(mut self, queue: &Receiver<Vec<u8>>) {
        for frame in queue {
            if self.stream.write_all(&frame).is_err() {
                break;
            }
            let bytes = frame.len();
            let before = self.shared.queued_bytes.fetch_sub(bytes, Ordering::SeqCst);
            if before == bytes
                && self.shared.drain_wanted.swap(false, Ordering::SeqCst)
                && self.hub.send(ControlInput::Drained).is_err()
            {
                break;
            }
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
impl Outgoing {
    /// One without a writer: frames are read from the receiver. Dropping the stream is the peer's
    /// going away.
    pub(crate) fn for_test() -> (Self, Receiver<Vec<u8>>, UnixStream) {
        let (frames, queue) = unbounded();
        let (_, writer_end) = bounded(0);
        let (stream, peer) = UnixStream::pair().expect("a pair of sockets");
        let outgoing = Self {
            frames,
            shared: Arc::default(),
            stream,
            writer_end,
        };
        (outgoing, queue, peer)
    }

    /// Takes note of a frame the test has read.
    pub(crate) fn written(&self, bytes: usize) {
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::SeqCst);
    }
}
