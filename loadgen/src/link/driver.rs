//! The thread that carries packets between two devices.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tun_rs::SyncDevice;

use super::direction::Direction;
use super::figures::Figures;
use super::plan::{Both, Plan, Step};
use crate::urgent::become_urgent;

/// Packets read from one device before those due are written.
const MAX_BATCH: usize = 32;
/// Buffers kept for use again.
const MAX_SPARE: usize = 4096;
/// Larger than any packet a device hands out.
const BUFFER_LEN: usize = 65_536;

/// How the link is driven.
#[derive(Debug, Clone, Copy)]
pub struct DriverOptions {
    /// TCP is neither lost nor doubled nor held back.
    pub spare_tcp: bool,
    /// Between figures.
    pub interval: Duration,
}

/// What the link says of itself; times are since its start.
#[derive(Debug)]
pub enum Event {
    /// Settings were changed.
    Changed(Duration, Both),
    /// So it stands.
    Figures(Duration, Box<[Figures; 2]>),
}

/// A running link; ends when dropped.
#[derive(Debug)]
pub struct Driver {
    commands: Sender<Command>,
    /// Wakes the thread when there is a command.
    wake: OwnedFd,
    thread: Option<JoinHandle<Result<[Figures; 2]>>>,
}

impl Driver {
    /// Starts carrying packets between the near device, which is the first, and the far one.
    pub fn start(
        plan: Plan,
        options: DriverOptions,
        devices: [SyncDevice; 2],
    ) -> Result<(Self, UnboundedReceiver<Event>)> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let woken = wake.try_clone()?;
        let (commands, commanded) = channel();
        let (events, received) = unbounded_channel();
        let carrier = Carrier::new(plan, options, devices, (commanded, woken), events);
        let thread = std::thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || carrier.run())?;
        let driver = Self {
            commands,
            wake,
            thread: Some(thread),
        };
        Ok((driver, received))
    }

    /// Puts other settings at once.
    pub fn change(&self, change: Both) {
        self.command(Command::Change(change));
    }

    /// Ends it; gives the last figures: of the way up, of the way down.
    pub fn stop(mut self) -> Result<[Figures; 2]> {
        self.end()
            .unwrap_or_else(|| Err(anyhow!("the link has no thread")))
    }

    /// Where its thread has ended nobody takes it, and `stop` says why.
    fn command(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            // It can only fail where the thread is to wake already.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn end(&mut self) -> Option<Result<[Figures; 2]>> {
        let thread = self.thread.take()?;
        self.command(Command::Stop);
        Some(
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the link's thread panicked"))),
        )
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Debug)]
enum Command {
    Change(Both),
    Stop,
}

struct Carrier {
    /// Near, far.
    devices: [SyncDevice; 2],
    /// From the near device, from the far one.
    directions: [Direction; 2],
    steps: std::vec::IntoIter<Step>,
    interval: Duration,
    commands: Receiver<Command>,
    woken: OwnedFd,
    events: UnboundedSender<Event>,
    started: Instant,
    next_figures: Duration,
    buffer: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

/// Places in [`Carrier::directions`].
const DOWN: usize = 0;
const UP: usize = 1;

impl Carrier {
    fn new(
        plan: Plan,
        options: DriverOptions,
        devices: [SyncDevice; 2],
        (commands, woken): (Receiver<Command>, OwnedFd),
        events: UnboundedSender<Event>,
    ) -> Self {
        let (up, down) = plan.settings();
        let direction = |settings, seed| Direction::new(settings, seed, options.spare_tcp);
        Self {
            devices,
            directions: [
                direction(down, plan.seed.wrapping_mul(2)),
                direction(up, plan.seed.wrapping_mul(2).wrapping_add(1)),
            ],
            steps: plan.steps.into_iter(),
            interval: options.interval,
            commands,
            woken,
            events,
            started: Instant::now(),
            next_figures: options.interval,
            buffer: vec![0; BUFFER_LEN],
            spare: Vec::new(),
        }
    }

    fn run(mut self) -> Result<[Figures; 2]> {
        become_urgent();
        self.started = Instant::now();
        loop {
            self.take_steps();
            self.report();
            self.write_due()?;
            let [near, far, commands] = self.wait()?;
            for (from, is_ready) in [(DOWN, near), (UP, far)] {
                if is_ready {
                    self.read_some(from)?;
                }
            }
            if commands && self.obey() {
                return Ok(self.figures(self.started.elapsed()));
            }
        }
    }

    fn take_steps(&mut self) {
        let now = self.started.elapsed();
        while let Some(step) = self.steps.as_slice().first()
            && step.at <= now
        {
            let Some(step) = self.steps.next() else {
                return;
            };
            self.change(now, step.change);
        }
    }

    /// Whether it is to end.
    fn obey(&mut self) -> bool {
        // It only counts how often we were woken.
        let _ = rustix::io::read(&self.woken, &mut [0; 8]);
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Change(change) => self.change(self.started.elapsed(), change),
                Command::Stop => return true,
            }
        }
        false
    }

    fn change(&mut self, now: Duration, change: Both) {
        for (direction, change) in [(UP, &change.up), (DOWN, &change.down)] {
            let mut settings = *self.directions[direction].settings();
            settings.apply(change);
            self.directions[direction].change(now, settings);
        }
        // Nobody may listen any more.
        let _ = self.events.send(Event::Changed(now, change));
    }

    fn report(&mut self) {
        let now = self.started.elapsed();
        if now >= self.next_figures {
            self.next_figures = now + self.interval;
            let _ = self
                .events
                .send(Event::Figures(now, Box::new(self.figures(now))));
        }
    }

    /// Up, down.
    fn figures(&self, now: Duration) -> [Figures; 2] {
        [UP, DOWN].map(|direction| self.directions[direction].figures(now))
    }

    /// What there is: packets at the near device, at the far one, commands.
    fn wait(&self) -> Result<[bool; 3]> {
        let dues = self.directions.iter().filter_map(Direction::next_due);
        let step = self.steps.as_slice().first().map(|step| step.at);
        let next = dues.chain(step).chain([self.next_figures]).min();
        let left = next.map(|next| next.saturating_sub(self.started.elapsed()));
        let timeout = left.map(|left| Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut fds = [
            PollFd::new(&self.devices[0], PollFlags::IN),
            PollFd::new(&self.devices[1], PollFlags::IN),
            PollFd::new(&self.woken, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("can not wait for packets"),
        }
        Ok(fds.map(|fd| !fd.revents().is_empty()))
    }

    fn read_some(&mut self, from: usize) -> Result<()> {
        for _ in 0..MAX_BATCH {
            match self.devices[from].recv(&mut self.buffer) {
                Ok(len) => {
                    let mut data = self.spare.pop().unwrap_or_default();
                    data.clear();
                    data.extend_from_slice(&self.buffer[..len]);
                    self.directions[from].enter(self.started.elapsed(), data);
                }
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) => return Err(error).context("can not read from a device"),
            }
        }
        Ok(())
    }

    fn write_due(&mut self) -> Result<()> {
        for from in [DOWN, UP] {
            while let Some(data) = self.directions[from].leave(self.started.elapsed()) {
                match self.devices[1 - from].send(&data) {
                    Ok(_) => {}
                    // Where the device is down, or the kernel does not like the packet.
                    Err(_) => self.directions[from].refused(),
                }
                if self.spare.len() < MAX_SPARE {
                    self.spare.push(data);
                }
            }
        }
        Ok(())
    }
}

fn is_for_later(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
    )
}
