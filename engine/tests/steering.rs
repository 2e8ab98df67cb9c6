//! With two shards a datagram that lands on the wrong one is handed over; where the kernel steers
//! flows, only until the first check has said whose it is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::UdpSocket;
use std::time::Instant;

use support::{Control, Engine, PATIENCE};
use uuid::Uuid;
use weirgate_packet::stun::{BindingRequest, IceRole, StunMessage, write_binding_request};
use weirgate_wire::{Answer, Request};

const FLOWS: usize = 16;
const CHECKS: usize = 20;

/// A peer of a WebRTC transport that only checks.
struct Peer {
    socket: UdpSocket,
    username: String,
    password: String,
    checks: u8,
}

impl Peer {
    fn new(engine: &Engine, control: &mut Control, router: Uuid) -> Self {
        let created = control.ok(Request::CreateWebRtcTransport {
            id: Uuid::new_v4(),
            router,
            ice_consent_timeout_s: 0,
            initial_outgoing_bps: 0,
            blob: Vec::new(),
        });
        let Answer::WebRtcTransport {
            ice_ufrag, ice_pwd, ..
        } = created
        else {
            panic!("{created:?}");
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", engine.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            username: format!("{ice_ufrag}:peer"),
            password: ice_pwd,
            checks: 0,
        }
    }

    /// Checks, and awaits the answer.
    fn check(&mut self) {
        self.checks += 1;
        let request = BindingRequest {
            transaction_id: [self.checks; 12],
            username: &self.username,
            priority: 1,
            role: (IceRole::Controlling, 1),
            use_candidate: true,
            nomination: None,
            password: self.password.as_bytes(),
        };
        let mut bytes = [0; 512];
        let len = write_binding_request(&mut bytes, &request).unwrap();
        self.socket.send(&bytes[..len]).unwrap();
        let len = self.socket.recv(&mut bytes).unwrap();
        let answer = StunMessage::parse(&bytes[..len]).unwrap();
        assert_eq!(answer.transaction_id(), request.transaction_id);
    }
}

/// The sum over all shards.
fn counter(control: &mut Control, name: &str) -> u64 {
    let Answer::Counters(counters) = control.ok(Request::GetCounters) else {
        panic!("no counters");
    };
    let all = counters.iter().flat_map(|shard| &shard.counters);
    all.filter(|(known, _)| known == name)
        .map(|(_, value)| value)
        .sum()
}

/// Datagrams handed over by each peer's first check, and by all its others.
fn handed_over(engine: &Engine, steered: bool) -> (u64, u64) {
    let mut control = engine.control();
    let router = control.create_router();
    let mut peers: Vec<_> = (0..FLOWS)
        .map(|_| Peer::new(engine, &mut control, router))
        .collect();
    peers.iter_mut().for_each(Peer::check);
    let first = counter(&mut control, "flows_handed_over");
    let start = Instant::now();
    while steered && counter(&mut control, "flows_steered") < first {
        assert!(start.elapsed() < PATIENCE);
    }
    for _ in 0..CHECKS {
        peers.iter_mut().for_each(Peer::check);
    }
    let all = counter(&mut control, "flows_handed_over");
    (first, all - first)
}

fn is_steered(engine: &Engine) -> bool {
    let Answer::Info(info) = engine.control().ok(Request::GetInfo) else {
        panic!("no info");
    };
    info.kernel
        .iter()
        .any(|ability| ability == "reuseport_ebpf")
}

#[test]
fn without_steering_what_lands_elsewhere_is_handed_over_each_time() {
    let engine = Engine::start(&["--cores", "0,0", "--steering", "off"]);
    assert!(!is_steered(&engine));
    let (first, later) = handed_over(&engine, false);
    // One in two; that all of them land right has a chance of 2^-16.
    assert!(first > 0);
    assert_eq!(later, first * CHECKS as u64);
}

#[test]
fn steered_flows_are_handed_over_once() {
    for io in ["mmsg", "uring"] {
        let engine = Engine::start(&["--cores", "0,0", "--io", io]);
        if !is_steered(&engine) {
            println!("skipped: the kernel does not let this engine steer flows");
            return;
        }
        let (first, later) = handed_over(&engine, true);
        println!("{io}: {first} handed over by first checks, {later} after");
        assert!(first > 0);
        assert_eq!(later, 0);
        let mut control = engine.control();
        assert_eq!(counter(&mut control, "flows_steered"), first);
    }
}
