//! The building of trains, without anything that fills them.

use std::hint::black_box;
use std::net::SocketAddr;

use weirgate_shard::{Path, SocketId, TxBatch};

use super::Work;

/// Destinations of a batch.
const DESTINATIONS: usize = 30;
const PACKET_BYTES: usize = 1216;

/// A turn is one batch to all destinations.
pub struct Trains {
    batch: TxBatch,
    paths: Vec<Path>,
    segments: usize,
}

impl Trains {
    /// Trains of that many datagrams.
    pub fn new(segments: usize) -> Self {
        let path = |number| Path {
            socket: SocketId(0),
            local: Some([10, 0, 0, 1].into()),
            remote: SocketAddr::from(([198, 51, 100, number as u8], 40_000)),
        };
        Self {
            batch: TxBatch::new(512 << 10),
            paths: (0..DESTINATIONS).map(path).collect(),
            segments,
        }
    }
}

impl Work for Trains {
    fn prepare(&mut self, _turns: usize) {}

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            self.batch.clear();
            for &path in &self.paths {
                for _ in 0..self.segments {
                    black_box(self.batch.slot(PACKET_BYTES)).expect("a full batch");
                    self.batch.commit(path, PACKET_BYTES);
                }
            }
            assert_eq!(self.batch.trains().len(), DESTINATIONS);
        }
        (turns * DESTINATIONS * self.segments) as u64
    }
}
