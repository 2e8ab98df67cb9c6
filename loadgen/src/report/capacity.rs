//! A search for a capacity.

use anyhow::Result;

use super::axis::Axis;
use super::chart::{Chart, Drawn, Series};
use super::figures;
use super::numbers::{count, many, ms, percent, rate};
use super::page::{Figure, Part};
use super::run;
use super::summary::{Grade, Summary, Table};
use crate::capacity::{Capacity, Judgement, Level, Limit, TrialResult};
use crate::outcome::Verdict;

/// Characters that the table of trials has for a reason.
const MAX_REASON: usize = 60;

/// What was found, and its charts.
pub(super) fn part(capacity: &Capacity) -> Result<Part> {
    let charts = [
        latency_by_load(capacity),
        loss_by_load(capacity),
        levels(capacity),
    ];
    let figures = charts
        .iter()
        .flatten()
        .map(Figure::of)
        .collect::<Result<Vec<Figure>>>()?;
    Ok(Part {
        summary: summary(capacity),
        figures,
    })
}

/// What was found.
pub(super) fn summary(capacity: &Capacity) -> Summary {
    let mut summary = Summary {
        heading: format!(
            "capacity: {} over {}",
            capacity.scenario, capacity.transport
        ),
        about: about(capacity),
        ..Summary::default()
    };
    verdict(capacity, &mut summary);
    facts(capacity, &mut summary);
    summary.tables = [levels_table(capacity), trials_table(capacity)]
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect();
    summary
}

/// `90 % of the capacity: 432 receivers`.
pub(super) fn level_name(capacity: &Capacity, level: &Level) -> String {
    let load = many(level.load, &capacity.unit);
    format!("{} % of the highest clean load: {load}", level.percent)
}

/// `trial: 40 receivers, 8,151 packets/s, loss 0 %, p99 3.50 ms: clean`.
pub(super) fn trial_line(trial: &TrialResult, unit: &str) -> String {
    format!(
        "{}trial: {}, {} packets/s, loss {}, p99 {} ms: {}",
        if trial.full { "" } else { "short " },
        many(trial.load, unit),
        rate(trial.packets_per_second),
        percent(trial.loss),
        trial.p99_ms.map_or_else(|| "–".to_owned(), ms),
        judged(trial)
    )
}

fn about(capacity: &Capacity) -> String {
    let mut bounds = Vec::new();
    if let Some(max) = capacity.bounds.max_loss {
        bounds.push(format!("loss up to {}", percent(max)));
    }
    if let Some(max) = capacity.bounds.max_p99_ms {
        bounds.push(format!("p99 up to {max} ms"));
    }
    format!("{} · clean means: {}", capacity.server, bounds.join(", "))
}

fn verdict(capacity: &Capacity, summary: &mut Summary) {
    found(capacity, summary);
    let shares = capacity.trials.iter().map(|trial| trial.own_cpu_share);
    let highest_share = shares.fold(0.0, f64::max);
    if capacity.found.limit == Limit::Generator && highest_share < run::IDLE_CPU_SHARE {
        summary.note(Grade::Note, run::busy_machine(highest_share));
    }
    let unclean = capacity
        .levels
        .iter()
        .filter(|level| level.outcome.verdict != Verdict::Passed);
    let unclean: Vec<String> = unclean
        .map(|level| format!("{} %", level.percent))
        .collect();
    if !unclean.is_empty() {
        summary.note(
            Grade::Note,
            format!(
                "a run at {} of that was not clean: take these figures with care, and look for \
                 other work on the machine",
                unclean.join(", at ")
            ),
        );
    }
}

