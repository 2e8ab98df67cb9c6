//! Axes of charts: where their marks are and what these say.

use std::ops::Range;

/// How values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    /// By the decimal logarithm.
    Log,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// What is shown, with its unit.
    pub(super) label: String,
    scale: Scale,
    range: Range<f64>,
    /// Position and text.
    marks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to at least the largest of the values, with round marks.
    pub(super) fn linear(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let largest = finite(values).fold(0.0, f64::max);
        // Nothing but zeros: from 0 to 1.
        let step = if largest > 0.0 {
            round_step(largest / 6.0)
        } else {
            1.0
        };
        let steps = (largest / step - 1e-9).ceil().max(1.0) as u32;
        let top = f64::from(steps) * step;
        let marks = (0..=steps).map(|index| {
            let value = f64::from(index) * step;
            (value, number(value, step, top))
        });
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            range: 0.0..top,
            marks: marks.collect(),
        }
    }

    /// Of whole numbers from `range.start` to `range.end`, half a step of room at both ends.
    pub(super) fn whole(label: &str, range: Range<u64>) -> Self {
        let step = (round_step((range.end - range.start) as f64 / 10.0) as u64).max(1);
        let marks = (range.start..=range.end)
            .filter(|value| value % step == 0 || *value == range.start)
            .map(|value| (value as f64, value.to_string()));
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            range: range.start as f64 - 0.6..range.end as f64 + 0.6,
            marks: marks.collect(),
        }
    }

    /// Logarithmic around the positive values, with marks at 1, 2 and 5 times each power of ten,
    /// or at the powers alone where they are many.
    pub(super) fn logarithmic(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (smallest, largest) = finite(values)
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, 0.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (smallest, largest) = if largest > 0.0 {
            (smallest.log10(), largest.log10())
        } else {
            (0.0, 1.0)
        };
        let factors: &[f64] = if largest - smallest > 3.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let first = smallest.floor() as i32;
        let last = largest.ceil() as i32;
        let all: Vec<f64> = (first..=last)
            .flat_map(|power| {
                factors
                    .iter()
                    .map(move |factor| factor * 10_f64.powi(power))
            })
            .collect();
        // A hair's breadth of tolerance: a value on a mark needs no further one.
        let low = all.iter().rposition(|mark| mark.log10() <= smallest + 1e-9);
        let high = all.iter().position(|mark| mark.log10() >= largest - 1e-9);
        let low = low.unwrap_or_default();
        let high = high
            .unwrap_or(all.len() - 1)
            .max(low + 1)
            .min(all.len() - 1);
        let marks = all[low..=high]
            .iter()
            .map(|value| (value.log10(), number(*value, *value, *value)));
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
            range: all[low].log10()..all[high].log10(),
            marks: marks.collect(),
        }
    }

    /// Quantiles below 1 as 1 / (1 - quantile) on a logarithmic scale: every nine more takes the
    /// same width. Up to the first mark not below `furthest`.
    pub(super) fn percentiles(label: &str, furthest: f64) -> Self {
        const MARKS: [(f64, &str); 8] = [
            (1.0, "0"),
            (2.0, "50"),
            (10.0, "90"),
            (100.0, "99"),
            (1_000.0, "99.9"),
            (10_000.0, "99.99"),
            (100_000.0, "99.999"),
            (1_000_000.0, "99.9999"),
        ];
        let enough = MARKS.iter().position(|(at, _)| *at >= furthest.max(10.0));
        let shown = &MARKS[..=enough.unwrap_or(MARKS.len() - 1)];
        let marks: Vec<(f64, String)> = shown
            .iter()
            .map(|(at, text)| (at.log10(), (*text).to_owned()))
            .collect();
        let end = marks.last().map_or(1.0, |(at, _)| *at);
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
            range: 0.0..end,
            marks,
        }
    }

    /// Where a value lies; `None` outside the axis.
    pub(super) fn position(&self, value: f64) -> Option<f64> {
        let position = match self.scale {
            Scale::Linear => value,
            // What a logarithm can not show lies at the lower end.
            Scale::Log if value <= 0.0 => self.range.start,
            Scale::Log => value.log10(),
        };
        let tolerance = (self.range.end - self.range.start) * 1e-9;
        (self.range.start - tolerance..=self.range.end + tolerance)
            .contains(&position)
            .then_some(position)
    }

    pub(super) fn range(&self) -> Range<f64> {
        self.range.clone()
    }

    pub(super) fn marks(&self) -> &[(f64, String)] {
        &self.marks
    }
}

fn finite(values: impl IntoIterator<Item = f64>) -> impl Iterator<Item = f64> {
    values.into_iter().filter(|value| value.is_finite())
}

/// 1, 2 or 5 times a power of ten, not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step * (1.0 - 1e-9))
        .unwrap_or(10.0);
    factor * power
}

/// With the decimals of the step, in thousands (k) or millions (M) where the top is so large.
fn number(value: f64, step: f64, top: f64) -> String {
    let (unit, suffix) = if top >= 1e6 {
        (1e6, "M")
    } else if top >= 1e4 {
        (1e3, "k")
    } else {
        (1.0, "")
    };
    let decimals = (-(step / unit).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{:.decimals$}{suffix}", value / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn linear_marks_are_round_and_hold_every_value() {
        let axis = Axis::linear("", [3.0, 8.7]);
        assert_eq!(texts(&axis), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(axis.range(), 0.0..10.0);
        let axis = Axis::linear("", [0.04]);
        assert_eq!(texts(&axis), ["0", "0.01", "0.02", "0.03", "0.04"]);
        let axis = Axis::linear("", [67_000.0]);
        assert_eq!(texts(&axis), ["0", "20k", "40k", "60k", "80k"]);
        let axis = Axis::linear("", [11_000.0]);
        assert_eq!(texts(&axis), ["0", "2k", "4k", "6k", "8k", "10k", "12k"]);
        assert_eq!(texts(&Axis::linear("", [0.0])), ["0", "1"]);
    }

    #[test]
    fn nothing_to_show_still_gives_an_axis() {
        for axis in [
            Axis::linear("", []),
            Axis::linear("", [f64::NAN]),
            Axis::logarithmic("", []),
            Axis::logarithmic("", [0.0]),
            Axis::percentiles("", 0.0),
            Axis::whole("", 1..1),
        ] {
            assert!(axis.range.start < axis.range.end, "{axis:?}");
            assert!(!axis.marks.is_empty(), "{axis:?}");
        }
    }

    #[test]
    fn logarithmic_marks_enclose_the_values() {
        let axis = Axis::logarithmic("", [0.3, 7.0]);
        assert_eq!(texts(&axis), ["0.2", "0.5", "1", "2", "5", "10"]);
        let axis = Axis::logarithmic("", [0.02, 900.0]);
        assert_eq!(texts(&axis), ["0.01", "0.1", "1", "10", "100", "1000"]);
        let axis = Axis::logarithmic("", [1.0, 1.0]);
        assert_eq!(texts(&axis), ["1", "2"]);
        assert_eq!(axis.position(0.0), Some(0.0));
        assert_eq!(axis.position(3.0), None);
    }

    #[test]
    fn percentiles_go_as_far_as_the_furthest() {
        assert_eq!(
            texts(&Axis::percentiles("", 5_000.0)),
            ["0", "50", "90", "99", "99.9", "99.99"]
        );
        assert_eq!(Axis::percentiles("", 5_000.0).position(10.0), Some(1.0));
    }
}
