//! What the server does: every operation of API and signaling, on model and engine together.
//!
//! One lock guards all state. Requests go to the engine while it is held, so the engine sees
//! changes in the order the model does; nothing is awaited under it.

mod certificate;
mod closing;
mod consumers;
mod dtls;
mod engine_events;
mod observers;
mod plain;
mod producers;
mod routers;
mod stats;
mod supervisor;
mod traces;
mod transports;
mod webrtc;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Semaphore;
use weirgate_dtls::{Certificate, DtlsContext};
use weirgate_wire::{EngineInfo, Request};

pub use certificate::{CertificateError, load_or_make};
pub use supervisor::{StartError, Supervisor};
pub use transports::BitrateLimit;

use crate::{
    engine_link::EngineLink,
    error::ApiError,
    events::{Event, EventLog, MAX_LISTENERS},
    ice::IceCandidate,
    metrics::Counters,
    model::{DtlsFingerprint, DtlsParameters, DtlsRole, Model},
    observers::Observers,
    rooms::Rooms,
    settings::Settings,
};

/// Key of the note that holds the reserved bound of event numbers.
const EVENTS_NOTE: &str = "control/events";

/// Everything behind HTTP and signaling.
pub struct Service {
    /// As started.
    pub settings: Settings,
    /// The line to the engine.
    pub engine: EngineLink,
    /// What happened.
    pub events: EventLog,
    /// For `/metrics`.
    pub counters: Counters,
    /// When this process started.
    pub started: Instant,
    /// Places for listeners of events.
    pub(crate) listeners: Arc<Semaphore>,
    /// Serializes the making of rooms.
    pub(crate) room_making: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    facts: Mutex<Option<EngineFacts>>,
    dtls_context: DtlsContext,
    dtls_parameters: DtlsParameters,
}

/// What changes.
#[derive(Default)]
pub struct State {
    /// The objects.
    pub model: Model,
    /// The rooms and their peers.
    pub rooms: Rooms,
    /// RTP observers.
    pub observers: Observers,
    dtls: dtls::DtlsTable,
    /// To be sent when the link to the engine opens.
    pub(crate) unwritten: Vec<Request>,
}

/// What is known of the engine we are connected to.
#[derive(Debug, Clone)]
pub struct EngineFacts {
    /// Random, one per engine process.
    pub epoch: u64,
    /// As it was at the connection's start.
    pub info: EngineInfo,
    /// Of every WebRTC transport.
    pub candidates: Arc<[IceCandidate]>,
}

impl Service {
    /// A service without an engine yet.
    ///
    /// # Errors
    /// Where the certificate is of no use to the crypto library.
    pub fn new(
        settings: Settings,
        certificate: &Certificate,
    ) -> Result<Arc<Self>, weirgate_dtls::DtlsError> {
        let fingerprints = certificate.fingerprints().into_iter();
        Ok(Arc::new(Self {
            settings,
            engine: EngineLink::default(),
            events: EventLog::default(),
            counters: Counters::default(),
            started: Instant::now(),
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
            room_making: tokio::sync::Mutex::default(),
            state: Mutex::default(),
            facts: Mutex::default(),
            dtls_context: DtlsContext::new(certificate)?,
            dtls_parameters: DtlsParameters {
                role: DtlsRole::Auto,
                fingerprints: fingerprints
                    .map(|it| DtlsFingerprint {
                        algorithm: it.algorithm,
                        value: it.value,
                    })
                    .collect(),
            },
        }))
    }

    /// All state. Never held over an `await`.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the engine.
    ///
    /// # Errors
    /// `engine_unavailable` while there is none.
    pub fn facts(&self) -> Result<EngineFacts, ApiError> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.clone().ok_or_else(ApiError::engine_unavailable)
    }

    /// Our side of every DTLS association.
    pub const fn dtls_parameters(&self) -> &DtlsParameters {
        &self.dtls_parameters
    }

    /// Logs an event.
    pub fn emit(&self, event: Event) {
        if let Some(bound) = self.events.push(event) {
            self.reserve_events(bound);
        }
    }

    fn reserve_events(&self, bound: u64) {
        self.engine.notify(Request::PutNote {
            key: EVENTS_NOTE.to_owned(),
            blob: bound.to_be_bytes().to_vec(),
        });
    }

    fn set_facts(&self, facts: Option<EngineFacts>) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }
}
