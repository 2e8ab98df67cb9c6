//! A shard's thread: the sans-IO core, its back end, and the loop around both.

mod driver;
#[cfg(test)]
mod driver_tests;
mod gathering;
mod load;
mod start;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam::channel::Sender;
use weirgate_shard::{Command, CommandBody, ShardNo, SocketId};

use crate::crossing_net::CrossingNet;

pub(crate) use start::{CrewPlan, start};

/// One thing a shard's driver does for the hub.
#[derive(Debug)]
pub(crate) struct ShardTask {
    /// Sockets to take over before; where one can not be, the command is refused.
    pub(crate) add: Vec<(SocketId, UdpSocket)>,
    /// For the core.
    pub(crate) command: Command,
    /// Sockets to close after.
    pub(crate) remove: Vec<SocketId>,
}

impl ShardTask {
    /// A command alone, that nobody waits for.
    pub(crate) const fn new(body: CommandBody) -> Self {
        Self {
            add: Vec::new(),
            command: Command { token: 0, body },
            remove: Vec::new(),
        }
    }
}

/// What a shard's thread is told.
#[derive(Debug)]
pub(crate) enum ShardInput {
    /// From the hub.
    Task(Box<ShardTask>),
    /// The process ends.
    Stop,
}

/// What a shard lets others see.
#[derive(Debug, Default)]
pub(crate) struct ShardStatus {
    /// The CPU it is pinned to.
    pub(crate) core: u16,
    /// Part of the last second it worked, in thousandths.
    pub(crate) load_permille: AtomicU32,
    /// Events dropped because the hub was behind.
    pub(crate) events_dropped: AtomicU64,
}

/// A shard as the hub sees it.
#[derive(Debug, Clone)]
pub(crate) struct ShardHandle {
    number: ShardNo,
    pub(crate) status: Arc<ShardStatus>,
    inputs: Sender<ShardInput>,
    net: Arc<CrossingNet>,
}

impl ShardHandle {
    /// The handle of the shard that reads the other end of `inputs`.
    pub(crate) const fn new(
        number: ShardNo,
        status: Arc<ShardStatus>,
        inputs: Sender<ShardInput>,
        net: Arc<CrossingNet>,
    ) -> Self {
        Self {
            number,
            status,
            inputs,
            net,
        }
    }

    pub(crate) const fn number(&self) -> ShardNo {
        self.number
    }

    /// Part of the last second it worked, 0.0–1.0.
    pub(crate) fn load(&self) -> f32 {
        self.status.load_permille.load(Ordering::Relaxed) as f32 / 1000.0
    }

    /// Tasks the thread has not looked at.
    pub(crate) fn queued(&self) -> usize {
        self.inputs.len()
    }

    /// Queues a task. The hub bounds how many are under way.
    pub(crate) fn give(&self, task: ShardTask) {
        self.tell(ShardInput::Task(Box::new(task)));
    }

    /// Makes the thread end.
    pub(crate) fn stop(&self) {
        self.tell(ShardInput::Stop);
    }

    fn tell(&self, input: ShardInput) {
        // A thread that has ended takes the process along; nothing is lost by this.
        let _ = self.inputs.send(input);
        if let Some(sleeper) = self.net.sleeper(self.number) {
            sleeper.wake();
        }
    }
}
