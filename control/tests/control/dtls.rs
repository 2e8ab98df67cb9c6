//! DTLS handshakes through the engine's socket.

use std::time::Instant;

use serde_json::{Value, json};
use weirgate_dtls::{
    Certificate, DtlsContext, DtlsEndpoint, DtlsOutput, DtlsRole, Fingerprint, SrtpKeys,
};
use weirgate_wire::{Event, IceState, Request, ToEngine};

use crate::support::{
    eventually,
    fake_engine::FakeEngine,
    media::id,
    server::{Control, Host},
};

/// The browser's end of a transport.
struct Peer {
    transport: uuid::Uuid,
    endpoint: DtlsEndpoint,
    /// Messages of control that were looked at.
    seen: usize,
    keys: Option<SrtpKeys>,
    failed: bool,
    closed: bool,
}

impl Peer {
    fn new(transport: &str, role: DtlsRole, own: &Certificate, theirs: &Value) -> Self {
        let fingerprints = theirs["fingerprints"].as_array().unwrap().iter();
        let fingerprints = fingerprints.map(|it| Fingerprint {
            algorithm: it["algorithm"].as_str().unwrap().to_owned(),
            value: it["value"].as_str().unwrap().to_owned(),
        });
        let context = DtlsContext::new(own).unwrap();
        let now = Instant::now();
        let endpoint = DtlsEndpoint::new(&context, role, fingerprints.collect(), now).unwrap();
        Self {
            transport: transport.parse().unwrap(),
            endpoint,
            seen: 0,
            keys: None,
            failed: false,
            closed: false,
        }
    }

    /// Passes datagrams both ways once.
    fn pass(&mut self, engine: &FakeEngine) {
        let received = engine.received();
        for message in &received[self.seen..] {
            if let ToEngine::SendDtls {
                transport,
                datagrams,
            } = message
                && *transport == self.transport
            {
                for datagram in datagrams {
                    self.endpoint.handle_datagram(datagram, Instant::now());
                }
            }
        }
        self.seen = received.len();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                DtlsOutput::Datagram(datagram) => engine.say(Event::Dtls {
                    transport: self.transport,
                    datagram,
                }),
                DtlsOutput::Connected(keys) => self.keys = Some(*keys),
                DtlsOutput::Failed(_) => self.failed = true,
                DtlsOutput::Closed => self.closed = true,
            }
        }
    }
}

fn parameters(certificate: &Certificate, role: &str) -> Value {
    let fingerprints: Vec<Value> = certificate
        .fingerprints()
        .into_iter()
        .map(|it| json!({ "algorithm": it.algorithm, "value": it.value }))
        .collect();
    json!({ "dtlsParameters": { "role": role, "fingerprints": fingerprints } })
}

async fn transport(control: &Control) -> Value {
    let router = id(&control.post("/v1/routers", json!({})).await.ok(201));
    let path = format!("/v1/routers/{router}/transports");
    control
        .post(&path, json!({ "type": "webrtc" }))
        .await
        .ok(201)
}

async fn connect(control: &Control, transport: &Value, body: Value) {
    let path = format!("/v1/transports/{}/connect", id(transport));
    control.post(&path, body).await.ok(200);
}

async fn dtls_state(control: &Control, transport: &Value) -> String {
    let path = format!("/v1/transports/{}", id(transport));
    let dump = control.get(&path).await.ok(200);
    dump["dtlsState"].as_str().unwrap().to_owned()
}

async fn becomes(control: &Control, transport: &Value, wanted: &str) {
    eventually(wanted, async || {
        (dtls_state(control, transport).await == wanted).then_some(())
    })
    .await;
}

/// Where in control's messages the keys of the transport are.
fn keys_at(engine: &FakeEngine, transport: uuid::Uuid) -> Option<(usize, Request)> {
    let received = engine.received();
    received
        .into_iter()
        .enumerate()
        .find_map(|(at, message)| match message {
            ToEngine::Request { body, .. } => match &body {
                Request::SetSrtpKeys { id, .. } if *id == transport => Some((at, body)),
                _ => None,
            },
            _ => None,
        })
}

#[tokio::test]
async fn a_client_that_begins_gets_the_keys_we_have() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let made = transport(&control).await;
    let certificate = Certificate::generate().unwrap();
    connect(&control, &made, parameters(&certificate, "client")).await;
    assert_eq!(dtls_state(&control, &made).await, "connecting");
    let theirs = &made["dtlsParameters"];
    let mut peer = Peer::new(&id(&made), DtlsRole::Client, &certificate, theirs);
    eventually("keys", async || {
        peer.pass(&host.engine);
        peer.keys.as_ref().map(|_| ())
    })
    .await;
    becomes(&control, &made, "connected").await;
    let Some((at, Request::SetSrtpKeys { send, receive, .. })) =
        keys_at(&host.engine, peer.transport)
    else {
        panic!("the engine got no keys");
    };
    let keys = peer.keys.unwrap();
    assert_eq!((&send, &receive), (&keys.receive, &keys.send));
    let received = host.engine.received();
    let last_flight = received
        .iter()
        .rposition(|message| matches!(message, ToEngine::SendDtls { .. }))
        .unwrap();
    assert!(at < last_flight, "keys come before the last flight");
    let dump = control
        .get(&format!("/v1/transports/{}", id(&made)))
        .await
        .ok(200);
    assert!(
        dump["dtlsRemoteCert"]
            .as_str()
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
}

