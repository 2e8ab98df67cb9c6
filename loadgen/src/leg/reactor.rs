//! The threads that read all sockets: one per core this program may use, each waiting for many
//! sockets and for the earliest of their deadlines.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use tokio::sync::oneshot;

use super::lock;
use super::socket::{MAX_TRAIN_BYTES, Train, control_buffer, receive};
use crate::clock::{NS_PER_MS, NS_PER_S, now_ns, wall_ns};
use crate::ice::Agent;
use crate::latency;

/// Ready sockets taken from the kernel at a time.
const MAX_EVENTS: usize = 256;
/// Longer trains are counted as this long.
pub const MAX_TRAIN: usize = 128;

/// What is read by a reactor's thread.
pub(super) trait Reading: Send {
    /// The sockets: RTP's, and RTCP's without rtcp-mux.
    fn sockets(&self) -> [Option<Arc<UdpSocket>>; 2];
    /// One datagram; it may be changed in place.
    fn on_datagram(&mut self, bytes: &mut [u8], from: SocketAddr, arrival_ns: u64);
    /// Datagrams the kernel dropped at these sockets so far.
    fn on_drops(&mut self, drops: u32);
    /// The time of [`Self::deadline_ns`] has come.
    fn on_deadline(&mut self, now_ns: u64);
    /// When to be called next.
    fn deadline_ns(&self) -> u64;
    /// Does something with the ICE agent, if there is one.
    fn with_agent(&mut self, action: AgentAction);
}

pub(super) type AgentAction = Box<dyn FnOnce(&mut Agent) + Send>;

enum Command {
    Add(u64, Box<dyn Reading>),
    WithAgent(u64, AgentAction),
    Remove(u64, Option<oneshot::Sender<()>>),
}

/// What the threads noticed.
#[derive(Debug)]
pub struct ReadStats {
    trains: [AtomicU64; MAX_TRAIN],
    delay: Mutex<Histogram<u64>>,
}

impl ReadStats {
    /// How many trains of each length came since the program began; the first are those of one.
    pub fn trains(&self) -> Vec<u64> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.trains.iter().map(load).collect()
    }

    /// From the kernel's timestamp to reading, in ns, since the last call.
    pub fn take_delay(&self) -> Histogram<u64> {
        let mut delay = lock(&self.delay);
        std::mem::replace(&mut *delay, latency::histogram())
    }
}

/// What all threads of this program noticed.
pub fn read_stats() -> &'static ReadStats {
    static STATS: OnceLock<ReadStats> = OnceLock::new();
    STATS.get_or_init(|| ReadStats {
        trains: [const { AtomicU64::new(0) }; MAX_TRAIN],
        delay: Mutex::new(latency::histogram()),
    })
}

/// The threads.
pub(super) struct Reactor {
    threads: Vec<Handle>,
    next_id: AtomicU64,
}

#[derive(Clone)]
struct Handle {
    commands: mpsc::Sender<Command>,
    waker: Arc<EventFd>,
}

impl Handle {
    fn command(&self, command: Command) {
        // The threads live as long as the program.
        let _ = self.commands.send(command);
        let _ = self.waker.write(1);
    }
}

/// A leg's place with a thread; reading ends when it is dropped.
pub(super) struct Place {
    id: u64,
    thread: Handle,
    removed: bool,
}

impl Place {
    pub(super) fn with_agent(&self, action: AgentAction) {
        self.thread.command(Command::WithAgent(self.id, action));
    }

    /// Ends reading, and waits until it has ended.
    pub(super) async fn remove(mut self) {
        let (done, ended) = oneshot::channel();
        self.removed = true;
        self.thread.command(Command::Remove(self.id, Some(done)));
        let _ = ended.await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.removed {
            self.thread.command(Command::Remove(self.id, None));
        }
    }
}

impl Reactor {
    /// The one of this program, started when it is first used.
    pub(super) fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Reactor> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = lock(&STARTING);
        if let Some(reactor) = SHARED.get() {
            return Ok(reactor);
        }
        let reactor = Self::start()?;
        Ok(SHARED.get_or_init(|| reactor))
    }

    fn start() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores).map(|index| {
            let (commands, queue) = mpsc::channel();
            let waker = Arc::new(EventFd::new().context("eventfd")?);
            let worker = Worker::new(queue, Arc::clone(&waker))?;
            std::thread::Builder::new()
                .name(format!("reader-{index}"))
                .spawn(|| worker.run())
                .context("no thread for reading")?;
            Ok(Handle { commands, waker })
        });
        Ok(Self {
            threads: threads.collect::<Result<_>>()?,
            next_id: AtomicU64::new(1),
        })
    }

    /// Reads from now on.
    pub(super) fn add(&self, reading: Box<dyn Reading>) -> Place {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let thread = self.threads[id as usize % self.threads.len()].clone();
        thread.command(Command::Add(id, reading));
        Place {
            id,
            thread,
            removed: false,
        }
    }
}

struct Entry {
    reading: Box<dyn Reading>,
    sockets: [Option<Arc<UdpSocket>>; 2],
    /// The earliest deadline that is in the heap.
    scheduled_ns: u64,
}

