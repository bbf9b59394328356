//! The names of attributes: paths of SCIM (RFC 7644 section 3.5.2, as far as they name one thing).
//!
//! `displayName`, `name.givenName`, `emails` (the values of all), `emails[type eq "work"].value` (of one), and behind a
//! schema's URN `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`.

use std::fmt;

pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The URN of an extension; None = the core schema.
    pub schema: Option<String>,
    pub attribute: String,
    /// The sub-attribute and the value by which one element of many is chosen.
    pub element: Option<(String, String)>,
    pub sub: Option<String>,
}

impl Path {
    /// None for what is no path: nothing else ever reaches a filter or a request's path.
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, rest) = match text.get(..4) {
            Some(urn) if urn.eq_ignore_ascii_case("urn:") => {
                let split = text.find('[').unwrap_or(text.len());
                let colon = text[..split].rfind(':')?;
                (Some(&text[..colon]), &text[colon + 1..])
            }
            _ => (None, text),
        };
        let is_urn = |urn: &str| {
            urn.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'-' | b'_'))
        };
        if !schema.is_none_or(is_urn) {
            return None;
        }
        let schema = schema.filter(|urn| !urn.eq_ignore_ascii_case(USER)).map(str::to_owned);
        let (attribute, element, rest) = match rest.split_once('[') {
            None => {
                let (attribute, rest) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
                (attribute, None, rest)
            }
            Some((attribute, rest)) => {
                let (condition, rest) = rest.rsplit_once(']')?;
                (attribute, Some(element(condition)?), rest)
            }
        };
        let sub = match rest {
            "" => None,
            rest => Some(rest.strip_prefix('.').filter(|sub| is_name(sub))?.to_owned()),
        };
        is_name(attribute).then(|| Self { schema, attribute: attribute.to_owned(), element, sub })
    }

    /// The whole attribute, for the `attributes` of a query.
    pub fn top(&self) -> String {
        match &self.schema {
            Some(urn) => format!("{urn}:{}", self.attribute),
            None => self.attribute.clone(),
        }
    }

    /// The sub-attribute that holds the value.
    pub fn value(&self) -> &str {
        self.sub.as_deref().unwrap_or("value")
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.top())?;
        if let Some((name, value)) = &self.element {
            write!(f, "[{name} eq {}]", quoted(value))?;
        }
        match &self.sub {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

/// A text as a filter has it: a string of JSON (RFC 7644 section 3.4.2.2), whatever it holds.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `type eq "work"`.
fn element(condition: &str) -> Option<(String, String)> {
    let (name, rest) = condition.trim().split_once(' ')?;
    let (operator, value) = rest.trim_start().split_once(' ')?;
    let value: String = serde_json::from_str(value.trim()).ok()?;
    (is_name(name) && operator.eq_ignore_ascii_case("eq")).then(|| (name.to_owned(), value))
}

/// `ATTRNAME` of RFC 7644, and `$ref`.
fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let first = name.strip_prefix('$').unwrap_or(name);
    first.starts_with(|first: char| first.is_ascii_alphabetic()) && first.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_attributes_elements_and_parts_of_extensions() {
        for text in [
            "displayName",
            "name.givenName",
            "emails[type eq \"work\"].value",
            "emails[type eq \"a\\\"] b\"]",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            "urn:example:x:tags[kind eq \"urn:y\"].value",
        ] {
            assert_eq!(Path::parse(text).expect(text).to_string(), text);
        }
        let core = Path::parse("urn:ietf:params:scim:schemas:core:2.0:User:userName").unwrap();
        assert_eq!((core.schema, core.attribute.as_str()), (None, "userName"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            "a b",
            "a=b)(c",
            "\"; --",
            "../x",
            "emails[",
            "emails[type eq work]",
            "emails[type ne \"work\"]",
            "emails[type eq \"work\" or true]",
            "name.",
            "name.a.b",
            "urn:x y:z",
            "1st",
        ] {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }
}
