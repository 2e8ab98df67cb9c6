//! Producers and consumers on different shards.

use super::*;

#[test]
fn media_crosses_once_for_the_first_consumer_of_a_shard_until_its_last_one_goes() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    assert_eq!(
        bench.logged(),
        ["0 relay 10 to 1 on", "1 open 10", "1 consumer 20"]
    );
    bench.ok(create_consumer(RECEIVER, id(21)));
    assert_eq!(bench.logged(), ["1 consumer 21"]);

    bench.ok(close(ObjectKind::Consumer, id(20)));
    assert_eq!(bench.logged(), ["1 close consumer 20"]);
    bench.ok(close(ObjectKind::Consumer, id(21)));
    assert_eq!(
        bench.logged(),
        [
            "0 relay 10 to 1 off",
            "1 close consumer 21",
            "1 close producer 10"
        ]
    );
    bench.ok(create_consumer(RECEIVER, id(22)));
    assert_eq!(bench.logged().len(), 3, "it opens again");
}

#[test]
fn a_consumer_on_its_producers_shard_needs_no_crossing() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(SENDER, id(20)));
    assert_eq!(bench.logged(), ["0 consumer 20"]);
    bench.ok(close(ObjectKind::Consumer, id(20)));
    assert_eq!(bench.logged(), ["0 close consumer 20"]);
}

#[test]
fn whichever_step_of_a_consumer_is_refused_nothing_of_it_stays() {
    for step in ["open", "relay", "consumer"] {
        let mut bench = Bench::room();
        let blobs = bench.hub.blobs.used();
        bench.refuses = Box::new(move |_, body| match body {
            CommandBody::Relay { on: false, .. } => false,
            body => short(body).starts_with(step),
        });
        let refusal = bench.refused(create_consumer(RECEIVER, id(20)));
        assert_eq!(refusal.kind, RefusalKind::OverCapacity);
        bench.settle();
        let undone = bench.logged();
        for undo in [
            "1 close consumer 20",
            "0 relay 10 to 1 off",
            "1 close producer 10",
        ] {
            assert!(undone.iter().any(|line| line == undo), "{step}: {undone:?}");
        }
        assert!(bench.hub.registry.consumers.is_empty());
        assert!(bench.hub.registry.producers[&PRODUCER].abroad.is_empty());
        assert!(bench.hub.registry.producers[&PRODUCER].consumers.is_empty());
        assert_eq!(bench.hub.blobs.used(), blobs);

        bench.refuses = Box::new(|_, _| false);
        bench.ok(create_consumer(RECEIVER, id(20)));
        assert_eq!(bench.logged().len(), 3);
    }
}

#[test]
fn a_refused_consumer_leaves_the_crossing_that_another_one_has_come_to_use() {
    let mut bench = Bench::room();
    bench.refuses = Box::new(|_, body| short(body) == "consumer 20");
    let first = bench.ask(create_consumer(RECEIVER, id(20)));
    let second = bench.ask(create_consumer(RECEIVER, id(21)));
    bench.settle();
    assert!(bench.control.answer_to(first).unwrap().is_err());
    assert_eq!(bench.control.answer_to(second).unwrap(), Ok(Answer::Done));
    assert!(!bench.logged().iter().any(|line| line.contains("off")));
    assert_eq!(bench.hub.registry.producers[&PRODUCER].abroad[&1], 1);
}

#[test]
fn pausing_a_producer_reaches_every_shard_that_knows_it_or_will() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    bench.logged();
    bench.ok(pause(ObjectKind::Producer, PRODUCER, true));
    assert_eq!(bench.logged(), ["0 paused 10 true", "1 paused 10 true"]);

    bench.ok(close(ObjectKind::Consumer, id(20)));
    bench.logged();
    bench.ok(create_consumer(RECEIVER, id(21)));
    assert!(bench.logged().contains(&"1 open 10 paused".to_owned()));
}

#[test]
fn a_refused_pause_is_taken_back() {
    let mut bench = Bench::room();
    bench.refuses = Box::new(|_, body| matches!(body, CommandBody::SetPaused { .. }));
    bench.refused(pause(ObjectKind::Producer, PRODUCER, true));
    assert!(!bench.hub.registry.producers[&PRODUCER].config.paused);
}

#[test]
fn closing_a_producer_closes_its_consumers_wherever_they_are() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    bench.ok(create_consumer(SENDER, id(21)));
    bench.logged();
    bench.ok(close(ObjectKind::Producer, PRODUCER));
    assert_eq!(
        bench.logged(),
        ["0 close producer 10", "1 close producer 10"]
    );
    assert!(bench.hub.registry.consumers.is_empty());
    assert!(
        bench.hub.registry.transports[&RECEIVER]
            .consumers
            .is_empty()
    );
}

#[test]
fn closing_a_transport_ends_the_crossings_its_consumers_were_the_last_of() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    bench.ok(create_consumer(RECEIVER, id(21)));
    bench.logged();
    bench.ok(close(ObjectKind::Transport, RECEIVER));
    assert_eq!(
        bench.logged(),
        [
            "0 relay 10 to 1 off",
            "1 close transport 3",
            "1 close producer 10"
        ]
    );
    bench.ok(close(ObjectKind::Transport, SENDER));
    assert_eq!(bench.logged(), ["0 close transport 2"]);
    bench.ok(close(ObjectKind::Router, ROUTER));
    bench.assert_empty();
}

#[test]
fn a_transport_closed_while_a_consumer_is_made_takes_it_along() {
    let mut bench = Bench::room();
    let made = bench.ask(create_consumer(RECEIVER, id(20)));
    let closed = bench.ask(close(ObjectKind::Router, ROUTER));
    bench.refuses = Box::new(|_, body| matches!(body, CommandBody::CreateConsumer { .. }));
    bench.settle();
    assert!(bench.control.answer_to(made).unwrap().is_err());
    assert_eq!(bench.control.answer_to(closed).unwrap(), Ok(Answer::Done));
    bench.assert_empty();
}

#[test]
fn sources_get_another_number_each_time() {
    let mut bench = Bench::room();
    let number = |bench: &Bench| bench.hub.registry.producers[&PRODUCER].source;
    let first = number(&bench);
    bench.ok(close(ObjectKind::Producer, PRODUCER));
    bench.ok(create_producer(SENDER, PRODUCER));
    assert_eq!(number(&bench).index(), first.index());
    assert_ne!(number(&bench), first);
}
