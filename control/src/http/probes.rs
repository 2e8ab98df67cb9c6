//! Probes and figures.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    middleware,
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Answer, Shared, access};
use crate::{api::ErrorBody, metrics, service::Service};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/livez`, `/readyz` and `/metrics`.
pub(super) fn routes(service: &Arc<Service>) -> OpenApiRouter<Arc<Service>> {
    let guard = middleware::from_fn_with_state(Arc::clone(service), access::check_metrics);
    OpenApiRouter::new()
        .routes(routes!(figures))
        .route_layer(guard)
        .routes(routes!(livez))
        .routes(routes!(readyz))
}

/// This process is alive.
#[utoipa::path(
    get, path = "/livez", tag = "probes", security(()), responses((status = 200, body = String))
)]
async fn livez() -> &'static str {
    "ok\n"
}

/// Calls can be made: the engine is connected.
#[utoipa::path(
    get, path = "/readyz", tag = "probes", security(()),
    responses((status = 200, body = String), (status = 503, body = ErrorBody))
)]
async fn readyz(State(service): Shared) -> Answer<&'static str> {
    service.facts()?;
    Ok("ok\n")
}

/// Figures for Prometheus; OpenMetrics where that is asked for. This host needs no token.
#[utoipa::path(
    get, path = "/metrics", tag = "probes",
    responses((status = 200, body = String), (status = "default", body = ErrorBody))
)]
async fn figures(State(service): Shared, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|it| it.to_str().ok());
    let is_open = accept.is_some_and(|it| it.contains("application/openmetrics-text"));
    // Without the engine its figures are missing, and `weirgate_engine_up` says so.
    let engine = service.engine_counters().await.unwrap_or_default();
    match metrics::open_metrics(&service, &engine) {
        Ok(text) if is_open => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(text) => ([(CONTENT_TYPE, CLASSIC)], metrics::classic(&text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