fn found(capacity: &Capacity, summary: &mut Summary) {
    let unit = &capacity.unit;
    if let Some(why) = &capacity.stopped {
        summary.note(
            Grade::Inconclusive,
            format!("the search ended early: {why}"),
        );
    }
    let packets = capacity.packets_per_second.map(rate).unwrap_or_default();
    let Some(clean) = capacity.found.clean.map(|load| many(load, unit)) else {
        let (grade, text) = match capacity.found.limit {
            Limit::Server => (Grade::Failed, "no load was clean, not even"),
            Limit::Generator => (
                Grade::Inconclusive,
                "the generator was the bottleneck at every load, even at",
            ),
            Limit::Max | Limit::Unfinished => {
                summary.note(Grade::Note, "no load was clean up to then");
                return;
            }
        };
        summary.note(grade, format!("{text} {}", many(1, unit)));
        return;
    };
    match capacity.found.limit {
        Limit::Server => summary.note(
            Grade::Passed,
            format!("the server carries {clean}, {packets} packets/s"),
        ),
        Limit::Generator => summary.note(
            Grade::Inconclusive,
            format!(
                "the generator was the bottleneck above {clean}, {packets} packets/s: the \
                 server carries that and more"
            ),
        ),
        Limit::Max => summary.note(
            Grade::Passed,
            format!("{clean}, {packets} packets/s, were clean, and --max-load allowed no more"),
        ),
        Limit::Unfinished => summary.note(
            Grade::Note,
            format!("up to then {clean}, {packets} packets/s, were clean"),
        ),
    }
    if let Some(derived) = &capacity.derived {
        summary.note(
            Grade::Note,
            format!(
                "derived, not measured: {} packets/s, where {:.2} µs of CPU per packet at the \
                 highest clean load fill the server's {} of CPU",
                rate(derived.packets_per_second),
                derived.cpu_us_per_packet,
                many(derived.cores as u64, "cores")
            ),
        );
    }
}

fn facts(capacity: &Capacity, summary: &mut Summary) {
    let load = |load: Option<u64>| {
        let known = load.map(|load| many(load, &capacity.unit));
        known.unwrap_or_else(|| "none".to_owned())
    };
    let packets = |per_second: Option<f64>| {
        let known = per_second.map(|per_second| format!("{} packets/s", rate(per_second)));
        known.unwrap_or_else(|| "–".to_owned())
    };
    summary.fact("highest clean load", load(capacity.found.clean));
    summary.fact("highest clean rate", packets(capacity.packets_per_second));
    summary.fact("lowest load not clean", load(capacity.found.exceeded));
    summary.fact(
        "lowest rate not clean",
        packets(capacity.exceeded_packets_per_second),
    );
    if let Some(derived) = &capacity.derived {
        summary.fact(
            "derived capacity",
            packets(Some(derived.packets_per_second)),
        );
    }
    summary.fact("trials", count(capacity.trials.len() as u64));
}

fn levels_table(capacity: &Capacity) -> Table {
    let rows = capacity.levels.iter().map(|level| {
        let outcome = &level.outcome;
        let at = outcome.latency.unwrap_or_default();
        let cpu = outcome.cpu.as_ref();
        let latencies = [at.p50, at.p90, at.p99, at.p999, at.max].map(ms);
        [
            format!("{} %", level.percent),
            count(level.load),
            rate(outcome.received_per_second()),
            percent(outcome.totals.loss()),
        ]
        .into_iter()
        .chain(latencies)
        .chain([
            cpu.map_or_else(|| "–".to_owned(), |cpu| format!("{:.2}", cpu.us_per_packet)),
            run::verdict_word(outcome).to_owned(),
        ])
        .collect()
    });
    Table {
        title: format!(
            "Latency in ms at parts of the highest clean load, in {}",
            capacity.unit
        ),
        head: vec![
            "",
            "load",
            "packets/s",
            "loss",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
            "CPU µs/packet",
            "judged",
        ],
        rows: rows.collect(),
        ends_in_text: true,
    }
}

