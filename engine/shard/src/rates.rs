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

/// A number of bytes for each layer.
type Bytes = [u32; CELLS];

/// Bytes of one stream by layer, in a ring of buckets.
#[derive(Debug, Default)]
pub(crate) struct LayerRates {
    all: Ring,
    /// Of these, what higher spatial layers build on.
    shared: Ring,
    /// Buckets before the one being filled in which nothing came, in a row.
    quiet: [u8; CELLS],
    /// Buckets that each layer's rate is of: those since it began.
    since: [u8; CELLS],
    /// Layers of which something came in the bucket being filled.
    cells_heard: u16,
    /// Number of the bucket being filled; 0 before the first packet.
    current: u64,
    /// First bucket that counts: there was nothing, or a long silence, before.
    first: u64,
    /// Layers ever seen.
    cells_used: u16,
    /// What each layer took when it was last heard: it takes about that when it comes back.
    earlier: CellRates,
}

/// What each layer takes by itself, in bytes per second; 0 where that is not known.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellRates {
    all: Bytes,
    shared: Bytes,
}

#[derive(Debug, Default)]
struct Ring {
    buckets: [Bytes; BUCKETS],
    /// Of all buckets but the one being filled.
    complete: Bytes,
    /// Of key frames, yet to be counted.
    owed: Bytes,
}

impl CellRates {
    /// As many bytes as [`Self::to_bytes`] gives.
    pub(crate) const BYTES: usize = 2 * 4 * CELLS;

    /// For another shard.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers = self.all.into_iter().chain(self.shared);
        for (four, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            four.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// What [`Self::to_bytes`] gave; `None` where that is not as long.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut rates = Self::default();
        let numbers = rates.all.iter_mut().chain(&mut rates.shared);
        let (fours, _) = bytes.as_chunks::<4>();
        for (number, four) in numbers.zip(fours) {
            *number = u32::from_be_bytes(*four);
        }
        Some(rates)
    }
}

impl LayerRates {
    /// Takes note of a packet.
    pub(crate) fn add(&mut self, now: Timestamp, packet: Counted) {
        self.roll(now);
        let is_gone = |quiet: u8| u64::from(quiet) >= GONE_BUCKETS;
        if self.cells_heard == 0 && self.quiet.iter().all(|&quiet| is_gone(quiet)) {
            self.restart(self.current);
        }
        let cell = cell(packet.layer);
        if self.cells_heard >> cell & 1 == 0 && is_gone(self.quiet[cell]) {
            // Nothing of before counts.
            self.since[cell] = 0;
            self.all.forget(cell);
            self.shared.forget(cell);
        }
        self.cells_used |= 1 << cell;
        self.cells_heard |= 1 << cell;
        let bytes = packet.payload_len as u32 + OVERHEAD_BYTES;
        self.all.add(self.current, cell, bytes, packet.is_key);
        if packet.is_shared {
            self.shared.add(self.current, cell, bytes, packet.is_key);
        }
    }

    /// Layers that are there, as `(spatial, temporal, bit/s)`, each with those it depends on, in
    /// ascending order; `None` for a rate that is not known yet. Of what is just back it is that of
    /// before.
    pub(crate) fn layers(&mut self, now: Timestamp) -> impl Iterator<Item = (u8, u8, Option<u64>)> {
        self.roll(now);
        let known = self.known();
        let rates = self.rates();
        (0..CELLS).filter_map(move |cell| {
            let is_gone = known >= GONE_BUCKETS && u64::from(self.quiet[cell]) >= GONE_BUCKETS;
            if self.cells_used & (1 << cell) == 0 || is_gone {
                return None;
            }
            let (spatial, temporal) = (cell / TEMPORAL_LAYERS, cell % TEMPORAL_LAYERS);
            let below: u64 = (0..spatial)
                .flat_map(|s| (0..=temporal).map(move |t| s * TEMPORAL_LAYERS + t))
                .map(|below| u64::from(rates.shared[below]))
                .sum();
            let own: u64 = (spatial * TEMPORAL_LAYERS..=cell)
                .map(|own| u64::from(rates.all[own]))
                .sum();
            let is_known = rates.all[cell] > 0;
            let bps = is_known.then_some((below + own) * 8);
            Some((spatial as u8, temporal as u8, bps))
        })
    }

