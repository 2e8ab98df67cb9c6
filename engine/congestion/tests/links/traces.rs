//! The estimator over recorded traces: what it concludes is kept beside them.

use std::fmt::Write as _;
use std::path::PathBuf;

use weirgate_congestion::{Config, PacketKind, SendSide};

use crate::sim::{LinkConfig, MS, MediaConfig, MediaFlow, Network, Record, SECOND};

const FEEDBACK_US: u64 = 100 * MS;
const BACK_US: u64 = 25 * MS;
const STEP_US: u64 = 500 * MS;

#[test]
fn a_capacity_that_drops_and_comes_back() {
    insta::assert_snapshot!(replay(&read("drop")));
}

#[test]
fn a_jittery_link_that_loses() {
    insta::assert_snapshot!(replay(&read("wireless")));
}

/// A trace is what left and when it arrived: a line for each packet with the time it left, its
/// size, and the time it arrived or `-`.
#[test]
#[ignore = "records the traces anew"]
fn record() {
    let mut network = Network::new(LinkConfig {
        rate_bps: 1_500_000,
        ..LinkConfig::default()
    });
    let mut flow = MediaFlow::new(network.now_us, MediaConfig::default());
    for rate_bps in [1_500_000, 400_000, 1_500_000] {
        network.link.config.rate_bps = rate_bps;
        network.run(5 * SECOND, &mut [&mut flow]);
    }
    write("drop", &flow.records());

    let mut network = Network::new(LinkConfig {
        jitter_us: 30 * MS,
        loss: 0.03,
        ..LinkConfig::default()
    });
    let mut flow = MediaFlow::new(network.now_us, MediaConfig::default());
    network.run(15 * SECOND, &mut [&mut flow]);
    write("wireless", &flow.records());
}

/// Runs the estimator over a trace; its conclusions every half second.
fn replay(trace: &[Record]) -> String {
    let config = Config {
        initial_bps: 600_000,
        min_bps: 30_000,
        max_bps: 10_000_000,
    };
    let start_us = trace[0].sent_us;
    let mut send_side = SendSide::new(config, start_us);
    // Without probes, which the trace would have to answer.
    send_side.set_wanted(start_us, 0);
    let mut sent = trace.iter().enumerate().peekable();
    let mut reported = 0;
    let mut log = String::from("  time  target  arrives  loss  rtt\n");
    let end_us = trace[trace.len() - 1].sent_us;
    for now_us in (start_us..end_us).step_by(MS as usize) {
        while let Some((index, record)) = sent.next_if(|(_, record)| record.sent_us <= now_us) {
            send_side.sent(
                record.sent_us,
                index as u16,
                record.bytes,
                PacketKind::Video,
            );
        }
        send_side.poll(now_us);
        let elapsed_us = now_us - start_us;
        if elapsed_us.is_multiple_of(FEEDBACK_US) {
            reported = report(&mut send_side, now_us, trace, reported);
        }
        if elapsed_us.is_multiple_of(STEP_US) {
            let _ = writeln!(
                log,
                "{:6} {:7} {:8} {:5.1} {:4}",
                elapsed_us / MS,
                send_side.target_bps() / 1_000,
                send_side.acknowledged_bps().unwrap_or(0) / 1_000,
                send_side.average_loss() * 100.0,
                send_side.rtt_us().unwrap_or(0) / MS,
            );
        }
    }
    log
}

/// Reports what arrived, of packets from `first` on; the first not reported.
fn report(send_side: &mut SendSide, now_us: u64, trace: &[Record], first: usize) -> usize {
    let has_arrived = |record: &Record| record.arrival_us.filter(|&us| us + BACK_US <= now_us);
    let Some(newest) = (first..trace.len()).rfind(|&index| has_arrived(&trace[index]).is_some())
    else {
        return first;
    };
    let arrivals = trace[first..=newest].iter().map(has_arrived);
    let reference = arrivals.clone().flatten().next().unwrap_or(0) / 64_000;
    let mut last_us = reference * 64_000;
    let statuses = arrivals.enumerate().map(|(offset, arrival_us)| {
        let delta = arrival_us.map(|at_us| {
            let delta = (at_us as i64 - last_us as i64) / 250;
            last_us = last_us.saturating_add_signed(delta * 250);
            delta as i16
        });
        ((first + offset) as u16, delta)
    });
    send_side.feedback(now_us, statuses, reference as i32);
    newest + 1
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/links/traces/{name}.txt"))
}

fn read(name: &str) -> Vec<Record> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let record = |line: &str| {
        let mut fields = line.split(' ');
        Some(Record {
            sent_us: fields.next()?.parse().ok()?,
            bytes: fields.next()?.parse().ok()?,
            arrival_us: fields.next()?.parse().ok(),
        })
    };
    text.lines().map(|line| record(line).unwrap()).collect()
}

fn write(name: &str, records: &[Record]) {
    let mut text = String::new();
    for record in records {
        let arrival = record.arrival_us.map_or("-".into(), |us| us.to_string());
        let _ = writeln!(text, "{} {} {arrival}", record.sent_us, record.bytes);
    }
    std::fs::write(path(name), text).unwrap();
}
