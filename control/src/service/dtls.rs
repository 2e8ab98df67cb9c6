//! DTLS associations: one task per transport around the sans-IO endpoint.
//!
//! Handshakes cost hundreds of microseconds of crypto each, so they run beside the task that
//! reads from the engine. What an endpoint wants done is done with the state held, keys first:
//! the engine must have them before the flight leaves after which the peer may send media.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::json;
use tokio::{sync::mpsc, time::sleep_until};
use uuid::Uuid;
use weirgate_dtls::{
    DtlsEndpoint, DtlsOutput, DtlsRole as EndpointRole, Fingerprint, HashAlgorithm, SrtpKeys,
};
use weirgate_wire::{IceState, ObjectKind, Request};

use super::{Service, State};
use crate::{
    error::ApiError,
    events::Event,
    model::{DtlsParameters, DtlsRole, DtlsState, blob},
};

/// Datagrams kept that came before `connect`: a ClientHello in two fragments, twice.
const MAX_HELD: usize = 4;
const MAX_HELD_BYTES: usize = 2048;

/// Datagrams that wait for an association's task.
const MAX_WAITING: usize = 32;

/// More than clients send.
const MAX_FINGERPRINTS: usize = 16;

/// Associations by transport.
pub(super) type DtlsTable = HashMap<Uuid, Association>;

/// How far an association is.
pub(super) enum Association {
    /// `connect` was not called; what came from the peer so far.
    Held(Vec<Vec<u8>>),
    /// We are to begin, and there is no path yet.
    AwaitingIce(Box<DtlsParameters>),
    /// Its task runs.
    Running(Running),
}

/// An association's task, and its endpoint for the end.
pub(super) struct Running {
    datagrams: mpsc::Sender<Vec<u8>>,
    endpoint: Arc<Mutex<DtlsEndpoint>>,
}

/// Refuses fingerprints that could match no certificate.
pub(super) fn check_fingerprints(parameters: &DtlsParameters) -> Result<(), ApiError> {
    let field = "dtlsParameters.fingerprints";
    let count = parameters.fingerprints.len();
    if count == 0 || count > MAX_FINGERPRINTS {
        return Err(ApiError::bad_field(
            field,
            format!("must be 1 to {MAX_FINGERPRINTS}"),
        ));
    }
    for (index, fingerprint) in parameters.fingerprints.iter().enumerate() {
        let Some(algorithm) = HashAlgorithm::from_name(&fingerprint.algorithm) else {
            let message = "must be sha-1, sha-224, sha-256, sha-384 or sha-512";
            return Err(ApiError::bad_field(
                format!("{field}[{index}].algorithm"),
                message,
            ));
        };
        let length = digest_length(algorithm);
        let parts: Vec<&str> = fingerprint.value.split(':').collect();
        let is_hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if parts.len() != length || !parts.iter().all(is_hex) {
            let message = format!("must be {length} bytes in hexadecimal with colons between");
            return Err(ApiError::bad_field(
                format!("{field}[{index}].value"),
                message,
            ));
        }
    }
    Ok(())
}

const fn digest_length(algorithm: HashAlgorithm) -> usize {
    match algorithm {
        HashAlgorithm::Sha1 => 20,
        HashAlgorithm::Sha224 => 28,
        HashAlgorithm::Sha256 => 32,
        HashAlgorithm::Sha384 => 48,
        HashAlgorithm::Sha512 => 64,
    }
}

impl Service {
    /// `connect` was called: the association may begin.
    pub(super) fn begin_dtls(self: &Arc<Self>, state: &mut State, id: Uuid) {
        let Some(webrtc) = state.model.transports.get(&id).and_then(|it| it.webrtc()) else {
            return;
        };
        let Some(remote) = webrtc.remote_dtls.clone() else {
            return;
        };
        let has_path = matches!(webrtc.ice_state, IceState::Connected | IceState::Completed);
        let is_client = webrtc.local_role == Some(DtlsRole::Client);
        if is_client && !has_path {
            let waiting = Association::AwaitingIce(Box::new(remote));
            state.dtls.insert(id, waiting);
            return;
        }
        self.run_dtls(state, id, is_client, &remote);
    }

    /// ICE has a path: a client's association may begin.
    pub(super) fn ice_has_path(self: &Arc<Self>, state: &mut State, id: Uuid) {
        if let Some(Association::AwaitingIce(remote)) = state.dtls.get(&id) {
            let remote = remote.clone();
            self.run_dtls(state, id, true, &remote);
        }
    }

    /// A datagram came from a transport's peer.
    pub(super) fn dtls_arrived(&self, state: &mut State, id: Uuid, datagram: Vec<u8>) {
        let awaits_connect = state.model.transports.get(&id).is_some_and(|transport| {
            let ours = transport.webrtc();
            ours.is_some_and(|it| it.remote_dtls.is_none())
        });
        let association = match state.dtls.get_mut(&id) {
            Some(association) => association,
            // Also after a restart of control, when a finished association has no endpoint.
            None if !awaits_connect => return,
            None => state
                .dtls
                .entry(id)
                .or_insert(Association::Held(Vec::new())),
        };
        match association {
            Association::Held(held) => {
                if held.len() < MAX_HELD && datagram.len() <= MAX_HELD_BYTES {
                    held.push(datagram);
                }
            }
            Association::AwaitingIce(_) => {}
            Association::Running(running) => {
                // A full queue is a flood; a peer sends its flight again.
                let _ = running.datagrams.try_send(datagram);
            }
        }
    }