#[tokio::test]
async fn a_hello_before_connect_is_held() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let made = transport(&control).await;
    let certificate = Certificate::generate().unwrap();
    let theirs = &made["dtlsParameters"];
    let mut peer = Peer::new(&id(&made), DtlsRole::Client, &certificate, theirs);
    peer.pass(&host.engine);
    let too_long = vec![22; 4096];
    for _ in 0..100 {
        host.engine.say(Event::Dtls {
            transport: peer.transport,
            datagram: too_long.clone(),
        });
    }
    connect(&control, &made, parameters(&certificate, "auto")).await;
    // Without anything said again.
    eventually("keys", async || {
        peer.pass(&host.engine);
        peer.keys.as_ref().map(|_| ())
    })
    .await;
    becomes(&control, &made, "connected").await;
}

#[tokio::test]
async fn as_client_we_begin_once_there_is_a_path() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let made = transport(&control).await;
    let certificate = Certificate::generate().unwrap();
    let theirs = &made["dtlsParameters"];
    let mut peer = Peer::new(&id(&made), DtlsRole::Server, &certificate, theirs);
    connect(&control, &made, parameters(&certificate, "server")).await;
    let sent = |engine: &FakeEngine| {
        let received = engine.received();
        received
            .iter()
            .any(|it| matches!(it, ToEngine::SendDtls { .. }))
    };
    assert!(!sent(&host.engine));
    host.engine.say(Event::Ice {
        transport: peer.transport,
        state: IceState::Connected,
        tuple: None,
    });
    eventually("keys", async || {
        peer.pass(&host.engine);
        peer.keys.as_ref().map(|_| ())
    })
    .await;
    becomes(&control, &made, "connected").await;
}

#[tokio::test]
async fn a_wrong_certificate_gets_no_keys() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let made = transport(&control).await;
    let certificate = Certificate::generate().unwrap();
    let another = Certificate::generate().unwrap();
    connect(&control, &made, parameters(&another, "client")).await;
    let theirs = &made["dtlsParameters"];
    let mut peer = Peer::new(&id(&made), DtlsRole::Client, &certificate, theirs);
    eventually("failed", async || {
        peer.pass(&host.engine);
        (dtls_state(&control, &made).await == "failed").then_some(())
    })
    .await;
    assert!(keys_at(&host.engine, peer.transport).is_none());
    let figures = control.get("/metrics").await;
    assert!(
        figures
            .text
            .contains("dtls_handshakes_total{result=\"failed\"} 1.0")
    );
}

#[tokio::test]
async fn both_sides_tell_of_their_end() {
    let host = Host::new();
    let control = host.control(&[]).await;
    for peer_closes in [true, false] {
        let made = transport(&control).await;
        let certificate = Certificate::generate().unwrap();
        connect(&control, &made, parameters(&certificate, "client")).await;
        let theirs = &made["dtlsParameters"];
        let mut peer = Peer::new(&id(&made), DtlsRole::Client, &certificate, theirs);
        eventually("keys", async || {
            peer.pass(&host.engine);
            peer.keys.as_ref().map(|_| ())
        })
        .await;
        if peer_closes {
            peer.endpoint.close();
            peer.pass(&host.engine);
            becomes(&control, &made, "closed").await;
        } else {
            control
                .delete(&format!("/v1/transports/{}", id(&made)))
                .await
                .ok(204);
            peer.pass(&host.engine);
            assert!(peer.closed);
        }
    }
}

#[tokio::test]
async fn after_a_restart_finished_handshakes_stand_and_others_have_failed() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let certificate = Certificate::generate().unwrap();
    let finished = transport(&control).await;
    connect(&control, &finished, parameters(&certificate, "client")).await;
    let theirs = &finished["dtlsParameters"];
    let mut peer = Peer::new(&id(&finished), DtlsRole::Client, &certificate, theirs);
    eventually("keys", async || {
        peer.pass(&host.engine);
        peer.keys.as_ref().map(|_| ())
    })
    .await;
    let under_way = transport(&control).await;
    connect(&control, &under_way, parameters(&certificate, "client")).await;
    let fresh = transport(&control).await;
    control.kill().await;

    let control = host.control(&[]).await;
    assert_eq!(dtls_state(&control, &finished).await, "connected");
    assert_eq!(dtls_state(&control, &under_way).await, "failed");
    assert_eq!(dtls_state(&control, &fresh).await, "new");
    // Ours is the same certificate as before, and what was not connected can be.
    let theirs = &fresh["dtlsParameters"];
    let mut peer = Peer::new(&id(&fresh), DtlsRole::Client, &certificate, theirs);
    connect(&control, &fresh, parameters(&certificate, "client")).await;
    eventually("keys", async || {
        peer.pass(&host.engine);
        peer.keys.as_ref().map(|_| ())
    })
    .await;
    control.kill().await;
    // The failure is not forgotten either.
    let control = host.control(&[]).await;
    assert_eq!(dtls_state(&control, &under_way).await, "failed");
}