    /// Of all layers together.
    pub(crate) fn total_bps(&mut self, now: Timestamp) -> Option<u64> {
        self.roll(now);
        let bytes: u64 = match self.known() {
            0..MIN_BUCKETS => self.earlier.all.iter().map(|&rate| u64::from(rate)).sum(),
            known => {
                let bytes: u64 = self.all.complete.iter().map(|&it| u64::from(it)).sum();
                return Some(per_second(bytes, known) * 8);
            }
        };
        (bytes > 0).then_some(bytes * 8)
    }

    /// What is known of each layer by itself.
    pub(crate) fn rates(&self) -> CellRates {
        let mut rates = self.earlier;
        for cell in 0..CELLS {
            let buckets = u64::from(self.since[cell]);
            if buckets >= MIN_BUCKETS {
                let rate = |ring: &Ring| per_second(ring.complete[cell].into(), buckets) as u32;
                rates.all[cell] = rate(&self.all);
                rates.shared[cell] = rate(&self.shared);
            }
        }
        rates
    }

    /// Takes what another shard knew of a stream that is to come from there.
    pub(crate) fn expect(&mut self, rates: CellRates) {
        for (cell, &rate) in rates.all.iter().enumerate() {
            self.cells_used |= u16::from(rate > 0) << cell;
        }
        self.earlier = rates;
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
                self.complete_one(filled);
            }
        }
        self.current = bucket;
    }

    fn complete_one(&mut self, filled: u64) {
        let heard = std::mem::take(&mut self.cells_heard);
        for cell in 0..CELLS {
            let (quiet, since) = (&mut self.quiet[cell], &mut self.since[cell]);
            *quiet = match heard >> cell & 1 {
                0 => quiet.saturating_add(1),
                _ => 0,
            };
            if *quiet == 0 || *since > 0 {
                *since = (*since + 1).min(BUCKETS as u8 - 1);
            }
        }
        self.all.complete_one(filled);
        self.shared.complete_one(filled);
        let rates = self.rates();
        for cell in (0..CELLS).filter(|cell| heard >> cell & 1 == 1) {
            self.earlier.all[cell] = rates.all[cell];
            self.earlier.shared[cell] = rates.shared[cell];
        }
    }

    fn restart(&mut self, bucket: u64) {
        self.all = Ring::default();
        self.shared = Ring::default();
        self.quiet = [u8::MAX; CELLS];
        self.since = [0; CELLS];
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

    /// Nothing of a layer that came before counts.
    fn forget(&mut self, cell: usize) {
        for bucket in &mut self.buckets {
            bucket[cell] = 0;
        }
        self.complete[cell] = 0;
        self.owed[cell] = 0;
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

/// So many bytes in so many buckets.
const fn per_second(bytes: u64, buckets: u64) -> u64 {
    bytes * 1_000_000 / (buckets * BUCKET_US)
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
    fn a_layer_that_joins_takes_all_that_it_takes_from_the_start() {
        let mut rates = LayerRates::default();
        for ms in (0..3_000).step_by(10) {
            add(&mut rates, at(ms), (0, 0), true, 53);
            if ms >= 2_500 {
                add(&mut rates, at(ms), (1, 0), false, 178);
            }
        }
        let upper: Vec<_> = rates.layers(at(3_000)).skip(1).collect();
        let &[(1, 0, Some(bps))] = &upper[..] else {
            panic!("{upper:?}");
        };
        assert!((240_000..=320_000).contains(&bps), "{bps}");
    }

    #[test]
    fn what_another_shard_knows_counts_until_there_is_more() {
        let mut here = LayerRates::default();
        let mut there = LayerRates::default();
        for ms in (0..2_000).step_by(10) {
            add(&mut here, at(ms), (0, 0), false, 53);
        }
        let bytes = here.rates().to_bytes();
        there.expect(CellRates::from_bytes(&bytes).unwrap());
        let close_to = |rates: &mut LayerRates, now, bps: u64| {
            let found = rates.layers(now).next().unwrap().2.unwrap();
            assert!(found.abs_diff(bps) * 10 < bps, "{found} of {bps}");
        };
        close_to(&mut there, at(2_000), 100_000);
        for ms in (2_000..3_000).step_by(10) {
            add(&mut there, at(ms), (0, 0), false, 178);
        }
        close_to(&mut there, at(3_000), 200_000);
        assert_eq!(CellRates::from_bytes(&bytes[1..]), None);
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
