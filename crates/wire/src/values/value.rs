//! Values and attributes: as `Value` messages in streams, as `google.protobuf.Struct` in unary calls.
//!
//! In a Struct an integer beyond ±2^53 is a decimal string, binary is base64, a timestamp is RFC 3339 text; what comes in
//! as text stays text. To say the type as well, input may write `{"base64": "…"}` or `{"timestamp": "…"}`.

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::DateTime;
use pbjson_types::{ListValue, Struct, Value as Json, value::Kind};
use xavyo_core::value::{Attributes, Value, sealed};

use crate::{fields::Fields, limits, pb::common, time};

/// Beyond it a double, which is what a Struct's numbers are, skips integers.
const EXACT: i64 = 1 << 53;

pub fn to_pb(value: &Value) -> common::Value {
    use common::value::Kind as Pb;
    let kind = match value {
        Value::Text(text) => Pb::StringValue(text.clone()),
        Value::Integer(number) => Pb::Int64Value(*number),
        Value::Double(number) => Pb::DoubleValue(*number),
        Value::Boolean(truth) => Pb::BoolValue(*truth),
        Value::Binary(bytes) => Pb::BytesValue(bytes.clone()),
        Value::Timestamp(at) => Pb::TimestampValue(time::to_pb(*at)),
    };
    common::Value { kind: Some(kind) }
}

/// The error says what was expected.
pub fn of_pb(value: common::Value) -> Result<Value, &'static str> {
    use common::value::Kind as Pb;
    match value.kind.ok_or("a value with a kind")? {
        Pb::StringValue(text) => text_value(text),
        Pb::Int64Value(number) => Ok(Value::Integer(number)),
        Pb::DoubleValue(number) => Some(number).filter(|it| it.is_finite()).map(Value::Double).ok_or(FINITE),
        Pb::BoolValue(truth) => Ok(Value::Boolean(truth)),
        Pb::BytesValue(bytes) => binary(bytes),
        Pb::TimestampValue(at) => time::of_pb(&at).map(Value::Timestamp).ok_or("a valid timestamp"),
    }
}

pub fn attributes_to_list(attributes: &Attributes) -> Vec<common::Attribute> {
    let attribute = |(name, values): (&String, &Vec<Value>)| common::Attribute {
        name: name.clone(),
        values: values.iter().map(to_pb).collect(),
    };
    attributes.iter().map(attribute).collect()
}

/// An attribute without values is absent; one that is named twice is refused.
pub fn attributes_of_list(fields: &mut Fields, field: &str, list: Vec<common::Attribute>) -> Attributes {
    let mut attributes = Attributes::new();
    fields.within(field, |fields| {
        check_count(fields, list.len());
        for attribute in list {
            let values = attribute.values.into_iter().map(of_pb).collect();
            let Some(values) = checked(fields, &attribute.name, values) else { continue };
            if !values.is_empty() && attributes.insert(attribute.name.clone(), values).is_some() {
                fields.refuse(&attribute.name, "an attribute that is named once");
            }
        }
    });
    attributes
}

pub fn attributes_to_struct(attributes: &Attributes) -> Struct {
    let fields = attributes.iter().map(|(name, values)| (name.clone(), values_to_json(values))).collect();
    Struct { fields }
}

/// `null` and an empty list mean that the attribute is absent.
pub fn attributes_of_struct(fields: &mut Fields, field: &str, attributes: Option<Struct>) -> Attributes {
    let mut parsed = Attributes::new();
    fields.within(field, |fields| {
        for (name, json) in sorted(fields, attributes.unwrap_or_default()) {
            let Some(values) = checked(fields, &name, values_of_json(json)) else { continue };
            if !values.is_empty() {
                parsed.insert(name, values);
            }
        }
    });
    parsed
}

/// One value alone, several as a list, none as null.
pub fn values_to_json(values: &[Value]) -> Json {
    match values {
        [] => null(),
        [one] => to_json(one),
        many => list_to_json(many),
    }
}

pub(crate) fn list_to_json(values: &[Value]) -> Json {
    Kind::ListValue(ListValue { values: values.iter().map(to_json).collect() }).into()
}

pub(crate) fn null() -> Json {
    Kind::NullValue(0).into()
}

/// A value, a list of values, or null for none.
pub(crate) fn values_of_json(json: Json) -> Result<Vec<Value>, &'static str> {
    match json.kind {
        None | Some(Kind::NullValue(_)) => Ok(Vec::new()),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(of_json).collect(),
        Some(one) => of_json(one.into()).map(|value| vec![value]),
    }
}

