//! Decode targets: what a receiver may decode of a layered stream. Whatever the codec calls them,
//! here a target is "everything up to this spatial and this temporal layer", and a set of them is
//! a word of 32 bits.

/// Spatial layers told apart; higher ones count as the highest.
const SPATIAL: u32 = 4;
/// Temporal layers told apart.
const TEMPORAL: u32 = 8;
/// A bit for each spatial layer: multiplied with a row of temporal layers, it repeats the row.
const EVERY_ROW: u32 = 0x0101_0101;
const ROW: u32 = 0xff;

/// A spatial and a temporal layer, counted from 0 (lowest). Ordered by spatial layer first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layer {
    /// 0–3.
    pub spatial: u8,
    /// 0–7.
    pub temporal: u8,
}

impl Layer {
    /// Above every layer there is.
    pub const TOP: Self = Self {
        spatial: SPATIAL as u8 - 1,
        temporal: TEMPORAL as u8 - 1,
    };

    /// The layer with these numbers, each cut to the highest told apart.
    pub const fn new(spatial: u8, temporal: u8) -> Self {
        Self {
            spatial: least(spatial, Self::TOP.spatial),
            temporal: least(temporal, Self::TOP.temporal),
        }
    }
}

/// A set of decode targets, each named by its highest layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Targets(u32);

impl Targets {
    /// No target.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(u32::MAX);

    /// That target alone.
    pub const fn only(target: Layer) -> Self {
        Self(1 << bit(target))
    }

    /// The targets a frame of that layer is part of, where every higher layer builds on it.
    pub const fn from(layer: Layer) -> Self {
        Self(temporal_from(layer.temporal) * (EVERY_ROW << (TEMPORAL * layer.spatial as u32)))
    }

    /// Of one spatial layer, the targets from that temporal layer up.
    pub const fn row_from(layer: Layer) -> Self {
        Self(temporal_from(layer.temporal) << (TEMPORAL * layer.spatial as u32))
    }

    /// From that spatial layer up, the targets of its temporal layer.
    pub const fn of_temporal(layer: Layer) -> Self {
        let column = EVERY_ROW << layer.temporal;
        Self(Self::from(layer).0 & column)
    }

    /// All targets up to a spatial layer.
    pub const fn up_to_spatial(spatial: u8) -> Self {
        Self(u32::MAX >> (TEMPORAL * (SPATIAL - 1 - Layer::new(spatial, 0).spatial as u32)))
    }

    /// In both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// In either.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In this one alone.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// It has that target.
    pub const fn contains(self, target: Layer) -> bool {
        self.0 >> bit(target) & 1 == 1
    }

    /// It has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// It has one above a spatial layer.
    pub const fn has_above_spatial(self, spatial: u8) -> bool {
        !self.without(Self::up_to_spatial(spatial)).is_empty()
    }

    /// The highest up to the wanted one; where there is none, the lowest of all.
    pub const fn best(self, wanted: Layer) -> Option<Layer> {
        self.best_meanwhile(wanted, 0)
    }

    /// The highest up to the wanted one. Where there is none, of the lowest spatial layer above it
    /// the highest temporal layer up to `meanwhile`, else its lowest.
    pub const fn best_meanwhile(self, wanted: Layer, meanwhile: u8) -> Option<Layer> {
        if self.is_empty() {
            return None;
        }
        let rows = EVERY_ROW & Self::up_to_spatial(wanted.spatial).0;
        let at_most = self.0 & (row_to(wanted.temporal) * rows);
        let bit = if at_most == 0 {
            let lowest = self.0.trailing_zeros();
            let row_start = lowest - lowest % TEMPORAL;
            let up_to = self.0 & (row_to(meanwhile) << row_start);
            if up_to == 0 { lowest } else { up_to.ilog2() }
        } else {
            at_most.ilog2()
        };
        Some(Layer {
            spatial: (bit / TEMPORAL) as u8,
            temporal: (bit % TEMPORAL) as u8,
        })
    }

