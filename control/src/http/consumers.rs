//! `/v1/consumers`.

use axum::{Json, extract::State, http::StatusCode};
use weirgate_wire::ObjectKind;

use super::{Answer, InPath, Shared, body::JsonBody, id};
use crate::{
    api::{
        ConsumerDump, ConsumerTraceType, EmptyRequest, ErrorBody, Priority, StreamStat,
        TraceRequest,
    },
    model::ConsumerLayers,
};

/// A consumer as it stands.
#[utoipa::path(
    get, path = "/v1/consumers/{id}", tag = "consumers", params(("id" = String, Path)),
    responses((status = 200, body = ConsumerDump), (status = "default", body = ErrorBody))
)]
pub(super) async fn dump(
    State(service): Shared,
    path: InPath<String>,
) -> Answer<Json<ConsumerDump>> {
    Ok(Json(service.consumer(id("consumer", &path)?).await?))
}

/// Figures of a consumer's stream, then of the one of its producer that it takes.
#[utoipa::path(
    get, path = "/v1/consumers/{id}/stats", tag = "consumers", params(("id" = String, Path)),
    responses((status = 200, body = Vec<StreamStat>), (status = "default", body = ErrorBody))
)]
pub(super) async fn stats(
    State(service): Shared,
    path: InPath<String>,
) -> Answer<Json<Vec<StreamStat>>> {
    Ok(Json(service.consumer_stats(id("consumer", &path)?).await?))
}

/// Closes a consumer.
#[utoipa::path(
    delete, path = "/v1/consumers/{id}", tag = "consumers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn close(State(service): Shared, path: InPath<String>) -> Answer<StatusCode> {
    service.close_consumer(id("consumer", &path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a consumer.
#[utoipa::path(
    post, path = "/v1/consumers/{id}/pause", tag = "consumers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn pause(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<StatusCode> {
    let id = id("consumer", &path)?;
    service.pause_consumer(id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Resumes a consumer.
#[utoipa::path(
    post, path = "/v1/consumers/{id}/resume", tag = "consumers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn resume(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<StatusCode> {
    let id = id("consumer", &path)?;
    service.pause_consumer(id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks a consumer's source for a key frame. One consumer gets four at once, then one every 10 s, and others in turns
/// 3 s apart: each makes the pictures of everybody else worse.
#[utoipa::path(
    post, path = "/v1/consumers/{id}/request-key-frame", tag = "consumers",
    params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn request_key_frame(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<StatusCode> {
    let id = id("consumer", &path)?;
    service.request_key_frame(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets the layers a consumer wants at most; answers those in force, null where it has none.
#[utoipa::path(
    post, path = "/v1/consumers/{id}/preferred-layers", tag = "consumers",
    params(("id" = String, Path)), request_body = ConsumerLayers,
    responses((status = 200, body = Option<ConsumerLayers>), (status = "default", body = ErrorBody))
)]
pub(super) async fn preferred_layers(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(wanted): JsonBody<ConsumerLayers>,
) -> Answer<Json<Option<ConsumerLayers>>> {
    let id = id("consumer", &path)?;
    Ok(Json(service.set_preferred_layers(id, wanted).await?))
}

/// Sets a consumer's priority.
#[utoipa::path(
    post, path = "/v1/consumers/{id}/priority", tag = "consumers",
    params(("id" = String, Path)), request_body = Priority,
    responses((status = 200, body = Priority), (status = "default", body = ErrorBody))
)]
pub(super) async fn priority(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<Priority>,
) -> Answer<Json<Priority>> {
    let id = id("consumer", &path)?;
    Ok(Json(service.set_priority(id, body.priority).await?))
}

/// Tells trace events of those types from now on, as `consumer.trace`.
#[utoipa::path(
    post, path = "/v1/consumers/{id}/enable-trace-event", tag = "consumers",
    params(("id" = String, Path)), request_body = TraceRequest<ConsumerTraceType>,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn enable_trace_event(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<TraceRequest<ConsumerTraceType>>,
) -> Answer<StatusCode> {
    let id = id("consumer", &path)?;
    let kind = ObjectKind::Consumer;
    service.enable_trace_event(kind, id, body.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
