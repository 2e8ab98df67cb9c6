//! Keeps an engine behind the service: adopts or starts one, takes over what it holds, starts
//! another where it dies.

use std::{sync::Arc, time::Duration};

use tokio::{
    process::Child,
    time::{sleep, timeout},
};
use weirgate_wire::{ObjectKind, Request};

use super::{EVENTS_NOTE, EngineFacts, Service, State};
use crate::{
    engine_link::{ConnectError, Connection, EngineCommand, LaunchError, Snapshot},
    events::Event,
    ice::{candidates, host_addresses},
    model::{DtlsState, Rebuilt, blob},
};

/// Key of the note that tells that a control has started this engine.
const STARTED_NOTE: &str = "control/started-engine";

const RETRY_INTERVAL: Duration = Duration::from_millis(500);

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no engine at the start.
pub type StartError = LaunchError;

/// Owns the connection to the engine.
pub struct Supervisor {
    service: Arc<Service>,
    command: EngineCommand,
    child: Option<Child>,
    epoch: Option<u64>,
    /// The engine was started by a control, this one or one before it.
    is_ours: bool,
}

impl Supervisor {
    /// For `service`, with nothing running yet.
    pub fn new(service: Arc<Service>) -> Self {
        Self {
            command: EngineCommand::new(&service.settings),
            service,
            child: None,
            epoch: None,
            is_ours: false,
        }
    }

    /// Connects to the engine, starting one where none runs, and takes over what it holds.
    ///
    /// # Errors
    /// [`StartError`], one line that says what to do.
    pub async fn connect(&mut self) -> Result<Connection, StartError> {
        let (mut connection, child) = self.command.connect().await?;
        let is_started = child.is_some();
        if is_started {
            self.child = child;
        }
        tracing::info!(
            pid = connection.pid,
            io = connection.info.io,
            io_reason = connection.info.io_reason,
            shards = connection.info.shards.len(),
            "{}",
            if is_started {
                "started an engine"
            } else {
                "adopted an engine"
            }
        );
        let snapshot = std::mem::take(&mut connection.snapshot);
        self.is_ours = is_started || has_note(&snapshot, STARTED_NOTE);
        self.enter(&connection, snapshot);
        Ok(connection)
    }

