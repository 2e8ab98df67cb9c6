//! The call page: files of a folder, or where there is none, how to get them.

use std::path::PathBuf;

use axum::{
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{Html, IntoResponse, Response},
};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::{Shared, nothing_at};
use crate::settings::Settings;

/// The page brings all it needs; media elements show streams and recordings as blobs.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; font-src 'self'; media-src 'self' blob:; \
     connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
);

/// What a call needs, for the page itself and nobody it embeds.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), \
     screen-wake-lock=(self), fullscreen=(self), autoplay=(self), picture-in-picture=(self), \
     geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=()",
);

/// Names of built files hold a hash of what is in them.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const HOW_TO_GET_IT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Weirgate</title><body style=\"font-family: sans-serif; margin: 3em; max-width: 40em\">\
    <h1>Weirgate is running</h1><p>The call page has not been built. Install npm (Node.js 20 or \
    later) and start the server with <code>scripts/run</code>, which builds the page; or name its \
    folder with <code>--page-dir</code>.</p><p>The API is described at \
    <a href=\"/openapi.json\">/openapi.json</a>.</p></body></html>";

/// Answers everything that is no route.
pub(super) async fn serve(State(service): Shared, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || path.starts_with("/v1/") || path == "/v1" {
        return unknown(&path);
    }
    let Some(folder) = folder(&service.settings) else {
        return match path.as_str() {
            "/" | "/index.html" => Html(HOW_TO_GET_IT).into_response(),
            _ => unknown(&path),
        };
    };
    let answer = ServeDir::new(folder)
        .append_index_html_on_directories(true)
        .oneshot(request)
        .await;
    let mut response = match answer {
        Ok(response) if response.status() == StatusCode::NOT_FOUND => return unknown(&path),
        Ok(response) => response.map(axum::body::Body::new),
        Err(never) => match never {},
    };
    let cache = match path.starts_with("/assets/") {
        true => FOREVER,
        false => ASK_AGAIN,
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, cache);
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(HeaderName::from_static("permissions-policy"), PERMISSIONS);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The folder given, else the first of the usual ones that has a page. Looked for on each
/// request, since the page may be built while the server runs.
fn folder(settings: &Settings) -> Option<PathBuf> {
    let has_page = |folder: &PathBuf| folder.join("index.html").is_file();
    if let Some(given) = &settings.page_dir {
        return Some(given.clone()).filter(has_page);
    }
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(|program| program.parent());
    let beside = beside.into_iter().flat_map(|folder| {
        // Run from a build tree, the program lies in target/release or target/debug.
        [folder.join("page"), folder.join("../../control/page/dist")]
    });
    let mut candidates = beside.chain([PathBuf::from("control/page/dist")]);
    candidates.find(has_page)
}

fn unknown(path: &str) -> Response {
    nothing_at(path).into_response()
}
