//! A bottleneck: a rate, a queue with a limit, a delay, jitter and random loss.

use std::collections::{BTreeMap, VecDeque};

use super::{Packet, Rng};

#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkConfig {
    pub(crate) rate_bps: u64,
    /// One way.
    pub(crate) delay_us: u64,
    /// Arrivals are late by up to this, in order.
    pub(crate) jitter_us: u64,
    /// What the queue holds, as time at the rate.
    pub(crate) queue_us: u64,
    pub(crate) loss: f64,
    pub(crate) seed: u64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            rate_bps: 1_000_000,
            delay_us: 25_000,
            jitter_us: 0,
            queue_us: 500_000,
            loss: 0.0,
            seed: 1,
        }
    }
}

pub(crate) struct Link {
    pub(crate) config: LinkConfig,
    rng: Rng,
    /// With the times they came.
    queue: VecDeque<(u64, Packet)>,
    queued_bytes: u64,
    free_us: u64,
    last_us: u64,
    /// By arrival time and order.
    on_the_way: BTreeMap<(u64, u64), Packet>,
    count: u64,
    /// Time each packet waited in the queue, by when it left.
    waits: Vec<(u64, u64)>,
}

impl Link {
    pub(crate) fn new(config: LinkConfig) -> Self {
        Self {
            config,
            rng: Rng::new(config.seed),
            queue: VecDeque::new(),
            queued_bytes: 0,
            free_us: 0,
            last_us: 0,
            on_the_way: BTreeMap::new(),
            count: 0,
            waits: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, now_us: u64, packet: Packet) {
        let limit_bytes = self.config.rate_bps * self.config.queue_us / 8_000_000;
        let bytes = u64::from(packet.bytes);
        if self.rng.chance(self.config.loss) || self.queued_bytes + bytes > limit_bytes {
            return;
        }
        self.queued_bytes += bytes;
        self.queue.push_back((now_us, packet));
    }

    /// The next packet that has arrived by now.
    pub(crate) fn arrival(&mut self, now_us: u64) -> Option<(u64, Packet)> {
        self.serve(now_us);
        let first = self.on_the_way.first_entry()?;
        let (at_us, _) = *first.key();
        (at_us <= now_us).then(|| (at_us, first.remove()))
    }

    /// The longest that packets waited that left the queue within this time.
    pub(crate) fn longest_wait_us(&self, from_us: u64, until_us: u64) -> u64 {
        self.waits
            .iter()
            .filter(|(at_us, _)| (from_us..until_us).contains(at_us))
            .map(|&(_, wait_us)| wait_us)
            .max()
            .unwrap_or(0)
    }

    fn serve(&mut self, now_us: u64) {
        while let Some(&(came_us, packet)) = self.queue.front() {
            let takes_us = u64::from(packet.bytes) * 8_000_000 / self.config.rate_bps;
            let done_us = self.free_us.max(came_us) + takes_us;
            if done_us > now_us {
                return;
            }
            self.queue.pop_front();
            self.queued_bytes -= u64::from(packet.bytes);
            self.free_us = done_us;
            self.waits.push((done_us, done_us - came_us));
            let jitter_us = (self.rng.unit() * self.config.jitter_us as f64) as u64;
            let at_us = done_us + self.config.delay_us + jitter_us;
            self.last_us = self.last_us.max(at_us);
            let at_us = self.last_us;
            self.on_the_way.insert((at_us, self.count), packet);
            self.count += 1;
        }
    }
}
