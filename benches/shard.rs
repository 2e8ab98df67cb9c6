//! Time per unit of every piece of work in `src/work`, and where the time of a turn goes.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use weirgate_benches::call::{Scenario, Topology};
use weirgate_benches::work::{self, Entry, Split, Step, Work};
use weirgate_wire::MediaKind;

/// Turns that are prepared at a time: their packets fit the second-level cache.
const CHUNK_TURNS: usize = 20;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = works, parts
}
criterion_main!(benches);

fn works(criterion: &mut Criterion) {
    let is_timed_elsewhere =
        |entry: &Entry| entry.name.starts_with("seal/") || entry.name.starts_with("open/");
    for entry in work::all() {
        if is_timed_elsewhere(&entry) {
            continue;
        }
        let (group, name) = entry.name.split_once('/').unwrap_or(("work", &entry.name));
        let mut group = criterion.benchmark_group(format!("shard/{group}"));
        group.throughput(Throughput::Elements(1));
        // Made where criterion's filter lets it run.
        let mut made = None;
        group.bench_function(name, |bencher| {
            let work = made.get_or_insert_with(|| (entry.make)());
            let turns = entry.turns.min(CHUNK_TURNS);
            bencher.iter_custom(|count| {
                timed(count, || {
                    work.prepare(turns);
                    let started = Instant::now();
                    let units = work.run(turns);
                    (started.elapsed(), units)
                })
            });
        });
    }
}

/// The three parts of a turn, per packet forwarded: what comes in, what leaves, and timers.
fn parts(criterion: &mut Criterion) {
    type Part = (&'static str, fn(&Split) -> Duration);
    const PARTS: [Part; 3] = [
        ("handle", |split| split.handle),
        ("transmit", |split| split.transmit),
        ("timers", |split| split.timers),
    ];
    let scenarios = [
        ("video-1to50", Topology::OneTo(50), MediaKind::Video),
        ("video-20x20", Topology::Meeting(20), MediaKind::Video),
        ("audio-1to50", Topology::OneTo(50), MediaKind::Audio),
    ];
    for (name, topology, kind) in scenarios {
        let mut group = criterion.benchmark_group(format!("shard/part/{name}"));
        group.throughput(Throughput::Elements(1));
        let mut made = None;
        for (part, time_of) in PARTS {
            group.bench_function(BenchmarkId::from_parameter(part), |bencher| {
                let step = made.get_or_insert_with(|| Step::new(Scenario::new(topology, kind)));
                bencher.iter_custom(|count| {
                    timed(count, || {
                        step.prepare(CHUNK_TURNS);
                        let split = step.run_split(CHUNK_TURNS);
                        (time_of(&split), split.units)
                    })
                });
            });
        }
    }
}

/// Time of `count` units, from as many chunks as have them.
fn timed(count: u64, mut chunk: impl FnMut() -> (Duration, u64)) -> Duration {
    let mut total = (Duration::ZERO, 0);
    while total.1 < count {
        let (time, units) = chunk();
        total = (total.0 + time, total.1 + units);
    }
    total.0.mul_f64(count as f64 / total.1 as f64)
}