/// The fields in the order of their names, as many as are allowed.
pub(crate) fn sorted(fields: &mut Fields, object: Struct) -> Vec<(String, Json)> {
    check_count(fields, object.fields.len());
    if prost::Message::encoded_len(&object) > limits::ATTRIBUTES_TOTAL {
        fields.refuse("", format!("at most {} bytes", limits::ATTRIBUTES_TOTAL));
        return Vec::new();
    }
    let mut entries: Vec<(String, Json)> = object.fields.into_iter().collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries
}

/// The parsed values of an attribute, unless its name or they are refused.
pub(crate) fn checked<T>(
    fields: &mut Fields,
    name: &str,
    parsed: Result<Vec<T>, &'static str>,
) -> Option<Vec<T>> {
    if name.is_empty()
        || name.len() > limits::ATTRIBUTE_NAME
        || name.contains(char::is_control)
        || name.contains(sealed::MARK)
    {
        fields.refuse("", "attribute names of 1 to 256 bytes without control characters");
        return None;
    }
    match parsed {
        Ok(values) if values.len() > limits::VALUES => {
            fields.refuse(name, format!("at most {} values", limits::VALUES));
            None
        }
        Ok(values) => Some(values),
        Err(expected) => {
            fields.refuse(name, expected);
            None
        }
    }
}

fn check_count(fields: &mut Fields, count: usize) {
    if count > limits::ATTRIBUTES {
        fields.refuse("", format!("at most {} attributes", limits::ATTRIBUTES));
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Integer(number) if number.abs_diff(0) <= EXACT.unsigned_abs() => {
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            let number = *number as f64;
            Kind::NumberValue(number)
        }
        Value::Double(number) => Kind::NumberValue(*number),
        Value::Boolean(truth) => Kind::BoolValue(*truth),
        Value::Text(_) | Value::Integer(_) | Value::Binary(_) | Value::Timestamp(_) => {
            Kind::StringValue(value.to_text())
        }
    }
    .into()
}

fn of_json(json: Json) -> Result<Value, &'static str> {
    match json.kind {
        Some(Kind::StringValue(text)) => text_value(text),
        Some(Kind::BoolValue(truth)) => Ok(Value::Boolean(truth)),
        Some(Kind::NumberValue(number)) => number_value(number),
        Some(Kind::StructValue(object)) => typed(object),
        None | Some(Kind::NullValue(_) | Kind::ListValue(_)) => Err(VALUE),
    }
}

fn number_value(number: f64) -> Result<Value, &'static str> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
    let is_exact = number.abs() <= EXACT as f64;
    match number {
        number if !number.is_finite() => Err(FINITE),
        number if number.fract() != 0.0 || (number == 0.0 && number.is_sign_negative()) => {
            Ok(Value::Double(number))
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and at most 2^53")]
        number if is_exact => Ok(Value::Integer(number as i64)),
        _ => Err("an integer beyond 2^53 as a decimal string"),
    }
}

fn text_value(text: String) -> Result<Value, &'static str> {
    match text {
        text if text.len() > limits::VALUE => Err("a value of at most 65,536 bytes"),
        text if text.contains('\0') => Err("text without U+0000"),
        text if text.contains(sealed::MARK) => Err("text without U+FDD0"),
        text => Ok(Value::Text(text)),
    }
}

fn binary(bytes: Vec<u8>) -> Result<Value, &'static str> {
    Some(bytes)
        .filter(|bytes| bytes.len() <= limits::VALUE)
        .map(Value::Binary)
        .ok_or("a value of at most 65,536 bytes")
}

/// `{"base64": "…"}` or `{"timestamp": "…"}`.
fn typed(object: Struct) -> Result<Value, &'static str> {
    let mut entries = object.fields.into_iter();
    let (Some((tag, Json { kind: Some(Kind::StringValue(text)) })), None) = (entries.next(), entries.next())
    else {
        return Err(VALUE);
    };
    match tag.as_str() {
        "base64" => BASE64_STANDARD.decode(text).map_err(|_| "base64 (RFC 4648 section 4)").and_then(binary),
        "timestamp" => {
            let at = DateTime::parse_from_rfc3339(&text)
                .ok()
                .and_then(|at| time::of_pb(&time::to_pb(at.to_utc())));
            at.map(Value::Timestamp).ok_or("a timestamp (RFC 3339)")
        }
        _ => Err(VALUE),
    }
}

