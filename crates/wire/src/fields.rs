//! Parsing a message field by field: every violation is found, not only the first.
//!
//! Each method answers the parsed field or a placeholder, and remembers what was wrong; [`Fields::finish`] lets the whole
//! out only if nothing was.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use pbjson_types::Timestamp;
use uuid::Uuid;
use xavyo_core::{Error, Violation, error::Result};

use crate::numbers::Numbered;

/// What was wrong so far, and where in the message the parser stands.
#[derive(Debug, Default)]
pub struct Fields {
    prefix: String,
    violations: Vec<Violation>,
}

impl Fields {
    /// The parsed message, unless a field of it was refused.
    pub fn finish<T>(self, parsed: T) -> Result<T> {
        if self.violations.is_empty() { Ok(parsed) } else { Err(Error::all_invalid(self.violations)) }
    }

    /// Parses a part: paths inside begin with `path`.
    pub fn within<T>(&mut self, path: &str, parse: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.prefix.len();
        if outer > 0 {
            self.prefix.push('.');
        }
        self.prefix.push_str(path);
        let parsed = parse(self);
        self.prefix.truncate(outer);
        parsed
    }

    /// Parses the items of a list of at most `limit`: paths inside begin with `field[index]`.
    pub fn each<P, T>(
        &mut self,
        field: &str,
        items: Vec<P>,
        limit: usize,
        mut parse: impl FnMut(&mut Self, P) -> T,
    ) -> Vec<T> {
        if items.len() > limit {
            self.refuse(field, format!("at most {limit} items"));
            return Vec::new();
        }
        let parse_one =
            |(index, item)| self.within(&format!("{field}[{index}]"), |fields| parse(fields, item));
        items.into_iter().enumerate().map(parse_one).collect()
    }

    /// Remembers that a field is not what was expected.
    pub fn refuse(&mut self, field: &str, expected: impl Into<String>) {
        let field = match (self.prefix.as_str(), field) {
            ("", field) => field.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, field) => format!("{prefix}.{field}"),
        };
        self.violations.push(Violation { field, expected: expected.into() });
    }

    /// A part that was parsed elsewhere; its violations are taken over. None only where it was refused.
    pub fn take<T>(&mut self, parsed: Result<T>) -> Option<T> {
        let error = match parsed {
            Ok(part) => return Some(part),
            Err(error) => error,
        };
        if error.violations.is_empty() {
            self.refuse("", error.message);
        }
        for violation in error.violations {
            self.refuse(&violation.field, violation.expected);
        }
        None
    }

    /// A hyphenated UUID, in either case.
    pub fn id<I: From<Uuid>>(&mut self, field: &str, text: &str) -> I {
        let id = uuid_of(text).unwrap_or_else(|| {
            self.refuse(field, if text.is_empty() { "required: a UUID" } else { "a hyphenated UUID" });
            Uuid::nil()
        });
        I::from(id)
    }

    /// An empty text counts as absent.
    pub fn optional_id<I: From<Uuid>>(&mut self, field: &str, text: Option<&str>) -> Option<I> {
        text.filter(|text| !text.is_empty()).map(|text| self.id(field, text))
    }

    /// Text of 1 to `limit` bytes without NUL.
    pub fn text(&mut self, field: &str, text: String, limit: usize) -> String {
        if text.is_empty() {
            self.refuse(field, format!("required: 1 to {limit} bytes"));
        }
        self.any_text(field, text, limit)
    }

    /// The same that may be empty.
    pub fn any_text(&mut self, field: &str, text: String, limit: usize) -> String {
        if text.len() > limit {
            self.refuse(field, format!("at most {limit} bytes"));
        }
        if text.contains('\0') {
            self.refuse(field, "text without U+0000");
        }
        text
    }

    /// An empty text counts as absent.
    pub fn optional_text(&mut self, field: &str, text: Option<String>, limit: usize) -> Option<String> {
        text.filter(|text| !text.is_empty()).map(|text| self.any_text(field, text, limit))
    }

    /// A number in a range; absent = `default`.
    pub fn number<N>(&mut self, field: &str, number: Option<N>, range: RangeInclusive<N>, default: N) -> N
    where
        N: PartialOrd + std::fmt::Display,
    {
        let number = number.unwrap_or(default);
        if !range.contains(&number) {
            self.refuse(field, format!("{} to {}", range.start(), range.end()));
        }
        number
    }

    /// A value of a closed list; unspecified = `default`.
    pub fn choice_or<C: Numbered>(&mut self, field: &str, number: i32, default: C) -> C {
        if number == 0 { default } else { self.choice(field, number).unwrap_or(default) }
    }

    /// A value of a closed list that must be specified. None only where that was refused.
    pub fn choice<C: Numbered>(&mut self, field: &str, number: i32) -> Option<C> {
        let choice = C::numbered(number);
        if choice.is_none() {
            self.refuse(field, format!("one of {}", C::choices().join(", ")));
        }
        choice
    }

    /// The same for a filter or an optional field; unspecified counts as absent.
    pub fn optional_choice<C: Numbered>(&mut self, field: &str, number: Option<i32>) -> Option<C> {
        number.filter(|number| *number != 0).and_then(|number| self.choice(field, number))
    }

    /// A part that must be there. None only where that was refused.
    pub fn required<T>(&mut self, field: &str, part: Option<T>) -> Option<T> {
        if part.is_none() {
            self.refuse(field, "required");
        }
        part
    }

    /// An instant between the years 1 and 9999, as protobuf has it; whole microseconds, as the databases keep it.
    pub fn time(&mut self, field: &str, at: Option<Timestamp>) -> Option<DateTime<Utc>> {
        let at = at?;
        let parsed = crate::time::of_pb(&at);
        if parsed.is_none() {
            self.refuse(field, "a timestamp between 0001-01-01 and 9999-12-31");
        }
        parsed
    }

    /// The version that an etag names; empty = none was given. One that no resource ever had never matches.
    pub fn etag(&mut self, text: &str) -> Option<i64> {
        (!text.is_empty()).then(|| text.parse().ok().filter(|version| *version >= 0).unwrap_or(-1))
    }
}

