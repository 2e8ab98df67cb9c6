//! Objects come, change and go; bad requests are refused.

use super::*;
use weirgate_wire::{Layers, ShardInfo, SrtpKey, SrtpSuite};

fn key(len: usize) -> SrtpKey {
    SrtpKey {
        suite: SrtpSuite::AeadAes128Gcm,
        key_and_salt: vec![0; len],
    }
}

#[test]
fn webrtc_transports_are_spread_and_their_credentials_name_the_shard() {
    let mut bench = Bench::new(2);
    bench.ok(create_router(ROUTER));
    for number in 0..4u16 {
        let answer = bench.ok(create_webrtc(id(u128::from(number) + 2)));
        let Answer::WebRtcTransport {
            shard, ice_ufrag, ..
        } = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!(shard, number % 2);
        assert!(ice_ufrag.starts_with(&format!("{shard:02x}")));
    }
}

#[test]
fn an_ice_restart_gives_other_credentials_of_the_same_shard() {
    let mut bench = Bench::room();
    let restart = Request::RestartIce {
        id: RECEIVER,
        blob: Some(b"restarted".to_vec()),
    };
    let before = ice_of(&bench);
    let Answer::WebRtcTransport {
        shard, ice_ufrag, ..
    } = bench.ok(restart.clone())
    else {
        panic!("no credentials");
    };
    assert_eq!(shard, 1);
    assert!(ice_ufrag.starts_with("01") && ice_ufrag != before);
    assert_eq!(ice_of(&bench), ice_ufrag);
    assert_eq!(bench.hub.registry.transports[&RECEIVER].blob, b"restarted");

    bench.refuses = Box::new(|_, _| true);
    bench.refused(restart);
    assert_eq!(ice_of(&bench), ice_ufrag, "a refused one changes nothing");
}

fn ice_of(bench: &Bench) -> String {
    match &bench.hub.registry.transports[&RECEIVER].body {
        registry::TransportBody::WebRtc(webrtc) => webrtc.ice.ufrag.clone(),
        registry::TransportBody::Plain(_) => panic!("plain"),
    }
}

#[test]
fn a_plain_transport_brings_its_sockets_along_and_takes_them_with_it() {
    let mut bench = Bench::new(2);
    bench.ok(create_router(ROUTER));
    let Answer::PlainTransport {
        local,
        remote: None,
        rtcp_local: Some(rtcp_local),
        ..
    } = bench.ok(create_plain(id(2), None, None))
    else {
        panic!("no addresses");
    };
    assert!((21_000..22_000).contains(&local.port()));
    assert_ne!(local.port(), rtcp_local.port());
    assert_eq!(bench.sockets, [1, 2], "after the media socket");

    let remote = Some(SocketAddr::new(LOCALHOST, 5_000));
    let answer = bench.ok(Request::ConnectPlain {
        id: id(2),
        remote,
        rtcp_remote: remote,
        srtp: None,
        blob: b"connected".to_vec(),
    });
    let Answer::PlainTransport {
        local: same,
        remote: given,
        ..
    } = answer
    else {
        panic!("no addresses");
    };
    assert_eq!((same, given), (local, remote));

    bench.ok(close(ObjectKind::Router, ROUTER));
    bench.assert_empty();
}

#[test]
fn a_plain_transport_that_is_refused_frees_its_ports() {
    let mut bench = Bench::new(1);
    bench.ok(create_router(ROUTER));
    bench.refuses = Box::new(|_, body| matches!(body, CommandBody::CreatePlainTransport { .. }));
    bench.refused(create_plain(id(2), None, None));
    bench.settle();
    assert_eq!(bench.logged(), ["0 plain 2", "0 close transport 2"]);

    let taken = std::net::UdpSocket::bind((LOCALHOST, 0)).unwrap();
    let taken = taken.local_addr().map(|addr| (taken, addr.port())).unwrap();
    let refusal = bench.refused(create_plain(id(2), None, Some(taken.1)));
    assert_eq!(refusal.kind, RefusalKind::Conflict);
    assert!(refusal.message.starts_with("rtcp_listen_ip"), "{refusal}");
    bench.refuses = Box::new(|_, _| false);
    bench.ok(close(ObjectKind::Router, ROUTER));
    bench.assert_empty();
}

