//! ICE checks, whichever shard they land on, and the media that follows them.

mod sim;

use sim::*;
use weirgate_packet::stun::{Class, IceRole, StunMessage};
use weirgate_shard::{CommandBody, WebRtcCredentials};
use weirgate_wire::{Event, IceState, ObjectKind, Stats};

fn answer_to(sim: &mut Sim, port: u16) -> Option<Sent> {
    sim.take_sent_to(addr(port)).pop()
}

fn selected_port(sim: &mut Sim, shard: usize, id: uuid::Uuid) -> Option<u16> {
    match sim.stats(shard, ObjectKind::Transport, id) {
        Stats::Transport(stats) => stats.tuple.map(|tuple| tuple.remote.port()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_check_is_answered_with_the_address_it_came_from() {
    let mut sim = Sim::new(1);
    let (id, ice) = sim.webrtc(0, 1);
    sim.deliver(
        0,
        media_path(addr(5)),
        &check(&ice, &CheckOptions::default()),
    );
    let answer = answer_to(&mut sim, 5).expect("an answer");
    assert_eq!(answer.path, media_path(addr(5)));
    let message = StunMessage::parse(&answer.bytes).unwrap();
    assert_eq!(message.class(), Class::Success);
    assert_eq!(message.xor_mapped_address(), Some(addr(5)));
    assert!(message.verify_fingerprint() && message.verify_integrity(ice.pwd.as_bytes()));
    let Some(Event::Ice {
        transport,
        state,
        tuple,
    }) = sim.events.pop()
    else {
        panic!("no event");
    };
    assert_eq!((transport, state), (id, IceState::Completed));
    assert_eq!(tuple.unwrap().local, "10.0.0.1:10000".parse().unwrap());
}

#[test]
fn what_does_not_authenticate_is_not_answered_and_leaves_nothing() {
    let mut sim = Sim::new(2);
    let (_, ice) = sim.webrtc(0, 1);
    let options = CheckOptions::default();
    let wrong_password = WebRtcCredentials {
        pwd: "wrong".to_owned(),
        ..ice.clone()
    };
    let wrong_user = WebRtcCredentials {
        ufrag: "00nobody".to_owned(),
        ..ice.clone()
    };
    let no_shard = WebRtcCredentials {
        ufrag: "ffnobody".to_owned(),
        ..ice.clone()
    };
    for credentials in [&wrong_password, &wrong_user, &no_shard] {
        sim.deliver(0, media_path(addr(5)), &check(credentials, &options));
    }
    let valid = check(&ice, &options);
    for cut in 0..valid.len() {
        sim.deliver(0, media_path(addr(5)), &valid[..cut]);
    }
    for bit in 0..valid.len() * 8 {
        let mut forged = valid.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        sim.deliver(0, media_path(addr(5)), &forged);
    }
    assert!(sim.sent.is_empty());
    assert!(sim.events.is_empty());
    assert_eq!(sim.gauge(0, "flows"), 0);
    assert_eq!(sim.gauge(1, "flows"), 0);
    assert!(sim.counter(0, "stun_auth_failures") > 0);
    assert_eq!(sim.counter(0, "stun_checks"), 0);
}

#[test]
fn a_peer_in_the_controlled_role_is_told_of_the_conflict() {
    let mut sim = Sim::new(1);
    let (_, ice) = sim.webrtc(0, 1);
    let options = CheckOptions {
        role: IceRole::Controlled,
        ..CheckOptions::default()
    };
    sim.deliver(0, media_path(addr(5)), &check(&ice, &options));
    let answer = answer_to(&mut sim, 5).unwrap();
    assert_eq!(
        StunMessage::parse(&answer.bytes).unwrap().error_code(),
        Some(487)
    );
    assert!(sim.events.is_empty());
}

#[test]
fn renomination_moves_media_and_a_plain_check_from_elsewhere_does_not() {
    let mut sim = Sim::new(1);
    let (id, ice) = sim.webrtc(0, 1);
    let nominate = |nomination| CheckOptions {
        nomination,
        ..CheckOptions::default()
    };
    let only_check = CheckOptions {
        use_candidate: false,
        ..CheckOptions::default()
    };
    sim.deliver(0, media_path(addr(5)), &check(&ice, &nominate(Some(1))));
    sim.deliver(0, media_path(addr(6)), &check(&ice, &only_check));
    assert_eq!(selected_port(&mut sim, 0, id), Some(5));
    sim.deliver(0, media_path(addr(6)), &check(&ice, &nominate(Some(2))));
    assert_eq!(selected_port(&mut sim, 0, id), Some(6));
}

#[test]
fn a_restart_keeps_the_old_path_until_the_new_credentials_are_used() {
    let mut sim = Sim::new(1);
    let (id, old) = sim.webrtc(0, 1);
    sim.deliver(
        0,
        media_path(addr(5)),
        &check(&old, &CheckOptions::default()),
    );
    let new = credentials(0, 77);
    sim.command(
        0,
        CommandBody::RestartIce {
            id,
            ice: new.clone(),
        },
    );
    sim.take_sent_to(addr(5));
    sim.deliver(
        0,
        media_path(addr(5)),
        &check(&old, &CheckOptions::default()),
    );
    assert!(answer_to(&mut sim, 5).is_some());
    sim.deliver(
        0,
        media_path(addr(6)),
        &check(&new, &CheckOptions::default()),
    );
    assert!(answer_to(&mut sim, 6).is_some());
    assert_eq!(selected_port(&mut sim, 0, id), Some(6));
    sim.deliver(
        0,
        media_path(addr(5)),
        &check(&old, &CheckOptions::default()),
    );
    assert!(answer_to(&mut sim, 5).is_none());
    assert_eq!(sim.gauge(0, "ice_user_names"), 1);
}

/// A flow of shard 0's transport that the kernel gives to shard 1: checks and media are handed
/// over, answers leave by the owner, and closing leaves nothing behind on either.
#[test]
fn a_flow_that_lands_elsewhere_is_handed_to_its_owner() {
    let mut sim = Sim::new(2);
    let (id, ice) = sim.webrtc(0, 1);
    let path = media_path(addr(5));
    // Before the check nothing is known of the flow.
    let stray = vp8(1, 0, true);
    sim.deliver(1, path, &stray);
    assert_eq!(sim.counter(1, "unknown_flow"), 1);
    sim.deliver(1, path, &check(&ice, &CheckOptions::default()));
    assert_eq!(answer_to(&mut sim, 5).unwrap().shard, 0);
    sim.command(
        0,
        CommandBody::SetSrtpKeys {
            id,
            send: key(9),
            receive: key(1),
        },
    );
    let producer = video_producer(1);
    sim.producer(0, id, producer.clone());
    let receiver = sim.plain(0, 2, addr(2), None);
    sim.consumer(0, receiver, video_consumer(2, &producer));
    let sender = Peer::new(addr(5), &key(1));
    for sequence in 0..10 {
        sim.deliver(1, path, &sender.seal(&vp8(sequence, 0, sequence == 0)));
    }
    assert_eq!(sim.take_sent_to(addr(2)).len(), 10);
    assert_eq!(sim.counter(1, "flows_handed_over"), 11);
    sim.command(
        0,
        CommandBody::Close {
            kind: ObjectKind::Transport,
            id,
        },
    );
    for shard in 0..2 {
        assert_eq!(sim.gauge(shard, "flows"), 0);
        assert_eq!(sim.gauge(shard, "ice_user_names"), 0);
        assert_eq!(sim.gauge(shard, "sources"), 0);
        assert_eq!(sim.gauge(shard, "consumers"), 0);
    }
}

#[test]
fn media_stops_when_consent_expires_and_goes_on_with_the_next_check() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    let (id, ice) = sim.webrtc(0, 1);
    sim.command(
        0,
        CommandBody::SetSrtpKeys {
            id,
            send: key(2),
            receive: key(3),
        },
    );
    sim.consumer(0, id, video_consumer(2, &producer));
    let mut sequence = 0;
    let mut media = |sim: &mut Sim| {
        let packet = sender.seal(&vp8(sequence, 0, true));
        sequence += 1;
        sim.take_sent_to(addr(5));
        sim.deliver(0, plain_path(1, addr(1)), &packet);
        // The first picture is followed by a probe.
        let is_media = |sent: &&Sent| sent.bytes[1] & 0x7f == OUT_PT;
        sim.take_sent_to(addr(5)).iter().filter(is_media).count()
    };
    assert_eq!(media(&mut sim), 0);
    sim.deliver(
        0,
        media_path(addr(5)),
        &check(&ice, &CheckOptions::default()),
    );
    assert_eq!(media(&mut sim), 1);
    sim.advance_ms(29_000);
    assert_eq!(media(&mut sim), 1);
    sim.advance_ms(1_100);
    assert_eq!(media(&mut sim), 0);
    let expired = |event: &Event| {
        matches!(
            event,
            Event::Ice {
                state: IceState::Disconnected,
                ..
            }
        )
    };
    assert!(sim.events.iter().any(expired));
    sim.deliver(
        0,
        media_path(addr(5)),
        &check(&ice, &CheckOptions::default()),
    );
    assert_eq!(media(&mut sim), 1);
}

#[test]
fn dtls_is_passed_on_only_from_a_checked_address_and_first_only_a_client_hello() {
    let mut sim = Sim::new(1);
    let (id, ice) = sim.webrtc(0, 1);
    // One record of one handshake message: type, length, sequence 0, fragment of the whole.
    let record = |handshake: u8, body: &[u8]| {
        let len = body.len() as u8;
        let mut bytes = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, len + 12];
        bytes.extend([handshake, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len]);
        bytes.extend(body);
        bytes
    };
    // Version, random, no session id, no cookie, one suite, no compression.
    let mut hello = vec![0xfe, 0xfd];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let (hello, finished) = (record(1, &hello), record(20, &[1; 12]));
    let dtls = |sim: &Sim| {
        sim.events
            .iter()
            .filter(|event| matches!(event, Event::Dtls { .. }))
            .count()
    };
    sim.deliver(0, media_path(addr(5)), &hello);
    assert_eq!(dtls(&sim), 0);
    sim.deliver(
        0,
        media_path(addr(5)),
        &check(&ice, &CheckOptions::default()),
    );
    sim.deliver(0, media_path(addr(6)), &hello);
    sim.deliver(0, media_path(addr(5)), &finished);
    assert_eq!(dtls(&sim), 0);
    sim.deliver(0, media_path(addr(5)), &hello);
    assert_eq!(dtls(&sim), 1);
    sim.take_sent_to(addr(5));
    let datagrams = vec![vec![22; 20], vec![22; 30]];
    sim.send_only(0, CommandBody::SendDtls { id, datagrams });
    assert_eq!(sim.take_sent_to(addr(5)).len(), 2);
    sim.deliver(0, media_path(addr(5)), &finished);
    assert_eq!(dtls(&sim), 2);
    for _ in 0..1000 {
        sim.deliver(0, media_path(addr(5)), &finished);
    }
    assert!(dtls(&sim) <= 41, "{}", dtls(&sim));
}
