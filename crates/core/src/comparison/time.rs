//! Points in time as targets write them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::value::Value;

/// RFC 3339, GeneralizedTime (RFC 4517), SQL's `date time`, or a date alone, which is its midnight. Without a zone it
/// is UTC.
pub fn parse(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Timestamp(at) => Some(*at),
        Value::Text(text) => parse_text(text.trim()),
        Value::Integer(_) | Value::Double(_) | Value::Boolean(_) | Value::Binary(_) => None,
    }
}

fn parse_text(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y%m%d%H%M%S%.f%#z"] {
        if let Ok(at) = DateTime::parse_from_str(text, format) {
            return Some(at.to_utc());
        }
    }
    let without_zone = text.strip_suffix('Z').unwrap_or(text);
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y%m%d%H%M%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(without_zone, format) {
            return Some(at.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_spellings_are_read() {
        for text in [
            "2024-01-31T12:00:00Z",
            "2024-01-31T13:00:00+01:00",
            "2024-01-31 12:00:00",
            "2024-01-31 12:00:00.000",
            "2024-01-31 13:00:00+01",
            "20240131120000Z",
            "20240131120000.0Z",
            "20240131130000+0100",
        ] {
            let at = parse(&Value::from(text)).map(|at| at.to_rfc3339());
            assert_eq!(at.as_deref(), Some("2024-01-31T12:00:00+00:00"), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "soon", "2024-02-30", "20241", "2024-01-31T25:00:00Z"] {
            assert_eq!(parse(&Value::from(text)), None, "{text}");
        }
    }
}
