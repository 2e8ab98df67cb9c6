//! Runs as they might be, for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::capacity::{self, Capacity, SearchSettings, Trial};
use crate::outcome::{
    Bounds, Cpu, Ending, JoinTimes, KindOutcome, Outcome, Own, Participants, Percentiles,
    ProcessCpu, Second, Sent, Tally, Trains, Verdict,
};

/// Packets per second and receiver: video and audio.
const VIDEO_RATE: u64 = 150;
const AUDIO_RATE: u64 = 50;

/// A run of so many receivers in which all went well.
pub(crate) fn clean(receivers: u64, seconds: u32) -> Outcome {
    let bounds = Bounds {
        max_loss: Some(0.0),
        max_p99_ms: Some(20.0),
    };
    let by_kind = BTreeMap::from([
        (
            "audio".to_owned(),
            kind(receivers, AUDIO_RATE, seconds, 0.8),
        ),
        (
            "video".to_owned(),
            kind(receivers, VIDEO_RATE, seconds, 1.4),
        ),
    ]);
    Outcome {
        scenario: "livestream".to_owned(),
        settings: vec![
            ("receivers".to_owned(), receivers.to_string()),
            ("video".to_owned(), "1.5M".to_owned()),
            ("audio".to_owned(), "yes".to_owned()),
            ("duration".to_owned(), format!("{seconds} s")),
        ],
        server: "http://127.0.0.1:8080".to_owned(),
        transport: "webrtc AEAD_AES_128_GCM".to_owned(),
        signaling: "api".to_owned(),
        started_unix_ms: 1_790_000_000_000,
        seconds: f64::from(seconds),
        participants: Participants {
            wanted: receivers as usize,
            joined: receivers as usize,
            ..Participants::default()
        },
        sent: Sent {
            streams: 2,
            packets: (VIDEO_RATE + AUDIO_RATE) * u64::from(seconds),
            payload_bytes: 190_000 * u64::from(seconds),
            retransmitted: 0,
            key_frames: 3,
        },
        totals: tally(
            receivers * (VIDEO_RATE + AUDIO_RATE),
            seconds,
            2 * receivers,
        ),
        latency: Some(percentiles(1.4, receivers * 200 * u64::from(seconds))),
        by_kind,
        join: JoinTimes {
            joined: Some(percentiles(12.0, receivers)),
            first_packet: Some(percentiles(19.0, 2 * receivers)),
            first_key_frame: Some(percentiles(55.0, receivers)),
        },
        refused: crate::outcome::Refused::default(),
        feedback: crate::outcome::Feedback::default(),
        timeline: (1..=seconds).map(|at| second(at, receivers)).collect(),
        phases: Vec::new(),
        trains: [(1, 0.25), (2, 0.1), (3, 0.1), (4, 0.1), (5, 0.45)]
            .into_iter()
            .map(|(length, share)| Trains {
                length,
                count: (share * (receivers * u64::from(seconds) * 60) as f64) as u64,
            })
            .collect(),
        cpu: Some(cpu(receivers, seconds)),
        own: Own {
            cpu_share: 0.31,
            cores: 2,
            lateness: Some(percentiles(0.09, 200 * u64::from(seconds))),
            read_delay: Some(percentiles(0.05, receivers * 200 * u64::from(seconds))),
            ..Own::default()
        },
        ending: Ending::Completed,
        bounds,
        verdict: Verdict::Passed,
        failures: Vec::new(),
        inconclusive: Vec::new(),
    }
}

/// One that lost packets, late.
pub(crate) fn lossy(receivers: u64, seconds: u32) -> Outcome {
    let mut outcome = clean(receivers, seconds);
    outcome.totals.lost = 1_234;
    outcome.totals.received -= 1_234;
    let last = outcome.timeline.len() - 1;
    outcome.timeline[last].lost = 1_234;
    outcome.latency = Some(percentiles(31.0, outcome.totals.received));
    for of_kind in outcome.by_kind.values_mut() {
        of_kind.latency = Some(percentiles(31.0, of_kind.tally.received));
    }
    outcome.participants.joined -= 1;
    outcome.participants.failed = 1;
    outcome.participants.failures =
        vec!["POST /v1/transports/3f/connect answered 503: <no port> is left".to_owned()];
    crate::verdict::judge(&mut outcome);
    outcome
}

