//! The API's routes, and their description made from the same lines.

use std::sync::Arc;

use axum::{Json, Router, routing::get};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{consumers, engine, events, observers, producers, rooms, routers, transports};
use crate::service::Service;

/// What is not told by the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weirgate",
        description = "Routers, transports, producers and consumers with mediasoup's names.",
        license(name = "MIT OR Apache-2.0")
    ),
    modifiers(&Tokens),
    security((), ("token" = []))
)]
struct Description;

/// The token of `--api-token`.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// Every route under `/v1`.
pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(routers::create, routers::list))
        .routes(routes!(routers::dump, routers::close))
        .routes(routes!(routers::create_transport))
        .routes(routes!(transports::dump, transports::close))
        .routes(routes!(transports::stats))
        .routes(routes!(transports::connect))
        .routes(routes!(transports::restart_ice))
        .routes(routes!(transports::max_incoming_bitrate))
        .routes(routes!(transports::max_outgoing_bitrate))
        .routes(routes!(transports::min_outgoing_bitrate))
        .routes(routes!(transports::enable_trace_event))
        .routes(routes!(transports::create_producer))
        .routes(routes!(transports::create_consumer))
        .routes(routes!(producers::dump, producers::close))
        .routes(routes!(producers::stats))
        .routes(routes!(producers::pause))
        .routes(routes!(producers::resume))
        .routes(routes!(producers::enable_trace_event))
        .routes(routes!(consumers::dump, consumers::close))
        .routes(routes!(consumers::stats))
        .routes(routes!(consumers::pause))
        .routes(routes!(consumers::resume))
        .routes(routes!(consumers::request_key_frame))
        .routes(routes!(consumers::preferred_layers))
        .routes(routes!(consumers::priority))
        .routes(routes!(consumers::enable_trace_event))
        .routes(routes!(observers::create))
        .routes(routes!(observers::dump, observers::close))
        .routes(routes!(observers::add_producer))
        .routes(routes!(observers::remove_producer))
        .routes(routes!(observers::pause))
        .routes(routes!(observers::resume))
        .routes(routes!(rooms::list))
        .routes(routes!(rooms::dump))
        .routes(routes!(rooms::kick))
        .routes(routes!(events::listen))
        .routes(routes!(engine::show))
}

/// `/openapi.json`.
pub(super) fn description_route(mut description: utoipa::openapi::OpenApi) -> Router<Arc<Service>> {
    name_operations(&mut description);
    Router::new().route(
        "/openapi.json",
        get(move || std::future::ready(Json(description))),
    )
}

/// Makes the operations' ids unique: handlers of several kinds of objects share their names.
fn name_operations(description: &mut utoipa::openapi::OpenApi) {
    for path in description.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.post, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            let kind = operation.tags.iter().flatten().next();
            if let (Some(kind), Some(name)) = (kind, &operation.operation_id) {
                operation.operation_id = Some(format!("{}_{name}", kind.replace('-', "_")));
            }
        }
    }
}
