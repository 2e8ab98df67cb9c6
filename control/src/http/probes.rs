//! Probes and figures.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Answer, Shared, access};
use crate::{metrics, service::Service};

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `/livez`, `/readyz` and `/metrics`.
pub(super) fn routes(service: &Arc<Service>) -> Router<Arc<Service>> {
    let guard = middleware::from_fn_with_state(Arc::clone(service), access::check_metrics);
    Router::new()
        .route("/metrics", get(figures).layer(guard))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(service): Shared) -> Answer<&'static str> {
    service.facts()?;
    Ok("ok\n")
}

async fn figures(State(service): Shared) -> Response {
    // Without the engine its figures are missing, and `weirgate_engine_up` says so.
    let engine = service.engine_counters().await.unwrap_or_default();
    match metrics::text(&service, &engine) {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