const VALUE: &str = "a string, number, boolean, {\"base64\": …}, {\"timestamp\": …}, or a list of these";
const FINITE: &str = "a finite number";

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, Utc};
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let micros = -62_135_596_800_000_000..=253_402_300_799_000_000_i64;
        prop_oneof![
            "[^\0]{0,40}".prop_map(Value::Text),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_filter("finite", |it| it.is_finite()).prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            any::<Vec<u8>>().prop_map(Value::Binary),
            micros.prop_map(|it| Value::Timestamp(DateTime::<Utc>::UNIX_EPOCH + TimeDelta::microseconds(it))),
            Just(Value::Integer(EXACT)),
        ]
    }

    fn parse(json: &str) -> xavyo_core::error::Result<Attributes> {
        let mut fields = Fields::default();
        let parsed =
            attributes_of_struct(&mut fields, "attributes", Some(serde_json::from_str(json).unwrap()));
        fields.finish(parsed)
    }

    proptest! {
        #[test]
        fn every_value_survives_a_stream(values in proptest::collection::vec(values(), 1..5)) {
            let attributes = Attributes::from([("a".to_owned(), values)]);
            let mut fields = Fields::default();
            let back = attributes_of_list(&mut fields, "attributes", attributes_to_list(&attributes));
            assert_eq!(fields.finish(back).unwrap(), attributes);
        }

        #[test]
        fn text_truth_and_exact_numbers_survive_a_struct(
            text in "[^\0]{0,40}", truth: bool, number in -EXACT..=EXACT, fraction in 0.1..0.9,
        ) {
            let values = vec![Value::from(text), truth.into(), number.into(), Value::Double(fraction)];
            let attributes = Attributes::from([("a".to_owned(), values)]);
            let mut fields = Fields::default();
            let back = attributes_of_struct(&mut fields, "x", Some(attributes_to_struct(&attributes)));
            assert_eq!(fields.finish(back).unwrap(), attributes);
        }

        #[test]
        fn in_a_struct_the_rest_is_its_text(value in values()) {
            let attributes = Attributes::from([("a".to_owned(), vec![value.clone()])]);
            let json = serde_json::to_value(attributes_to_struct(&attributes)).unwrap();
            match value {
                Value::Integer(it) if it.unsigned_abs() > EXACT.unsigned_abs() => assert_eq!(json["a"], it.to_string()),
                Value::Binary(_) | Value::Timestamp(_) => assert_eq!(json["a"], value.to_text()),
                Value::Text(_) | Value::Integer(_) | Value::Double(_) | Value::Boolean(_) => {}
            }
        }
    }

    #[test]
    fn null_and_an_empty_list_are_absent_and_types_can_be_told() {
        let parsed = parse(
            r#"{"a": null, "b": [], "c": ["x", 1], "d": {"base64": "AP8="}, "e": {"timestamp": "1970-01-01T01:00:00+01:00"}}"#,
        );
        let expected = [
            ("c".to_owned(), vec![Value::from("x"), Value::from(1)]),
            ("d".to_owned(), vec![Value::Binary(vec![0, 255])]),
            ("e".to_owned(), vec![Value::Timestamp(DateTime::UNIX_EPOCH)]),
        ];
        assert_eq!(parsed.unwrap(), Attributes::from(expected));
    }

    #[test]
    fn hostile_values_are_refused_by_their_path() {
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(limits::VALUE + 1));
        for (json, field) in [
            (r#"{"a": "x\u0000"}"#, "attributes.a"),
            (r#"{"a": [["deep"]]}"#, "attributes.a"),
            (r#"{"a": {"deep": {"er": 1}}}"#, "attributes.a"),
            (r#"{"a": {"base64": "?"}}"#, "attributes.a"),
            (r#"{"": 1}"#, "attributes"),
            (r#"{"a\u0000": 1}"#, "attributes"),
            (&long, "attributes.a"),
        ] {
            assert_eq!(parse(json).unwrap_err().violations[0].field, field, "{json}");
        }
        for number in [f64::INFINITY, f64::NAN, 9_007_199_254_740_994.0] {
            let mut fields = Fields::default();
            let attributes = Struct { fields: [("a".to_owned(), number.into())].into() };
            attributes_of_struct(&mut fields, "attributes", Some(attributes));
            assert!(fields.finish(()).is_err(), "{number}");
        }
    }

    #[test]
    fn a_stream_names_an_attribute_once_and_gives_every_value_a_kind() {
        let one = |values| common::Attribute { name: "a".to_owned(), values };
        let text = || vec![to_pb(&Value::from("x"))];
        for list in [vec![one(text()), one(text())], vec![one(vec![common::Value { kind: None }])]] {
            let mut fields = Fields::default();
            attributes_of_list(&mut fields, "attributes", list);
            assert_eq!(fields.finish(()).unwrap_err().violations[0].field, "attributes.a");
        }
    }
}
