//! The load of each shard that `/v1/engine` shows, held against what the kernel says of its thread.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::time::{Duration, Instant};

use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::scenario::{Cast, Interrupt, Scenario, Silent, Traffic, Transport};
use weirgate_loadgen::sender::{AudioShape, Shape, VideoShape};

const SHARDS: usize = 2;
/// A load is that of the second before it was shown.
const LAG: Duration = Duration::from_secs(2);
const LOOKED_AT: Duration = Duration::from_secs(3);
/// Going to sleep and waking up takes time that is neither.
const MAX_DIFFERENCE: f64 = 0.05;
/// With less of a load the comparison says nothing.
const LEAST_LOAD: f64 = 0.15;

/// Of one thread since it began, in seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    /// On a CPU.
    running: f64,
    /// Ready to run while others had the CPU: as far as the shard can tell it works.
    waiting: f64,
}

/// Of each shard's thread.
fn spent(engine: u32) -> [Spent; SHARDS] {
    let mut spent = [Spent::default(); SHARDS];
    for task in fs::read_dir(format!("/proc/{engine}/task")).unwrap() {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap();
        let Some(number) = name.trim().strip_prefix("shard-") else {
            continue;
        };
        let times = fs::read_to_string(task.join("schedstat")).unwrap();
        let mut times = times
            .split(' ')
            .map(|ns| ns.trim().parse::<f64>().unwrap() / 1e9);
        spent[number.parse::<usize>().unwrap()] = Spent {
            running: times.next().unwrap(),
            waiting: times.next().unwrap(),
        };
    }
    spent
}

async fn shown(server: &Server) -> [f64; SHARDS] {
    let engine: serde_json::Value = server.api().get("/v1/engine").await.unwrap();
    let load = |shard: usize| engine["shards"][shard]["load"].as_f64().unwrap();
    std::array::from_fn(load)
}

/// Looks at a load that does not change for some seconds; the mean of what was shown.
async fn compare(server: &Server) -> [f64; SHARDS] {
    let (from, before) = (Instant::now(), spent(server.engine_pid()));
    let (mut sums, mut looks) = ([0.0; SHARDS], 0.0);
    while from.elapsed() < LOOKED_AT {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let shown = shown(server).await;
        sums.iter_mut()
            .zip(shown)
            .for_each(|(sum, load)| *sum += load);
        looks += 1.0;
    }
    let seconds = from.elapsed().as_secs_f64();
    let after = spent(server.engine_pid());
    let means = sums.map(|sum| sum / looks);
    for shard in 0..SHARDS {
        let running = (after[shard].running - before[shard].running) / seconds;
        let waiting = (after[shard].waiting - before[shard].waiting) / seconds;
        let shown = means[shard];
        println!("shard {shard}: shown {shown:.3}, running {running:.3}, waiting {waiting:.3}");
        let truth = running - MAX_DIFFERENCE..running + waiting + MAX_DIFFERENCE;
        assert!(
            truth.contains(&shown),
            "shard {shard}: {shown} is not in {truth:?}"
        );
    }
    means
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_shown_is_what_the_thread_takes_of_a_core() {
    for io in ["uring", "mmsg"] {
        println!("{io}");
        let server = Server::start(&ServerOptions::new(io, "0-1")).await.unwrap();
        tokio::time::sleep(LAG).await;
        compare(&server).await;

        let shapes = vec![
            Shape::Video(VideoShape::of_bitrate(500_000)),
            Shape::Audio(AudioShape::default()),
        ];
        let cast = Cast::Meeting { participants: 8 };
        let transport = Transport::Plain(None);
        let mut scenario = Scenario::new(cast, transport, Traffic::of(shapes));
        // Sockets that nobody reads: work for the engine alone.
        scenario.unread = 20;
        scenario.duration = Duration::from_secs(60);
        let interrupt = Interrupt::default();
        let load = async {
            tokio::time::sleep(2 * LAG).await;
            let loads = compare(&server).await;
            interrupt.set();
            loads
        };
        let (outcome, loads) = tokio::join!(scenario.run(server.api(), &interrupt, &Silent), load);
        outcome.unwrap();
        assert!(loads.iter().all(|&load| load > LEAST_LOAD), "{loads:?}");
    }
}
