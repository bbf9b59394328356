//! The values that attributes hold, and their JSON form in the databases and in unary calls.
//!
//! JSON keeps every type apart: text is a string, integers and doubles are numbers, binary is `{"base64": "…"}` and a
//! timestamp is `{"timestamp": "…"}` (RFC 3339).

pub mod change;
pub mod dn;
pub mod sealed;

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    /// Always finite: NaN and Infinity are refused at the edge.
    Double(f64),
    Boolean(bool),
    Binary(Vec<u8>),
    Timestamp(DateTime<Utc>),
}

/// Attributes by name. An attribute without values is absent: an empty list is never stored.
pub type Attributes = BTreeMap<String, Vec<Value>>;

impl Value {
    /// The value as text, the way reports and discrepancies show it: binary as base64, times as RFC 3339 in UTC, and of a
    /// sealed one nothing.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(_) if sealed::is_sealed(self) => sealed::HIDDEN.to_owned(),
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
            Self::Binary(bytes) => BASE64_STANDARD.encode(bytes),
            Self::Timestamp(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

/// What several values are shown as in a discrepancy: none = absent, one = its text, several = a sorted JSON array.
pub fn display(values: &[Value]) -> Option<String> {
    match values {
        [] => None,
        [one] => Some(one.to_text()),
        many => {
            let mut texts: Vec<String> = many.iter().map(Value::to_text).collect();
            texts.sort();
            Some(serde_json::Value::from(texts).to_string())
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Double(number) => serializer.serialize_f64(*number),
            Self::Boolean(truth) => serializer.serialize_bool(*truth),
            Self::Binary(_) => tagged("base64", self.to_text()).serialize(serializer),
            Self::Timestamp(_) => tagged("timestamp", self.to_text()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(serde_json::Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Value {
    /// Reads one value's JSON form. The error says what was expected.
    pub fn from_json(json: serde_json::Value) -> Result<Self, String> {
        match json {
            serde_json::Value::String(text) => Ok(Self::Text(text)),
            serde_json::Value::Bool(truth) => Ok(Self::Boolean(truth)),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map(Self::Integer)
                .or_else(|| number.as_f64().map(Self::Double))
                .ok_or_else(|| format!("{number} is not a number that fits")),
            serde_json::Value::Object(fields) => Self::from_tagged(&fields),
            serde_json::Value::Null | serde_json::Value::Array(_) => {
                Err("expected a string, number, boolean, {\"base64\"} or {\"timestamp\"}".to_owned())
            }
        }
    }

    fn from_tagged(fields: &serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let mut entries = fields.iter();
        match (entries.next(), entries.next()) {
            (Some((tag, serde_json::Value::String(text))), None) if tag == "base64" => {
                BASE64_STANDARD.decode(text).map(Self::Binary).map_err(|error| error.to_string())
            }
            (Some((tag, serde_json::Value::String(text))), None) if tag == "timestamp" => {
                DateTime::parse_from_rfc3339(text)
                    .map(|at| Self::Timestamp(at.with_timezone(&Utc)))
                    .map_err(|error| error.to_string())
            }
            _ => Err("an object value has exactly one field, base64 or timestamp".to_owned()),
        }
    }
}

fn tagged(tag: &'static str, text: String) -> BTreeMap<&'static str, String> {
    BTreeMap::from([(tag, text)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_survives_its_json_form() {
        for value in [
            Value::from("a"),
            Value::from(-7),
            Value::Double(1.5),
            Value::from(true),
            Value::Binary(vec![0, 255]),
            Value::Timestamp(DateTime::UNIX_EPOCH),
        ] {
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value, "{json}");
        }
    }

    #[test]
    fn several_values_are_shown_as_a_sorted_array() {
        assert_eq!(display(&[Value::from("b"), Value::from("a")]).as_deref(), Some(r#"["a","b"]"#));
        assert_eq!(display(&[]), None);
    }
}
