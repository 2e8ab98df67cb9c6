//! Control comes, goes, crashes, lags.

use super::*;
use weirgate_wire::{AudioLevel, IceState, Layers, SnapshotBody, Tuple, VideoOrientation};

fn ice(state: IceState) -> Event {
    Event::Ice {
        transport: SENDER,
        state,
        tuple: Some(Tuple {
            local: SocketAddr::new(LOCALHOST, 1),
            remote: SocketAddr::new(LOCALHOST, 2),
        }),
    }
}

fn levels() -> Event {
    Event::AudioLevels(vec![AudioLevel {
        producer: PRODUCER,
        dbov: -20,
        peak_dbov: -20,
    }])
}

fn dtls() -> Event {
    Event::Dtls {
        transport: SENDER,
        datagram: vec![22; 100],
    }
}

fn orientation() -> Event {
    Event::ProducerOrientation {
        producer: PRODUCER,
        orientation: VideoOrientation::from_byte(0b1010),
    }
}

fn layers(spatial: u8) -> Event {
    Event::ConsumerLayers {
        consumer: id(20),
        layers: Some(Layers {
            spatial,
            temporal: 0,
        }),
    }
}

/// What a message is, in few words.
fn kind_of(message: &ToControl) -> &'static str {
    match message {
        ToControl::Welcome { .. } => "welcome",
        ToControl::Refused { .. } => "refused",
        ToControl::Answer { .. } => "answer",
        ToControl::Note { .. } => "note",
        ToControl::Event(_) => "event",
        ToControl::Object(object) => match object.body {
            SnapshotBody::Router => "router",
            SnapshotBody::WebRtcTransport { .. } | SnapshotBody::PlainTransport { .. } => {
                "transport"
            }
            SnapshotBody::Producer { .. } => "producer",
            SnapshotBody::Consumer { .. } => "consumer",
        },
    }
}

fn kinds(messages: &[ToControl]) -> Vec<&'static str> {
    messages.iter().map(kind_of).collect()
}

#[test]
fn a_new_control_gets_everything_parents_first_and_what_it_missed_after() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    bench.ok(pause(ObjectKind::Producer, PRODUCER, true));
    bench.ok(Request::PutNote {
        key: "room".to_owned(),
        blob: b"note".to_vec(),
    });
    bench.event(0, orientation());
    bench.event(1, layers(0));
    bench.restart_control();
    bench.event(0, ice(IceState::Connected));
    bench.event(0, ice(IceState::Completed));
    bench.event(0, dtls());
    bench.event(0, levels());
    assert_eq!(
        kinds(&bench.told()),
        ["welcome"],
        "nothing before the snapshot"
    );

    bench.ask(Request::Snapshot);
    let told = bench.told();
    assert_eq!(
        kinds(&told),
        [
            "router",
            "transport",
            "transport",
            "producer",
            "consumer",
            "note",
            "answer",
            "event",
            "event",
            "event"
        ]
    );
    let ToControl::Object(paused) = &told[3] else {
        panic!("no object");
    };
    assert_eq!(paused.blob, b"producer");
    assert!(matches!(
        &paused.body,
        SnapshotBody::Producer { transport: SENDER, config } if config.paused
    ));
    assert_eq!(told[7], ToControl::Event(ice(IceState::Completed)));
    assert_eq!(told[8], ToControl::Event(orientation()));
    assert_eq!(told[9], ToControl::Event(layers(0)));

    bench.event(0, dtls());
    bench.event(1, layers(1));
    assert_eq!(
        bench.told(),
        [ToControl::Event(dtls()), ToControl::Event(layers(1))]
    );
}

#[test]
fn the_snapshot_has_ice_state_keys_and_plain_addresses_as_they_stand() {
    let mut bench = Bench::room();
    bench.event(0, ice(IceState::Completed));
    bench.ok(Request::SetSrtpKeys {
        id: SENDER,
        send: key(),
        receive: key(),
        blob: None,
    });
    bench.ok(create_plain(id(4), None, None));
    let remote = SocketAddr::new(LOCALHOST, 4_444);
    bench.event(
        0,
        Event::PlainTuple {
            transport: id(4),
            tuple: Some(Tuple {
                local: SocketAddr::new(LOCALHOST, 1),
                remote,
            }),
            rtcp_tuple: None,
        },
    );
    bench.restart_control();
    bench.told();
    bench.ask(Request::Snapshot);
    let told = bench.told();
    let body = |wanted| {
        told.iter().find_map(|message| match message {
            ToControl::Object(object) if object.id == wanted => Some(object.body.clone()),
            _ => None,
        })
    };
    assert!(matches!(
        body(SENDER),
        Some(SnapshotBody::WebRtcTransport {
            ice_state: IceState::Completed,
            tuple: Some(_),
            keyed: true,
            ..
        })
    ));
    assert!(matches!(
        body(id(4)),
        Some(SnapshotBody::PlainTransport { remote: Some(known), .. }) if known == remote
    ));
}

