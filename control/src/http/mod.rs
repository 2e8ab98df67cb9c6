//! The HTTP server: API, probes, figures, page, and signaling on the same port.

mod access;
mod body;
mod consumers;
mod engine;
mod events;
mod listener;
mod observers;
mod openapi;
mod page;
mod probes;
mod producers;
mod rooms;
mod routers;
mod serve;
mod transports;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Path, Request, State},
    http::{StatusCode, Uri, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use listener::{BindError, Listener, PeerAddress};
pub use serve::serve;

use crate::{
    api::ErrorBody,
    error::{ApiError, ErrorCode},
    service::Service,
};

/// Bodies and signaling messages longer than this are refused.
pub const MAX_BODY_BYTES: usize = 256 << 10;

/// State of every handler.
pub(crate) type Shared = State<Arc<Service>>;

/// Result of every handler.
pub(crate) type Answer<T> = Result<T, ApiError>;

/// Everything the server answers.
fn app(service: &Arc<Service>) -> Router {
    let guard = middleware::from_fn_with_state(Arc::clone(service), access::check_api);
    let routes = openapi::routes().route_layer(guard);
    let (api, description) = routes.merge(probes::routes(service)).split_for_parts();
    let app = Router::new()
        .merge(api)
        .merge(openapi::description_route(description))
        .route("/whip/{*rest}", any(not_built))
        .route("/whep/{*rest}", any(not_built))
        .fallback(page::serve)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::clone(service));
    app.layer(crate::rooms::layer(service))
        .layer(middleware::from_fn_with_state(
            Arc::clone(service),
            access::check_signaling,
        ))
        .layer(access::cross_origin(&service.settings))
        .layer(middleware::from_fn_with_state(Arc::clone(service), count))
}

async fn count(State(service): Shared, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    service.counters.http_request(response.status().as_u16());
    response
}

async fn not_built() -> ApiError {
    let message = "WHIP and WHEP are not supported yet";
    ApiError::new(ErrorCode::Unsupported, message)
}

async fn method_not_allowed(uri: Uri) -> Response {
    let message = format!("{} does not take this method", uri.path());
    let error = ApiError::new(ErrorCode::BadRequest, message);
    respond(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// Parts of a path; what cannot be read there belongs to nothing.
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(nothing_at(parts.uri.path())),
        }
    }
}

/// `not_found` about a path.
pub(crate) fn nothing_at(path: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("there is nothing at {path}"))
}

/// An id of a path; what is no id belongs to nothing.
pub(crate) fn id(what: &str, InPath(text): &InPath<String>) -> Result<Uuid, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(what, text))
}

/// An error with a status that is not its code's own.
pub(crate) fn respond(status: StatusCode, error: ApiError) -> Response {
    (status, axum::Json(ErrorBody { error })).into_response()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        respond(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self)
    }
}
