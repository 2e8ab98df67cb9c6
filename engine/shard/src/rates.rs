//! What a source stream takes, layer by layer, over about the last two seconds: over one second the
//! base layer of a browser's fifteen frames has three or four, and its rate would swing by a quarter.
//!
//! A key frame takes what a second or so of others does, and its sender makes up for it by less
//! afterwards, in all of its layers. So it counts as if it came over the time there usually is between two,
//! or layers would seem to grow with each.

use weirgate_layers::Layer;

use crate::Timestamp;

/// Spatial and temporal layers of one stream that are told apart; higher ones count as the
/// highest.
pub(crate) const SPATIAL_LAYERS: usize = 4;
pub(crate) const TEMPORAL_LAYERS: usize = 4;
const CELLS: usize = SPATIAL_LAYERS * TEMPORAL_LAYERS;
const BUCKETS: usize = 16;
/// Buckets after which a layer of which nothing came is gone.
const GONE_BUCKETS: u64 = 7;
/// Buckets from which a rate is known.
const MIN_BUCKETS: u64 = 2;
/// A bucket is 2^17 µs, so that finding it takes no division.
const BUCKET_SHIFT: u32 = 17;
const BUCKET_US: u64 = 1 << BUCKET_SHIFT;
/// The part of what is owed by key frames that each bucket gets: most of it within three seconds, in which
/// there is one for those who have a picture meanwhile.
const OWED_DIVISOR: u32 = 24;
/// Header, extensions and tag, on average, and the headers of UDP and IP: what the path carries is
/// counted with them.
const OVERHEAD_BYTES: u32 = 44 + 28;

/// A packet, as far as it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) layer: Layer,
    /// It is of a key frame.
    pub(crate) is_key: bool,
    /// Higher spatial layers build on it.
    pub(crate) is_shared: bool,
    pub(crate) payload_len: usize,
}

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
    /// Layers of which something came in the bucket being filled.
    cells_heard: u16,
    /// Number of the bucket being filled; 0 before the first packet.
    current: u64,
    /// First bucket that counts: there was nothing, or a long silence, before.
    first: u64,
    /// Layers ever seen.
    cells_used: u16,
    /// What it took when it was last heard, in bytes of so many buckets: it takes about that when it comes
    /// back.
    earlier: Sums,
}

/// Bytes of complete buckets, and how many these are.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    all: Bytes,
    shared: Bytes,
    buckets: u64,
}

#[derive(Debug, Default)]
struct Ring {
    buckets: [Bytes; BUCKETS],
    /// Of all buckets but the one being filled.
    complete: Bytes,
    /// Of key frames, yet to be counted.
    owed: Bytes,
}

impl LayerRates {
    /// Takes note of a packet.
    pub(crate) fn add(&mut self, now: Timestamp, packet: Counted) {
        self.roll(now);
        let is_back =
            self.cells_heard == 0 && self.quiet.iter().all(|&q| u64::from(q) >= GONE_BUCKETS);
        if is_back {
            self.restart(self.current);
        }
        let cell = cell(packet.layer);
        self.cells_used |= 1 << cell;
        self.cells_heard |= 1 << cell;
        let bytes = packet.payload_len as u32 + OVERHEAD_BYTES;
        self.all.add(self.current, cell, bytes, packet.is_key);
        if packet.is_shared {
            self.shared.add(self.current, cell, bytes, packet.is_key);
        }
    }