#[test]
fn changes_reach_the_owners_shard_and_stay_only_where_it_grants_them() {
    let layers = Some(Layers {
        spatial: 1,
        temporal: 2,
    });
    let changes = || {
        [
            Request::SetSrtpKeys {
                id: RECEIVER,
                send: key(28),
                receive: key(28),
                blob: None,
            },
            Request::SetBitrates {
                id: RECEIVER,
                max_incoming: 1,
                max_outgoing: 2,
                min_outgoing: 3,
                blob: None,
            },
            Request::SetPreferredLayers {
                id: id(20),
                layers,
                blob: Some(b"layers".to_vec()),
            },
            Request::SetPriority {
                id: id(20),
                priority: 9,
                blob: None,
            },
            pause(ObjectKind::Consumer, id(20), true),
            Request::RequestKeyFrame { consumer: id(20) },
        ]
    };
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    let blobs = bench.hub.blobs.used();
    bench.refuses = Box::new(|_, _| true);
    for change in changes() {
        bench.refused(change);
    }
    let stands = |bench: &Bench| bench.hub.registry.consumers[&id(20)].config.clone();
    assert_eq!(stands(&bench), consumer(id(20)));
    assert_eq!(bench.hub.blobs.used(), blobs);

    bench.refuses = Box::new(|_, _| false);
    bench.logged();
    for change in changes() {
        bench.ok(change);
    }
    assert_eq!(
        bench.logged(),
        [
            "1 keys 3",
            "1 bitrates 3",
            "1 layers 20",
            "1 priority 20 9",
            "1 paused 20 true",
            "1 key frame 20"
        ]
    );
    let want = ConsumerConfig {
        preferred_layers: layers,
        priority: 9,
        ignore_dtx: false,
        paused: true,
        ..consumer(id(20))
    };
    assert_eq!(stands(&bench), want);
    assert_eq!(bench.hub.registry.consumers[&id(20)].blob, b"layers");
}

#[test]
fn a_blob_is_replaced_and_counted_once() {
    let mut bench = Bench::new(1);
    bench.ok(create_router(ROUTER));
    bench.ok(Request::SetBlob {
        kind: ObjectKind::Router,
        id: ROUTER,
        blob: vec![0; 100],
    });
    assert_eq!(bench.hub.blobs.used(), 100);
    let long = Request::SetBlob {
        kind: ObjectKind::Router,
        id: ROUTER,
        blob: vec![0; limits::BLOB_BYTES + 1],
    };
    assert_eq!(bench.refused(long).kind, RefusalKind::Invalid);
    bench.ok(close(ObjectKind::Router, ROUTER));
    bench.assert_empty();
}

#[test]
fn bad_requests_are_refused_by_class_and_change_nothing() {
    let mut bench = Bench::room();
    let blobs = bench.hub.blobs.used();
    let mut long_mid = producer(id(11));
    long_mid.mid = Some("m".repeat(17));
    let mut no_codec = consumer(id(20));
    no_codec.codecs.clear();
    let of = |config: ProducerConfig| Request::CreateProducer {
        transport: SENDER,
        config,
        blob: Vec::new(),
    };
    use RefusalKind::{Conflict, Invalid, NotFound};
    let cases = [
        (create_router(ROUTER), Conflict, "router"),
        (create_webrtc(SENDER), Conflict, "transport"),
        (create_producer(SENDER, PRODUCER), Conflict, "producer"),
        (create_producer(id(99), id(11)), NotFound, "transport"),
        (create_consumer(id(99), id(20)), NotFound, "transport"),
        (of(long_mid), Invalid, "mid"),
        (
            Request::CreateConsumer {
                transport: RECEIVER,
                config: no_codec,
                blob: Vec::new(),
            },
            Invalid,
            "codecs",
        ),
        (
            Request::SetSrtpKeys {
                id: SENDER,
                send: key(28),
                receive: key(27),
                blob: None,
            },
            Invalid,
            "receive: 27 bytes",
        ),
        (
            Request::ConnectPlain {
                id: SENDER,
                remote: None,
                rtcp_remote: None,
                srtp: None,
                blob: Vec::new(),
            },
            Invalid,
            "WebRTC",
        ),
        (pause(ObjectKind::Router, ROUTER, true), Invalid, "kind"),
        (
            pause(ObjectKind::Consumer, id(20), true),
            NotFound,
            "consumer",
        ),
        (close(ObjectKind::Producer, id(99)), NotFound, "producer"),
        (
            Request::GetStats {
                kind: ObjectKind::Router,
                id: ROUTER,
            },
            Invalid,
            "router",
        ),
        (
            Request::SetPriority {
                id: id(20),
                priority: 0,
                blob: None,
            },
            Invalid,
            "priority",
        ),
        (
            Request::PutNote {
                key: "k".repeat(257),
                blob: Vec::new(),
            },
            Invalid,
            "key",
        ),
    ];
    for (request, kind, part) in cases {
        let shown = format!("{request:?}");
        let refusal = bench.refused(request);
        assert_eq!(refusal.kind, kind, "{shown}");
        assert!(refusal.message.contains(part), "{shown}: {refusal}");
    }
    assert_eq!(bench.hub.blobs.used(), blobs);
    assert!(bench.logged().is_empty(), "no shard has heard of any");
}

