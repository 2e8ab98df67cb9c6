//! `/v1/rtp-observers`.

use axum::{Json, extract::State, http::StatusCode};

use super::{Answer, InPath, Shared, body::JsonBody, id};
use crate::api::{EmptyRequest, ErrorBody, ObservedProducer, ObserverDump, ObserverOptions};

/// Makes an RTP observer on a router.
#[utoipa::path(
    post, path = "/v1/routers/{id}/rtp-observers", tag = "rtp-observers",
    params(("id" = String, Path)), request_body = ObserverOptions,
    responses((status = 201, body = ObserverDump), (status = "default", body = ErrorBody))
)]
pub(super) async fn create(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(options): JsonBody<ObserverOptions>,
) -> Answer<(StatusCode, Json<ObserverDump>)> {
    let answer = service
        .create_observer(id("router", &path)?, options)
        .await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// An RTP observer as it stands.
#[utoipa::path(
    get, path = "/v1/rtp-observers/{id}", tag = "rtp-observers", params(("id" = String, Path)),
    responses((status = 200, body = ObserverDump), (status = "default", body = ErrorBody))
)]
pub(super) async fn dump(
    State(service): Shared,
    path: InPath<String>,
) -> Answer<Json<ObserverDump>> {
    Ok(Json(service.observer(id("RTP observer", &path)?)?))
}

/// Ends an RTP observer.
#[utoipa::path(
    delete, path = "/v1/rtp-observers/{id}", tag = "rtp-observers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn close(State(service): Shared, path: InPath<String>) -> Answer<StatusCode> {
    service.close_observer(id("RTP observer", &path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets an RTP observer listen to an audio producer.
#[utoipa::path(
    post, path = "/v1/rtp-observers/{id}/add-producer", tag = "rtp-observers",
    params(("id" = String, Path)), request_body = ObservedProducer,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn add_producer(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<ObservedProducer>,
) -> Answer<StatusCode> {
    let id = id("RTP observer", &path)?;
    service.observe_producer(id, body.producer_id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets an RTP observer not listen to a producer any more.
#[utoipa::path(
    post, path = "/v1/rtp-observers/{id}/remove-producer", tag = "rtp-observers",
    params(("id" = String, Path)), request_body = ObservedProducer,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn remove_producer(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<ObservedProducer>,
) -> Answer<StatusCode> {
    let id = id("RTP observer", &path)?;
    service
        .observe_producer(id, body.producer_id, false)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses an RTP observer.
#[utoipa::path(
    post, path = "/v1/rtp-observers/{id}/pause", tag = "rtp-observers",
    params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn pause(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<StatusCode> {
    service
        .pause_observer(id("RTP observer", &path)?, true)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Resumes an RTP observer.
#[utoipa::path(
    post, path = "/v1/rtp-observers/{id}/resume", tag = "rtp-observers",
    params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn resume(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<StatusCode> {
    service
        .pause_observer(id("RTP observer", &path)?, false)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
