//! A run.

use anyhow::Result;

use super::figures;
use super::numbers::{bitrate, bytes, count, many, ms, percent, rate};
use super::page::Part;
use super::summary::{Fact, Grade, Summary, Table};
use crate::outcome::{Cpu, Ending, Outcome, Percentiles, Tally, Verdict};

/// A generator that uses less of its cores is not short of them by its own doing.
pub(super) const IDLE_CPU_SHARE: f64 = 0.5;

/// What is said of it, and its charts.
pub(super) fn part(outcome: &Outcome) -> Result<Part> {
    Ok(Part {
        summary: summary(outcome),
        figures: figures::of_run(outcome)?,
    })
}

/// What is said of it.
pub(super) fn summary(outcome: &Outcome) -> Summary {
    let mut summary = Summary {
        heading: format!("{} over {}", outcome.scenario, outcome.transport),
        about: about(outcome),
        ..Summary::default()
    };
    notes(outcome, &mut summary);
    summary.facts = facts(outcome);
    summary.tables = [
        phases(outcome),
        latencies(outcome),
        flows(outcome),
        join_times(outcome),
        processes(outcome),
    ]
    .into_iter()
    .filter(|table| !table.rows.is_empty())
    .collect();
    summary
}

/// What was asked for, in one line.
pub(super) fn about(outcome: &Outcome) -> String {
    let settings = outcome
        .settings
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let server = format!("{} · signaling {}", outcome.server, outcome.signaling);
    let all: Vec<String> = std::iter::once(server).chain(settings).collect();
    all.join(" · ")
}

/// Why a generator can be the bottleneck that hardly used its cores.
pub(super) fn busy_machine(cpu_share: f64) -> String {
    format!(
        "the generator itself took only {:.0} % of its cores: something else kept them busy, or \
         its sockets' buffers are too small",
        cpu_share * 100.0
    )
}

/// The verdict in a word.
pub(super) fn verdict_word(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Inconclusive => "inconclusive",
    }
}

fn notes(outcome: &Outcome, summary: &mut Summary) {
    for reason in &outcome.inconclusive {
        summary.note(Grade::Inconclusive, reason.as_str());
    }
    if !outcome.inconclusive.is_empty() && outcome.own.cpu_share < IDLE_CPU_SHARE {
        summary.note(Grade::Note, busy_machine(outcome.own.cpu_share));
    }
    for failure in &outcome.failures {
        summary.note(Grade::Failed, failure.as_str());
    }
    if outcome.verdict == Verdict::Passed {
        summary.note(Grade::Passed, bounds_kept(outcome));
    }
    if outcome.ending == Ending::Interrupted {
        summary.note(Grade::Note, "interrupted: these are the figures so far");
    }
    // The first stands among the failures.
    for why in outcome.participants.failures.iter().skip(1).take(2) {
        summary.note(Grade::Note, format!("could not join or stay: {why}"));
    }
}

fn bounds_kept(outcome: &Outcome) -> String {
    let mut kept = Vec::new();
    if let Some(max) = outcome.bounds.max_loss {
        let loss = percent(outcome.totals.loss());
        kept.push(format!("loss of {loss} is within {}", percent(max)));
    }
    if let Some(max) = outcome.bounds.max_p99_ms {
        let p99s = outcome.by_kind.values().filter_map(|kind| kind.latency);
        let worst = p99s.map(|latency| latency.p99).fold(0.0, f64::max);
        kept.push(format!("p99 of {} ms is within {max} ms", ms(worst)));
    }
    if kept.is_empty() {
        "the server did no wrong; no bound was set".to_owned()
    } else {
        kept.join(", ")
    }
}

fn facts(outcome: &Outcome) -> Vec<Fact> {
    let mut summary = Summary::default();
    let people = &outcome.participants;
    let totals = &outcome.totals;
    summary.fact(
        "participants joined",
        format!("{} of {}", people.joined, people.wanted),
    );
    if people.left > 0 {
        summary.fact("left on purpose", count(people.left as u64));
    }
    summary.fact("measured", format!("{:.1} s", outcome.seconds));
    summary.fact("packets sent", count(outcome.sent.packets));
    summary.fact("packets received", count(totals.received));
    summary.fact(
        "rate while measured",
        format!("{} packets/s", rate(outcome.received_per_second())),
    );
    summary.fact(
        "bitrate while measured",
        bitrate(outcome.received_bitrate()),
    );
    summary.fact(
        "lost",
        format!("{} ({})", count(totals.lost), percent(totals.loss())),
    );
    summary.fact(
        "repaired by RTX",
        format!(
            "{} of {} RTX",
            count(totals.repaired),
            count(totals.rtx_packets)
        ),
    );
    summary.fact("RTX of all received", percent(totals.rtx_share()));
    summary.fact("not authentic", count(outcome.refused.not_authentic));
    summary.fact("corrupt", count(totals.corrupt));
    // Shown where there is something to show.
    for (name, number) in [
        ("wrong timestamps", totals.wrong_timestamps),
        ("wrong headers", totals.wrong_headers),
        ("layer switches", totals.layer_switches),
    ] {
        if number > 0 {
            summary.fact(name, count(number));
        }
    }
    if let Some(length) = figures::mean_train(outcome) {
        summary.fact("datagrams per train", format!("{length:.2}"));
    }
    if let Some(cpu) = &outcome.cpu {
        server_facts(cpu, &mut summary);
    }
    own_facts(outcome, &mut summary);
    summary.facts
}

