//! Pieces of work, each in units that mean something. They are timed (`benches/shard.rs`) and their
//! instructions are counted (`benches/counted.rs`): the same code, so that the two figures speak
//! of one thing.

mod batch;
mod crypto;
mod layers;
mod rtcp;
mod step;
mod stun;

pub use batch::Trains;
pub use crypto::{Open, Seal};
pub use layers::{ReadLayers, Rewrite, Select};
pub use rtcp::{FeedbackIn, NackIn, ReportsOut};
pub use step::{Split, Step};
pub use stun::Checks;

use weirgate_wire::{MediaKind, SrtpSuite};

use crate::call::{Leg, Scenario, Topology};

/// Something that can be prepared outside and done inside of what is measured.
pub trait Work {
    /// Sees to it that there is input for that many turns.
    fn prepare(&mut self, turns: usize);

    /// Does as many turns of what was prepared and answers the units done.
    fn run(&mut self, turns: usize) -> u64;
}

/// A work with what is known of it.
pub struct Entry {
    /// Its name in every table.
    pub name: String,
    /// What one unit is.
    pub unit: &'static str,
    /// Turns that take long enough to be counted by instructions.
    pub turns: usize,
    /// Makes it.
    pub make: Box<dyn Fn() -> Box<dyn Work>>,
}

/// Every work there is.
pub fn all() -> Vec<Entry> {
    let mut entries = steps();
    entries.extend(suites());
    entries.extend([
        entry("select/read", "packet", 200, ReadLayers::new),
        entry("select/every-layer", "packet offered", 200, || {
            Select::new(2)
        }),
        entry("select/lowest-layer", "packet offered", 200, || {
            Select::new(0)
        }),
        entry("rewrite/vp8", "packet", 4000, Rewrite::new),
        entry("train/9", "datagram", 200, || Trains::new(9)),
        entry("train/1", "datagram", 200, || Trains::new(1)),
        entry("stun/check", "check answered", 400, Checks::new),
        entry("rtcp/feedback-in", "compound received", 4, FeedbackIn::new),
        entry("rtcp/nack-in", "packet sent again", 1, NackIn::new),
        entry("rtcp/reports-out", "compound sent", 8, ReportsOut::new),
    ]);
    entries
}

/// Whole turns of the loop. The first six are what the engine is for; the others differ from
/// `video-1to50` in one thing each, so that the difference is what that thing costs.
fn steps() -> Vec<Entry> {
    let topologies = [
        ("1to1", Topology::OneTo(1), 200),
        ("1to50", Topology::OneTo(50), 20),
        ("20x20", Topology::Meeting(20), 60),
    ];
    let kinds = [
        ("video", MediaKind::Video, 1),
        ("audio", MediaKind::Audio, 3),
    ];
    let mut entries = Vec::new();
    for (kind_name, kind, more) in kinds {
        for (topology_name, topology, turns) in topologies {
            let name = format!("{kind_name}-{topology_name}");
            entries.push(step(&name, turns * more, Scenario::new(topology, kind)));
        }
    }
    let video = Scenario::new(Topology::OneTo(50), MediaKind::Video);
    let silent = Scenario {
        rtcp: false,
        ..video
    };
    let plain = Scenario {
        leg: Leg::Plain,
        ..silent
    };
    let with_suite = |suite| Scenario { suite, ..plain };
    let sha1 = SrtpSuite::AesCm128HmacSha1_80;
    let paused = Scenario {
        paused: true,
        ..silent
    };
    entries.extend([
        step("video-1to50-silent", 20, silent),
        step("video-1to50-plain", 20, plain),
        step("video-1to50-plain-sha1", 10, with_suite(Some(sha1))),
        step("video-1to50-plain-clear", 20, with_suite(None)),
        step("video-1to50-paused", 100, paused),
        step(
            "audio-1to50-plain",
            60,
            Scenario {
                kind: MediaKind::Audio,
                ..plain
            },
        ),
    ]);
    entries
}

fn step(name: &str, turns: usize, scenario: Scenario) -> Entry {
    let unit = if scenario.paused {
        "packet received"
    } else {
        "packet forwarded"
    };
    entry(&format!("step/{name}"), unit, turns, move || {
        Step::new(scenario)
    })
}

fn suites() -> Vec<Entry> {
    let mut entries = Vec::new();
    for suite in SrtpSuite::ALL {
        let name = suite.name();
        entries.push(entry(&format!("open/{name}"), "packet", 400, move || {
            Open::new(suite)
        }));
        entries.push(entry(&format!("seal/{name}"), "packet", 400, move || {
            Seal::new(suite)
        }));
    }
    entries
}

fn entry<W: Work + 'static>(
    name: &str,
    unit: &'static str,
    turns: usize,
    make: impl Fn() -> W + 'static,
) -> Entry {
    Entry {
        name: name.to_owned(),
        unit,
        turns,
        make: Box::new(move || Box::new(make())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_does_units_in_proportion() {
        for entry in all() {
            let mut work = (entry.make)();
            work.prepare(4);
            let first = work.run(2);
            let second = work.run(2);
            assert!(first > 0 && second > 0, "{}", entry.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().into_iter().map(|entry| entry.name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
