//! `/v1/routers`.

use axum::{Json, extract::State, http::StatusCode};

use super::{Answer, InPath, Shared, body::RawBody, id};
use crate::api::{
    ErrorBody, RouterAnswer, RouterDump, RouterOptions, TransportAnswer, TransportOptions, parse,
};

/// Makes a router.
#[utoipa::path(
    post, path = "/v1/routers", tag = "routers", request_body = RouterOptions,
    responses((status = 201, body = RouterAnswer), (status = "default", body = ErrorBody))
)]
pub(super) async fn create(
    State(service): Shared,
    RawBody(body): RawBody,
) -> Answer<(StatusCode, Json<RouterAnswer>)> {
    let options = RouterOptions::read(&body)?;
    let answer = service.create_router(options, None).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Every router as it stands.
#[utoipa::path(
    get, path = "/v1/routers", tag = "routers",
    responses((status = 200, body = Vec<RouterDump>), (status = "default", body = ErrorBody))
)]
pub(super) async fn list(State(service): Shared) -> Json<Vec<RouterDump>> {
    Json(service.routers())
}

/// A router as it stands.
#[utoipa::path(
    get, path = "/v1/routers/{id}", tag = "routers", params(("id" = String, Path)),
    responses((status = 200, body = RouterDump), (status = "default", body = ErrorBody))
)]
pub(super) async fn dump(State(service): Shared, path: InPath<String>) -> Answer<Json<RouterDump>> {
    Ok(Json(service.router(id("router", &path)?)?))
}

/// Closes a router with everything in it.
#[utoipa::path(
    delete, path = "/v1/routers/{id}", tag = "routers", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn close(State(service): Shared, path: InPath<String>) -> Answer<StatusCode> {
    service.close_router(id("router", &path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a transport on a router.
#[utoipa::path(
    post, path = "/v1/routers/{id}/transports", tag = "transports",
    params(("id" = String, Path)), request_body = TransportOptions,
    responses((status = 201, body = TransportAnswer), (status = "default", body = ErrorBody))
)]
pub(super) async fn create_transport(
    State(service): Shared,
    path: InPath<String>,
    RawBody(body): RawBody,
) -> Answer<(StatusCode, Json<TransportAnswer>)> {
    let router = id("router", &path)?;
    service.router_exists(router)?;
    let options = TransportOptions::parse(parse(&body)?)?;
    let answer = service.create_transport(router, options).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}
