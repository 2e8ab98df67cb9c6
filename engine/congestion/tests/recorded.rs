//! What the estimator and the allocator make of feedback that Chromium sent from behind a link:
//! recorded by `scripts/e2e/record`, held as text.

// A trace that can not be read is a broken test.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::PathBuf;

use weirgate_congestion::allocator::{Allocation, Demand, Kind, LayerRate, allocate};
use weirgate_congestion::{Config, PacketKind, SendSide};
use weirgate_packet::rtcp::{RtcpPacket, packets};

const MS: u64 = 1_000;
const STEP_US: u64 = 500 * MS;

const CONFIG: Config = Config {
    initial_bps: 600_000,
    min_bps: 30_000,
    max_bps: 10_000_000,
};

/// Two cameras and a voice, as a browser sends them.
const CAMERA: [LayerRate; 3] = [layer(0, 110_000), layer(1, 350_000), layer(2, 1_000_000)];
const VOICE: [LayerRate; 1] = [layer(0, 32_000)];

const fn layer(spatial: u8, bps: u64) -> LayerRate {
    LayerRate {
        spatial,
        temporal: 0,
        bps,
    }
}

const fn demand(kind: Kind, priority: u8, layers: &'static [LayerRate]) -> Demand<'static> {
    Demand {
        priority,
        kind,
        paused: false,
        layers,
        preferred: None,
    }
}

const DEMANDS: [Demand<'static>; 3] = [
    demand(Kind::Audio, 1, &VOICE),
    demand(Kind::Video, 1, &CAMERA),
    demand(Kind::Video, 5, &CAMERA),
];

enum Step {
    Sent {
        sequence: u16,
        bytes: u16,
        kind: PacketKind,
    },
    Feedback(Vec<u8>),
}

/// Steps with their times in µs, in order.
fn read(name: &str) -> Vec<(u64, Step)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let step = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let step = match fields[0] {
            "s" => Step::Sent {
                sequence: fields[2].parse().unwrap(),
                bytes: fields[3].parse().unwrap(),
                kind: match fields[4] {
                    "v" => PacketKind::Video,
                    _ => PacketKind::Rtx,
                },
            },
            _ => Step::Feedback(bytes(fields[2])),
        };
        (fields[1].parse().unwrap(), step)
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(step).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// What is concluded, every half second: estimate, what arrives, loss, round trip, and the layers of
/// the cameras.
struct Replay {
    send_side: SendSide,
    allocations: [Allocation; 3],
    log: String,
    targets: Vec<(u64, u64)>,
}

impl Replay {
    fn feed_back(&mut self, now_us: u64, compound: &[u8]) {
        for packet in packets(compound) {
            let RtcpPacket::TransportFeedback(feedback) = packet else {
                panic!("not feedback: {packet:?}");
            };
            let reference_time = feedback.reference_time;
            self.send_side
                .feedback(now_us, feedback.statuses(), reference_time);
        }
    }

    fn conclude(&mut self, now_us: u64) {
        let target_bps = self.send_side.target_bps();
        allocate(now_us, target_bps, &DEMANDS, &mut self.allocations);
        self.targets.push((now_us, target_bps));
        let layer = |allocation: &Allocation| allocation.layer.map_or(-1, |layer| layer as i8);
        let [voice, first, second] = &self.allocations;
        assert_eq!(voice.layer, Some(0), "audio has its rate in any case");
        let _ = writeln!(
            self.log,
            "{:6} {:7} {:8} {:5.1} {:4} {:3} {:3}",
            now_us / MS,
            target_bps / 1_000,
            self.send_side.acknowledged_bps().unwrap_or(0) / 1_000,
            self.send_side.average_loss() * 100.0,
            self.send_side.rtt_us().unwrap_or(0) / MS,
            layer(first),
            layer(second),
        );
    }

    /// The lowest and highest target of a time.
    fn range(&self, from_us: u64, until_us: u64) -> (u64, u64) {
        let times = self.targets.iter();
        let targets = times.filter(|(at_us, _)| (from_us..until_us).contains(at_us));
        let targets = targets.map(|&(_, bps)| bps);
        (targets.clone().min().unwrap(), targets.max().unwrap())
    }
}

fn replay(name: &str) -> Replay {
    let steps = read(name);
    let start_us = steps[0].0;
    let mut replay = Replay {
        send_side: SendSide::new(CONFIG, start_us),
        allocations: [Allocation::default(); 3],
        log: String::from("  time  target  arrives  loss  rtt  1st 2nd\n"),
        targets: Vec::new(),
    };
    // What was probed then is part of the recording.
    replay.send_side.set_wanted(start_us, 0);
    let mut next_us = start_us + STEP_US;
    for (at_us, step) in steps {
        while next_us <= at_us {
            replay.send_side.poll(next_us);
            replay.conclude(next_us);
            next_us += STEP_US;
        }
        match step {
            Step::Sent {
                sequence,
                bytes,
                kind,
            } => replay.send_side.sent(at_us, sequence, bytes, kind),
            Step::Feedback(compound) => replay.feed_back(at_us, &compound),
        }
    }
    replay
}

/// 2 Mbit/s, 600 kbit/s, 2 Mbit/s, four seconds each.
#[test]
fn a_link_that_narrows() {
    let replay = replay("narrows");
    let narrow = replay.range(7_500 * MS, 9_000 * MS);
    assert!(narrow.0 > 200_000 && narrow.1 < 750_000, "{narrow:?}");
    insta::assert_snapshot!(replay.log);
}

/// 2 Mbit/s with 4 % random loss.
#[test]
fn a_link_that_loses() {
    let replay = replay("loses");
    let lossy = replay.range(4_000 * MS, 11_000 * MS);
    assert!(
        lossy.0 > 400_000,
        "losses alone are no congestion: {lossy:?}"
    );
    insta::assert_snapshot!(replay.log);
}