fn trials_table(capacity: &Capacity) -> Table {
    let rows = (1..).zip(&capacity.trials).map(|(number, trial)| {
        vec![
            number.to_string(),
            count(trial.load),
            format!("{:.1}", trial.seconds),
            rate(trial.packets_per_second),
            percent(trial.loss),
            trial.p99_ms.map_or_else(|| "–".to_owned(), ms),
            trial
                .server_cores
                .map_or_else(|| "–".to_owned(), |cores| format!("{cores:.2}")),
            format!("{:.0} %", trial.own_cpu_share * 100.0),
            judged(trial),
        ]
    });
    Table {
        title: format!(
            "Trials: load in {}, p99 in ms, server CPU in cores",
            capacity.unit
        ),
        head: vec![
            "",
            "load",
            "s",
            "packets/s",
            "loss",
            "p99",
            "CPU",
            "own CPU",
            "judged",
        ],
        rows: rows.collect(),
        ends_in_text: true,
    }
}

/// The judgement with its first reason; the others are in the JSON.
fn judged(trial: &TrialResult) -> String {
    let word = match trial.judgement {
        Judgement::Clean => return "clean".to_owned(),
        Judgement::Exceeded => "too much",
        Judgement::GeneratorBound => "generator bound",
    };
    let reason = trial.why.first().map_or("", String::as_str);
    let mut text = format!("{word}: {}", shortened(reason));
    if trial.why.len() > 1 {
        text.push_str(&format!(" (and {} more)", trial.why.len() - 1));
    }
    text
}

fn shortened(reason: &str) -> String {
    if reason.chars().count() <= MAX_REASON {
        return reason.to_owned();
    }
    let start: String = reason.chars().take(MAX_REASON - 1).collect();
    format!("{}…", start.trim_end())
}

/// Every trial by its load, one series for each judgement.
fn by_load(
    capacity: &Capacity,
    title: &str,
    y_axis: impl Fn(Vec<f64>) -> Axis,
    y: impl Fn(&TrialResult) -> Option<f64>,
) -> Option<Chart> {
    let judgements = [
        ("clean", 2, Judgement::Clean),
        ("too much", 1, Judgement::Exceeded),
        ("generator bound", 4, Judgement::GeneratorBound),
    ];
    let series: Vec<Series> = judgements
        .into_iter()
        .map(|(name, color, judgement)| Series {
            name: name.to_owned(),
            color,
            drawn: Drawn::Dots,
            points: capacity
                .trials
                .iter()
                .filter(|trial| trial.judgement == judgement)
                .filter_map(|trial| Some((trial.load as f64, y(trial)?)))
                .collect(),
        })
        .collect();
    let points = || {
        series
            .iter()
            .flat_map(|series| series.points.iter().copied())
    };
    points().next()?;
    Some(Chart {
        title: title.to_owned(),
        x: Axis::logarithmic(&capacity.unit, points().map(|(x, _)| x)),
        y: y_axis(points().map(|(_, y)| y).collect()),
        series,
    })
}

fn latency_by_load(capacity: &Capacity) -> Option<Chart> {
    by_load(
        capacity,
        "p99 of each trial",
        |values| Axis::logarithmic("ms", values),
        |trial| trial.p99_ms,
    )
}

fn loss_by_load(capacity: &Capacity) -> Option<Chart> {
    by_load(
        capacity,
        "Loss of each trial",
        |values| Axis::linear("%", values),
        |trial| Some(trial.loss * 100.0),
    )
}

/// Latencies of each kind at the levels, one beside the other.
fn levels(capacity: &Capacity) -> Option<Chart> {
    let curves: Vec<(String, &[(f64, f64)])> = capacity
        .levels
        .iter()
        .flat_map(|level| {
            level.outcome.by_kind.iter().map(|(kind, of_kind)| {
                let name = format!("{} % {kind}", level.percent);
                (name, of_kind.latency_curve.as_slice())
            })
        })
        .take(Chart::MAX_SERIES)
        .collect();
    (!curves.is_empty())
        .then(|| figures::percentiles("Latency at parts of the highest clean load", curves))
}
