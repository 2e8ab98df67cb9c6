//! Our client against our server on a network that loses, doubles and swaps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use support::{Call, Fate, From, Side};

const LIMIT: Duration = Duration::from_secs(20);

/// How many datagrams each end needs on a good network.
fn clean_counts(client: &Side, server: &Side) -> [usize; 2] {
    let mut call = Call::new(client, server);
    call.run_clean();
    call.assert_connected();
    call.sent
}

/// Runs one case per datagram of a clean handshake, at once: some wait for real time.
fn for_each_datagram(check: impl Fn(&Side, &Side, From, usize) + Sync) {
    let (client, server) = (Side::new(), Side::new());
    let counts = clean_counts(&client, &server);
    std::thread::scope(|scope| {
        for from in [From::Client, From::Server] {
            for ordinal in 0..counts[from as usize] {
                let (check, client, server) = (&check, &client, &server);
                scope.spawn(move || check(client, server, from, ordinal));
            }
        }
    });
}

#[test]
fn each_datagram_may_be_lost_once() {
    for_each_datagram(|client, server, victim_from, victim| {
        let mut call = Call::new(client, server);
        call.run(
            LIMIT,
            &mut |from, ordinal, _| match (from, ordinal) == (victim_from, victim) {
                true => Fate::Lose,
                false => Fate::Deliver,
            },
        );
        call.assert_connected();
    });
}

#[test]
fn each_datagram_may_be_doubled() {
    for_each_datagram(|client, server, victim_from, victim| {
        let mut call = Call::new(client, server);
        call.run(
            LIMIT,
            &mut |from, ordinal, _| match (from, ordinal) == (victim_from, victim) {
                true => Fate::Double,
                false => Fate::Deliver,
            },
        );
        call.assert_connected();
    });
}

#[test]
fn each_datagram_may_be_overtaken() {
    for_each_datagram(|client, server, victim_from, victim| {
        let mut call = Call::new(client, server);
        call.run(
            LIMIT,
            &mut |from, ordinal, _| match (from, ordinal) == (victim_from, victim) {
                true => Fate::Swap,
                false => Fate::Deliver,
            },
        );
        call.assert_connected();
    });
}

#[test]
fn everything_may_be_doubled() {
    let mut call = Call::new(&Side::new(), &Side::new());
    call.run(LIMIT, &mut |_, _, _| Fate::Double);
    call.assert_connected();
}

#[test]
fn a_whole_flight_of_the_server_may_be_lost_three_times() {
    let mut call = Call::new(&Side::new(), &Side::new());
    let flight = first_server_flight();
    call.run(LIMIT, &mut |from, ordinal, _| match from {
        From::Server if ordinal < 3 * flight => Fate::Lose,
        _ => Fate::Deliver,
    });
    call.assert_connected();
    assert!(call.sent[From::Server as usize] >= 4 * flight);
}

#[test]
fn a_third_of_the_first_datagrams_may_be_lost() {
    std::thread::scope(|scope| {
        for seed in 1..=16_u64 {
            scope.spawn(move || {
                let mut call = Call::new(&Side::new(), &Side::new());
                let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let mut count = 0;
                call.run(LIMIT, &mut |_, _, _| {
                    count += 1;
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    match random % 3 {
                        0 if count <= 12 => Fate::Lose,
                        _ => Fate::Deliver,
                    }
                });
                assert!(call.client_seen.keys.is_some(), "seed {seed}");
                call.assert_connected();
            });
        }
    });
}

fn first_server_flight() -> usize {
    let mut call = Call::new(&Side::new(), &Side::new());
    call.settle(&mut |from, _, _| match from {
        From::Client => Fate::Deliver,
        From::Server => Fate::Lose,
    });
    call.sent[From::Server as usize]
}
