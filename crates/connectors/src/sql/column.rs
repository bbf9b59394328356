//! Columns and their values: every value comes as the database's own text, and each kind of column says what that
//! text means.

use chrono::{DateTime, NaiveDateTime, Utc};
use xavyo_core::value::Value;

use super::connection::Cell;

/// What the text of a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Double,
    /// Exact decimals: whole numbers become integers, those that a double holds exactly doubles, the rest stay text.
    Numeric,
    Boolean,
    /// With time zone, or without and then taken as UTC.
    Timestamp,
    Binary,
}

/// How many values a column holds, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Single,
    /// An array of the database's own.
    Array,
    /// Text that is a JSON array.
    Json,
}

/// A column of the table, as the catalogue describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of the catalogue")]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    pub shape: Shape,
    /// The type to cast to, as the database spells it, without a length: the column's own length refuses what is too
    /// long, a cast would cut it.
    pub type_name: String,
    /// Of the array's elements; else the type itself.
    pub element_type: String,
    pub nullable: bool,
    /// A row can be made without it: it may be null, or has a default.
    pub optional: bool,
    /// Nobody but the database writes it.
    pub generated: bool,
    /// Our login may select it.
    pub readable: bool,
    /// The database promises that no two rows share a value.
    pub unique: bool,
}

impl Column {
    pub fn is_multi_valued(&self) -> bool {
        self.shape != Shape::Single
    }

    /// The values of a cell of this column. A JSON column that holds no array is one value: its text.
    pub fn values(&self, cell: &Cell) -> Vec<Value> {
        match (self.shape, cell) {
            (_, Cell::Null) => Vec::new(),
            (Shape::Json, Cell::Text(text)) => {
                json_values(text).unwrap_or_else(|| vec![Value::from(text.as_str())])
            }
            (Shape::Single | Shape::Array, Cell::Text(text)) => vec![self.kind.parse(text)],
            (_, Cell::List(texts)) => texts.iter().flatten().map(|text| self.kind.parse(text)).collect(),
        }
    }

    /// Both lists of values are the same to the column.
    pub fn holds_same(&self, left: &[Value], right: &[Value]) -> bool {
        let stored = |value: &Value| self.kind.parse(&self.kind.print(value));
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| stored(left) == stored(right))
    }
}

impl Kind {
    /// The value that the database's text stands for. Text that is no ordinary value of its kind (`infinity`) stays text.
    pub fn parse(self, text: &str) -> Value {
        let value = match self {
            Self::Text => None,
            Self::Integer => text.parse().ok().map(Value::Integer),
            Self::Double => finite(text).map(Value::Double),
            Self::Numeric => numeric(text),
            Self::Boolean => match text {
                "true" | "t" | "1" => Some(Value::Boolean(true)),
                "false" | "f" | "0" => Some(Value::Boolean(false)),
                _ => None,
            },
            Self::Timestamp => timestamp(text).map(Value::Timestamp),
            Self::Binary => text.strip_prefix("\\x").and_then(from_hex).map(Value::Binary),
        };
        value.unwrap_or_else(|| Value::Text(text.to_owned()))
    }

    /// The text to cast to the column's type. The database refuses what does not fit it.
    pub fn print(self, value: &Value) -> String {
        match (self, value) {
            (Self::Binary, Value::Binary(bytes)) => to_hex(bytes),
            (Self::Binary, other) => to_hex(other.to_text().as_bytes()),
            (_, value) => value.to_text(),
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn numeric(text: &str) -> Option<Value> {
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if let Ok(whole) = short.parse() {
        return Some(Value::Integer(whole));
    }
    match finite(short) {
        Some(double) if double.to_string() == short => Some(Value::Double(double)),
        Some(_) => Some(Value::Text(short.to_owned())),
        None => None,
    }
}

/// As Postgres and MySQL print times, or as RFC 3339 has them.
fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z");
    let at = zoned.or_else(|_| DateTime::parse_from_rfc3339(text)).map(|at| at.with_timezone(&Utc));
    at.ok()
        .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().map(|at| at.and_utc()))
}

/// The values of a JSON array; None for any other text. Elements that are no scalars are values as their text.
fn json_values(text: &str) -> Option<Vec<Value>> {
    let elements: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    let value = |element: serde_json::Value| match element {
        serde_json::Value::Null => None,
        serde_json::Value::Object(_) | serde_json::Value::Array(_) => Some(Value::Text(element.to_string())),
        scalar => {
            let text = scalar.to_string();
            Some(Value::from_json(scalar).unwrap_or(Value::Text(text)))
        }
    };
    Some(elements.into_iter().filter_map(value).collect())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_database_becomes_values_of_its_kind() {
        let at = |text: &str| Value::Timestamp(text.parse().unwrap());
        for (kind, text, value) in [
            (Kind::Integer, "42", Value::Integer(42)),
            (Kind::Double, "1.5", Value::Double(1.5)),
            (Kind::Double, "Infinity", Value::from("Infinity")),
            (Kind::Numeric, "5.00", Value::Integer(5)),
            (Kind::Numeric, "100", Value::Integer(100)),
            (Kind::Numeric, "5.25", Value::Double(5.25)),
            (Kind::Numeric, "0.10000000000000000001", Value::from("0.10000000000000000001")),
            (Kind::Numeric, "NaN", Value::from("NaN")),
            (Kind::Boolean, "true", Value::Boolean(true)),
            (Kind::Boolean, "0", Value::Boolean(false)),
            (Kind::Timestamp, "2024-02-29 12:30:00.25+00", at("2024-02-29T12:30:00.25Z")),
            (Kind::Timestamp, "2024-02-29 12:30:00+05:30", at("2024-02-29T07:00:00Z")),
            (Kind::Timestamp, "2024-02-29 12:30:00", at("2024-02-29T12:30:00Z")),
            (Kind::Timestamp, "infinity", Value::from("infinity")),
            (Kind::Timestamp, "0000-00-00 00:00:00", Value::from("0000-00-00 00:00:00")),
            (Kind::Binary, "\\x00ff", Value::Binary(vec![0, 255])),
            (Kind::Text, "007", Value::from("007")),
        ] {
            assert_eq!(kind.parse(text), value, "{text}");
        }
    }

    #[test]
    fn a_json_array_is_its_elements_and_other_json_is_one_text() {
        assert_eq!(
            json_values(r#"["a", 1, true, null, {"b": 2}]"#).unwrap(),
            [Value::from("a"), Value::from(1), Value::from(true), Value::from(r#"{"b":2}"#)]
        );
        assert_eq!(json_values(r#"{"a": 1}"#), None);
        assert_eq!(json_values("no json"), None);
    }

    #[test]
    fn binary_columns_take_bytes_as_they_are_and_text_as_its_utf8() {
        assert_eq!(Kind::Binary.print(&Value::Binary(vec![0, 255])), "\\x00ff");
        assert_eq!(Kind::Binary.print(&Value::from("é")), "\\xc3a9");
    }
}
