//! A bottleneck between the shard and receivers: a rate, a queue with a limit, a delay, random
//! loss; the same for the same seed.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Seeded random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// True that many times in a thousand.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.next() % 1_000 < chance
    }
}

#[derive(Debug, Clone, Copy)]
pub struct LinkConfig {
    pub rate_bps: u64,
    /// One way.
    pub delay_us: u64,
    /// What the queue holds, as time at the rate.
    pub queue_us: u64,
    pub loss_permille: u64,
    pub seed: u64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            rate_bps: 3_000_000,
            delay_us: 25_000,
            queue_us: 300_000,
            loss_permille: 0,
            seed: 1,
        }
    }
}

/// A datagram that arrives.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub at_us: u64,
    pub remote: SocketAddr,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Link {
    pub config: LinkConfig,
    random: Random,
    /// When the queue will be empty.
    free_us: u64,
    on_the_way: VecDeque<Arrival>,
    pub dropped: u64,
    pub carried_bytes: u64,
}

impl Link {
    pub fn new(config: LinkConfig) -> Self {
        Self {
            config,
            random: Random(config.seed),
            free_us: 0,
            on_the_way: VecDeque::new(),
            dropped: 0,
            carried_bytes: 0,
        }
    }

    pub fn send(&mut self, now_us: u64, remote: SocketAddr, bytes: Vec<u8>) {
        let start_us = self.free_us.max(now_us);
        let is_lost = self.random.permille(self.config.loss_permille);
        if start_us - now_us > self.config.queue_us || is_lost {
            self.dropped += 1;
            return;
        }
        // With the headers of IPv4 and UDP.
        let bits = (bytes.len() as u64 + 28) * 8;
        self.free_us = start_us + bits * 1_000_000 / self.config.rate_bps;
        self.carried_bytes += bytes.len() as u64;
        self.on_the_way.push_back(Arrival {
            at_us: self.free_us + self.config.delay_us,
            remote,
            bytes,
        });
    }

    /// What a datagram would wait now.
    pub fn wait_us(&self, now_us: u64) -> u64 {
        self.free_us.saturating_sub(now_us)
    }

    pub fn arrival(&mut self, now_us: u64) -> Option<Arrival> {
        self.on_the_way.pop_front_if(|first| first.at_us <= now_us)
    }
}