/// One whose generator could not keep up.
pub(crate) fn overloaded(receivers: u64, seconds: u32) -> Outcome {
    let mut outcome = clean(receivers, seconds);
    outcome.own.socket_drops = 4_321;
    outcome.own.cpu_share = 0.99;
    outcome.own.lateness = Some(percentiles(9.0, 1_000));
    crate::verdict::judge(&mut outcome);
    outcome
}

/// A search on a server that carries so many receivers, by a generator that carries so many.
pub(crate) fn found(server: u64, generator: u64) -> Capacity {
    let settings = SearchSettings::new(Duration::from_secs(9));
    let run = async |trial: Trial| {
        let seconds = trial.duration.as_secs() as u32;
        let mut outcome = if trial.load > generator {
            overloaded(trial.load, seconds)
        } else if trial.load > server {
            lossy(trial.load, seconds)
        } else {
            clean(trial.load, seconds)
        };
        // One that is there, so that what it may use can be looked up.
        let processes = outcome.cpu.iter_mut().flat_map(|cpu| &mut cpu.processes);
        processes.for_each(|process| process.pid = std::process::id());
        Ok(outcome)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let search = capacity::search(settings, "receivers", run, |_| {});
    runtime.block_on(search).unwrap()
}

fn kind(receivers: u64, rate: u64, seconds: u32, p50_ms: f64) -> KindOutcome {
    let tally = tally(receivers * rate, seconds, receivers);
    let quantiles = (0..30).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 10.0));
    KindOutcome {
        tally,
        latency: Some(percentiles(p50_ms, tally.received)),
        latency_curve: quantiles
            .enumerate()
            .map(|(step, quantile)| {
                (
                    short(quantile),
                    short(p50_ms * 1.07_f64.powi(step as i32 - 3)),
                )
            })
            .collect(),
    }
}

fn tally(rate: u64, seconds: u32, flows: u64) -> Tally {
    let packets = rate * u64::from(seconds);
    Tally {
        flows,
        expected: packets,
        received: packets,
        wire_bytes: packets * 950,
        key_frames: flows,
        ..Tally::default()
    }
}

fn percentiles(p50: f64, count: u64) -> Percentiles {
    let times = |factor: f64| short(p50 * factor);
    Percentiles {
        count,
        p50: times(1.0),
        p90: times(1.5),
        p99: times(2.5),
        p999: times(4.0),
        p9999: times(7.0),
        max: times(11.0),
    }
}

/// With digits so few that they are the same on every machine and after a way through JSON.
fn short(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn second(at: u32, receivers: u64) -> Second {
    let wave = 1.0 + 0.03 * f64::from(at).sin();
    let received = (200.0 * wave * receivers as f64) as u64;
    Second {
        at_s: f64::from(at),
        length_s: 1.0,
        measured: true,
        participants: receivers + 1,
        sent_packets: 200,
        received_packets: received,
        wire_bytes: received * 950,
        lost: 0,
        rtx_packets: 0,
        latency: Some(percentiles(1.4 * wave, received)),
        train_length: 3.4,
        server_cores: Some(short(0.0006 * receivers as f64 * wave)),
        own_cores: 0.62,
    }
}

fn cpu(receivers: u64, seconds: u32) -> Cpu {
    let cores = short(0.0006 * receivers as f64);
    let process = |pid, name: &str, share: f64| ProcessCpu {
        pid,
        name: name.to_owned(),
        seconds: short(cores * share * f64::from(seconds)),
        kernel_threads: BTreeMap::new(),
        resident_bytes: 41_000_000,
    };
    Cpu {
        us_per_packet: 3.0,
        cores,
        processes: vec![
            process(1_001, "weirgate-engine", 0.97),
            process(1_000, "weirgate-control", 0.03),
        ],
    }
}
