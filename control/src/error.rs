//! The one error of the API and the signaling: the contract's code, a line for people, the field.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use weirgate_ortc::OrtcError;
use weirgate_wire::{Refusal, RefusalKind};

/// The contract's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is no good as it is.
    BadRequest,
    /// No or a wrong token, or a right that the token does not give.
    Unauthorized,
    /// No such object.
    NotFound,
    /// Contradicts what exists.
    Conflict,
    /// Known, and not built.
    Unsupported,
    /// A limit is reached.
    OverCapacity,
    /// The engine is down or does not answer.
    EngineUnavailable,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Unsupported => 501,
            Self::OverCapacity | Self::EngineUnavailable => 503,
        }
    }
}

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The class.
    pub code: ErrorCode,
    /// One line for people.
    pub message: String,
    /// The field at fault, as a path such as `rtpParameters.codecs[0].mimeType`.
    pub field: Option<String>,
}

impl ApiError {
    /// An error without a field.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
        }
    }

    /// `bad_request` about a field.
    pub fn bad_field(field: impl Into<String>, message: impl fmt::Display) -> Self {
        let field = field.into();
        Self {
            code: ErrorCode::BadRequest,
            message: format!("{field}: {message}"),
            field: Some(field),
        }
    }

    /// `not_found` about an id; `what` such as `router`.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("no {what} {id}"))
    }

    /// `conflict`.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// `unsupported` about a field that is known and not built.
    pub fn unsupported(field: impl Into<String>) -> Self {
        let field = field.into();
        Self {
            code: ErrorCode::Unsupported,
            message: format!("{field} is not supported yet"),
            field: Some(field),
        }
    }

    /// `engine_unavailable`.
    pub fn engine_unavailable() -> Self {
        Self::new(
            ErrorCode::EngineUnavailable,
            "the engine is not reachable; it is being restarted",
        )
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::NotFound => ErrorCode::NotFound,
            RefusalKind::Conflict => ErrorCode::Conflict,
            RefusalKind::OverCapacity => ErrorCode::OverCapacity,
            RefusalKind::Invalid => ErrorCode::BadRequest,
        };
        Self::new(code, refusal.message)
    }
}

impl From<OrtcError> for ApiError {
    fn from(error: OrtcError) -> Self {
        Self::bad_field(error.field(), error.message())
    }
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("error", 3)?;
        map.serialize_field("code", &self.code)?;
        map.serialize_field("message", &self.message)?;
        match &self.field {
            Some(field) => map.serialize_field("field", field)?,
            None => map.skip_field("field")?,
        }
        map.end()
    }
}
