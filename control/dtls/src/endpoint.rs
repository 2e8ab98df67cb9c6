//! One side of one DTLS association.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use openssl::{
    ssl::{ErrorCode, ShutdownState, Ssl, SslStream, SslVerifyMode},
    x509::X509VerifyResult,
};

use crate::{
    DtlsContext, DtlsError, FailureReason, Fingerprint, MTU_BYTES, SrtpKeys,
    fingerprint::ExpectedFingerprints, flight::Flight, hello::HelloAssembly, keys, record,
    stream::DatagramStream,
};

/// A handshake not finished after this long has failed. A client's starts when it is made, a
/// server's with the first piece of a ClientHello.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(30);

/// Longer datagrams are dropped: jumbo frames fit.
pub const MAX_DATAGRAM_BYTES: usize = 9216;

/// Anyone may forge a fatal alert while nothing is encrypted, so one ends a handshake only where
/// nothing good comes for this long after it.
const ALERT_GRACE: Duration = Duration::from_secs(5);

/// More than a datagram has records.
const MAX_STEPS_PER_DATAGRAM: usize = 1024;

/// Bounds the work a peer can make of one handshake; a lossy one needs a few dozen.
const MAX_HANDSHAKE_DATAGRAMS: u32 = 1000;

/// Who sends the ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// Not settled yet; no endpoint has it.
    Auto,
    /// We do.
    Client,
    /// The peer does.
    Server,
}

/// What an endpoint wants done, in the order to do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DtlsOutput {
    /// Send this to the peer as one UDP payload, at most [`MTU_BYTES`] long.
    Datagram(Vec<u8>),
    /// The handshake is done and the peer is who was signaled. Comes before the datagrams of our
    /// last flight: the peer may send media as soon as it has that.
    Connected(Box<SrtpKeys>),
    /// The handshake ended without keys; nothing comes after it.
    Failed(FailureReason),
    /// The peer closed the association (close_notify or a fatal alert) after it was connected.
    Closed,
}

/// A DTLS association with one peer, whose address somebody else has checked (ICE).
pub struct DtlsEndpoint {
    ssl: SslStream<DatagramStream>,
    is_client: bool,
    expected: Arc<ExpectedFingerprints>,
    phase: Phase,
    flight: Flight,
    deadline: Option<Instant>,
    unauthenticated_alert: Option<u8>,
    handshake_datagrams: u32,
    output: VecDeque<DtlsOutput>,
}

enum Phase {
    /// A server that has no whole ClientHello yet.
    AwaitingHello(HelloAssembly),
    Handshaking,
    Connected,
    Ended,
}

