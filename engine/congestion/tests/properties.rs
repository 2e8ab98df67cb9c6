//! What holds whatever comes in.

use proptest::collection::vec;
use proptest::prelude::*;
use weirgate_congestion::allocator::{
    Allocation, Demand, Kind, LayerRate, Reason, allocate, wanted_bps,
};
use weirgate_congestion::{Config, NEVER_US, Pacer, PacketKind, SendSide};

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Send {
        count: u16,
        bytes: u16,
        skipped: u16,
    },
    SendAgain {
        back: u16,
    },
    SendFailed {
        back: u16,
    },
    Feedback {
        back: u16,
        statuses: Vec<Option<i16>>,
        reference_time: i32,
    },
    LossReport {
        fraction_lost: u8,
        packets: u32,
    },
    Remb(u64),
    Limits(u64, u64),
    Wanted(u64),
    Rtt(u64),
    Probe,
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        4 => 0..50_000_u64,
        2 => 50_000..2_000_000_u64,
        1 => 0..10_000_000_000_u64,
    ];
    let delta = prop_oneof![
        3 => Just(None),
        12 => (0..200_i16).prop_map(Some),
        1 => any::<i16>().prop_map(Some),
    ];
    let reference = prop_oneof![3 => 0..1_000_i32, 1 => -(1 << 23)..(1 << 23), 1 => any::<i32>()];
    prop_oneof![
        4 => wait.prop_map(Step::Wait),
        6 => (1..60_u16, any::<u16>(), prop_oneof![9 => Just(0_u16), 1 => any::<u16>()])
            .prop_map(|(count, bytes, skipped)| Step::Send { count, bytes, skipped }),
        1 => any::<u16>().prop_map(|back| Step::SendAgain { back }),
        1 => any::<u16>().prop_map(|back| Step::SendFailed { back }),
        6 => (0..200_u16, vec(delta, 0..100), reference).prop_map(
            |(back, statuses, reference_time)| Step::Feedback { back, statuses, reference_time }
        ),
        1 => (any::<u8>(), any::<u32>())
            .prop_map(|(fraction_lost, packets)| Step::LossReport { fraction_lost, packets }),
        1 => any::<u64>().prop_map(Step::Remb),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(min, max)| Step::Limits(min >> 20, max >> 20)),
        1 => any::<u64>().prop_map(Step::Wanted),
        1 => any::<u64>().prop_map(Step::Rtt),
        2 => Just(Step::Probe),
        3 => Just(Step::Poll),
    ]
}

struct Machine {
    send_side: SendSide,
    pacer: Pacer,
    now_us: u64,
    sequence: u16,
    limits: (u64, u64),
}

impl Machine {
    fn apply(&mut self, step: Step) {
        let now_us = self.now_us;
        let send_side = &mut self.send_side;
        match step {
            Step::Wait(us) => self.now_us += us,
            Step::Send {
                count,
                bytes,
                skipped,
            } => {
                self.sequence = self.sequence.wrapping_add(skipped);
                for _ in 0..count {
                    send_side.sent(now_us, self.sequence, bytes, PacketKind::Video);
                    self.pacer.spend(u64::from(bytes));
                    self.sequence = self.sequence.wrapping_add(1);
                }
            }
            Step::SendAgain { back } => {
                let sequence = self.sequence.wrapping_sub(back);
                send_side.sent(now_us, sequence, 900, PacketKind::Rtx);
            }
            Step::SendFailed { back } => send_side.send_failed(self.sequence.wrapping_sub(back)),
            Step::Feedback {
                back,
                statuses,
                reference_time,
            } => {
                let base = self.sequence.wrapping_sub(back);
                let sequences = (0..).map(|offset| base.wrapping_add(offset));
                send_side.feedback(now_us, sequences.zip(statuses), reference_time);
            }
            Step::LossReport {
                fraction_lost,
                packets,
            } => {
                send_side.loss_report(now_us, fraction_lost, packets);
            }
            Step::Remb(bps) => send_side.remb(now_us, bps),
            Step::Limits(min_bps, max_bps) => {
                self.limits = (min_bps, max_bps.max(min_bps));
                send_side.set_limits(now_us, min_bps, max_bps);
            }
            Step::Wanted(bps) => send_side.set_wanted(now_us, bps),
            Step::Rtt(us) => send_side.rtt(us),
            Step::Probe => {
                if let Some(probe) = send_side.probe(now_us) {
                    self.pacer.start_probe(now_us, probe);
                    let cluster = probe.id;
                    for _ in 0..6 {
                        let kind = PacketKind::Padding { cluster };
                        send_side.sent(now_us, self.sequence, 1_200, kind);
                        self.sequence = self.sequence.wrapping_add(1);
                    }
                }
            }
            Step::Poll => assert!(send_side.poll(now_us) > now_us),
        }
    }