    /// With those of `granted` whose next lower temporal layer is in it, step by step.
    pub(crate) fn climb_temporal(self, granted: Self) -> Self {
        self.climb(granted, 1)
    }

    /// With those of `granted` whose next lower spatial layer is in it, step by step.
    pub(crate) fn climb_spatial(self, granted: Self) -> Self {
        self.climb(granted, TEMPORAL)
    }

    fn climb(self, granted: Self, step: u32) -> Self {
        let mut all = self.0;
        loop {
            let more = all | (all << step) & granted.0;
            if more == all {
                return Self(all);
            }
            all = more;
        }
    }
}

const fn bit(target: Layer) -> u32 {
    TEMPORAL * target.spatial as u32 + target.temporal as u32
}

const fn row_to(temporal: u8) -> u32 {
    ROW >> (TEMPORAL - 1 - least(temporal, Layer::TOP.temporal) as u32)
}

const fn temporal_from(temporal: u8) -> u32 {
    ROW << temporal & ROW
}

const fn least(a: u8, b: u8) -> u8 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn l(spatial: u8, temporal: u8) -> Layer {
        Layer { spatial, temporal }
    }

    #[test]
    fn what_a_frame_is_part_of() {
        for spatial in 0..4 {
            for temporal in 0..8 {
                let from = Targets::from(l(spatial, temporal));
                let row = Targets::row_from(l(spatial, temporal));
                for s in 0..4 {
                    for t in 0..8 {
                        let above = s >= spatial && t >= temporal;
                        assert_eq!(from.contains(l(s, t)), above);
                        let is_of = s >= spatial && t == temporal;
                        let of_temporal = Targets::of_temporal(l(spatial, temporal));
                        assert_eq!(of_temporal.contains(l(s, t)), is_of);
                        assert_eq!(row.contains(l(s, t)), above && s == spatial);
                        let up_to = Targets::up_to_spatial(spatial);
                        assert_eq!(up_to.contains(l(s, t)), s <= spatial);
                    }
                }
            }
        }
        assert!(Targets::ALL.has_above_spatial(2));
        assert!(!Targets::ALL.has_above_spatial(3));
    }

    #[test]
    fn the_best_is_the_highest_up_to_the_wanted_one() {
        let all = Targets::ALL;
        assert_eq!(all.best(l(2, 1)), Some(l(2, 1)));
        let some = Targets::row_from(l(0, 0)).or(Targets::row_from(l(2, 1)));
        assert_eq!(some.best(l(1, 7)), Some(l(0, 7)));
        assert_eq!(some.best(l(2, 0)), Some(l(0, 0)));
        assert_eq!(some.best(l(3, 2)), Some(l(2, 2)));
        let upper = Targets::row_from(l(2, 1));
        assert_eq!(upper.best(l(0, 7)), Some(l(2, 1)), "nothing lower");
        assert_eq!(Targets::NONE.best(Layer::TOP), None);
    }

    #[test]
    fn what_is_above_goes_on_with_what_it_may_meanwhile() {
        let upper = Targets::row_from(l(1, 0)).or(Targets::row_from(l(2, 0)));
        assert_eq!(upper.best_meanwhile(l(0, 7), 2), Some(l(1, 2)));
        let some = Targets::only(l(2, 1));
        assert_eq!(some.best_meanwhile(l(0, 2), 0), Some(l(2, 1)), "no less");
        assert_eq!(upper.best_meanwhile(l(2, 1), 7), Some(l(2, 1)), "no wait");
    }

    #[test]
    fn steps_up_need_the_step_below() {
        let base = Targets::only(l(0, 0));
        let granted = Targets::row_from(l(0, 1));
        assert_eq!(base.climb_temporal(granted), Targets::row_from(l(0, 0)));
        let second = Targets::row_from(l(0, 2));
        assert_eq!(base.climb_temporal(second), base);
        let rows = Targets::row_from(l(1, 0));
        let climbed = base.climb_spatial(rows);
        assert!(climbed.contains(l(1, 0)) && !climbed.contains(l(1, 1)));
    }
}
