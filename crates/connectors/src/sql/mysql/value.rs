//! Values as the parameters of their columns' kinds.

use chrono::{DateTime, Utc};
use xavyo_core::value::Value;

use crate::sql::{
    column::{Column, Kind, Shape},
    connection::Parameter,
};

/// A single value; None where it is none of the column's.
pub(super) fn parameter(column: &Column, value: &Value) -> Option<Parameter> {
    if column.shape == Shape::Json {
        return Some(Parameter::Text(json(value).to_string()));
    }
    match column.kind {
        Kind::Text => Some(Parameter::Text(value.to_text())),
        Kind::Integer => integer(value),
        Kind::Double => number(value).map(Parameter::Double),
        Kind::Numeric => number(value).map(|_| Parameter::Text(value.to_text())),
        Kind::Boolean => boolean(value).map(|truth| Parameter::Integer(truth.into())),
        Kind::Timestamp => match Kind::Timestamp.parse(&value.to_text()) {
            Value::Timestamp(at) => Some(Parameter::Text(timestamp(at))),
            Value::Text(_) | Value::Integer(_) | Value::Double(_) | Value::Boolean(_) | Value::Binary(_) => {
                None
            }
        },
        Kind::Binary => Some(Parameter::Bytes(match value {
            Value::Binary(bytes) => bytes.clone(),
            other => other.to_text().into_bytes(),
        })),
    }
}

/// All values of a column of JSON, as its text.
pub(super) fn json_array(values: &[Value]) -> Parameter {
    Parameter::Text(values.iter().map(json).collect::<serde_json::Value>().to_string())
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Integer(number) => (*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Text(_) | Value::Binary(_) | Value::Timestamp(_) => value.to_text().into(),
    }
}

fn integer(value: &Value) -> Option<Parameter> {
    match value {
        Value::Integer(number) => Some(Parameter::Integer(*number)),
        Value::Boolean(truth) => Some(Parameter::Integer((*truth).into())),
        Value::Text(text) => {
            text.parse().map(Parameter::Integer).or_else(|_| text.parse().map(Parameter::Unsigned)).ok()
        }
        Value::Double(_) | Value::Binary(_) | Value::Timestamp(_) => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(_) | Value::Double(_) | Value::Text(_) => {
            value.to_text().parse().ok().filter(|number: &f64| number.is_finite())
        }
        Value::Boolean(_) | Value::Binary(_) | Value::Timestamp(_) => None,
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match Kind::Boolean.parse(&value.to_text()) {
        Value::Boolean(truth) => Some(truth),
        Value::Text(_) | Value::Integer(_) | Value::Double(_) | Value::Binary(_) | Value::Timestamp(_) => {
            None
        }
    }
}

/// As the server reads it: sessions are in UTC.
fn timestamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind, shape: Shape) -> Column {
        Column {
            name: "c".into(),
            kind,
            shape,
            type_name: String::new(),
            element_type: String::new(),
            nullable: true,
            optional: true,
            generated: false,
            readable: true,
            unique: false,
        }
    }

    #[test]
    fn what_is_no_value_of_a_column_is_none_and_never_its_nearest_number() {
        for (kind, text) in [
            (Kind::Integer, "12abc"),
            (Kind::Integer, ""),
            (Kind::Integer, "1.5"),
            (Kind::Integer, " 7"),
            (Kind::Double, "1e999"),
            (Kind::Double, "nan"),
            (Kind::Numeric, "1,5"),
            (Kind::Boolean, "yes"),
            (Kind::Boolean, "2"),
            (Kind::Timestamp, "yesterday"),
        ] {
            assert_eq!(parameter(&column(kind, Shape::Single), &text.into()), None, "{kind:?} {text:?}");
        }
    }

    #[test]
    fn values_take_the_form_of_their_column() {
        let text = |text: &str| Some(Parameter::Text(text.to_owned()));
        let at = Value::Timestamp("2024-02-29T12:30:00.25Z".parse().unwrap());
        for (kind, value, expected) in [
            (Kind::Integer, Value::from("-3"), Some(Parameter::Integer(-3))),
            (Kind::Integer, Value::from("18446744073709551615"), Some(Parameter::Unsigned(u64::MAX))),
            (Kind::Numeric, Value::from("0.10000000000000000001"), text("0.10000000000000000001")),
            (Kind::Boolean, Value::from("true"), Some(Parameter::Integer(1))),
            (Kind::Timestamp, at, text("2024-02-29 12:30:00.250000")),
            (Kind::Timestamp, Value::from("2024-02-29T12:30:00+05:30"), text("2024-02-29 07:00:00.000000")),
            (Kind::Binary, Value::from("é"), Some(Parameter::Bytes(vec![0xc3, 0xa9]))),
            (Kind::Text, Value::from(7), text("7")),
        ] {
            assert_eq!(parameter(&column(kind, Shape::Single), &value), expected, "{kind:?} {value:?}");
        }
        assert_eq!(json_array(&["a\"b".into(), Value::from(1)]), Parameter::Text(r#"["a\"b",1]"#.into()));
    }
}
