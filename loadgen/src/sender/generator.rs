//! The thread that sends: a heap of planned packets, slept through by the clock and by nothing
//! else.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

use super::schedule::{Planned, Schedule};
use super::stream::Stream;
use crate::clock::{NS_PER_S, now_ns};
use crate::latency;
use crate::leg::lock;
use crate::urgent::become_urgent;

/// Sends every stream it is given until it is stopped or dropped.
pub struct Generator {
    commands: Option<mpsc::Sender<Command>>,
    lateness: Arc<Mutex<Histogram<u64>>>,
    thread: Option<JoinHandle<()>>,
}

/// How well the generator kept to its schedule.
#[derive(Debug, Clone)]
pub struct GeneratorReport {
    /// Actual minus intended send time, in ns.
    pub lateness_ns: Histogram<u64>,
}

enum Command {
    Add(Arc<Stream>, f64),
    Share(f64),
    Remove(u32),
    Clear(mpsc::Sender<()>),
}

impl Generator {
    /// Starts the thread.
    pub fn start() -> Result<Self> {
        let (commands, queue) = mpsc::channel();
        let lateness = Arc::new(Mutex::new(latency::histogram()));
        let worker = Worker {
            queue,
            lateness: Arc::clone(&lateness),
            flows: Vec::new(),
            due: BinaryHeap::new(),
            share: 1.0,
        };
        let thread = std::thread::Builder::new()
            .name("generator".to_owned())
            .spawn(|| {
                become_urgent();
                worker.run();
            })
            .context("no thread for the generator")?;
        Ok(Self {
            commands: Some(commands),
            lateness,
            thread: Some(thread),
        })
    }

    /// How well the schedule was kept since the last call.
    pub fn take_lateness(&self) -> Histogram<u64> {
        std::mem::replace(&mut *lock(&self.lateness), latency::histogram())
    }

    /// Begins to send a stream.
    pub fn add(&self, stream: Arc<Stream>) {
        self.add_ranked(stream, 0.0);
    }

    /// Sends a stream while its rank, from 0.0, is below the share set last.
    pub fn add_ranked(&self, stream: Arc<Stream>, rank: f64) {
        self.command(Command::Add(stream, rank));
    }

    /// From now on only streams of a rank below that are sent; all where nothing was said. One that
    /// is sent again begins with a key frame.
    pub fn set_share(&self, share: f64) {
        self.command(Command::Share(share));
    }

    /// Ends a stream by its marker number.
    pub fn remove(&self, stream: u32) {
        self.command(Command::Remove(stream));
    }

    /// Ends every stream; none sends any more when this returns.
    pub fn end_streams(&self) {
        let (done, ended) = mpsc::channel();
        self.command(Command::Clear(done));
        let _ = ended.recv_timeout(Duration::from_secs(1));
    }

    /// Ends every stream, and says how well the schedule was kept.
    pub fn stop(mut self) -> Result<GeneratorReport> {
        self.end();
        Ok(GeneratorReport {
            lateness_ns: lock(&self.lateness).clone(),
        })
    }

    fn command(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // The thread ends only when this sender is dropped.
            let _ = commands.send(command);
        }
    }

    fn end(&mut self) {
        self.commands.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.end();
    }
}

struct Worker {
    queue: mpsc::Receiver<Command>,
    lateness: Arc<Mutex<Histogram<u64>>>,
    flows: Vec<Option<Flow>>,
    /// `(when, index in flows)`.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    /// Streams of a rank from this on are silent.
    share: f64,
}

struct Flow {
    stream: Arc<Stream>,
    rank: f64,
    is_silent: bool,
    /// It is among those that are due.
    is_listed: bool,
    schedule: Schedule,
    start_ns: u64,
    planned: VecDeque<Planned>,
}

impl Flow {
    /// When it has something to do next; never while it is silent and has sent what was planned.
    fn next_ns(&self) -> Option<u64> {
        let frame = (!self.is_silent).then(|| self.schedule.next_capture_ns());
        let packet = self.planned.front().map(|packet| packet.at_ns);
        let first = frame.into_iter().chain(packet).min()?;
        Some(self.start_ns + first)
    }
}

impl Worker {
    fn run(mut self) {
        loop {
            let wait_ns = match self.due.peek() {
                Some(Reverse((at_ns, _))) => at_ns.saturating_sub(now_ns()),
                None => NS_PER_S,
            };
            match self.next_command(wait_ns) {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => self.send_due(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn next_command(&self, wait_ns: u64) -> Result<Command, RecvTimeoutError> {
        if wait_ns > 0 {
            return self.queue.recv_timeout(Duration::from_nanos(wait_ns));
        }
        self.queue.try_recv().map_err(|error| match error {
            mpsc::TryRecvError::Empty => RecvTimeoutError::Timeout,
            mpsc::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Add(stream, rank) => {
                let start_ns = now_ns();
                let is_silent = rank >= self.share;
                if !is_silent {
                    self.due.push(Reverse((start_ns, self.flows.len())));
                }
                let schedule = Schedule::new(stream.config().shape, stream.config().stream);
                self.flows.push(Some(Flow {
                    stream,
                    rank,
                    is_silent,
                    is_listed: !is_silent,
                    schedule,
                    start_ns,
                    planned: VecDeque::new(),
                }));
            }
            Command::Share(share) => self.silence_from(share),
            Command::Clear(done) => {
                self.flows.clear();
                self.due.clear();
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
            Command::Remove(number) => {
                for flow in &mut self.flows {
                    flow.take_if(|flow| flow.stream.config().stream == number);
                }
            }
        }
    }

    fn silence_from(&mut self, share: f64) {
        self.share = share;
        let now = now_ns();
        for (index, flow) in self.flows.iter_mut().enumerate() {
            let Some(flow) = flow else {
                continue;
            };
            let was_silent = std::mem::replace(&mut flow.is_silent, flow.rank >= share);
            if was_silent && !flow.is_silent {
                flow.schedule.resume(now.saturating_sub(flow.start_ns));
                if let Some(next_ns) = flow.next_ns().filter(|_| !flow.is_listed) {
                    flow.is_listed = true;
                    self.due.push(Reverse((next_ns, index)));
                }
            }
        }
    }

    fn send_due(&mut self) {
        let Some(Reverse((_, index))) = self.due.pop() else {
            return;
        };
        let Some(flow) = &mut self.flows[index] else {
            return;
        };
        let now = now_ns();
        let mut frame = Vec::new();
        while !flow.is_silent && flow.start_ns + flow.schedule.next_capture_ns() <= now {
            let wanted =
                flow.schedule.takes_key_frame_requests() && flow.stream.take_key_frame_wanted();
            flow.schedule.plan_frame(wanted, &mut frame);
        }
        flow.planned.extend(frame);
        let mut lateness = lock(&self.lateness);
        while let Some(packet) = flow.planned.front() {
            let intended_ns = flow.start_ns + packet.at_ns;
            if intended_ns > now {
                break;
            }
            flow.stream.send(packet, flow.start_ns);
            lateness.saturating_record(now_ns().saturating_sub(intended_ns));
            flow.planned.pop_front();
        }
        let next_ns = flow.next_ns();
        flow.is_listed = next_ns.is_some();
        self.due
            .extend(next_ns.map(|at_ns| Reverse((at_ns, index))));
    }
}
