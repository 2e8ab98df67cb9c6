//! What a running link prints.

use std::io::Write as _;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::driver::Event;
use super::figures::Figures;
use super::hosts::{End, Hosts};
use crate::outcome::Percentiles;

/// Up, down.
const NAMES: [&str; 2] = ["up", "down"];

/// Text for people, or lines of JSON for programs.
pub(super) struct Show {
    json_lines: bool,
    quiet: bool,
    line: ProgressBar,
}

impl Show {
    pub(super) fn new(json_lines: bool, quiet: bool) -> Self {
        let line = if json_lines || quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        Self {
            json_lines,
            quiet,
            line,
        }
    }

    pub(super) fn ready(&self, hosts: &Hosts) {
        if self.json_lines {
            print(&json!({"event": "ready", "near": hosts.near, "far": hosts.far}).to_string());
        } else {
            print(&format!(
                "near: {}\nfar:  {}",
                end(&hosts.near),
                end(&hosts.far)
            ));
        }
    }

    pub(super) fn event(&self, event: &Event) {
        match event {
            Event::Changed(at, change) if self.json_lines => {
                let changed = json!({
                    "event": "changed",
                    "seconds": at.as_secs_f64(),
                    "up": change.up.to_string(),
                    "down": change.down.to_string(),
                });
                print(&changed.to_string());
            }
            Event::Changed(at, change) => {
                let at = at.as_secs_f64();
                let (up, down) = (&change.up, &change.down);
                self.line
                    .println(format!("{at:.1} s: up [{up}], down [{down}]"));
            }
            Event::Figures(_, _) if self.quiet => {}
            Event::Figures(at, figures) if self.json_lines => {
                let mut both = both_as_json(figures);
                both["event"] = "figures".into();
                both["seconds"] = at.as_secs_f64().into();
                print(&both.to_string());
            }
            Event::Figures(at, figures) => {
                let [up, down] = &**figures;
                let (at, up, down) = (at.as_secs_f64(), brief(up), brief(down));
                self.line
                    .set_message(format!("{at:.0} s  up {up}  down {down}"));
            }
        }
    }

    pub(super) fn end(&self, figures: &[Figures; 2]) {
        self.line.finish_and_clear();
        if self.json_lines {
            let mut both = both_as_json(figures);
            both["event"] = "end".into();
            print(&both.to_string());
        } else {
            print(&table(figures));
        }
    }
}

/// `{"up": …, "down": …}`.
pub(super) fn both_as_json(figures: &[Figures; 2]) -> Value {
    json!({NAMES[0]: figures[0], NAMES[1]: figures[1]})
}

/// Whoever reads may have gone, which is no reason to end.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn end(end: &End) -> String {
    let place = match &end.namespace {
        Some(name) => format!("network namespace {name}"),
        None => "this network namespace".to_owned(),
    };
    let addresses: Vec<String> = end.addresses.iter().map(ToString::to_string).collect();
    format!("{} in {place}, {}", end.device, addresses.join(", "))
}

fn brief(figures: &Figures) -> String {
    let counts = figures.counts;
    format!(
        "{} packets, {} lost, {} dropped, queue {:.0} ms",
        counts.entered, counts.lost, counts.queue_dropped, figures.queue_now_ms
    )
}

fn table([up, down]: &[Figures; 2]) -> String {
    type Column = fn(&Figures) -> String;
    let rows: [(&str, Column); 13] = [
        ("packets in", |it| it.counts.entered.to_string()),
        ("bytes in", |it| it.counts.entered_bytes.to_string()),
        ("packets out", |it| it.counts.delivered.to_string()),
        ("lost", |it| it.counts.lost.to_string()),
        ("dropped by the queue", |it| {
            it.counts.queue_dropped.to_string()
        }),
        ("dropped, too many under way", |it| {
            it.counts.overflowed.to_string()
        }),
        ("dropped by the kernel before", |it| {
            it.kernel_dropped
                .map_or("?".to_owned(), |count| count.to_string())
        }),
        ("refused by the far device", |it| {
            it.counts.refused.to_string()
        }),
        ("doubled", |it| it.counts.duplicated.to_string()),
        ("reordered", |it| it.counts.reordered.to_string()),
        ("queue ms, p50 / p99 / max", |it| percentiles(it.queue_ms)),
        ("transit ms", |it| percentiles(it.transit_ms)),
        ("own lateness ms", |it| percentiles(it.lateness_ms)),
    ];
    let mut text = format!("{:30}{:>26}{:>26}", "", NAMES[0], NAMES[1]);
    for (name, column) in rows {
        text.push_str(&format!(
            "\n{name:30}{:>26}{:>26}",
            column(up),
            column(down)
        ));
    }
    text
}

fn percentiles(percentiles: Option<Percentiles>) -> String {
    percentiles.map_or("-".to_owned(), |it| {
        format!("{:.2} / {:.2} / {:.2}", it.p50, it.p99, it.max)
    })
}
