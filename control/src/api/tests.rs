use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Outer {
    some_number: u8,
    inner: Option<Vec<Inner>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    text: String,
}

fn field(body: &str) -> Option<String> {
    let error = parse::<Outer>(body.as_bytes()).unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest);
    assert!(!error.message.is_empty());
    error.field
}

#[test]
fn the_field_at_fault_is_named_with_its_path() {
    for (body, wanted) in [
        ("{}", "someNumber"),
        ("", "someNumber"),
        (r#"{"someNumber":256}"#, "someNumber"),
        (r#"{"someNumber":"1"}"#, "someNumber"),
        (r#"{"someNumber":null}"#, "someNumber"),
        (r#"{"someNumber":1,"more":2}"#, "more"),
        (r#"{"someNumber":1,"inner":{}}"#, "inner"),
        (
            r#"{"someNumber":1,"inner":[{"text":"a"},{}]}"#,
            "inner[1].text",
        ),
        (r#"{"someNumber":1,"inner":[{"text":5}]}"#, "inner[0].text"),
        (
            r#"{"someNumber":1,"inner":[{"text":"a","b":1}]}"#,
            "inner[0].b",
        ),
    ] {
        assert_eq!(field(body).as_deref(), Some(wanted), "{body}");
    }
}

#[test]
fn messages_are_in_words_of_json() {
    for (body, wanted) in [
        (
            r#"{"someNumber":256}"#,
            "someNumber: invalid value: integer `256`, expected a whole number from 0 to 255",
        ),
        (
            r#"{"someNumber":1,"inner":5}"#,
            "inner: invalid type: integer `5`, expected an array",
        ),
        (
            r#"{"someNumber":1,"inner":[5]}"#,
            "inner[0]: invalid type: integer `5`, expected an object",
        ),
        (
            r#"{"someNumber":1.5}"#,
            "someNumber: invalid type: floating point `1.5`, expected a whole number from 0 to 255",
        ),
    ] {
        let error = parse::<Outer>(body.as_bytes()).unwrap_err();
        assert_eq!(error.message, wanted);
    }
}

#[test]
fn what_is_no_id_is_said_to_be_none() {
    let read = |value: Value| parse_value::<BTreeMap<String, Uuid>>(value).unwrap_err();
    assert_eq!(read(json!({ "a": "x" })).message, "a: must be a UUID");
    let message = "a: invalid type: integer `5`, expected a UUID";
    assert_eq!(read(json!({ "a": 5 })).message, message);
}

#[test]
fn what_is_no_json_has_no_field() {
    for body in [
        "{",
        "nonsense",
        r#"{"someNumber":1} {}"#,
        r#"{"someNumber":1}x"#,
    ] {
        assert_eq!(field(body), None, "{body}");
    }
}

#[test]
fn a_body_is_an_object() {
    for body in ["[]", " [1,[]]", "null", "1", r#""text""#] {
        let error = parse::<Outer>(body.as_bytes()).unwrap_err();
        assert_eq!(error.message, "the body must be a JSON object", "{body}");
        assert_eq!(error.field, None);
    }
}

#[test]
fn unknown_fields_of_a_routers_codecs_are_refused() {
    let codec = json!({ "kind": "video", "mimeType": "video/VP8", "clockRate": 90000,
        "preferredPayloadType": 96, "parameters": { "x": 1 }, "rtcpFeedback": [{ "type": "nack" }] });
    let read = |codec: &Value| {
        let body = json!({ "mediaCodecs": [codec] });
        RouterOptions::read(body.to_string().as_bytes())
    };
    assert!(read(&codec).is_ok());
    let mut other = codec;
    other["clockrate"] = json!(1);
    let error = read(&other).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("mediaCodecs[0].clockrate"));
}

#[test]
fn both_ways_of_reading_name_the_same_field() {
    let body = json!({ "someNumber": 1, "inner": [{ "text": 5 }] });
    let error = parse_value::<Outer>(body).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("inner[0].text"));
}

#[test]
fn a_whole_number_may_be_written_in_any_way() {
    for body in [r#"{"someNumber":1e2}"#, r#"{"someNumber":100.0}"#] {
        let outer: Outer = parse(body.as_bytes()).unwrap();
        assert_eq!(outer.some_number, 100);
    }
    assert_eq!(
        field(r#"{"someNumber":-1.0}"#).as_deref(),
        Some("someNumber")
    );
    let kept: Value = parse_value(json!({ "appData": [0.5, 1e300, "1.0"] })).unwrap();
    assert_eq!(kept, json!({ "appData": [0.5, 1e300, "1.0"] }));
}
