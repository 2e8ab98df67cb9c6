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

/// Bytes by layer.
type Bytes = [u32; CELLS];

/// Bytes of one stream by layer, in a ring of buckets.
#[derive(Debug, Default)]
pub(crate) struct LayerRates {
    all: Ring,
    /// Of these, what higher spatial layers build on.
    shared: Ring,
    /// Buckets before the one being filled in which nothing came, in a row.
    quiet: [u8; CELLS],
    /// Number of the bucket being filled; 0 before the first packet.
    current: u64,
    /// First bucket that counts: there was nothing, or a long silence, before.
    first: u64,
    /// Layers ever seen.
    cells_used: u16,
}

#[derive(Debug, Default)]
struct Ring {
    buckets: [Bytes; BUCKETS],
    /// Of all buckets but the one being filled.
    complete: Bytes,
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
        let slot = slot(self.current);
        let bytes = payload_len as u32 + OVERHEAD_BYTES;
        self.all.buckets[slot][cell] += bytes;
        if is_shared {
            self.shared.buckets[slot][cell] += bytes;
        }
    }

    /// Layers that are there, as `(spatial, temporal, bit/s)`, each with those it depends on, in
    /// ascending order; `None` for a rate that is not known yet.
    pub(crate) fn layers(&mut self, now: Timestamp) -> impl Iterator<Item = (u8, u8, Option<u64>)> {
        self.roll(now);
        let known = self.known();
        (0..CELLS).filter_map(move |cell| {
            let is_gone = known >= GONE_BUCKETS && u64::from(self.quiet[cell]) >= GONE_BUCKETS;
            if self.cells_used & (1 << cell) == 0 || is_gone {
                return None;
            }
            let (spatial, temporal) = (cell / TEMPORAL_LAYERS, cell % TEMPORAL_LAYERS);
            let below: u64 = (0..spatial)
                .flat_map(|s| (0..=temporal).map(move |t| s * TEMPORAL_LAYERS + t))
                .map(|below| u64::from(self.shared.complete[below]))
                .sum();
            let own: u64 = (spatial * TEMPORAL_LAYERS..=cell)
                .map(|own| u64::from(self.all.complete[own]))
                .sum();
            Some((spatial as u8, temporal as u8, rate_bps(below + own, known)))
        })
    }

    /// Of all layers together.
    pub(crate) fn total_bps(&mut self, now: Timestamp) -> Option<u64> {
        self.roll(now);
        let complete = self.all.complete.iter();
        rate_bps(complete.map(|&bytes| u64::from(bytes)).sum(), self.known())
    }

    /// Buckets that are complete and count.
    fn known(&self) -> u64 {
        self.current
            .saturating_sub(self.first)
            .min(BUCKETS as u64 - 1)
    }

    fn roll(&mut self, now: Timestamp) {
        let bucket = now.as_micros() >> BUCKET_SHIFT;
        if bucket > self.current {
            self.roll_to(bucket);
        }
    }

    fn roll_to(&mut self, bucket: u64) {
        if bucket - self.current >= BUCKETS as u64 {
            self.all = Ring::default();
            self.shared = Ring::default();
            self.quiet = [u8::MAX; CELLS];
            self.first = bucket;
        } else {
            for filled in self.current..bucket {
                for (quiet, &bytes) in self.quiet.iter_mut().zip(&self.all.buckets[slot(filled)]) {
                    *quiet = if bytes == 0 {
                        quiet.saturating_add(1)
                    } else {
                        0
                    };
                }
                self.all.complete_one(filled);
                self.shared.complete_one(filled);
            }
        }
        self.current = bucket;
    }
}

impl Ring {
    /// A bucket is filled; the oldest is the next to be.
    fn complete_one(&mut self, filled: u64) {
        let filled_bytes = self.buckets[slot(filled)];
        let oldest = std::mem::take(&mut self.buckets[slot(filled + 1)]);
        let both = filled_bytes.iter().zip(&oldest);
        for (complete, (filled, oldest)) in self.complete.iter_mut().zip(both) {
            *complete = *complete + filled - oldest;
        }
    }
}

const fn slot(bucket: u64) -> usize {
    bucket as usize % BUCKETS
}

/// The rate of so many bytes in so many buckets, from two on.
fn rate_bps(bytes: u64, buckets: u64) -> Option<u64> {
    (buckets >= 2).then(|| bytes * 8_000_000 / (buckets * BUCKET_US))
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