    /// Ends a transport's association; a connected peer is told.
    pub(super) fn end_dtls(&self, state: &mut State, id: Uuid) {
        let Some(Association::Running(running)) = state.dtls.remove(&id) else {
            return;
        };
        let mut endpoint = lock(&running.endpoint);
        endpoint.close();
        let mut datagrams = Vec::new();
        while let Some(output) = endpoint.poll_output() {
            if let DtlsOutput::Datagram(datagram) = output {
                datagrams.push(datagram);
            }
        }
        if !datagrams.is_empty() {
            self.engine.send_dtls(id, datagrams);
        }
    }

    /// Logs the state a transport's association has now.
    pub(super) fn tell_dtls_state(&self, state: &State, id: Uuid) {
        let Some(transport) = state.model.transports.get(&id) else {
            return;
        };
        let Some(webrtc) = transport.webrtc() else {
            return;
        };
        let event = Event {
            router_id: Some(transport.router),
            transport_id: Some(id),
            ..Event::new("transport.dtlsstatechange")
        };
        let event = event.of_peer(transport.record.owner.as_ref());
        self.emit(event.with_data(json!({ "dtlsState": webrtc.dtls_state })));
    }

    fn run_dtls(
        self: &Arc<Self>,
        state: &mut State,
        id: Uuid,
        is_client: bool,
        remote: &DtlsParameters,
    ) {
        let fingerprints = remote.fingerprints.iter().map(|it| Fingerprint {
            algorithm: it.algorithm.clone(),
            value: it.value.clone(),
        });
        let role = match is_client {
            true => EndpointRole::Client,
            false => EndpointRole::Server,
        };
        let made = DtlsEndpoint::new(
            &self.dtls_context,
            role,
            fingerprints.collect(),
            Instant::now(),
        );
        let endpoint = match made {
            Ok(endpoint) => Arc::new(Mutex::new(endpoint)),
            Err(error) => {
                tracing::error!(transport = %id, %error, "cannot begin a DTLS association");
                self.dtls_settled(state, id, DtlsState::Failed);
                return;
            }
        };
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let running = Association::Running(Running {
            datagrams: sender.clone(),
            endpoint: Arc::clone(&endpoint),
        });
        if let Some(Association::Held(held)) = state.dtls.insert(id, running) {
            for datagram in held {
                // The queue is longer than what is held.
                let _ = sender.try_send(datagram);
            }
        }
        tokio::spawn(drive(Arc::clone(self), id, endpoint, receiver));
    }

    /// Does what an endpoint wants; false where nothing more will come of it.
    fn carry_out(&self, id: Uuid, outputs: Vec<DtlsOutput>) -> bool {
        let mut state = self.state();
        if !state.dtls.contains_key(&id) {
            return false;
        }
        let mut datagrams = Vec::new();
        let mut settled = None;
        for output in outputs {
            match output {
                DtlsOutput::Datagram(datagram) => datagrams.push(datagram),
                DtlsOutput::Connected(keys) => self.dtls_connected(&mut state, id, *keys),
                DtlsOutput::Failed(reason) => {
                    tracing::info!(transport = %id, ?reason, "a DTLS handshake failed");
                    settled = Some(DtlsState::Failed);
                }
                DtlsOutput::Closed => settled = Some(DtlsState::Closed),
            }
        }
        if !datagrams.is_empty() {
            self.engine.send_dtls(id, datagrams);
        }
        match settled {
            Some(settled) => {
                state.dtls.remove(&id);
                self.dtls_settled(&mut state, id, settled);
                false
            }
            None => true,
        }
    }

    fn dtls_connected(&self, state: &mut State, id: Uuid, keys: SrtpKeys) {
        let Ok(transport) = state.model.transport_mut(id) else {
            return;
        };
        if let Some(webrtc) = transport.webrtc_mut() {
            webrtc.dtls_state = DtlsState::Connected;
            webrtc.remote_cert = Some(keys.remote_cert_pem);
        }
        self.engine.notify(Request::SetSrtpKeys {
            id,
            send: keys.send,
            receive: keys.receive,
            blob: Some(blob(&transport.record)),
        });
        self.counters.dtls_connected();
        self.tell_dtls_state(state, id);
    }

    /// An association ended, one way or the other.
    fn dtls_settled(&self, state: &mut State, id: Uuid, settled: DtlsState) {
        let Ok(transport) = state.model.transport_mut(id) else {
            return;
        };
        if let Some(webrtc) = transport.webrtc_mut() {
            webrtc.dtls_state = settled;
        }
        self.engine.notify(Request::SetBlob {
            kind: ObjectKind::Transport,
            id,
            blob: blob(&transport.record),
        });
        if settled == DtlsState::Failed {
            self.counters.dtls_failed();
        }
        self.tell_dtls_state(state, id);
    }
}

async fn drive(
    service: Arc<Service>,
    id: Uuid,
    endpoint: Arc<Mutex<DtlsEndpoint>>,
    mut datagrams: mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let (outputs, deadline) = {
            let mut endpoint = lock(&endpoint);
            let outputs: Vec<_> = std::iter::from_fn(|| endpoint.poll_output()).collect();
            (outputs, endpoint.poll_timeout())
        };
        if !outputs.is_empty() && !service.carry_out(id, outputs) {
            return;
        }
        let timer = async {
            match deadline {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            datagram = datagrams.recv() => match datagram {
                Some(datagram) => lock(&endpoint).handle_datagram(&datagram, Instant::now()),
                None => return,
            },
            () = timer => lock(&endpoint).handle_timeout(Instant::now()),
        }
    }
}

fn lock(endpoint: &Mutex<DtlsEndpoint>) -> std::sync::MutexGuard<'_, DtlsEndpoint> {
    endpoint.lock().unwrap_or_else(PoisonError::into_inner)
}
