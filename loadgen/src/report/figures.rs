//! Charts of runs.

use anyhow::Result;

use super::axis::Axis;
use super::chart::{Chart, Drawn, Series};
use super::page::Figure;
use crate::outcome::{Outcome, Second};

/// Shown train lengths end here; longer ones are counted as this.
const MAX_TRAIN: u64 = 64;

/// All charts of a run, those without data left out.
pub(super) fn of_run(outcome: &Outcome) -> Result<Vec<Figure>> {
    let kinds = outcome
        .by_kind
        .iter()
        .map(|(kind, of_kind)| (kind.clone(), of_kind.latency_curve.as_slice()));
    let mut charts = vec![percentiles("Latency by percentile", kinds.collect())];
    let timeline = Timeline(&outcome.timeline);
    charts.extend([
        timeline.latency(),
        timeline.rate(),
        timeline.loss(),
        timeline.cpu(),
        trains(outcome),
    ]);
    charts.extend(timeline.participants());
    charts
        .iter()
        .filter(|chart| chart.series.iter().any(|series| !series.points.is_empty()))
        .map(Figure::of)
        .collect()
}

/// Latencies as curves of `(quantile, ms)`, every nine taking the same width.
pub(super) fn percentiles(title: &str, curves: Vec<(String, &[(f64, f64)])>) -> Chart {
    let series: Vec<Series> = curves
        .into_iter()
        .enumerate()
        .map(|(color, (name, curve))| Series {
            name,
            color,
            drawn: Drawn::Line,
            points: curve
                .iter()
                .filter(|(quantile, _)| *quantile < 1.0)
                .map(|&(quantile, ms)| (1.0 / (1.0 - quantile), ms))
                .collect(),
        })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let furthest = points().map(|(x, _)| *x).fold(10.0, f64::max);
    Chart {
        title: title.to_owned(),
        x: Axis::percentiles("percentile", furthest),
        y: Axis::logarithmic("ms", points().map(|(_, y)| *y)),
        series,
    }
}

/// Mean length of the trains received.
pub(super) fn mean_train(outcome: &Outcome) -> Option<f64> {
    let trains: u64 = outcome.trains.iter().map(|train| train.count).sum();
    let datagrams: u64 = outcome
        .trains
        .iter()
        .map(|train| u64::from(train.length) * train.count)
        .sum();
    (trains > 0).then(|| datagrams as f64 / trains as f64)
}

/// Charts over time, the time before the measuring included.
struct Timeline<'a>(&'a [Second]);

impl Timeline<'_> {
    fn latency(&self) -> Chart {
        let at = |of: fn(&crate::outcome::Percentiles) -> f64| {
            move |second: &Second| second.latency.as_ref().map(of)
        };
        let series = vec![
            self.series("p50", 0, at(|latency| latency.p50)),
            self.series("p99", 1, at(|latency| latency.p99)),
            self.series("largest", 2, at(|latency| latency.max)),
        ];
        let values = || series.iter().flat_map(|series| &series.points);
        Chart {
            title: "Latency over time".to_owned(),
            x: self.x(),
            y: Axis::logarithmic("ms", values().map(|(_, ms)| *ms)),
            series,
        }
    }

    fn rate(&self) -> Chart {
        self.linear(
            "Rate over time",
            "packets/s",
            vec![
                self.series("received", 0, |second| {
                    Some(second.received_packets as f64 / second.length_s)
                }),
                self.series("sent", 1, |second| {
                    Some(second.sent_packets as f64 / second.length_s)
                }),
            ],
        )
    }

    fn loss(&self) -> Chart {
        self.linear(
            "Loss over time",
            "packets/s",
            vec![self.series("lost", 1, |second| {
                Some(second.lost.max(0) as f64 / second.length_s)
            })],
        )
    }

    fn cpu(&self) -> Chart {
        self.linear(
            "CPU over time",
            "cores",
            vec![
                self.series("server", 0, |second| second.server_cores),
                self.series("generator", 4, |second| Some(second.own_cores)),
            ],
        )
    }

    /// Where they come and go while it is measured.
    fn participants(&self) -> Option<Chart> {
        let mut measured = self.0.iter().filter(|second| second.measured);
        let first = measured.next()?.participants;
        let series = self.series("participants", 0, |second| Some(second.participants as f64));
        measured
            .any(|second| second.participants != first)
            .then(|| self.linear("Participants over time", "participants", vec![series]))
    }

    fn linear(&self, title: &str, label: &str, series: Vec<Series>) -> Chart {
        let values = series.iter().flat_map(|series| &series.points);
        Chart {
            title: title.to_owned(),
            x: self.x(),
            y: Axis::linear(label, values.map(|(_, value)| *value)),
            series,
        }
    }

    fn x(&self) -> Axis {
        Axis::linear(
            "s since the beginning",
            self.0.iter().map(|second| second.at_s),
        )
    }

    fn series(&self, name: &str, color: usize, of: impl Fn(&Second) -> Option<f64>) -> Series {
        // A last second that is hardly one tells nothing of a rate.
        let seconds = self.0.iter().filter(|second| second.length_s > 0.2);
        Series {
            name: name.to_owned(),
            color,
            drawn: Drawn::Line,
            points: seconds
                .filter_map(|second| Some((second.at_s, of(second)?)))
                .collect(),
        }
    }
}

/// How the datagrams received are spread over trains of each length.
fn trains(outcome: &Outcome) -> Chart {
    let mut datagrams = vec![0_u64; MAX_TRAIN as usize + 1];
    for train in &outcome.trains {
        let length = u64::from(train.length);
        datagrams[length.min(MAX_TRAIN) as usize] += length * train.count;
    }
    let all: u64 = datagrams.iter().sum();
    let points: Vec<(f64, f64)> = (1..=MAX_TRAIN)
        .zip(&datagrams[1..])
        .filter(|(_, count)| **count > 0)
        .map(|(length, &count)| (length as f64, count as f64 * 100.0 / all as f64))
        .collect();
    let longest = points.last().map_or(1, |(length, _)| *length as u64);
    Chart {
        title: "Trains received".to_owned(),
        x: Axis::whole("datagrams per train", 1..longest.max(8)),
        y: Axis::linear("% of datagrams", points.iter().map(|(_, share)| *share)),
        series: vec![Series {
            name: "all".to_owned(),
            color: 0,
            drawn: Drawn::Bars,
            points,
        }],
    }
}