    /// Serves `connection` and every later one until `stop` resolves; then ends the engine where
    /// it is ours and is not to be kept.
    pub async fn run(mut self, mut connection: Connection, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let mut running = Box::pin(self.serve(connection));
            tokio::select! {
                error = &mut running => tracing::error!(%error, "lost the engine"),
                () = &mut stop => {
                    tokio::select! {
                        () = self.shut_down() => {}
                        // It may end before its answer is read; then that is all that is wanted.
                        _ = &mut running => self.reap().await,
                    }
                    return;
                }
            }
            drop(running);
            self.service.disconnected();
            connection = tokio::select! {
                connection = self.reconnect() => connection,
                () = &mut stop => return,
            };
        }
    }

    fn serve(&self, connection: Connection) -> impl Future<Output = ConnectError> + use<> {
        let is_ours = self.is_ours;
        let opened = Arc::clone(&self.service);
        let service = Arc::clone(&self.service);
        connection.run(
            self.service.engine.clone(),
            move || opened.connected(is_ours),
            move |event| service.engine_event(event),
        )
    }

    async fn shut_down(&mut self) {
        if !self.is_ours || self.service.settings.keep_engine {
            return;
        }
        let asked = self.service.shut_engine_down();
        // One that does not answer is left to whoever watches it.
        if !matches!(timeout(SHUTDOWN_TIMEOUT, asked).await, Ok(Ok(()))) {
            tracing::warn!("the engine did not confirm its end");
        }
        self.reap().await;
    }

    /// Waits for the end of an engine that this process has started, so that none is left behind.
    async fn reap(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = timeout(SHUTDOWN_TIMEOUT, child.wait()).await;
        }
    }

    async fn reconnect(&mut self) -> Connection {
        loop {
            match self.connect().await {
                Ok(connection) => {
                    self.service.counters.engine_restarted();
                    return connection;
                }
                Err(error) => tracing::error!(%error, "no engine; trying again"),
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Puts what the engine holds in place of what the service had.
    fn enter(&mut self, connection: &Connection, snapshot: Snapshot) {
        let is_same_engine = self.epoch == Some(connection.epoch);
        self.epoch = Some(connection.epoch);
        let announced = &self.service.settings.announced;
        let listens = &connection.info.media_listen;
        self.service.set_facts(Some(EngineFacts {
            epoch: connection.epoch,
            candidates: candidates(listens, announced, &host_addresses()).into(),
            info: connection.info.clone(),
        }));
        self.service.take_over(snapshot, is_same_engine);
    }
}

impl Service {
    /// The link is open; what must be written to the engine is written now.
    fn connected(self: &Arc<Self>, is_ours: bool) {
        if is_ours {
            self.engine.notify(Request::PutNote {
                key: STARTED_NOTE.to_owned(),
                blob: Vec::new(),
            });
        }
        let reserved = self.events.reserved();
        if reserved > 0 {
            self.reserve_events(reserved);
        }
        let unwritten = std::mem::take(&mut self.state().unwritten);
        for request in unwritten {
            self.engine.notify(request);
        }
    }

    /// The engine is away: everything waits until it is known what it still holds.
    fn disconnected(&self) {
        self.set_facts(None);
        self.emit(Event::new("engine.lost"));
    }

    /// Makes the model anew from what the engine holds, and tells what is gone.
    fn take_over(self: &Arc<Self>, snapshot: Snapshot, is_same_engine: bool) {
        for (key, value) in &snapshot.notes {
            if key == EVENTS_NOTE
                && let Ok(bound) = value.as_slice().try_into()
            {
                self.events.resume_above(u64::from_be_bytes(bound));
            }
        }
        let rebuilt = Rebuilt::from_snapshot(snapshot.objects);
        let mut state = self.state();
        let state = &mut *state;
        let had_objects = !state.model.routers.is_empty();
        if had_objects && !is_same_engine {
            self.tell_all_lost(state);
        }
        state.dtls.clear();
        state.model = rebuilt.model;
        for object in rebuilt.unreadable {
            let kind = kind_of(&object.body);
            let request = Request::Close {
                kind,
                id: object.id,
            };
            state.unwritten.push(request);
        }
        for id in rebuilt.failed_handshakes {
            if let Some(transport) = state.model.transports.get(&id) {
                state.unwritten.push(Request::SetBlob {
                    kind: ObjectKind::Transport,
                    id,
                    blob: blob(&transport.record),
                });
            }
            self.tell_dtls_state(state, id);
        }
        self.take_over_observers(state, &snapshot.notes);
        self.take_over_rooms(state, &snapshot.notes, is_same_engine);
        let models = &state.model;
        let waiting = models.transports.values().filter_map(|transport| {
            let webrtc = transport.webrtc()?;
            (webrtc.dtls_state == DtlsState::New).then_some(transport.id)
        });
        tracing::info!(
            routers = models.routers.len(),
            transports = models.transports.len(),
            unconnected = waiting.count(),
            producers = models.producers.len(),
            consumers = models.consumers.len(),
            "took over what the engine holds"
        );
    }

    /// A new engine knows nothing of what was: tell everyone.
    fn tell_all_lost(self: &Arc<Self>, state: &mut State) {
        let routers: Vec<_> = state.model.routers.keys().copied().collect();
        for router in routers {
            let closed = state.model.close_router(router);
            self.tell_closed(state, &closed, None);
        }
        self.end_all_rooms(state);
    }
}

fn has_note(snapshot: &Snapshot, key: &str) -> bool {
    snapshot.notes.iter().any(|(known, _)| known == key)
}

fn kind_of(body: &weirgate_wire::SnapshotBody) -> ObjectKind {
    use weirgate_wire::SnapshotBody as Body;
    match body {
        Body::Router => ObjectKind::Router,
        Body::WebRtcTransport { .. } | Body::PlainTransport { .. } => ObjectKind::Transport,
        Body::Producer { .. } => ObjectKind::Producer,
        Body::Consumer { .. } => ObjectKind::Consumer,
    }
}
