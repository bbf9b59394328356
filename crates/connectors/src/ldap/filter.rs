//! Filters (RFC 4515). Values are escaped here and nowhere else.

use std::fmt::Write;

use ldap3::parse_filter;

/// Matches every entry.
pub(super) const ANY: &str = "(objectClass=*)";

pub(crate) fn is_filter(text: &str) -> bool {
    parse_filter(text).is_ok()
}

/// The filter with its parentheses, which RFC 4515 wants and people leave out.
pub(super) fn enclosed(filter: &str) -> String {
    if filter.starts_with('(') { filter.to_owned() } else { format!("({filter})") }
}

/// Entries whose attribute has the value, by the server's own matching rule.
pub(super) fn equals(attribute: &str, value: &[u8]) -> String {
    compares(attribute, "=", value)
}

/// Entries whose attribute has that value or a later one, by the server's own order.
pub(super) fn at_least(attribute: &str, value: &str) -> String {
    compares(attribute, ">=", value.as_bytes())
}

fn compares(attribute: &str, operator: &str, value: &[u8]) -> String {
    let mut filter = format!("({attribute}{operator}");
    for byte in value {
        match byte {
            b'\\' | b'*' | b'(' | b')' | 0..=0x1f | 0x7f..=0xff => {
                write!(filter, "\\{byte:02x}").expect("writing to a string never fails");
            }
            _ => filter.push(char::from(*byte)),
        }
    }
    filter + ")"
}

/// All of the filters that are there.
pub(super) fn all(filters: impl IntoIterator<Item = String>) -> String {
    let filters: Vec<String> = filters.into_iter().filter(|filter| !filter.is_empty()).collect();
    match filters.as_slice() {
        [] => ANY.to_owned(),
        [one] => one.clone(),
        many => format!("(&{})", many.concat()),
    }
}

pub(super) fn any(filters: &[String]) -> String {
    format!("(|{})", filters.concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn a_value_stays_a_value_whatever_it_holds() {
        for (value, filter) in [
            ("*)(uid=*", "(uid=\\2a\\29\\28uid=\\2a)"),
            ("a\\b", "(uid=a\\5cb)"),
            ("nul\0", "(uid=nul\\00)"),
            ("é", "(uid=\\c3\\a9)"),
            (" a ", "(uid= a )"),
        ] {
            assert_eq!(equals("uid", value.as_bytes()), filter);
            assert!(is_filter(filter));
        }
    }

    proptest! {
        #[test]
        fn any_value_at_all_makes_one_equality(value in any::<Vec<u8>>()) {
            let filter = equals("uid", &value);
            prop_assert!(is_filter(&filter));
            prop_assert_eq!(filter.matches(['(', ')', '*']).count(), 2);
        }
    }

    #[test]
    fn filters_that_do_not_end_where_they_should_are_refused() {
        for text in ["(uid=a)(b=c)", "(uid=a", "uid=a)", "(&(a=b)", ")(uid=a"] {
            assert!(!is_filter(text), "{text}");
        }
        assert!(is_filter("employeeType=staff") && is_filter("(&(a=b)(!(c=d)))"));
    }

    #[test]
    fn one_filter_needs_no_and() {
        assert_eq!(all([String::new(), "(a=b)".into()]), "(a=b)");
        assert_eq!(all(["(a=b)".into(), "(c=d)".into()]), "(&(a=b)(c=d))");
        assert_eq!(all([]), ANY);
    }
}