fn server_facts(cpu: &Cpu, summary: &mut Summary) {
    summary.fact(
        "server CPU per packet",
        format!("{:.2} µs", cpu.us_per_packet),
    );
    summary.fact("server CPU", format!("{:.2} cores", cpu.cores));
}

fn own_facts(outcome: &Outcome, summary: &mut Summary) {
    let own = &outcome.own;
    summary.fact(
        "own CPU",
        format!(
            "{:.0} % of {}",
            own.cpu_share * 100.0,
            many(own.cores as u64, "cores")
        ),
    );
    summary.fact("own socket drops", count(own.socket_drops));
    summary.fact("own send failures", count(own.send_failures));
}

fn phases(outcome: &Outcome) -> Table {
    let rows = outcome.phases.iter().map(|phase| {
        let of = |kind: &str| phase.by_kind.get(kind);
        let p99 = |kind| match of(kind).and_then(|of| of.latency) {
            Some(latency) => ms(latency.p99),
            None => "–".to_owned(),
        };
        let loss = of("audio").map_or("–".to_owned(), |audio| percent(audio.loss()));
        let normal = phase.normal_after_ms.map(|ms| format!("{ms:.0} ms"));
        vec![
            percent(phase.share),
            format!("{:.1}", phase.seconds),
            rate(phase.expected_per_second),
            rate(phase.received_per_second),
            loss,
            p99("audio"),
            p99("video"),
            normal.unwrap_or_else(|| "never".to_owned()),
            phase
                .server_cores
                .map_or("–".to_owned(), |cores| format!("{cores:.2}")),
            format!("{:.2}", phase.own_cores),
            phase.resident_bytes.map_or("–".to_owned(), bytes),
        ]
    });
    Table {
        title: "Steps of the load: packets per second, loss of audio, p99 in ms, CPU in cores"
            .to_owned(),
        head: vec![
            "senders",
            "s",
            "due",
            "came",
            "lost",
            "audio",
            "video",
            "normal in",
            "server",
            "own",
            "memory",
        ],
        rows: rows.collect(),
        ends_in_text: false,
    }
}

const PERCENTILES: [&str; 8] = ["", "packets", "p50", "p90", "p99", "p99.9", "p99.99", "max"];

fn latencies(outcome: &Outcome) -> Table {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (kind, of_kind) in &outcome.by_kind {
        rows.extend(of_kind.latency.as_ref().map(|at| percentile_row(kind, at)));
    }
    if rows.len() > 1 {
        rows.extend(outcome.latency.as_ref().map(|at| percentile_row("all", at)));
    }
    let own = [
        ("own late sending", &outcome.own.lateness),
        ("own late reading", &outcome.own.read_delay),
    ];
    for (name, at) in own {
        rows.extend(at.as_ref().map(|at| percentile_row(name, at)));
    }
    Table {
        title: "Latency in ms: arrival minus intended send time".to_owned(),
        head: PERCENTILES.to_vec(),
        rows,
        ends_in_text: false,
    }
}

fn join_times(outcome: &Outcome) -> Table {
    let times = [
        ("joined", &outcome.join.joined),
        ("first packet", &outcome.join.first_packet),
        ("first key frame", &outcome.join.first_key_frame),
    ];
    let mut head = PERCENTILES.to_vec();
    head[1] = "count";
    Table {
        title: "From the beginning of a join, in ms".to_owned(),
        head,
        rows: times
            .iter()
            .filter_map(|(name, at)| Some(percentile_row(name, at.as_ref()?)))
            .collect(),
        ends_in_text: false,
    }
}

fn percentile_row(name: &str, at: &Percentiles) -> Vec<String> {
    let figures = [at.p50, at.p90, at.p99, at.p999, at.p9999, at.max];
    [name.to_owned(), count(at.count)]
        .into_iter()
        .chain(figures.into_iter().map(ms))
        .collect()
}

fn flows(outcome: &Outcome) -> Table {
    let mut rows: Vec<Vec<String>> = outcome
        .by_kind
        .iter()
        .map(|(kind, of_kind)| tally_row(kind, &of_kind.tally))
        .collect();
    if rows.len() != 1 {
        rows.push(tally_row("all", &outcome.totals));
    }
    Table {
        title: "Packets by kind, over the whole run".to_owned(),
        head: vec![
            "",
            "flows",
            "silent",
            "expected",
            "received",
            "lost",
            "duplicate",
            "reordered",
            "renumbered",
        ],
        rows,
        ends_in_text: false,
    }
}

fn tally_row(name: &str, tally: &Tally) -> Vec<String> {
    let figures = [
        tally.flows,
        tally.silent_flows,
        tally.expected,
        tally.received,
        tally.lost,
        tally.duplicates,
        tally.reordered,
        tally.renumbered,
    ];
    std::iter::once(name.to_owned())
        .chain(figures.into_iter().map(count))
        .collect()
}

fn processes(outcome: &Outcome) -> Table {
    let processes = outcome.cpu.iter().flat_map(|cpu| &cpu.processes);
    let rows = processes.map(|process| {
        let kernel: Vec<String> = process
            .kernel_threads
            .iter()
            .map(|(name, seconds)| format!("{name} {seconds:.2} s"))
            .collect();
        vec![
            process.name.clone(),
            process.pid.to_string(),
            format!("{:.2}", process.seconds),
            bytes(process.resident_bytes),
            kernel.join(", "),
        ]
    });
    Table {
        title: "Processes under test".to_owned(),
        head: vec!["", "pid", "CPU s", "memory", "kernel threads besides"],
        rows: rows.collect(),
        ends_in_text: true,
    }
}