fn key() -> weirgate_wire::SrtpKey {
    let suite = weirgate_wire::SrtpSuite::AeadAes128Gcm;
    weirgate_wire::SrtpKey::new(suite, vec![0; 28]).unwrap()
}

#[test]
fn a_snapshot_waits_for_what_the_dead_control_had_begun_and_its_answers_go_nowhere() {
    let mut bench = Bench::room();
    bench.told();
    bench.ask(create_webrtc(id(4)));
    bench.restart_control();
    bench.told();
    bench.ask(Request::Snapshot);
    assert!(bench.told().is_empty());
    bench.settle();
    let told = bench.told();
    let transports = kinds(&told).into_iter().filter(|kind| *kind == "transport");
    assert_eq!(transports.count(), 3);
    assert_eq!(kinds(&told).last(), Some(&"answer"));
}

#[test]
fn a_second_control_is_refused_by_name_unless_the_first_is_dead() {
    let mut bench = Bench::room();
    bench.told();
    let mut second = FakeControl::connect(&mut bench.hub, 50);
    second.read_all();
    let Some(ToControl::Refused { reason }) = second.read.pop_front() else {
        panic!("not refused");
    };
    assert!(reason.contains("1001"), "{reason}");
    assert!(bench.hub.is_current(1));

    // Its end has not been read yet, but the kernel knows.
    bench.control.peer = None;
    let mut third = FakeControl::connect(&mut bench.hub, 51);
    third.read_all();
    assert_eq!(kinds(third.read.make_contiguous()), ["welcome"]);
    let late = ToEngine::Request {
        id: 9,
        body: close(ObjectKind::Router, ROUTER),
    };
    bench.tell(late);
    assert!(bench.hub.registry.routers.contains_key(&ROUTER));
}

#[test]
fn a_big_snapshot_is_sent_as_control_reads() {
    let mut bench = Bench::new(1);
    let blob = vec![7; limits::BLOB_BYTES];
    for number in 0..8 {
        bench.ok(Request::CreateRouter {
            id: id(number),
            blob: blob.clone(),
        });
    }
    bench.restart_control();
    bench.told();
    let mut routers = 0;
    bench.ask(Request::Snapshot);
    bench.event(0, levels());
    for _ in 0..100 {
        // Frames are read one by one here, to see that not all are queued at once.
        let queued = bench.hub.queued_bytes();
        assert!(queued <= limits::SNAPSHOT_QUEUE_BYTES + limits::BLOB_BYTES + 100);
        if let Some(link) = &bench.hub.link {
            link.outgoing.written(queued);
        }
        let told = bench.told();
        routers += kinds(&told)
            .iter()
            .filter(|kind| **kind == "router")
            .count();
        if kinds(&told).contains(&"answer") {
            assert_eq!(routers, 8);
            return;
        }
        bench.hub.on_control(ControlInput::Drained);
    }
    panic!("no end of the snapshot");
}

#[test]
fn a_control_that_does_not_read_loses_levels_first_and_then_its_connection() {
    let mut bench = Bench::room();
    bench.told();
    bench.event(0, levels());
    assert_eq!(bench.told().len(), 1);
    let put = Request::PutNote {
        key: "x".repeat(100),
        blob: Vec::new(),
    };
    let big = || Event::Dtls {
        transport: SENDER,
        datagram: vec![0; 60_000],
    };
    bench.ask(put);
    while bench.hub.queued_bytes() <= limits::OUTGOING_SOFT_BYTES {
        bench.event(0, big());
    }
    bench.event(0, levels());
    assert_eq!(bench.hub.counters.audio_levels_dropped, 1);
    for _ in 0..2 * limits::OUTGOING_HARD_BYTES / 60_000 {
        bench.event(0, big());
    }
    assert!(bench.hub.link.is_none());
    assert_eq!(bench.hub.counters.controls_cut_off, 1);
    assert!(
        bench.hub.registry.routers.contains_key(&ROUTER),
        "media goes on"
    );
}

#[test]
fn dtls_reaches_the_owners_shard_unless_it_is_too_long_or_the_transport_gone() {
    let mut bench = Bench::room();
    for transport in [RECEIVER, id(99)] {
        bench.tell(ToEngine::SendDtls {
            transport,
            datagrams: vec![vec![1; 1_200], vec![1; 1_201], Vec::new(), vec![2]],
        });
    }
    bench.settle();
    assert_eq!(bench.logged(), ["1 dtls 3 2"]);
    assert_eq!(bench.hub.counters.dtls_refused, 4);
}

#[test]
fn events_of_closed_objects_are_dropped() {
    let mut bench = Bench::room();
    bench.ok(close(ObjectKind::Router, ROUTER));
    bench.told();
    for event in [ice(IceState::Completed), dtls(), layers(1)] {
        bench.event(0, event);
    }
    assert!(bench.told().is_empty());
}

#[test]
fn shutdown_is_answered_before_the_hub_ends() {
    let mut bench = Bench::room();
    assert_eq!(bench.ok(Request::Shutdown), Answer::Done);
    assert!(matches!(bench.hub.ending, Some(Ending::Asked)));
}
