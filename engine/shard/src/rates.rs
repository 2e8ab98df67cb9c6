//! What a source stream takes, layer by layer, over about the last two seconds: over one second the
//! base layer of a browser's fifteen frames has three or four, and its rate would swing by a quarter.

use crate::Timestamp;

/// Spatial and temporal layers of one stream that are told apart; higher ones count as the
/// highest.
pub(crate) const SPATIAL_LAYERS: usize = 4;
pub(crate) const TEMPORAL_LAYERS: usize = 4;
const CELLS: usize = SPATIAL_LAYERS * TEMPORAL_LAYERS;
const BUCKETS: usize = 16;
/// Buckets after which a layer of which nothing came is gone.
const GONE_BUCKETS: u64 = 7;
/// A bucket is 2^17 µs, so that finding it takes no division.
const BUCKET_SHIFT: u32 = 17;
const BUCKET_US: u64 = 1 << BUCKET_SHIFT;
/// Header, extensions and tag, on average, and the headers of UDP and IP: what the path carries is
/// counted with them.
const OVERHEAD_BYTES: u32 = 44 + 28;

/// Bytes of one stream by layer, in a ring of buckets.
#[derive(Debug, Default)]
pub(crate) struct LayerRates {
    bytes: [[u32; BUCKETS]; CELLS],
    /// Of these, what higher spatial layers build on.
    shared_bytes: [[u32; BUCKETS]; CELLS],
    /// Number of the bucket being filled; 0 before the first packet.
    current: u64,
    /// First bucket that counts: there was nothing, or a long silence, before.
    first: u64,
    /// Layers ever seen.
    cells_used: u16,
}

impl LayerRates {
    /// Takes note of a packet with that much payload; `is_shared` where higher spatial layers build
    /// on it.
    pub(crate) fn add(
        &mut self,
        now: Timestamp,
        spatial: u8,
        temporal: u8,
        is_shared: bool,
        payload_len: usize,
    ) {
        self.roll(now);
        let cell = cell(spatial, temporal);
        self.cells_used |= 1 << cell;
        let slot = self.current as usize % BUCKETS;
        let bytes = payload_len as u32 + OVERHEAD_BYTES;
        self.bytes[cell][slot] += bytes;
        if is_shared {
            self.shared_bytes[cell][slot] += bytes;
        }
    }

    /// Layers that are there, as `(spatial, temporal, bit/s)`, each with those it depends on, in
    /// ascending order; `None` for a rate that is not known yet.
    pub(crate) fn layers(&mut self, now: Timestamp) -> impl Iterator<Item = (u8, u8, Option<u64>)> {
        self.roll(now);
        let known = (self.current.saturating_sub(self.first)).min(BUCKETS as u64 - 1);
        (0..CELLS).filter_map(move |cell| {
            if self.cells_used & (1 << cell) == 0 {
                return None;
            }
            let (spatial, temporal) = (cell / TEMPORAL_LAYERS, cell % TEMPORAL_LAYERS);
            let below: u64 = (0..spatial)
                .flat_map(|s| (0..=temporal).map(move |t| s * TEMPORAL_LAYERS + t))
                .map(|below| self.complete(&self.shared_bytes[below]))
                .sum();
            let own: u64 = (spatial * TEMPORAL_LAYERS..=cell)
                .map(|own| self.complete(&self.bytes[own]))
                .sum();
            let bytes = below + own;
            if known >= GONE_BUCKETS && self.is_gone(&self.bytes[cell]) {
                return None;
            }
            let bps = (known >= 2).then(|| bytes * 8_000_000 / (known * BUCKET_US));
            Some((spatial as u8, temporal as u8, bps))
        })
    }

    /// Of all layers together.
    pub(crate) fn total_bps(&mut self, now: Timestamp) -> Option<u64> {
        self.roll(now);
        let known = (self.current.saturating_sub(self.first)).min(BUCKETS as u64 - 1);
        let bytes: u64 = self.bytes.iter().map(|cell| self.complete(cell)).sum();
        (known >= 2).then(|| bytes * 8_000_000 / (known * BUCKET_US))
    }

    /// Bytes in all buckets but the one being filled.
    fn complete(&self, cell: &[u32; BUCKETS]) -> u64 {
        let all: u64 = cell.iter().map(|&bytes| u64::from(bytes)).sum();
        all - u64::from(cell[self.current as usize % BUCKETS])
    }

    /// Nothing came in the last buckets, but for the one being filled.
    fn is_gone(&self, cell: &[u32; BUCKETS]) -> bool {
        let mut recent = self.current - GONE_BUCKETS..self.current;
        recent.all(|bucket| cell[bucket as usize % BUCKETS] == 0)
    }

    fn roll(&mut self, now: Timestamp) {
        let bucket = now.as_micros() >> BUCKET_SHIFT;
        if bucket <= self.current {
            return;
        }
        if bucket - self.current >= BUCKETS as u64 {
            self.bytes = Default::default();
            self.shared_bytes = Default::default();
            self.first = bucket;
        } else {
            for passed in self.current + 1..=bucket {
                for cell in self.bytes.iter_mut().chain(&mut self.shared_bytes) {
                    cell[passed as usize % BUCKETS] = 0;
                }
            }
        }
        self.current = bucket;
    }
}

fn cell(spatial: u8, temporal: u8) -> usize {
    usize::from(spatial).min(SPATIAL_LAYERS - 1) * TEMPORAL_LAYERS
        + usize::from(temporal).min(TEMPORAL_LAYERS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1_000)
    }

    #[test]
    fn a_layer_takes_what_those_below_it_take_too() {
        let mut rates = LayerRates::default();
        for ms in (0..2_000).step_by(10) {
            rates.add(at(ms), 0, 0, true, 53);
            rates.add(at(ms), 0, 1, false, 53);
            rates.add(at(ms), 1, 0, false, 178);
            rates.add(at(ms), 1, 1, false, 53);
        }
        let layers: Vec<_> = rates.layers(at(2_000)).collect();
        // In units of 100 kbit/s, a little of which is in the bucket being filled.
        let rates_of: Vec<_> = layers
            .iter()
            .map(|&(spatial, temporal, bps)| (spatial, temporal, (bps.unwrap() + 20_000) / 100_000))
            .collect();
        assert_eq!(rates_of, [(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 4)]);
        let total = rates.total_bps(at(2_000)).unwrap();
        assert!((480_000..=520_000).contains(&total), "{total}");
    }

    #[test]
    fn nothing_is_known_of_a_stream_that_just_began_or_came_back() {
        let mut rates = LayerRates::default();
        for start in [0, 5_000] {
            rates.add(at(start), 0, 0, false, 1_000);
            assert_eq!(rates.layers(at(start)).next().unwrap().2, None);
            for ms in (10..400).step_by(10) {
                rates.add(at(start + ms), 0, 0, false, 53);
            }
            assert!(rates.layers(at(start + 400)).next().unwrap().2.is_some());
        }
    }

    #[test]
    fn a_layer_that_stops_is_gone_within_a_second() {
        let mut rates = LayerRates::default();
        for ms in (0..3_000).step_by(10) {
            rates.add(at(ms), 0, 0, false, 53);
            if ms < 1_500 {
                rates.add(at(ms), 1, 0, false, 53);
            }
        }
        assert_eq!(rates.layers(at(3_000)).count(), 1);
    }
}
