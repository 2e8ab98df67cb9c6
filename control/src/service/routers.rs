//! Routers.

use std::sync::Arc;

use uuid::Uuid;
use weirgate_ortc::{self as ortc, OrtcError};
use weirgate_wire::{ObjectKind, Request};

use super::Service;
use crate::{
    api::{RouterAnswer, RouterDump, RouterOptions, app_data},
    error::ApiError,
    events::Event,
    model::{Router, RouterRecord, blob},
};

impl Service {
    /// Makes a router; `room` for the built-in signaling's own.
    ///
    /// # Errors
    /// `bad_request` or `unsupported` for codecs, and the engine's.
    pub async fn create_router(
        self: &Arc<Self>,
        options: RouterOptions,
        room: Option<String>,
    ) -> Result<RouterAnswer, ApiError> {
        let codecs = match options.media_codecs {
            Some(codecs) => codecs,
            None => ortc::default_media_codecs(),
        };
        let rtp_capabilities =
            ortc::generate_router_rtp_capabilities(&codecs).map_err(|error| match error {
                // A codec that others have and this server does not.
                OrtcError::Unsupported { field, message } => ApiError {
                    message: format!("{field}: {message}"),
                    ..ApiError::unsupported(field)
                },
                invalid => invalid.into(),
            })?;
        let router = Router {
            id: Uuid::new_v4(),
            record: RouterRecord {
                rtp_capabilities,
                app_data: app_data(options.app_data),
                room,
            },
            transports: Vec::new(),
        };
        let request = Request::CreateRouter {
            id: router.id,
            blob: blob(&router.record),
        };
        let service = Arc::clone(self);
        let created = self.engine.request(request, move |_| {
            let answer = RouterAnswer {
                id: router.id,
                rtp_capabilities: router.record.rtp_capabilities.clone(),
            };
            service.emit(Event {
                router_id: Some(router.id),
                room_id: router.record.room.clone(),
                ..Event::new("worker.newrouter")
            });
            service.state().model.insert_router(router);
            Ok(answer)
        });
        created.await
    }

    /// Every router as it stands.
    pub fn routers(&self) -> Vec<RouterDump> {
        let state = self.state();
        let routers = state.model.routers.values();
        routers
            .map(|router| RouterDump::new(router, &state.model, &state.observers))
            .collect()
    }

    /// A router as it stands.
    ///
    /// # Errors
    /// `not_found`.
    pub fn router(&self, id: Uuid) -> Result<RouterDump, ApiError> {
        let state = self.state();
        let router = state.model.router(id)?;
        Ok(RouterDump::new(router, &state.model, &state.observers))
    }

    /// Whether there is such a router.
    ///
    /// # Errors
    /// `not_found`.
    pub fn router_exists(&self, id: Uuid) -> Result<(), ApiError> {
        self.state().model.router(id).map(|_| ())
    }

    /// Closes a router with all in it; the room whose router it is ends.
    ///
    /// # Errors
    /// `not_found`, and the engine's.
    pub async fn close_router(self: &Arc<Self>, id: Uuid) -> Result<(), ApiError> {
        let closing = {
            let mut state = self.state();
            state.model.router(id)?;
            let closing = self.start_closing(&mut state, ObjectKind::Router, id, None);
            self.end_room_of(&mut state, id);
            closing
        };
        closing.await
    }
}