impl std::fmt::Debug for DtlsEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DtlsEndpoint")
            .field("is_client", &self.is_client)
            .field("is_connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

impl DtlsEndpoint {
    /// An endpoint that takes only a peer with one of `remote_fingerprints`. A client's
    /// ClientHello is ready at once, so make it when the path to the peer stands.
    ///
    /// # Errors
    /// [`DtlsError::RoleNotSettled`], [`DtlsError::NoUsableFingerprint`], or the crypto library's.
    pub fn new(
        context: &DtlsContext,
        role: DtlsRole,
        remote_fingerprints: Vec<Fingerprint>,
        now: Instant,
    ) -> Result<Self, DtlsError> {
        let is_client = match role {
            DtlsRole::Client => true,
            DtlsRole::Server => false,
            DtlsRole::Auto => return Err(DtlsError::RoleNotSettled),
        };
        let expected = Arc::new(ExpectedFingerprints::new(&remote_fingerprints)?);
        let mut endpoint = Self {
            ssl: new_ssl(context, is_client, &expected)?,
            is_client,
            expected,
            phase: Phase::AwaitingHello(HelloAssembly::default()),
            flight: Flight::default(),
            deadline: None,
            unauthenticated_alert: None,
            handshake_datagrams: 0,
            output: VecDeque::new(),
        };
        if is_client {
            endpoint.phase = Phase::Handshaking;
            endpoint.deadline = Some(now + HANDSHAKE_DEADLINE);
            endpoint.handshake(now);
        }
        Ok(endpoint)
    }

    /// Takes a datagram from the peer. What does not belong here is dropped silently.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        if datagram.len() > MAX_DATAGRAM_BYTES {
            return;
        }
        match &mut self.phase {
            Phase::AwaitingHello(assembly) => {
                let hello = record::records(datagram).find_map(|record| assembly.push(&record));
                if self.deadline.is_none() && (hello.is_some() || !assembly.is_empty()) {
                    self.deadline = Some(now + HANDSHAKE_DEADLINE);
                }
                if let Some(hello) = hello {
                    self.phase = Phase::Handshaking;
                    self.ssl.get_mut().push_incoming(hello);
                    self.handshake(now);
                }
            }
            Phase::Handshaking => {
                let sifted = record::sift_in_handshake(datagram);
                if let Some(alert) = sifted.unauthenticated_alert {
                    self.note_unauthenticated_alert(alert, now);
                }
                if !sifted.kept.is_empty() && self.handshake_datagrams < MAX_HANDSHAKE_DATAGRAMS {
                    self.handshake_datagrams += 1;
                    self.ssl.get_mut().push_incoming(sifted.kept);
                    self.handshake(now);
                }
            }
            Phase::Connected => {
                let kept = record::sift_when_connected(datagram);
                if !kept.is_empty() {
                    self.ssl.get_mut().push_incoming(kept);
                    self.read();
                }
            }
            Phase::Ended => {}
        }
    }

    /// Call at or after [`Self::poll_timeout`]'s time; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Connected | Phase::Ended) {
            return;
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.fail(match self.unauthenticated_alert {
                Some(alert) => FailureReason::PeerAlert(alert),
                None => FailureReason::TimedOut,
            });
        } else if self.flight.timeout().is_some_and(|at| now >= at) {
            // The library looks at its own timer when it finds nothing to read.
            let result = self.ssl.do_handshake();
            let rewritten = self.ssl.get_mut().take_written();
            match result {
                Err(error) if error.code() == ErrorCode::WANT_READ => {
                    let datagrams = self.flight.again(rewritten, now);
                    self.put_datagrams(datagrams);
                }
                Err(error) => self.fail(FailureReason::Protocol(describe(&error))),
                // Not without something to read.
                Ok(()) => {}
            }
        }
    }

    /// When to call [`Self::handle_timeout`]; `None` where nothing is waited for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Connected | Phase::Ended => None,
            _ => self.flight.timeout().into_iter().chain(self.deadline).min(),
        }
    }

    /// What to do next; call until `None` after every other call.
    pub fn poll_output(&mut self) -> Option<DtlsOutput> {
        self.output.pop_front()
    }

    /// Ends the association from our side: a connected peer is told (close_notify); no
    /// [`DtlsOutput::Closed`] follows.
    pub fn close(&mut self) {
        if self.is_connected() {
            // Whether the peer answers is of no interest.
            let _ = self.ssl.shutdown();
            self.put_written();
        }
        self.end();
    }

    /// Whether the keys were given out and the association still stands.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Whether it was closed or failed: nothing comes of it any more.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Goes on with the handshake as far as what was read allows.
    fn handshake(&mut self, now: Instant) {
        for _ in 0..MAX_STEPS_PER_DATAGRAM {
            match self.ssl.do_handshake() {
                Ok(()) => return self.finish(),
                Err(error) if error.code() == ErrorCode::WANT_READ => {
                    // The library also stops after a record that came too early.
                    if self.ssl.get_ref().is_starved() {
                        break;
                    }
                }
                Err(error) => return self.fail_by(&error),
            }
        }
        let written = self.ssl.get_mut().take_written();
        if !written.is_empty() {
            let datagrams = self.flight.start(written, now);
            self.put_datagrams(datagrams);
        }
    }

    /// The library says that the handshake is done.
    fn finish(&mut self) {
        match self.keys() {
            Ok(keys) => {
                self.phase = Phase::Connected;
                self.flight.stop();
                self.output.push_back(DtlsOutput::Connected(Box::new(keys)));
                self.put_written();
                self.read();
            }
            Err(reason) => {
                // The library has no door for an alert of ours: the peer gets the end of the
                // handshake and its close_notify at once.
                let _ = self.ssl.shutdown();
                self.put_written();
                self.fail(reason);
            }
        }
    }

    fn keys(&self) -> Result<SrtpKeys, FailureReason> {
        let ssl = self.ssl.ssl();
        let certificate = ssl
            .peer_certificate()
            .filter(|certificate| self.expected.accept(certificate))
            .ok_or(FailureReason::FingerprintMismatch)?;
        let crypto = |error: &dyn std::fmt::Display| FailureReason::Protocol(error.to_string());
        let remote_fingerprint = Fingerprint::of(&certificate, self.expected.algorithm())
            .map_err(|error| crypto(&error))?;
        let pem = certificate.to_pem().map_err(|error| crypto(&error))?;
        let (send, receive) = keys::export(ssl, self.is_client)?;
        Ok(SrtpKeys {
            suite: send.suite,
            send,
            receive,
            remote_fingerprint,
            remote_cert_pem: String::from_utf8_lossy(&pem).into_owned(),
        })
    }

    /// Reads on a connected association: application data is not for us, its end is.
    fn read(&mut self) {
        let mut buffer = [0; 2048];
        for _ in 0..MAX_STEPS_PER_DATAGRAM {
            match self.ssl.ssl_read(&mut buffer) {
                Ok(_) => {}
                Err(error) if error.code() == ErrorCode::WANT_READ => {
                    if self.ssl.get_ref().is_starved() {
                        break;
                    }
                }
                Err(_) => {
                    self.put_written();
                    self.output.push_back(DtlsOutput::Closed);
                    return self.end();
                }
            }
        }
        // A peer that missed our last flight has repeated its own, and the library answers.
        self.put_written();
        if self.ssl.get_shutdown().contains(ShutdownState::RECEIVED) {
            self.output.push_back(DtlsOutput::Closed);
            self.end();
        }
    }

    fn note_unauthenticated_alert(&mut self, alert: u8, now: Instant) {
        let soon = now + ALERT_GRACE;
        self.unauthenticated_alert = Some(alert);
        self.deadline = Some(self.deadline.map_or(soon, |deadline| deadline.min(soon)));
    }

    fn fail_by(&mut self, error: &openssl::ssl::Error) {
        let is_mismatch =
            self.ssl.ssl().verify_result() == X509VerifyResult::APPLICATION_VERIFICATION;
        // The library has written an alert.
        self.put_written();
        self.fail(if is_mismatch {
            FailureReason::FingerprintMismatch
        } else {
            FailureReason::Protocol(describe(error))
        });
    }

    fn fail(&mut self, reason: FailureReason) {
        self.output.push_back(DtlsOutput::Failed(reason));
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.flight.stop();
        self.deadline = None;
    }

    fn put_written(&mut self) {
        let mut written = self.ssl.get_mut().take_written();
        self.flight.pass(&mut written);
        self.put_datagrams(written);
    }

    fn put_datagrams(&mut self, datagrams: impl IntoIterator<Item = Vec<u8>>) {
        let datagrams = datagrams.into_iter().map(DtlsOutput::Datagram);
        self.output.extend(datagrams);
    }
}