    /// Layers that are there, as `(spatial, temporal, bit/s)`, each with those it depends on, in
    /// ascending order; `None` for a rate that is not known yet. Of a stream that is just back it is that of
    /// before.
    pub(crate) fn layers(&mut self, now: Timestamp) -> impl Iterator<Item = (u8, u8, Option<u64>)> {
        self.roll(now);
        let known = self.known();
        let sums = match known {
            0..MIN_BUCKETS => self.earlier,
            _ => self.sums(),
        };
        (0..CELLS).filter_map(move |cell| {
            let is_gone = known >= GONE_BUCKETS && u64::from(self.quiet[cell]) >= GONE_BUCKETS;
            if self.cells_used & (1 << cell) == 0 || is_gone {
                return None;
            }
            let (spatial, temporal) = (cell / TEMPORAL_LAYERS, cell % TEMPORAL_LAYERS);
            let below: u64 = (0..spatial)
                .flat_map(|s| (0..=temporal).map(move |t| s * TEMPORAL_LAYERS + t))
                .map(|below| u64::from(sums.shared[below]))
                .sum();
            let own: u64 = (spatial * TEMPORAL_LAYERS..=cell)
                .map(|own| u64::from(sums.all[own]))
                .sum();
            let bps = rate_bps(below + own, sums.buckets);
            Some((spatial as u8, temporal as u8, bps))
        })
    }

    /// Of all layers together.
    pub(crate) fn total_bps(&mut self, now: Timestamp) -> Option<u64> {
        self.roll(now);
        let complete = self.all.complete.iter();
        rate_bps(complete.map(|&bytes| u64::from(bytes)).sum(), self.known())
    }

    fn sums(&self) -> Sums {
        Sums {
            all: self.all.complete,
            shared: self.shared.complete,
            buckets: self.known(),
        }
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
        let is_first = self.current == 0;
        if is_first || bucket - self.current >= BUCKETS as u64 {
            self.restart(bucket);
        } else {
            for filled in self.current..bucket {
                let heard = std::mem::take(&mut self.cells_heard);
                for (cell, quiet) in self.quiet.iter_mut().enumerate() {
                    *quiet = match heard >> cell & 1 {
                        0 => quiet.saturating_add(1),
                        _ => 0,
                    };
                }
                self.all.complete_one(filled);
                self.shared.complete_one(filled);
                if heard != 0 {
                    self.current = filled + 1;
                    self.earlier = self.sums();
                }
            }
        }
        self.current = bucket;
    }

    fn restart(&mut self, bucket: u64) {
        self.all = Ring::default();
        self.shared = Ring::default();
        self.quiet = [u8::MAX; CELLS];
        self.cells_heard = 0;
        self.first = bucket;
    }
}

impl Ring {
    fn add(&mut self, bucket: u64, cell: usize, bytes: u32, is_key: bool) {
        let counted = match is_key {
            true => &mut self.owed[cell],
            false => &mut self.buckets[slot(bucket)][cell],
        };
        *counted = counted.saturating_add(bytes);
    }

    /// A bucket is filled; the oldest is the next to be, and begins with its part of what is owed.
    fn complete_one(&mut self, filled: u64) {
        let filled_bytes = self.buckets[slot(filled)];
        let oldest = std::mem::take(&mut self.buckets[slot(filled + 1)]);
        let both = filled_bytes.iter().zip(&oldest);
        for (complete, (filled, oldest)) in self.complete.iter_mut().zip(both) {
            *complete = *complete + filled - oldest;
        }
        let next = &mut self.buckets[slot(filled + 1)];
        for (bytes, owed) in next.iter_mut().zip(&mut self.owed) {
            *bytes = owed.div_ceil(OWED_DIVISOR);
            *owed -= *bytes;
        }
    }
}

const fn slot(bucket: u64) -> usize {
    bucket as usize % BUCKETS
}

/// The rate of so many bytes in so many buckets, if these are enough.
fn rate_bps(bytes: u64, buckets: u64) -> Option<u64> {
    (buckets >= MIN_BUCKETS).then(|| bytes * 8_000_000 / (buckets * BUCKET_US))
}

