//! Pieces of the JSON types: codec parameters, and `null` where a field was left out.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

/// Parameters of a codec or header extension, as in SDP's `fmtp`.
pub type CodecParameters = BTreeMap<String, ParameterValue>;

/// A number or a text; nothing else may stand there.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ParameterValue {
    /// Such as `apt` or `packetization-mode`.
    #[schema(value_type = f64)]
    Number(serde_json::Number),
    /// Such as `profile-level-id`.
    Text(String),
}

impl ParameterValue {
    /// The value as a whole number, where it is one, be it written as a text.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64().or_else(|| {
                let float = number.as_f64()?;
                (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64)
            }),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl From<&str> for ParameterValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for ParameterValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl<'de> Deserialize<'de> for ParameterValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = ParameterValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(ParameterValue::Number(value.into()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                Ok(ParameterValue::Number(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                serde_json::Number::from_f64(value)
                    .map(ParameterValue::Number)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(ParameterValue::Text(value.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// The whole number under `name`.
pub(crate) fn integer(parameters: &CodecParameters, name: &str) -> Option<i64> {
    parameters.get(name)?.as_integer()
}

/// For fields that JavaScript clients may send as `null` in place of leaving them out.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A bitrate as a client worked it out, say as a third of another one: what is under 1 bit/s is cut off,
/// as browsers do.
pub(crate) fn whole_bitrate<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let float = number.as_f64().filter(|it| (0.0..1e15).contains(it));
    let whole = number.as_u64().or_else(|| float.map(|it| it as u64));
    whole.map(Some).ok_or_else(|| {
        let message = format!("invalid value: `{number}`, expected a number of bits per second");
        de::Error::custom(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_numbers_and_texts_texts() {
        let json = r#"{"a":1,"b":-2.5,"c":"42e01f","d":"3"}"#;
        let parameters: CodecParameters = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&parameters).unwrap(), json);
        let integers: Vec<_> = ["a", "b", "c", "d", "e"]
            .map(|name| integer(&parameters, name))
            .to_vec();
        assert_eq!(integers, [Some(1), None, None, Some(3), None]);
    }

    #[test]
    fn bitrates_may_have_a_fraction() {
        #[derive(Debug, Deserialize)]
        struct Encoding {
            #[serde(default, deserialize_with = "whole_bitrate")]
            bitrate: Option<u64>,
        }
        let read = |text: &str| {
            serde_json::from_str::<Encoding>(text)
                .map(|it| it.bitrate)
                .ok()
        };
        for (text, wanted) in [
            (r#"{"bitrate":500000}"#, Some(Some(500_000))),
            (r#"{"bitrate":333333.3}"#, Some(Some(333_333))),
            (r#"{"bitrate":1.5e6}"#, Some(Some(1_500_000))),
            (r#"{"bitrate":null}"#, Some(None)),
            ("{}", Some(None)),
            (r#"{"bitrate":-1}"#, None),
            (r#"{"bitrate":1e30}"#, None),
            (r#"{"bitrate":"1"}"#, None),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for json in ["true", "null", "[]", "{}"] {
            assert!(
                serde_json::from_str::<ParameterValue>(json).is_err(),
                "{json}"
            );
        }
    }
}
