//! Two endpoints and a network between them that loses, doubles and swaps by plan.
#![allow(dead_code, reason = "not every test file uses everything")]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use weirgate_dtls::{
    Certificate, DtlsContext, DtlsEndpoint, DtlsOutput, DtlsRole, FailureReason, Fingerprint,
    MTU_BYTES, SrtpKeys,
};
use weirgate_wire::SrtpSuite;

/// One side: its certificate and context.
pub(crate) struct Side {
    pub(crate) certificate: Certificate,
    pub(crate) context: DtlsContext,
}

impl Side {
    pub(crate) fn new() -> Self {
        Self::with_suites(&SrtpSuite::ALL)
    }

    pub(crate) fn with_suites(suites: &[SrtpSuite]) -> Self {
        Self::with_certificate(Certificate::generate().unwrap(), suites)
    }

    pub(crate) fn with_certificate(certificate: Certificate, suites: &[SrtpSuite]) -> Self {
        let context = DtlsContext::with_srtp_suites(&certificate, suites).unwrap();
        Self {
            certificate,
            context,
        }
    }

    pub(crate) fn endpoint(
        &self,
        role: DtlsRole,
        peer: Vec<Fingerprint>,
        now: Instant,
    ) -> DtlsEndpoint {
        DtlsEndpoint::new(&self.context, role, peer, now).unwrap()
    }
}

/// What came out of one endpoint, apart from datagrams.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) keys: Option<Box<SrtpKeys>>,
    pub(crate) failed: Option<FailureReason>,
    pub(crate) closed: bool,
}

/// Which end sent a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// What the network does with the n-th datagram of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Deliver,
    Lose,
    Double,
    /// Arrives after the next one.
    Swap,
}

/// Says what becomes of the n-th datagram of an end.
pub(crate) type Plan<'a> = dyn FnMut(From, usize, &[u8]) -> Fate + 'a;

pub(crate) struct Call {
    pub(crate) client: DtlsEndpoint,
    pub(crate) server: DtlsEndpoint,
    pub(crate) now: Instant,
    pub(crate) client_seen: Seen,
    pub(crate) server_seen: Seen,
    /// Datagrams that left each end so far.
    pub(crate) sent: [usize; 2],
    to_server: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
    held: [Option<Vec<u8>>; 2],
}

impl Call {
    pub(crate) fn new(client: &Side, server: &Side) -> Self {
        Self::with_fingerprints(
            client,
            server,
            server.certificate.fingerprints(),
            client.certificate.fingerprints(),
        )
    }

    pub(crate) fn with_fingerprints(
        client: &Side,
        server: &Side,
        client_expects: Vec<Fingerprint>,
        server_expects: Vec<Fingerprint>,
    ) -> Self {
        let now = Instant::now();
        Self {
            client: client.endpoint(DtlsRole::Client, client_expects, now),
            server: server.endpoint(DtlsRole::Server, server_expects, now),
            now,
            client_seen: Seen::default(),
            server_seen: Seen::default(),
            sent: [0, 0],
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            held: [None, None],
        }
    }

    /// Carries datagrams until both ends are silent.
    pub(crate) fn settle(&mut self, fate: &mut Plan<'_>) {
        loop {
            self.collect(From::Client, fate);
            self.collect(From::Server, fate);
            if let Some(datagram) = self.to_server.pop_front() {
                self.server.handle_datagram(&datagram, self.now);
            } else if let Some(datagram) = self.to_client.pop_front() {
                self.client.handle_datagram(&datagram, self.now);
            } else {
                // A swapped datagram with nothing after it arrives at last.
                let [from_client, from_server] = &mut self.held;
                self.to_server.extend(from_client.take());
                self.to_client.extend(from_server.take());
                if self.to_server.is_empty() && self.to_client.is_empty() {
                    return;
                }
            }
        }
    }

    /// Runs until both ends are connected, or have failed, or `limit` of virtual time passed. The
    /// crypto library's own timer needs real time: it is given some where the rest does not help.
    pub(crate) fn run(&mut self, limit: Duration, fate: &mut Plan<'_>) {
        let start = self.now;
        let mut next_sleep = Duration::from_secs(1);
        while self.step(start + limit, fate) {
            if self.now - start > 3 * next_sleep {
                std::thread::sleep(next_sleep + Duration::from_millis(50));
                next_sleep *= 2;
            }
        }
    }

    /// Carries datagrams, then goes on to the next timeout; false where there is nothing to do.
    pub(crate) fn step(&mut self, end: Instant, fate: &mut Plan<'_>) -> bool {
        self.settle(fate);
        if self.is_settled() {
            return false;
        }
        let Some(at) = self.next_timeout().filter(|&at| at <= end) else {
            return false;
        };
        self.now = self.now.max(at);
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        true
    }

    pub(crate) fn run_clean(&mut self) {
        self.run(Duration::from_secs(60), &mut |_, _, _| Fate::Deliver);
    }

    /// Both ends have keys that fit together.
    #[track_caller]
    pub(crate) fn assert_connected(&self) {
        let client = self.client_seen.keys.as_ref().expect("client has keys");
        let server = self.server_seen.keys.as_ref().expect("server has keys");
        assert_eq!(client.suite, server.suite);
        assert_eq!(client.send, server.receive);
        assert_eq!(client.receive, server.send);
        assert_ne!(client.send, client.receive);
        assert!(self.client.is_connected() && self.server.is_connected());
    }

    fn is_settled(&self) -> bool {
        [&self.client, &self.server]
            .iter()
            .all(|endpoint| endpoint.is_connected() || endpoint.is_ended())
    }

    fn next_timeout(&self) -> Option<Instant> {
        let timeouts = [self.client.poll_timeout(), self.server.poll_timeout()];
        timeouts.into_iter().flatten().min()
    }

    fn collect(&mut self, from: From, fate: &mut Plan<'_>) {
        let index = from as usize;
        let (endpoint, seen, to) = match from {
            From::Client => (&mut self.client, &mut self.client_seen, &mut self.to_server),
            From::Server => (&mut self.server, &mut self.server_seen, &mut self.to_client),
        };
        while let Some(output) = endpoint.poll_output() {
            let datagram = match output {
                DtlsOutput::Datagram(datagram) => datagram,
                DtlsOutput::Connected(keys) => {
                    assert!(seen.keys.replace(keys).is_none(), "connected twice");
                    continue;
                }
                DtlsOutput::Failed(reason) => {
                    assert!(seen.failed.replace(reason).is_none(), "failed twice");
                    continue;
                }
                DtlsOutput::Closed => {
                    seen.closed = true;
                    continue;
                }
            };
            assert!(datagram.len() <= MTU_BYTES as usize);
            let ordinal = self.sent[index];
            self.sent[index] += 1;
            match fate(from, ordinal, &datagram) {
                Fate::Deliver => to.push_back(datagram),
                Fate::Lose => continue,
                Fate::Double => to.extend([datagram.clone(), datagram]),
                Fate::Swap if self.held[index].is_none() => {
                    self.held[index] = Some(datagram);
                    continue;
                }
                Fate::Swap => to.push_back(datagram),
            }
            to.extend(self.held[index].take());
        }
    }
}