#[test]
fn a_consumer_of_another_routers_producer_is_refused() {
    let mut bench = Bench::room();
    bench.ok(create_router(id(50)));
    bench.ok(Request::CreateWebRtcTransport {
        id: id(51),
        router: id(50),
        ice_consent_timeout_s: 0,
        initial_outgoing_bps: 0,
        blob: Vec::new(),
    });
    let refusal = bench.refused(create_consumer(id(51), id(20)));
    assert_eq!(refusal.kind, RefusalKind::Invalid);
}

#[test]
fn a_refused_transport_or_producer_leaves_nothing() {
    let mut bench = Bench::room();
    bench.ok(close(ObjectKind::Producer, PRODUCER));
    bench.refuses = Box::new(|_, body| !matches!(body, CommandBody::Close { .. }));
    bench.refused(create_webrtc(id(4)));
    bench.refused(create_producer(SENDER, PRODUCER));
    bench.settle();
    assert_eq!(bench.hub.registry.transports.len(), 2);
    bench.ok(close(ObjectKind::Router, ROUTER));
    bench.assert_empty();
}

#[test]
fn info_and_counters_show_every_shard_in_order() {
    let mut bench = Bench::room();
    bench.ok(create_consumer(RECEIVER, id(20)));
    let Answer::Info(info) = bench.ok(Request::GetInfo) else {
        panic!("no info");
    };
    let count = |shard: &ShardInfo| (shard.transports, shard.producers, shard.consumers);
    let counts: Vec<_> = info.shards.iter().map(count).collect();
    assert_eq!(counts, [(1, 1, 0), (1, 0, 1)]);

    let request = bench.ask(Request::GetCounters);
    // The answers come in the other order.
    bench.queues.reverse();
    let tokens: Vec<_> = bench
        .queues
        .iter()
        .map(|queue| queue.recv().unwrap())
        .collect();
    for (shard, input) in [1, 0].into_iter().zip(tokens) {
        let ShardInput::Task(task) = input else {
            panic!("stop");
        };
        let answer = ShardEvent::Answer {
            token: task.command.token,
            body: Ok(answer_of(shard, &CommandBody::GetCounters)),
        };
        bench.hub.on_shard(shard, answer);
    }
    let Some(Ok(Answer::Counters(counters))) = bench.control.answer_to(request) else {
        panic!("no counters");
    };
    let first: Vec<_> = counters.iter().map(|c| c.counters[0].clone()).collect();
    assert_eq!(
        first[..2],
        [("shard".to_owned(), 0), ("shard".to_owned(), 1)]
    );
    assert_eq!(first[2].0, "hub_requests");
}

#[test]
fn stats_are_the_shards() {
    let mut bench = Bench::room();
    let stats = bench.ok(Request::GetStats {
        kind: ObjectKind::Transport,
        id: RECEIVER,
    });
    assert!(matches!(stats, Answer::Stats(_)));
    assert_eq!(bench.logged(), ["1 stats 3"]);
}
