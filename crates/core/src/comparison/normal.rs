//! Normal forms: under a matching rule, equal values are equal text.

use std::borrow::Cow;

use chrono::SecondsFormat;
use smallvec::SmallVec;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::time;
use crate::{connector::MatchingRule, dn, value::Value};

/// The value's normal form. What a rule cannot read (a date that is none) is compared as text, without ASCII's case.
pub fn normalise(rule: MatchingRule, value: &Value) -> Cow<'_, str> {
    let text = match value {
        Value::Text(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_text()),
    };
    match rule {
        MatchingRule::Exact => composed(text),
        MatchingRule::CaseInsensitive => folded(text),
        MatchingRule::Spaces => Cow::Owned(single_spaced(fold(&text))),
        MatchingRule::Phone => Cow::Owned(phone(&text)),
        MatchingRule::Boolean => boolean(&text).map_or_else(|| folded(text), Cow::Borrowed),
        MatchingRule::Dn => {
            let text = composed(text);
            Cow::Owned(dn::normalise(&text).unwrap_or_else(|| text.to_ascii_lowercase()))
        }
        MatchingRule::Timestamp => match time::parse(value) {
            Some(at) => Cow::Owned(at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => Cow::Owned(composed(text).to_ascii_lowercase()),
        },
    }
}

fn composed(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(&text) { text } else { Cow::Owned(text.nfc().collect()) }
}

/// Whether two attributes hold the same values.
pub fn equal(rule: MatchingRule, one: &[Value], other: &[Value]) -> bool {
    NormalSet::of(rule, one) == NormalSet::of(rule, other)
}

/// The values of an attribute in their normal form, as a set: sorted, each once, without empty ones.
#[derive(Debug, PartialEq, Eq)]
pub struct NormalSet<'v>(SmallVec<[Cow<'v, str>; 1]>);

impl<'v> NormalSet<'v> {
    pub fn of(rule: MatchingRule, values: impl IntoIterator<Item = &'v Value>) -> Self {
        let normal = values.into_iter().map(|value| normalise(rule, value));
        let mut normal: SmallVec<[Cow<'v, str>; 1]> = normal.filter(|text| !text.is_empty()).collect();
        normal.sort_unstable();
        normal.dedup();
        Self(normal)
    }

    pub fn contains(&self, normal: &str) -> bool {
        self.0.binary_search_by(|own| own.as_ref().cmp(normal)).is_ok()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Text without the differences of case and of Unicode's compatibility forms: lower, upper and lower case again, so that
/// `ẞ`, `ß` and `SS` are all `ss`.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.nfkc().flat_map(char::to_lowercase);
    let folded: String = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    folded.nfkc().collect()
}

/// Without outer and repeated spaces, whatever kind of space they are.
pub fn single_spaced(text: String) -> String {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_done = is_plain && !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    if is_done { text } else { text.split_whitespace().collect::<Vec<_>>().join(" ") }
}

fn folded(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_folded = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_folded { text } else { Cow::Owned(fold(&text)) }
}

/// The digits, after a leading `+` where there is one.
pub fn phone(text: &str) -> String {
    let plus = text.trim_start().starts_with(['+', '＋']);
    let digits = text.nfkc().filter(char::is_ascii_digit);
    if plus { std::iter::once('+').chain(digits).collect() } else { digits.collect() }
}

fn boolean(text: &str) -> Option<&'static str> {
    match fold(text.trim()).as_str() {
        "true" | "t" | "1" | "yes" | "y" | "on" => Some("true"),
        "false" | "f" | "0" | "no" | "n" | "off" => Some("false"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::{any, proptest};

    use super::*;

    const RULES: [MatchingRule; 7] = [
        MatchingRule::Exact,
        MatchingRule::CaseInsensitive,
        MatchingRule::Spaces,
        MatchingRule::Phone,
        MatchingRule::Dn,
        MatchingRule::Boolean,
        MatchingRule::Timestamp,
    ];

    #[test]
    fn each_rule_sees_through_its_differences_of_spelling() {
        use MatchingRule::{Boolean, CaseInsensitive, Dn, Exact, Phone, Spaces, Timestamp};
        for (rule, one, other, is_equal) in [
            (Exact, "Jose\u{301}", "José", true),
            (Exact, "jane", "Jane", false),
            (Exact, "jane ", "jane", false),
            (CaseInsensitive, "STRASSE", "straße", true),
            (CaseInsensitive, "ＪＡＮＥ", "jane", true),
            (CaseInsensitive, "ΟΔΟΣ", "οδος", true),
            (CaseInsensitive, "a b", "a  b", false),
            (Spaces, " Jane   Doe ", "jane doe", true),
            (Phone, "+49 (30) 123-456", "+4930123456", true),
            (Phone, "030 123", "+030123", false),
            (Dn, "CN=Jane, DC=org", "cn=jane,dc=org", true),
            (Boolean, "TRUE", "1", true),
            (Boolean, "true", "off", false),
            (Timestamp, "20240131120000Z", "2024-01-31T13:00:00+01:00", true),
            (Timestamp, "2024-01-31T12:00:00.9Z", "2024-01-31T12:00:00Z", true),
            (Timestamp, "2024-01-31", "2024-02-01", false),
        ] {
            assert_eq!(
                equal(rule, &[Value::from(one)], &[Value::from(other)]),
                is_equal,
                "{rule:?} {one} {other}"
            );
        }
    }

    #[test]
    fn values_of_different_types_are_equal_where_they_read_the_same() {
        let noon = DateTime::parse_from_rfc3339("2024-01-31T12:00:00Z").unwrap().to_utc();
        for (rule, one, other) in [
            (MatchingRule::Exact, Value::from(5), Value::from("5")),
            (MatchingRule::Exact, Value::from(5), Value::Double(5.0)),
            (MatchingRule::Boolean, Value::from(true), Value::from("TRUE")),
            (MatchingRule::Timestamp, Value::Timestamp(noon), Value::from("20240131120000.0Z")),
        ] {
            assert!(
                equal(rule, std::slice::from_ref(&one), std::slice::from_ref(&other)),
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn order_repetition_and_empty_values_do_not_count() {
        let list = |texts: &[&str]| texts.iter().copied().map(Value::from).collect::<Vec<_>>();
        assert!(equal(MatchingRule::Exact, &list(&["a", "b", "a", ""]), &list(&["b", "a"])));
        assert!(equal(MatchingRule::Exact, &list(&[""]), &[]));
        assert!(!equal(MatchingRule::Exact, &list(&["a", "b"]), &list(&["a"])));
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(text in any::<String>()) {
            for rule in RULES {
                let value = Value::from(text.as_str());
                let once = Value::Text(normalise(rule, &value).into_owned());
                proptest::prop_assert_eq!(normalise(rule, &once), once.to_text(), "{:?}", rule);
            }
        }
    }
}
