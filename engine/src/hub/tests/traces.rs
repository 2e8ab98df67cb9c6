//! Traces: asked for, told, and kept over control's death.

use weirgate_wire::{Trace, TraceDirection, TraceInfo};

use super::*;

const PLI: Event = Event::Trace(Trace {
    kind: ObjectKind::Producer,
    id: PRODUCER,
    unix_ms: 1,
    direction: TraceDirection::Out,
    info: TraceInfo::Pli { ssrc: 5 },
    dropped: 0,
});

fn set(kind: ObjectKind, id: Uuid, types: &[TraceType]) -> Request {
    Request::SetTrace {
        kind,
        id,
        types: types.iter().copied().collect(),
    }
}

#[test]
fn what_is_traced_is_told_to_the_owners_shard_and_to_a_new_control() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    bench.logged();
    bench.ok(set(ObjectKind::Transport, SENDER, &[TraceType::Bwe]));
    bench.ok(set(ObjectKind::Producer, PRODUCER, &[TraceType::Sr]));
    bench.ok(set(ObjectKind::Consumer, id(20), &[TraceType::Rtp]));
    assert_eq!(
        bench.logged(),
        ["0 trace 2 bwe", "0 trace 10 sr", "1 trace 20 rtp"]
    );
    bench.restart_control();
    bench.ask(Request::Snapshot);
    let traced: Vec<TraceTypes> = bench
        .told()
        .into_iter()
        .filter_map(|message| match message {
            ToControl::Object(object) => Some(object.trace),
            _ => None,
        })
        .filter(|trace| !trace.is_empty())
        .collect();
    let only = |trace: TraceType| [trace].into_iter().collect();
    assert_eq!(
        traced,
        [
            only(TraceType::Bwe),
            only(TraceType::Sr),
            only(TraceType::Rtp)
        ]
    );
}

#[test]
fn types_that_an_object_does_not_have_are_refused_by_name() {
    let mut bench = Bench::room();
    bench.logged();
    let types = [TraceType::Rtp, TraceType::Bwe];
    let refusal = bench.refused(set(ObjectKind::Producer, PRODUCER, &types));
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    assert!(refusal.message.contains("bwe"), "{}", refusal.message);
    let refusal = bench.refused(set(ObjectKind::Router, ROUTER, &[TraceType::Rtp]));
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    let refusal = bench.refused(set(ObjectKind::Consumer, id(99), &[TraceType::Rtp]));
    assert_eq!(refusal.kind, RefusalKind::NotFound);
    assert!(bench.logged().is_empty());
}

#[test]
fn traces_are_passed_on_while_they_are_wanted_and_somebody_listens() {
    let mut bench = Bench::room();
    bench.told();
    bench.event(0, PLI);
    assert!(bench.told().is_empty(), "nobody asked for it");
    bench.ok(set(ObjectKind::Producer, PRODUCER, &[TraceType::Pli]));
    bench.told();
    bench.event(0, PLI);
    assert_eq!(bench.told(), [ToControl::Event(PLI)]);
    bench.ok(set(ObjectKind::Producer, PRODUCER, &[]));
    bench.told();
    bench.event(0, PLI);
    assert!(
        bench.told().is_empty(),
        "it was on its way when switched off"
    );

    bench.ok(set(ObjectKind::Producer, PRODUCER, &[TraceType::Pli]));
    bench.restart_control();
    bench.event(0, PLI);
    assert_eq!(bench.hub.counters.traces_dropped, 1);
    bench.ask(Request::Snapshot);
    let told = bench.told();
    assert!(
        !told.contains(&ToControl::Event(PLI)),
        "it is of no use now"
    );
}
