//! Plain JSON, as reports, audit rows and details are stored, as a Struct.

use pbjson_types::{ListValue, Struct, Value as Pb, value::Kind};
use serde_json::Value as Json;

/// The Struct of a JSON object; of anything else an object with the one field `value`.
pub fn to_struct(json: &Json) -> Struct {
    let fields = match json {
        Json::Object(fields) => fields.iter().map(|(name, json)| (name.clone(), to_pb(json))).collect(),
        Json::Null => return Struct::default(),
        other => [("value".to_owned(), to_pb(other))].into(),
    };
    Struct { fields }
}

/// Integers that a double does not hold exactly become decimal strings.
pub fn to_pb(json: &Json) -> Pb {
    const EXACT: i64 = 1 << 53;
    match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(*truth),
        Json::Number(number) => {
            let is_exact = number.as_i64().is_some_and(|number| number.abs_diff(0) <= EXACT.unsigned_abs());
            match number.as_f64().filter(|_| is_exact || number.is_f64()) {
                Some(double) => Kind::NumberValue(double),
                None => Kind::StringValue(number.to_string()),
            }
        }
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(to_pb).collect() }),
        Json::Object(_) => Kind::StructValue(to_struct(json)),
    }
    .into()
}
