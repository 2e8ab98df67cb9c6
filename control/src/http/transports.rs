//! `/v1/transports`.

use axum::{Json, extract::State, http::StatusCode};
use weirgate_wire::ObjectKind;

use super::{
    Answer, InPath, Shared,
    body::{JsonBody, RawBody},
    id,
};
use crate::{
    api::{
        BitrateRequest, ConnectAnswer, ConsumerAnswer, ConsumerOptions, EmptyRequest, ErrorBody,
        ProducerAnswer, ProducerOptions, RestartIceAnswer, TraceRequest, TransportConnect,
        TransportDump, TransportStat, TransportTraceType,
    },
    service::BitrateLimit,
};

/// A transport as it stands.
#[utoipa::path(
    get, path = "/v1/transports/{id}", tag = "transports", params(("id" = String, Path)),
    responses((status = 200, body = TransportDump), (status = "default", body = ErrorBody))
)]
pub(super) async fn dump(
    State(service): Shared,
    path: InPath<String>,
) -> Answer<Json<TransportDump>> {
    Ok(Json(service.transport(id("transport", &path)?)?))
}

/// A transport's figures.
#[utoipa::path(
    get, path = "/v1/transports/{id}/stats", tag = "transports", params(("id" = String, Path)),
    responses((status = 200, body = Vec<TransportStat>), (status = "default", body = ErrorBody))
)]
pub(super) async fn stats(
    State(service): Shared,
    path: InPath<String>,
) -> Answer<Json<Vec<TransportStat>>> {
    Ok(Json(
        service.transport_stats(id("transport", &path)?).await?,
    ))
}

/// Closes a transport with everything on it.
#[utoipa::path(
    delete, path = "/v1/transports/{id}", tag = "transports", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn close(State(service): Shared, path: InPath<String>) -> Answer<StatusCode> {
    service.close_transport(id("transport", &path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a transport its remote end.
#[utoipa::path(
    post, path = "/v1/transports/{id}/connect", tag = "transports",
    params(("id" = String, Path)), request_body = TransportConnect,
    responses((status = 200, body = ConnectAnswer), (status = "default", body = ErrorBody))
)]
pub(super) async fn connect(
    State(service): Shared,
    path: InPath<String>,
    RawBody(body): RawBody,
) -> Answer<Json<ConnectAnswer>> {
    let id = id("transport", &path)?;
    Ok(Json(service.connect_transport(id, &body).await?))
}

/// Gives a WebRTC transport new ICE credentials.
#[utoipa::path(
    post, path = "/v1/transports/{id}/restart-ice", tag = "transports",
    params(("id" = String, Path)),
    responses((status = 200, body = RestartIceAnswer), (status = "default", body = ErrorBody))
)]
pub(super) async fn restart_ice(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Answer<Json<RestartIceAnswer>> {
    Ok(Json(service.restart_ice(id("transport", &path)?).await?))
}

/// Limits what the peer may send.
#[utoipa::path(
    post, path = "/v1/transports/{id}/max-incoming-bitrate", tag = "transports",
    params(("id" = String, Path)), request_body = BitrateRequest,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn max_incoming_bitrate(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<BitrateRequest>,
) -> Answer<StatusCode> {
    let id = id("transport", &path)?;
    let limit = BitrateLimit::MaxIncoming;
    service.set_bitrate(id, limit, body.bitrate).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Limits what is sent to the peer.
#[utoipa::path(
    post, path = "/v1/transports/{id}/max-outgoing-bitrate", tag = "transports",
    params(("id" = String, Path)), request_body = BitrateRequest,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn max_outgoing_bitrate(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<BitrateRequest>,
) -> Answer<StatusCode> {
    let id = id("transport", &path)?;
    let limit = BitrateLimit::MaxOutgoing;
    service.set_bitrate(id, limit, body.bitrate).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets what the estimate towards the peer never goes under.
#[utoipa::path(
    post, path = "/v1/transports/{id}/min-outgoing-bitrate", tag = "transports",
    params(("id" = String, Path)), request_body = BitrateRequest,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn min_outgoing_bitrate(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<BitrateRequest>,
) -> Answer<StatusCode> {
    let id = id("transport", &path)?;
    let limit = BitrateLimit::MinOutgoing;
    service.set_bitrate(id, limit, body.bitrate).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a producer.
#[utoipa::path(
    post, path = "/v1/transports/{id}/producers", tag = "producers",
    params(("id" = String, Path)), request_body = ProducerOptions,
    responses((status = 201, body = ProducerAnswer), (status = "default", body = ErrorBody))
)]
pub(super) async fn create_producer(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(options): JsonBody<ProducerOptions>,
) -> Answer<(StatusCode, Json<ProducerAnswer>)> {
    let id = id("transport", &path)?;
    let answer = service.create_producer(id, options).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Makes a consumer.
#[utoipa::path(
    post, path = "/v1/transports/{id}/consumers", tag = "consumers",
    params(("id" = String, Path)), request_body = ConsumerOptions,
    responses((status = 201, body = ConsumerAnswer), (status = "default", body = ErrorBody))
)]
pub(super) async fn create_consumer(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(options): JsonBody<ConsumerOptions>,
) -> Answer<(StatusCode, Json<ConsumerAnswer>)> {
    let id = id("transport", &path)?;
    let answer = service.create_consumer(id, options).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Tells trace events of those types from now on, as `transport.trace`.
#[utoipa::path(
    post, path = "/v1/transports/{id}/enable-trace-event", tag = "transports",
    params(("id" = String, Path)), request_body = TraceRequest<TransportTraceType>,
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn enable_trace_event(
    State(service): Shared,
    path: InPath<String>,
    JsonBody(body): JsonBody<TraceRequest<TransportTraceType>>,
) -> Answer<StatusCode> {
    let id = id("transport", &path)?;
    let kind = ObjectKind::Transport;
    service.enable_trace_event(kind, id, body.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
