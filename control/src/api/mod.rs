//! Requests and answers of the HTTP API, with mediasoup's names. Every option mediasoup has is
//! known here; what is not built yet is refused by name.

mod consumers;
mod dumps;
mod observers;
mod producers;
mod routers;
mod rtp_streams;
mod stats;
mod trace;
mod transports;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use consumers::*;
pub use dumps::*;
pub use observers::*;
pub use producers::*;
pub use routers::*;
pub use rtp_streams::*;
pub use stats::*;
pub use trace::*;
pub use transports::*;

use crate::error::{ApiError, ErrorCode};

/// The caller's own data: an object that the server only keeps.
pub type AppData = Map<String, Value>;

/// Body of every failed request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    #[schema(value_type = ErrorShape)]
    pub error: ApiError,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorShape {
    /// The class.
    pub code: ErrorCode,
    /// One line for people.
    pub message: String,
    /// The field at fault, as a path.
    pub field: Option<String>,
}

/// Body of the calls that set a bitrate.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BitrateRequest {
    /// bit/s; 0 for none.
    pub bitrate: u32,
}

/// Body of calls that take nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyRequest {}

const NO_OBJECT: &str = "the body must be a JSON object";

/// Reads a request's JSON; no body at all stands for `{}`.
///
/// # Errors
/// `bad_request` that names the field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.is_empty() {
        return parse_value(Value::Object(Map::new()));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::new(ErrorCode::BadRequest, format!("not JSON: {error}")))?;
    if !value.is_object() {
        // An array would be taken for the values of the fields in their order.
        return Err(ApiError::new(ErrorCode::BadRequest, NO_OBJECT));
    }
    parse_value(value)
}

/// Reads a request that is JSON already.
///
/// # Errors
/// `bad_request` that names the field.
pub fn parse_value<T: DeserializeOwned>(mut value: Value) -> Result<T, ApiError> {
    make_whole(&mut value);
    serde_path_to_error::deserialize(value).map_err(in_field)
}

/// JSON has one kind of number: clients whose language has two write `1e6` or `1000000.0` as well.
fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|_| number.is_f64());
            // What a floating point number has without loss.
            let whole = whole.filter(|it| it.fract() == 0.0 && it.abs() < 9_007_199_254_740_992.0);
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn in_field(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let error = error.into_inner();
    let text = error.to_string();
    let parent = if path == "." { "" } else { &path };
    // For a missing field the path ends at the object that lacks it.
    match text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        Some(name) if parent.is_empty() => ApiError::bad_field(name, "is missing"),
        Some(name) => ApiError::bad_field(format!("{parent}.{name}"), "is missing"),
        // No field is at fault, so it is the body as a whole.
        None if parent.is_empty() => ApiError::new(ErrorCode::BadRequest, NO_OBJECT),
        None => ApiError::bad_field(parent, in_words(&text)),
    }
}

/// A reader's message in words of JSON, without names of Rust's types.
fn in_words(text: &str) -> String {
    if text.starts_with("UUID parsing failed") {
        return "must be a UUID".to_owned();
    }
    let (said, expected) = match text.rsplit_once(", expected ") {
        Some(parts) => parts,
        None => return text.to_owned(),
    };
    let range = match expected {
        "u8" => "0 to 255",
        "i8" => "-128 to 127",
        "u16" => "0 to 65535",
        "u32" => "0 to 4294967295",
        "u64" => "0 on",
        "a formatted UUID string" => return format!("{said}, expected a UUID"),
        "a sequence" => return format!("{said}, expected an array"),
        "a map" => return format!("{said}, expected an object"),
        _ if expected.starts_with("struct ") => return format!("{said}, expected an object"),
        _ => return text.to_owned(),
    };
    format!("{said}, expected a whole number from {range}")
}

/// Refuses an option that is known and not built, where it is given and not just switched off.
fn refuse_unbuilt(options: &[(&str, &Option<Value>)]) -> Result<(), ApiError> {
    let asked_for = |value: &Option<Value>| {
        value
            .as_ref()
            .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    };
    match options.iter().find(|(_, value)| asked_for(value)) {
        Some((name, _)) => Err(ApiError::unsupported(*name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
