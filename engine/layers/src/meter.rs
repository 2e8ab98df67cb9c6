//! What each layer of a source stream takes.

use crate::packet_layers::PacketLayers;
use crate::targets::Layer;

const SPATIAL: usize = Layer::TOP.spatial as usize + 1;
const TEMPORAL: usize = Layer::TOP.temporal as usize + 1;
/// Most layers of one stream.
pub const MAX_LAYER_RATES: usize = SPATIAL * TEMPORAL;
/// Rates follow what comes within this time, in microseconds.
const AVERAGED_US: u64 = 1_000_000;
/// A layer is gone when nothing of it came for this long.
const GONE_US: u64 = 1_000_000;

/// A layer that is there, and what it takes to send it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerRate {
    /// The layer.
    pub layer: Layer,
    /// In bit/s, the layers it builds on included.
    pub bps: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    bytes: u32,
    /// Of these, what higher spatial layers need too.
    shared_bytes: u32,
    bps: f32,
    shared_bps: f32,
    /// Microseconds without a byte.
    idle_us: u32,
    is_there: bool,
}

/// Measures the layers of one source stream. 800 bytes.
#[derive(Debug, Default)]
pub struct LayerMeter {
    cells: [[Cell; TEMPORAL]; SPATIAL],
    measured_us: Option<u64>,
}

impl LayerMeter {
    /// Counts a packet of that many bytes.
    pub fn add(&mut self, layers: &PacketLayers, bytes: usize) {
        let layer = layers.layer();
        let cell = &mut self.cells[usize::from(layer.spatial)][usize::from(layer.temporal)];
        cell.bytes = cell.bytes.saturating_add(bytes as u32);
        if layers.serves_above() {
            cell.shared_bytes = cell.shared_bytes.saturating_add(bytes as u32);
        }
    }

    /// Takes what was counted since the last call into the averages; to be called some times a
    /// second. `now_us` is on any monotonic clock.
    pub fn measure(&mut self, now_us: u64) {
        let is_first = self.measured_us.is_none();
        let elapsed_us = now_us.saturating_sub(self.measured_us.unwrap_or(now_us));
        self.measured_us = Some(now_us);
        if elapsed_us == 0 && !is_first {
            return;
        }
        for cell in self.cells.as_flattened_mut() {
            cell.measure(elapsed_us);
        }
    }

    /// The layers that are there, in ascending order; how many of `rates` they take.
    pub fn rates(&self, rates: &mut [LayerRate; MAX_LAYER_RATES]) -> usize {
        let mut count = 0;
        let mut shared = [0.0; TEMPORAL];
        for (spatial, row) in self.cells.iter().enumerate() {
            let mut bps = 0.0;
            let mut below = 0.0;
            for (temporal, cell) in row.iter().enumerate() {
                bps += cell.bps;
                below += shared[temporal];
                if cell.is_there {
                    rates[count] = LayerRate {
                        layer: Layer::new(spatial as u8, temporal as u8),
                        bps: (bps + below) as u64,
                    };
                    count += 1;
                }
            }
            for (shared, cell) in shared.iter_mut().zip(row) {
                *shared += cell.shared_bps;
            }
        }
        count
    }
}

impl Cell {
    fn measure(&mut self, elapsed_us: u64) {
        if self.bytes > 0 {
            self.idle_us = 0;
        } else {
            self.idle_us = self.idle_us.saturating_add(elapsed_us as u32);
        }
        if u64::from(self.idle_us) >= GONE_US {
            *self = Self::default();
            return;
        }
        let was_there = self.is_there;
        self.is_there |= self.bytes > 0;
        if elapsed_us > 0 {
            // The first measure of a layer counts whole.
            let weight = match was_there && self.bps > 0.0 {
                true => elapsed_us as f32 / (elapsed_us + AVERAGED_US) as f32,
                false => 1.0,
            };
            let bps = |bytes: u32| bytes as f32 * 8_000_000.0 / elapsed_us as f32;
            self.bps += (bps(self.bytes) - self.bps) * weight;
            self.shared_bps += (bps(self.shared_bytes) - self.shared_bps) * weight;
        }
        (self.bytes, self.shared_bytes) = (0, 0);
    }
}