/// Only the hyphenated form: what a client sends is what it gets back, but for the case.
fn uuid_of(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use xavyo_core::{Reason, ids::ConnectorId, operation::OperationType};

    use super::*;

    fn paths(error: &Error) -> Vec<&str> {
        error.violations.iter().map(|violation| violation.field.as_str()).collect()
    }

    #[test]
    fn every_violation_is_found_with_its_path() {
        let mut fields = Fields::default();
        fields.id::<ConnectorId>("connector_id", "no");
        fields.within("settings.ldap", |fields| fields.text("host", String::new(), 10));
        fields.each("operations", vec!["a", "b\0"], 10, |fields, item| {
            fields.text("target_uid", item.to_owned(), 10)
        });
        fields.choice::<OperationType>("operation_type", 0);
        let error = fields.finish(()).unwrap_err();
        assert_eq!(error.reason, Reason::InvalidField);
        assert_eq!(
            paths(&error),
            ["connector_id", "settings.ldap.host", "operations[1].target_uid", "operation_type"]
        );
        assert!(error.violations[3].expected.contains("OPERATION_TYPE_CREATE"));
    }

    #[test]
    fn ids_are_hyphenated_uuids_only() {
        for text in ["", "0", "00000000000000000000000000000001", "{00000000-0000-0000-0000-000000000001}"] {
            let mut fields = Fields::default();
            fields.id::<ConnectorId>("id", text);
            assert!(fields.finish(()).is_err(), "{text}");
        }
        let mut fields = Fields::default();
        let id: ConnectorId = fields.id("id", "00000000-0000-0000-0000-00000000000A");
        assert_eq!(fields.finish(id).unwrap().0, Uuid::from_u128(10));
    }

    #[test]
    fn a_part_parsed_elsewhere_is_refused_at_its_place() {
        let mut fields = Fields::default();
        fields.within("mapping", |fields| {
            assert_eq!(fields.take(Ok(1)), Some(1));
            assert_eq!(fields.take::<()>(Err(Error::invalid("scope", "CEL"))), None);
            assert_eq!(fields.take::<()>(Err(Error::new(Reason::RemediationNotAllowed, "no"))), None);
        });
        assert_eq!(paths(&fields.finish(()).unwrap_err()), ["mapping.scope", "mapping"]);
    }

    #[test]
    fn too_many_items_are_refused_before_they_are_parsed() {
        let mut fields = Fields::default();
        fields.each("items", vec![(); 101], 100, |_, ()| panic!("parsed"));
        assert_eq!(paths(&fields.finish(()).unwrap_err()), ["items"]);
    }

    #[test]
    fn an_etag_that_nothing_ever_had_matches_nothing() {
        let mut fields = Fields::default();
        assert_eq!(["", "7", "x", "-3"].map(|text| fields.etag(text)), [None, Some(7), Some(-1), Some(-1)]);
    }
}
