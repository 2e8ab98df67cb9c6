//! RTP observers: made, changed, heard.

use std::{sync::Arc, time::Instant};

use serde_json::json;
use uuid::Uuid;
use weirgate_wire::{AudioLevel, Request};

use super::{Service, State};
use crate::{
    api::{ObserverDump, ObserverOptions, app_data},
    engine_link::Pending,
    error::{ApiError, ErrorCode},
    events::Event,
    model::blob,
    observers::{MAX_OBSERVERS, Observed, Observer, ObserverRecord, Observers},
};

/// Keys of observers' notes begin with this.
const OBSERVER_NOTE: &str = "observer/";

impl Service {
    /// Makes an observer on a router.
    ///
    /// # Errors
    /// `not_found` for the router, `bad_request` naming the field, `over_capacity`, the engine's.
    pub async fn create_observer(
        self: &Arc<Self>,
        router: Uuid,
        options: ObserverOptions,
    ) -> Result<ObserverDump, ApiError> {
        let watch = options.watch()?;
        let id = Uuid::new_v4();
        let noted = {
            let mut state = self.state();
            state.model.router(router)?;
            if state.observers.len() >= MAX_OBSERVERS {
                let message = format!("there are {MAX_OBSERVERS} observers already");
                return Err(ApiError::new(ErrorCode::OverCapacity, message));
            }
            let record = ObserverRecord {
                router,
                watch,
                producers: Vec::new(),
                is_paused: false,
                app_data: app_data(options.app_data),
            };
            state.observers.insert(id, record);
            self.note(&state.observers, id)?
        };
        if let Err(error) = noted.await {
            self.state().observers.remove(id);
            return Err(error);
        }
        self.emit(Event {
            router_id: Some(router),
            rtp_observer_id: Some(id),
            ..Event::new("router.newrtpobserver")
        });
        self.observer(id)
    }

    /// An observer as it stands.
    ///
    /// # Errors
    /// `not_found`.
    pub fn observer(&self, id: Uuid) -> Result<ObserverDump, ApiError> {
        let state = self.state();
        find(&state.observers, id).map(|observer| ObserverDump::new(id, observer))
    }

    /// Ends an observer.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn close_observer(self: &Arc<Self>, id: Uuid) -> Result<(), ApiError> {
        let closing = {
            let mut state = self.state();
            let observer = state.observers.remove(id);
            let observer = observer.ok_or_else(|| unknown(id))?;
            self.emit(Event {
                router_id: Some(observer.record.router),
                rtp_observer_id: Some(id),
                ..Event::new("rtpobserver.close")
            });
            let request = Request::DeleteNote { key: note_key(id) };
            self.engine.request(request, |_| Ok(()))
        };
        closing.await
    }

    /// Lets an observer listen to an audio producer of its router, or not any more.
    ///
    /// # Errors
    /// `not_found` for observer and producer, `bad_request` where they do not go together,
    /// `conflict` where it listens, or does not listen, already.
    pub async fn observe_producer(
        self: &Arc<Self>,
        id: Uuid,
        producer: Uuid,
        is_added: bool,
    ) -> Result<(), ApiError> {
        let noted = {
            let mut state = self.state();
            let router = find(&state.observers, id)?.record.router;
            let source = state.model.producer(producer)?;
            if source.router != router {
                let message = "the producer is of another router than the observer";
                return Err(ApiError::bad_field("producerId", message));
            }
            if source.record.kind != weirgate_ortc::MediaKind::Audio {
                return Err(ApiError::bad_field("producerId", "is no audio producer"));
            }
            let is_changed = match is_added {
                true => state.observers.add_producer(id, producer),
                false => state.observers.remove_producer(id, producer),
            };
            if !is_changed {
                let listens = if is_added {
                    "listens"
                } else {
                    "does not listen"
                };
                let message = format!("the observer {listens} to {producer} already");
                return Err(ApiError::conflict(message));
            }
            self.note(&state.observers, id)?
        };
        noted.await
    }

    /// Pauses or resumes an observer.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn pause_observer(self: &Arc<Self>, id: Uuid, paused: bool) -> Result<(), ApiError> {
        let noted = {
            let mut state = self.state();
            let observer = state.observers.get_mut(id);
            observer.ok_or_else(|| unknown(id))?.record.is_paused = paused;
            self.note(&state.observers, id)?
        };
        noted.await
    }

    /// Lets observers hear levels of producers.
    pub(crate) fn observe_levels(&self, state: &mut State, now: Instant, levels: &[AudioLevel]) {
        for level in levels {
            let observers = &mut state.observers;
            observers.hear(now, level.producer, level.dbov, level.peak_dbov);
        }
        for (id, observed) in state.observers.look(now) {
            let (name, data) = match observed {
                Observed::Volumes(volumes) => {
                    let volume = |(producer, dbov): &(Uuid, i8)| json!({ "producerId": producer, "volume": dbov });
                    let volumes: Vec<_> = volumes.iter().map(volume).collect();
                    let data = json!({ "volumes": volumes });
                    ("audiolevelobserver.volumes", data)
                }
                Observed::Silence => ("audiolevelobserver.silence", json!({})),
                Observed::DominantSpeaker(producer) => {
                    let data = json!({ "producerId": producer });
                    ("activespeakerobserver.dominantspeaker", data)
                }
            };
            self.emit(Event {
                router_id: state.observers.get(id).map(|it| it.record.router),
                rtp_observer_id: Some(id),
                data,
                ..Event::new(name)
            });
        }
    }

    /// A router is gone, and its observers with it.
    pub(super) fn close_observers_of(&self, state: &mut State, router: Uuid) {
        for id in state.observers.of_router(router) {
            state.observers.remove(id);
            self.engine
                .notify(Request::DeleteNote { key: note_key(id) });
            self.emit(Event {
                router_id: Some(router),
                rtp_observer_id: Some(id),
                ..Event::new("rtpobserver.routerclose")
            });
        }
    }

    /// Makes the observers anew from the notes that the engine holds.
    pub(super) fn take_over_observers(&self, state: &mut State, notes: &[(String, Vec<u8>)]) {
        state.observers = Observers::default();
        for (key, value) in notes {
            let Some(id) = key.strip_prefix(OBSERVER_NOTE) else {
                continue;
            };
            let record: Option<ObserverRecord> = serde_json::from_slice(value).ok();
            let model = &state.model;
            let record = record.filter(|record| model.routers.contains_key(&record.router));
            let (Ok(id), Some(mut record)) = (id.parse(), record) else {
                let key = key.clone();
                state.unwritten.push(Request::DeleteNote { key });
                continue;
            };
            record
                .producers
                .retain(|it| model.producers.contains_key(it));
            state.observers.insert(id, record);
        }
    }

    /// Has the engine keep an observer as it stands.
    fn note(&self, observers: &Observers, id: Uuid) -> Result<Pending<()>, ApiError> {
        let request = Request::PutNote {
            key: note_key(id),
            blob: blob(&find(observers, id)?.record),
        };
        Ok(self.engine.request(request, |_| Ok(())))
    }
}

fn find(observers: &Observers, id: Uuid) -> Result<&Observer, ApiError> {
    observers.get(id).ok_or_else(|| unknown(id))
}

fn unknown(id: Uuid) -> ApiError {
    ApiError::not_found("RTP observer", id)
}

fn note_key(id: Uuid) -> String {
    format!("{OBSERVER_NOTE}{id}")
}
