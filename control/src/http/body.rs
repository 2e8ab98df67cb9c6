//! Bodies of requests: JSON, of limited length, with errors in the API's own form.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

use super::{MAX_BODY_BYTES, respond};
use crate::{
    api::parse,
    error::{ApiError, ErrorCode},
};

/// A body read into a request's type; an empty one stands for `{}`.
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A body that is said to be JSON.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        let value = parse(&bytes).map_err(IntoResponse::into_response)?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        let is_json = content_type.as_ref().is_some_and(|it| {
            let text = it.to_str().unwrap_or_default();
            let essence = text.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        });
        if !bytes.is_empty() && !is_json {
            let message = "the body must be JSON with Content-Type: application/json";
            let error = ApiError::new(ErrorCode::BadRequest, message);
            return Err(respond(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        Ok(Self(bytes))
    }
}

fn unread(rejection: BytesRejection) -> Response {
    let status = rejection.status();
    let message = match status {
        StatusCode::PAYLOAD_TOO_LARGE => format!("the body is over {MAX_BODY_BYTES} bytes"),
        _ => rejection.body_text(),
    };
    respond(status, ApiError::new(ErrorCode::BadRequest, message))
}