fn new_ssl(
    context: &DtlsContext,
    is_client: bool,
    expected: &Arc<ExpectedFingerprints>,
) -> Result<SslStream<DatagramStream>, DtlsError> {
    let mut ssl = Ssl::new(context.ssl_context())?;
    ssl.set_mtu(MTU_BYTES)?;
    if is_client {
        ssl.set_connect_state();
    } else {
        ssl.set_accept_state();
    }
    let expected = Arc::clone(expected);
    // Chains, dates and names say nothing in WebRTC: the fingerprint does (RFC 8827 section 6.5).
    // Checked here so that a wrong peer gets an alert, and again before keys are given out.
    ssl.set_verify_callback(
        SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        move |_, chain| {
            let is_other_than_leaf = chain.error_depth() > 0;
            let is_accepted = is_other_than_leaf
                || chain
                    .current_cert()
                    .is_some_and(|leaf| expected.accept(leaf));
            chain.set_error(if is_accepted {
                X509VerifyResult::OK
            } else {
                X509VerifyResult::APPLICATION_VERIFICATION
            });
            is_accepted
        },
    );
    Ok(SslStream::new(ssl, DatagramStream::default())?)
}

/// The library's reason, without its file names and codes.
fn describe(error: &openssl::ssl::Error) -> String {
    error
        .ssl_error()
        .and_then(|stack| stack.errors().first())
        .and_then(openssl::error::Error::reason)
        .map_or_else(|| error.to_string(), str::to_owned)
}
