//! The link in user space held against `ping` and `iperf3`.
//!
//! A busy machine makes packets late, never early. So lower bounds hold always, and upper ones for
//! the best of several tries: a link that is wrong is wrong in each of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/link.rs"]
mod support;

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::{Link, PROGRAM, is_missing, output};

const TRIES: usize = 3;

/// Round trips in ms, by sequence number, and how many answers came twice.
struct Pings {
    round_trips: Vec<(u32, f64)>,
    doubles: u64,
}

fn ping(link: &Link, count: u32, interval_s: f64) -> Pings {
    let mut command = link.on_far_end("ping");
    command.args(["-i", &interval_s.to_string(), "-c", &count.to_string()]);
    // Fails where no answer comes at all, which tests see in the answers.
    let printed = command
        .args(["-W", "2", &link.near.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    let mut pings = Pings {
        round_trips: Vec::new(),
        doubles: 0,
    };
    for line in text.lines() {
        let field = |name: &str| {
            let value = line.split(name).nth(1)?;
            value.split_whitespace().next()
        };
        let (Some(number), Some(time)) = (field("icmp_seq="), field("time=")) else {
            continue;
        };
        if line.ends_with("(DUP!)") {
            pings.doubles += 1;
        } else {
            let pair = (number.parse().unwrap(), time.parse().unwrap());
            pings.round_trips.push(pair);
        }
    }
    pings
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn delay_is_within_half_a_millisecond() {
    if is_missing() {
        return;
    }
    for (flags, wanted) in [
        (&["--both", "delay=25ms"][..], 50.0),
        (&["--up", "delay=3ms", "--down", "delay=12ms"], 15.0),
    ] {
        let link = Link::start(flags);
        let mut excess = Vec::new();
        for _ in 0..TRIES {
            let pings = ping(&link, 150, 0.01);
            assert_eq!(pings.round_trips.len(), 150);
            let times = pings.round_trips.iter().map(|&(_, time)| time);
            // What ping prints has three digits.
            let least = times.clone().fold(f64::MAX, f64::min);
            assert!(least >= wanted * 0.999, "{flags:?}: {least} ms is too soon");
            excess.push(median(times) - wanted);
            // Half a millisecond each way.
            if excess.iter().any(|excess| *excess <= 1.0) {
                break;
            }
        }
        let figures = link.stop();
        let found = excess.iter().any(|excess| *excess <= 1.0);
        assert!(found, "{flags:?}: {excess:?} ms too late: {figures}");
    }
}

#[test]
fn jitter_spreads_around_the_delay_and_keeps_order() {
    if is_missing() {
        return;
    }
    let link = Link::start(&["--down", "delay=20ms,jitter=5ms"]);
    // Further apart than the jitter, so that nobody waits for one before.
    let pings = ping(&link, 300, 0.012);
    let mut times: Vec<f64> = pings.round_trips.iter().map(|&(_, time)| time).collect();
    times.sort_by(f64::total_cmp);
    assert!(times[0] >= 14.98, "{}", times[0]);
    // Evenly between 15 and 25 ms: five standard errors (2.89 ms / √300) and what comes late.
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    assert!((19.1..22.0).contains(&mean), "{mean}");
    assert!(times[30] < 18.0 && times[270] > 22.0, "{times:?}");
    assert_eq!(link.stop()["down"]["reordered"], 0);
}

#[test]
fn rate_is_within_five_percent() {
    if is_missing() {
        return;
    }
    for (rate, direction) in [("2M", "up"), ("20M", "down")] {
        let bits = rate.trim_end_matches('M').parse::<f64>().unwrap() * 1e6;
        let link = Link::start(&["--both", &format!("rate={rate},queue=50ms,delay=5ms")]);
        // Half more than fits, in packets of 1228 bytes.
        let offered = format!("{}", bits * 1.5);
        let udp = ["-u", "-b", &offered, "-l", "1200"];
        let mut found = Vec::new();
        for (flags, payload_part) in [(&udp[..], 1200.0 / 1228.0), (&[], 1448.0 / 1500.0)] {
            let most = bits * payload_part;
            let within = |rate: &f64| (0.95..=1.05).contains(&(rate / most));
            let mut rates = Vec::new();
            while rates.len() < TRIES && !rates.iter().any(within) {
                rates.push(received_rate(&link, flags, direction == "up"));
            }
            found.push((rates.iter().any(within), rates, most));
        }
        let figures = link.stop();
        assert!(found.iter().all(|it| it.0), "{rate}: {found:?}: {figures}");
        assert!(figures[direction]["queueDropped"].as_u64().unwrap() > 0);
        assert!(figures[direction]["queueMs"]["max"].as_f64().unwrap() <= 50.1);
    }
}

/// What iperf3 receives at one end, in bit/s: median of its seconds. It is the client that
/// receives, as only clients tell of each second.
fn received_rate(link: &Link, flags: &[&str], up: bool) -> f64 {
    let (receiver, sender) = (link.near.to_string(), link.far.to_string());
    let ends = [Command::new("iperf3"), link.on_far_end("iperf3")];
    let ([mut client, mut server], sender) = if up {
        (ends, sender)
    } else {
        let [near, far] = ends;
        ([far, near], receiver)
    };
    let port = (20_000 + std::process::id() % 10_000).to_string();
    let mut server = server
        .args(["-s", "-1", "-B", &sender, "-p", &port])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    client.args(["-c", &sender, "-p", &port, "-R", "-t", "4", "-J"]);
    client.args(flags);
    let begin = Instant::now();
    let report = loop {
        let printed = client.output().unwrap();
        let report: Value = serde_json::from_slice(&printed.stdout).unwrap();
        if printed.status.success() {
            break report;
        }
        // Until the server listens.
        let said = report["error"].as_str().unwrap_or_default();
        assert!(said.contains("refused"), "{report}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{report}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(server.wait().unwrap().success());
    let seconds = report["intervals"].as_array().unwrap();
    // The first begins with an empty queue, the last is cut.
    let middle = &seconds[1..seconds.len() - 1];
    median(
        middle
            .iter()
            .map(|it| it["sum"]["bits_per_second"].as_f64().unwrap()),
    )
}

#[test]
fn losses_and_doubles_are_those_that_ping_sees() {
    if is_missing() {
        return;
    }
    const COUNT: u32 = 4000;
    let link = Link::start(&[
        "--seed",
        "3",
        "--both",
        "delay=1ms",
        "--up",
        "loss=4%",
        "--down",
        "bursts=1%:25%,duplicate=3%",
    ]);
    let pings = ping(&link, COUNT, 0.002);
    let figures = link.stop();
    let number = |direction: &str, name: &str| figures[direction][name].as_u64().unwrap();
    let lost = u64::from(COUNT) - pings.round_trips.len() as u64;
    assert_eq!(
        lost,
        number("up", "lost") + number("down", "lost"),
        "{figures}"
    );
    assert_eq!(pings.doubles, number("down", "duplicated"), "{figures}");
    for direction in ["up", "down"] {
        for name in ["queueDropped", "overflowed", "refused", "kernelDropped"] {
            assert_eq!(number(direction, name), 0, "{direction} {name}: {figures}");
        }
    }
    // Four standard errors; bursts come about 37 times, and are 4 packets long.
    let part = |direction: &str, name: &str| {
        number(direction, name) as f64 / number(direction, "entered") as f64
    };
    assert!((part("up", "lost") - 0.04).abs() < 0.0125, "{figures}");
    assert!(
        (part("down", "lost") - 0.01 / 0.26).abs() < 0.03,
        "{figures}"
    );
    let kept = 1.0 - part("down", "lost");
    assert!(
        (part("down", "duplicated") / kept - 0.03).abs() < 0.012,
        "{figures}"
    );
}

#[test]
fn reordering_shows_at_the_other_end() {
    if is_missing() {
        return;
    }
    let link = Link::start(&["--up", "reorder=10%:25ms"]);
    let pings = ping(&link, 500, 0.01);
    let late = pings
        .round_trips
        .windows(2)
        .filter(|pair| pair[1].0 < pair[0].0)
        .count() as u64;
    let figures = link.stop();
    let reordered = figures["up"]["reordered"].as_u64().unwrap();
    assert_eq!(pings.round_trips.len(), 500);
    // Four standard errors. Several may be late in a row.
    assert!((23..=77).contains(&reordered), "{figures}");
    assert!(late > 15 && late <= reordered, "{late} late: {figures}");
}

#[test]
fn changes_come_when_they_were_told_to() {
    if is_missing() {
        return;
    }
    let mut link = Link::start(&[
        "--both",
        "delay=2ms",
        "--at",
        "1s",
        "down:delay=40ms",
        "--at",
        "2s",
        "loss=100%",
    ]);
    let pings = ping(&link, 300, 0.01);
    let changed = link.event("changed");
    assert_eq!(changed["up"], "", "{changed}");
    assert_eq!(changed["down"], "delay=40ms", "{changed}");
    let at = changed["seconds"].as_f64().unwrap();
    assert!((1.0..1.5).contains(&at), "{at}");
    link.stop();
    let count = |range: std::ops::Range<f64>| {
        let times = pings.round_trips.iter().map(|&(_, time)| time);
        times.filter(|time| range.contains(time)).count()
    };
    // A hundred each; a busy machine starts ping late, and makes some late.
    assert!(count(3.99..30.0) > 50, "{:?}", pings.round_trips);
    assert!(count(41.99..70.0) > 50, "{:?}", pings.round_trips);
    assert!(pings.round_trips.len() < 230);
}

#[test]
fn commands_are_obeyed_at_once() {
    if is_missing() {
        return;
    }
    let mut link = Link::start(&["--commands"]);
    link.command("both:delay=1s");
    link.command("down:delay=30ms");
    let changed = link.event("changed");
    assert_eq!(
        (changed["up"].as_str(), changed["down"].as_str()),
        (Some(""), Some("delay=30ms"))
    );
    let pings = ping(&link, 10, 0.02);
    assert_eq!(pings.round_trips.len(), 10);
    assert!(pings.round_trips.iter().all(|&(_, time)| time >= 29.9));
    link.stop();
}

#[test]
fn nothing_stays_behind() {
    if is_missing() {
        return;
    }
    let devices = || output(Command::new("ip").args(["-br", "link"]));
    let link = Link::start(&[
        "--near-address",
        "fd00:215::1/64",
        "--far-address",
        "fd00:215::2/64",
    ]);
    let device = link.ready["near"]["device"].as_str().unwrap().to_owned();
    assert!(devices().contains(&device));
    output(link.on_far_end("ping").args(["-c", "1", "fd00:215::1"]));
    let namespace = link.namespace.clone();

    // A second one can not have its namespace, says so, and leaves it as it is.
    let second = Command::new(PROGRAM)
        .args(["link", "--create", "--far", &namespace])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(
        said.contains(&namespace) && said.contains("exists"),
        "{said}"
    );
    output(link.on_far_end("ping").args(["-c", "1", "fd00:215::1"]));

    link.stop();
    assert!(!devices().contains(&device));
    assert!(!output(Command::new("ip").args(["netns", "list"])).contains(&namespace));
}

#[test]
fn whoever_may_not_is_told_so() {
    if is_missing() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("weirgate-link-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("weirgate-loadgen");
    // Its own folder may be closed to others.
    std::fs::copy(PROGRAM, &program).unwrap();
    let nobody = 65_534;
    let printed = Command::new(&program)
        .args(["link", "--create"])
        .current_dir("/")
        .uid(nobody)
        .gid(nobody)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&printed.stderr);
    assert_eq!(printed.status.code(), Some(2), "{said}");
    assert!(said.contains("root"), "{said}");
}