fn cell(layer: Layer) -> usize {
    usize::from(layer.spatial).min(SPATIAL_LAYERS - 1) * TEMPORAL_LAYERS
        + usize::from(layer.temporal).min(TEMPORAL_LAYERS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(rates: &mut LayerRates, now: Timestamp, layer: (u8, u8), is_shared: bool, len: usize) {
        let layer = Layer::new(layer.0, layer.1);
        let packet = Counted {
            layer,
            is_key: false,
            is_shared,
            payload_len: len,
        };
        rates.add(now, packet);
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1_000)
    }

    #[test]
    fn a_layer_takes_what_those_below_it_take_too() {
        let mut rates = LayerRates::default();
        for ms in (0..2_000).step_by(10) {
            add(&mut rates, at(ms), (0, 0), true, 53);
            add(&mut rates, at(ms), (0, 1), false, 53);
            add(&mut rates, at(ms), (1, 0), false, 178);
            add(&mut rates, at(ms), (1, 1), false, 53);
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
    fn nothing_is_known_of_a_stream_that_just_began() {
        let mut rates = LayerRates::default();
        add(&mut rates, at(0), (0, 0), false, 1_000);
        assert_eq!(rates.layers(at(0)).next().unwrap().2, None);
        for ms in (10..400).step_by(10) {
            add(&mut rates, at(ms), (0, 0), false, 53);
        }
        assert!(rates.layers(at(400)).next().unwrap().2.is_some());
    }

    #[test]
    fn one_that_comes_back_takes_what_it_took() {
        let mut rates = LayerRates::default();
        for ms in (0..2_000).step_by(10) {
            add(&mut rates, at(ms), (0, 0), false, 53);
        }
        // Others may ask in between, or none.
        for (gone, back) in [(2_000, 5_000), (5_000, 9_000)] {
            if gone == 2_000 {
                for ms in (gone..back).step_by(100) {
                    rates.layers(at(ms)).count();
                }
            }
            add(&mut rates, at(back), (0, 0), false, 1_000);
            let bps = rates.layers(at(back)).next().unwrap().2.unwrap();
            assert!((90_000..=110_000).contains(&bps), "{bps}");
            for ms in (10..2_000).step_by(10) {
                add(&mut rates, at(back + ms), (0, 0), false, 53);
            }
        }
    }

    #[test]
    fn the_time_before_a_stream_does_not_count_however_short_it_was() {
        let mut rates = LayerRates::default();
        for ms in (500..1_000).step_by(10) {
            add(
                &mut rates,
                Timestamp::from_micros(ms * 1_000),
                (0, 0),
                false,
                53,
            );
        }
        let bps = rates.total_bps(Timestamp::from_micros(1_000_000)).unwrap();
        assert!((75_000..=110_000).contains(&bps), "{bps}");
    }

    #[test]
    fn a_layer_that_stops_is_gone_within_a_second() {
        let mut rates = LayerRates::default();
        for ms in (0..3_000).step_by(10) {
            add(&mut rates, at(ms), (0, 0), false, 53);
            if ms < 1_500 {
                add(&mut rates, at(ms), (1, 0), false, 53);
            }
        }
        assert_eq!(rates.layers(at(3_000)).count(), 1);
    }

    /// Frames of 100 kbit/s, and a key frame every three seconds that takes a second's worth, after which
    /// the sender sends next to nothing for as long.
    #[test]
    fn a_key_picture_makes_no_layer_dearer() {
        let mut rates = LayerRates::default();
        let mut seen = Vec::new();
        for ms in (0..12_000u64).step_by(50) {
            let since_key = ms % 3_000;
            let is_key = since_key == 0;
            let payload_len = match since_key {
                0 => 12_500,
                1..1_000 => 0,
                _ => 553,
            };
            let packet = Counted {
                layer: Layer::default(),
                is_key,
                is_shared: false,
                payload_len,
            };
            rates.add(at(ms), packet);
            if ms > 3_000 {
                seen.push(rates.total_bps(at(ms)).unwrap());
            }
        }
        let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
        assert!(*least > 80_000 && *most < 130_000, "{least} to {most}");
    }
}