    fn check(&mut self) {
        let target_bps = self.send_side.target_bps();
        let (min_bps, max_bps) = self.limits;
        // The limits are kept as floats.
        assert!(
            target_bps as f64 >= min_bps as f64 - 1.0,
            "{target_bps} {min_bps}"
        );
        assert!(
            target_bps as f64 <= max_bps as f64 + 1.0,
            "{target_bps} {max_bps}"
        );
        assert!((0.0..=1.0).contains(&self.send_side.average_loss()));
        let sent_bps = self.send_side.sent_bps(self.now_us);
        self.pacer.set_target(target_bps, sent_bps);
        for queued_bytes in [0, 1, 100_000] {
            self.pacer.budget(self.now_us, queued_bytes);
            let release_us = self.pacer.next_release(self.now_us, queued_bytes);
            assert!(release_us >= self.now_us);
            assert!(queued_bytes == 0 || release_us < NEVER_US);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_target_is_within_its_limits_whatever_comes(steps in vec(step(), 1..120)) {
        let config = Config { initial_bps: 600_000, min_bps: 30_000, max_bps: 10_000_000 };
        let mut machine = Machine {
            send_side: SendSide::new(config, 0),
            pacer: Pacer::new(0, config.initial_bps),
            now_us: 0,
            sequence: 65_000,
            limits: (config.min_bps, config.max_bps),
        };
        for step in steps {
            machine.apply(step);
            machine.check();
        }
    }
}

/// Layers of one consumer, rates rising.
fn layers() -> impl Strategy<Value = Vec<LayerRate>> {
    vec((0..4_u8, 0..3_u8, 1..800_000_u64), 0..8).prop_map(|mut parts| {
        parts.sort_unstable();
        parts.dedup_by_key(|part| (part.0, part.1));
        let mut bps = 0;
        let layer = |(spatial, temporal, step)| {
            bps += step;
            LayerRate {
                spatial,
                temporal,
                bps,
            }
        };
        parts.into_iter().map(layer).collect()
    })
}

#[derive(Debug, Clone)]
struct Consumer {
    priority: u8,
    kind: Kind,
    paused: bool,
    layers: Vec<LayerRate>,
    preferred: Option<(u8, u8)>,
}

impl Consumer {
    fn demand(&self) -> Demand<'_> {
        Demand {
            priority: self.priority,
            kind: self.kind,
            paused: self.paused,
            layers: &self.layers,
            preferred: self.preferred,
        }
    }
}

fn consumer() -> impl Strategy<Value = Consumer> {
    (
        1..5_u8,
        prop_oneof![1 => Just(Kind::Audio), 4 => Just(Kind::Video)],
        prop::bool::weighted(0.1),
        layers(),
        prop::option::weighted(0.3, (0..4_u8, 0..3_u8)),
    )
        .prop_map(|(priority, kind, paused, layers, preferred)| Consumer {
            priority,
            kind,
            paused,
            layers,
            preferred,
        })
}

/// Allocates anew for each target, 300 ms apart; every result.
fn run(consumers: &[Consumer], targets: &[u64]) -> Vec<Vec<Allocation>> {
    let demands: Vec<_> = consumers.iter().map(Consumer::demand).collect();
    let mut allocations = vec![Allocation::default(); demands.len()];
    let allocate = |(now, &target): (u64, &u64)| {
        allocate(now * 300_000, target, &demands, &mut allocations);
        allocations.clone()
    };
    (1..).zip(targets).map(allocate).collect()
}

proptest! {
    #[test]
    fn never_over_the_target_by_more_than_audio(
        consumers in vec(consumer(), 0..8),
        targets in vec(0..3_000_000_u64, 1..12),
    ) {
        let demands: Vec<_> = consumers.iter().map(Consumer::demand).collect();
        let mut allocations = vec![Allocation::default(); demands.len()];
        for (now, &target) in (1..).zip(&targets) {
            let summary = allocate(now * 300_000, target, &demands, &mut allocations);
            let of_kind = |kind| {
                let both = demands.iter().zip(&allocations);
                both.filter(|(demand, _)| demand.kind == kind).map(|(_, a)| a.bps).sum::<u64>()
            };
            prop_assert!(of_kind(Kind::Video) <= target.saturating_sub(of_kind(Kind::Audio)));
            prop_assert_eq!(summary.bps, of_kind(Kind::Video) + of_kind(Kind::Audio));
            prop_assert!(summary.bps <= wanted_bps(&demands));
            for (demand, allocation) in demands.iter().zip(&allocations) {
                let bps = allocation.layer.map_or(0, |index| demand.layers[index].bps);
                prop_assert_eq!(allocation.bps, bps);
                prop_assert_eq!(allocation.reason == Reason::Paused, demand.paused);
                prop_assert!(!demand.paused || allocation.layer.is_none());
            }
        }
    }

    #[test]
    fn of_equals_the_one_with_priority_gets_no_less(
        layers in layers(),
        priorities in vec(1..9_u8, 2..6),
        target in 0..5_000_000_u64,
    ) {
        let consumers: Vec<_> = priorities.iter().map(|&priority| Consumer {
            priority,
            kind: Kind::Video,
            paused: false,
            layers: layers.clone(),
            preferred: None,
        }).collect();
        let result = run(&consumers, &[target]).remove(0);
        for (a, one) in consumers.iter().zip(&result) {
            for (b, other) in consumers.iter().zip(&result) {
                prop_assert!(a.priority <= b.priority || one.layer >= other.layer);
            }
        }
    }

    #[test]
    fn more_bandwidth_is_no_worse(
        audio in vec(layers(), 0..3),
        layers in layers(),
        target in 0..5_000_000_u64,
        more in 0..1_000_000_u64,
    ) {
        let of_kind = |kind, layers| Consumer {
            priority: 1,
            kind,
            paused: false,
            layers,
            preferred: None,
        };
        let mut consumers = vec![of_kind(Kind::Video, layers)];
        consumers.extend(audio.into_iter().map(|layers| of_kind(Kind::Audio, layers)));
        let less = run(&consumers, &[target]).remove(0);
        let more = run(&consumers, &[target + more]).remove(0);
        for (less, more) in less.iter().zip(&more) {
            prop_assert!(less.layer <= more.layer);
        }
    }

    #[test]
    fn a_steady_target_comes_to_rest(
        consumers in vec(consumer(), 0..8),
        before in 0..3_000_000_u64,
        target in 0..3_000_000_u64,
    ) {
        let mut targets = vec![before];
        targets.extend([target; 80]);
        let results = run(&consumers, &targets);
        let layers = |result: &[Allocation]| -> Vec<_> { result.iter().map(|a| a.layer).collect() };
        // The longest hold is 16 s.
        let rest = layers(&results[60]);
        prop_assert!(results[60..].iter().all(|result| layers(result) == rest));
    }

    #[test]
    fn it_is_deterministic(
        consumers in vec(consumer(), 0..8),
        targets in vec(0..3_000_000_u64, 1..12),
    ) {
        prop_assert_eq!(run(&consumers, &targets), run(&consumers, &targets));
    }
}
