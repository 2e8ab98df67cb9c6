//! `/v1/producers`.

use axum::{Json, extract::State, http::StatusCode};
use weirgate_wire::ObjectKind;

use super::{Answer, InPath, Shared, body::JsonBody, id};
use crate::api::{
    EmptyRequest, ErrorBody, ProducerDump, ProducerTraceType, StreamStat, TraceRequest,
};

/// A producer as it stands.
#[utoipa::path(
    get, path = "/v1/producers/{id}", tag = "producers", params(("id" = String, Path)),
    responses((status = 200, body = ProducerDump), (status = "default", body = ErrorBody))
)]
pub(super) async fn dump(
    State(service): Shared,
    path: InPath<String>,
) -> Answer<Json<ProducerDump>> {
    Ok(Json(service.producer(id("producer", &path)?)?))
}

/// Figures of a producer's streams.
#[utoipa::path(
    get, path = "/v1/producers/{id}/stats", tag = "producers", params(("id" = String, Path)),
    responses((status = 200, body = Vec<StreamStat>), (status = "default", body = ErrorBody))
)]
pub(super) async fn stats(
    State(service): Shared,
    path: InPath<String>,
) -> Answer<Json<Vec<StreamStat>>> {
    Ok(Json(service.producer_stats(id("producer", &path)?).await?))
}

/// Closes a producer and its consumers.
#[utoipa::path(
    delete, path = "/v1/producers/{id}", tag = "producers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn close(State(service): Shared, path: InPath<String>) -> Answer<StatusCode> {
    service.close_producer(id("producer", &path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a producer.
#[utoipa::path(
    post, path = "/v1/producers/{id}/pause", tag = "producers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn pause(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<StatusCode> {
    let id = id("producer", &path)?;
    service.pause_producer(id, true, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Resumes a producer.
#[utoipa::path(
    post, path = "/v1/producers/{id}/resume", tag = "producers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn resume(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<StatusCode> {
    let id = id("producer", &path)?;
    service.pause_producer(id, false, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells trace events of those types from now on, as `producer.trace`.
#[utoipa::path(
    post, path = "/v1/producers/{id}/enable-trace-event", tag = "producers",
    params(("id" = String, Path)), request_body = TraceRequest<ProducerTraceType>,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn enable_trace_event(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<TraceRequest<ProducerTraceType>>,
) -> Answer<StatusCode> {
    let id = id("producer", &path)?;
    let kind = ObjectKind::Producer;
    service.enable_trace_event(kind, id, body.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