struct Worker {
    queue: mpsc::Receiver<Command>,
    waker: Arc<EventFd>,
    epoll: Epoll,
    entries: HashMap<u64, Entry>,
    deadlines: BinaryHeap<Reverse<(u64, u64)>>,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

/// Stands for the waker among the ready sockets; ids begin at 1.
const WAKER: u64 = 0;

impl Worker {
    fn new(queue: mpsc::Receiver<Command>, waker: Arc<EventFd>) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("epoll")?;
        epoll
            .add(&*waker, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))
            .context("epoll")?;
        Ok(Self {
            queue,
            waker,
            epoll,
            entries: HashMap::new(),
            deadlines: BinaryHeap::new(),
            buffer: vec![0; MAX_TRAIN_BYTES],
            control: control_buffer(),
        })
    }

    fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); MAX_EVENTS];
        loop {
            let ready = self
                .epoll
                .wait(&mut events, self.timeout())
                .unwrap_or_default();
            for event in &events[..ready] {
                match event.data() {
                    WAKER => self.obey(),
                    tagged => self.drain(tagged >> 1, (tagged & 1) as usize),
                }
            }
            self.run_deadlines();
        }
    }

    /// Until the earliest deadline, but no longer than a second.
    fn timeout(&self) -> EpollTimeout {
        let wait_ns = match self.deadlines.peek() {
            Some(Reverse((at_ns, _))) => at_ns.saturating_sub(now_ns()).min(NS_PER_S),
            None => NS_PER_S,
        };
        EpollTimeout::from(wait_ns.div_ceil(NS_PER_MS) as u16)
    }

    fn obey(&mut self) {
        // Reads the count, so that it is not ready any more.
        let _ = self.waker.read();
        while let Ok(command) = self.queue.try_recv() {
            match command {
                Command::Add(id, reading) => self.add(id, reading),
                Command::WithAgent(id, action) => {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.reading.with_agent(action);
                        self.schedule(id);
                    }
                }
                Command::Remove(id, done) => {
                    if let Some(entry) = self.entries.remove(&id) {
                        for socket in entry.sockets.iter().flatten() {
                            let _ = self.epoll.delete(socket);
                        }
                    }
                    if let Some(done) = done {
                        let _ = done.send(());
                    }
                }
            }
        }
    }

    fn add(&mut self, id: u64, reading: Box<dyn Reading>) {
        let sockets = reading.sockets();
        for (which, socket) in (0..).zip(&sockets) {
            if let Some(socket) = socket {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, id << 1 | which);
                // Fails only where the kernel has no memory; then the leg stays silent.
                let _ = self.epoll.add(socket, event);
            }
        }
        let entry = Entry {
            reading,
            sockets,
            scheduled_ns: u64::MAX,
        };
        self.entries.insert(id, entry);
        self.schedule(id);
    }

    fn drain(&mut self, id: u64, which: usize) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let Some(socket) = &entry.sockets[which] else {
            return;
        };
        // One train and then the next socket's turn: the kernel says it again where more waits.
        // An ICMP error is told in place of a datagram; the next call goes on after it.
        let Ok(Some(train)) = receive(socket, &mut self.buffer, &mut self.control) else {
            return;
        };
        let stats = read_stats();
        let arrival_ns = arrival(&train, stats);
        if let Some(drops) = train.drops {
            entry.reading.on_drops(drops);
        }
        let mut count = 0;
        for datagram in self.buffer[..train.len].chunks_mut(train.segment) {
            entry.reading.on_datagram(datagram, train.from, arrival_ns);
            count += 1;
        }
        let length = usize::clamp(count, 1, MAX_TRAIN);
        stats.trains[length - 1].fetch_add(1, Ordering::Relaxed);
        self.schedule(id);
    }

    /// Sees to it that the entry is called at its deadline.
    fn schedule(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let deadline_ns = entry.reading.deadline_ns();
        if deadline_ns < entry.scheduled_ns {
            entry.scheduled_ns = deadline_ns;
            self.deadlines.push(Reverse((deadline_ns, id)));
        }
    }

    fn run_deadlines(&mut self) {
        while let Some(&Reverse((at_ns, id))) = self.deadlines.peek() {
            let now = now_ns();
            if at_ns > now {
                return;
            }
            self.deadlines.pop();
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            // An earlier one took its place.
            if entry.scheduled_ns != at_ns {
                continue;
            }
            entry.scheduled_ns = u64::MAX;
            if entry.reading.deadline_ns() <= now {
                entry.reading.on_deadline(now);
            }
            self.schedule(id);
        }
    }
}

/// When a train came by our clock; from the kernel's time, so that our own delay does not count.
fn arrival(train: &Train, stats: &ReadStats) -> u64 {
    let now = now_ns();
    let Some(kernel_ns) = train.kernel_ns else {
        return now;
    };
    // The wall clock may be set while a run goes on; ours may not.
    let delay = wall_ns().saturating_sub(kernel_ns).min(NS_PER_S * 10);
    lock(&stats.delay).saturating_record(delay);
    now - delay
}
