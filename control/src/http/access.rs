//! Who may call: tokens, and for a server without one only pages and programs of this host.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::{Choice, ConstantTimeEq};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{PeerAddress, Shared, respond};
use crate::{
    error::{ApiError, ErrorCode},
    service::Service,
    settings::{Settings, is_loopback},
};

/// Path of the signaling.
const SIGNALING_PATH: &str = "/socket.io";

/// Guards `/v1`.
pub(super) async fn check_api(State(service): Shared, request: Request, next: Next) -> Response {
    let settings = &service.settings;
    let refused = if settings.api_tokens.is_empty() {
        check_local(settings, request.headers())
    } else {
        check_token(settings, request.headers())
    };
    match refused {
        Ok(()) => next.run(request).await,
        Err(response) => *response,
    }
}

/// Guards `/metrics`: as `/v1`, but this host needs no token.
pub(super) async fn check_metrics(
    State(service): Shared,
    ConnectInfo(peer): ConnectInfo<PeerAddress>,
    request: Request,
    next: Next,
) -> Response {
    let settings = &service.settings;
    let is_open = settings.api_tokens.is_empty() || is_loopback(peer.0.ip());
    if !is_open && let Err(response) = check_token(settings, request.headers()) {
        return *response;
    }
    next.run(request).await
}

/// Guards the signaling against pages of other sites.
pub(super) async fn check_signaling(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path().starts_with(SIGNALING_PATH) {
        let settings = &service.settings;
        let checked = if settings.api_tokens.is_empty() {
            check_local(settings, request.headers())
        } else {
            check_origin(settings, request.headers())
        };
        if let Err(response) = checked {
            return *response;
        }
    }
    next.run(request).await
}

/// Headers for the pages of `--allow-origin`.
pub(super) fn cross_origin(settings: &Settings) -> CorsLayer {
    let origins = settings.allow_origins.iter();
    let origins = origins.filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
}

fn check_token(settings: &Settings, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let given = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let given = given.and_then(|it| {
        let (scheme, token) = it.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let known = given.is_some_and(|given| {
        // Every token is compared, so that time tells nothing.
        let matches = settings
            .api_tokens
            .iter()
            .map(|token| token.as_bytes().ct_eq(given.as_bytes()));
        matches.fold(Choice::from(0), |any, one| any | one).into()
    });
    if known {
        return Ok(());
    }
    let message = "Authorization: Bearer TOKEN with one of the server's API tokens is needed";
    let error = ApiError::new(ErrorCode::Unauthorized, message);
    let mut response = error.into_response();
    let challenge = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    Err(Box::new(response))
}

/// Without tokens the server trusts this host: a page of another site, or one that has pointed its
/// own name at us, must not pass for it.
fn check_local(settings: &Settings, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let host = host(headers).filter(is_local_host);
    if host.is_none() {
        return Err(forbidden(
            "Host must be this host's loopback name or address; for any other set --api-token",
        ));
    }
    check_origin(settings, headers)
}

/// A page's origin must be ours or an allowed one; programs send none.
fn check_origin(settings: &Settings, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
    let is_own = host(headers).is_some_and(|host| {
        let of_page = origin.split_once("://").map(|(_, rest)| rest);
        of_page.is_some_and(|of_page| of_page.eq_ignore_ascii_case(host.as_str()))
    });
    if is_own || settings.allow_origins.contains(&origin) {
        return Ok(());
    }
    Err(forbidden(
        "pages of this Origin may not call; allow it with --allow-origin",
    ))
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

fn is_local_host(host: &Authority) -> bool {
    let name = host.host().to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => is_loopback(ip),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn forbidden(message: &str) -> Box<Response> {
    let error = ApiError::new(ErrorCode::Unauthorized, message);
    Box::new(respond(StatusCode::FORBIDDEN, error))
}
