//! Distinguished names (RFC 4514).
//!
//! Servers spell the same name in different ways. The form used here, and as `external_uid`: attribute types in lower
//! case, values as they are, no spaces around separators, and only those characters escaped that must be, by a
//! backslash and themselves (control characters, which cannot, in hexadecimal). Two names are the same if they differ in case only.

use std::fmt;

/// A name, from the entry up to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dn(Vec<Rdn>);

/// One step of a name: usually one attribute and its value.
pub(super) type Rdn = Vec<(String, String)>;

/// Text that is no distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Dn {
    /// Reads a name in any of RFC 4514's spellings. The empty text is the root.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut rest = Rest(text);
        let mut rdns = vec![vec![rest.pair()?]];
        while let Some(separator) = rest.next() {
            let pair = rest.pair()?;
            match separator {
                '+' => rdns.last_mut().ok_or(Malformed)?.push(pair),
                ',' | ';' => rdns.push(vec![pair]),
                _ => return Err(Malformed),
            }
        }
        for rdn in &mut rdns {
            rdn.sort();
        }
        Ok(Self(rdns))
    }

    /// The name as it is spelled here. Most are so already: all but an escape, a joined part or a superfluous space.
    pub fn spelled(text: String) -> Result<String, Malformed> {
        if is_spelled(&text) { Ok(text) } else { Ok(Self::parse(&text)?.to_string()) }
    }

    /// The name of an entry right below this one.
    pub fn child(&self, attribute: &str, value: &str) -> Self {
        let rdn = vec![(attribute.to_ascii_lowercase(), value.to_owned())];
        Self([rdn].into_iter().chain(self.0.iter().cloned()).collect())
    }

    pub fn parent(&self) -> Self {
        Self(self.0.iter().skip(1).cloned().collect())
    }

    /// The value that names the entry among its siblings, if that attribute does alone.
    pub fn named_by(&self, attribute: &str) -> Option<&str> {
        match self.0.first()?.as_slice() {
            [(kind, value)] if kind.eq_ignore_ascii_case(attribute) => Some(value),
            _ => None,
        }
    }

    /// The first step, as text.
    pub fn rdn(&self) -> String {
        Self(self.0.iter().take(1).cloned().collect()).to_string()
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn is_within(&self, base: &Self) -> bool {
        self.0.len() >= base.0.len() && same(&self.0[self.0.len() - base.0.len()..], &base.0)
    }

    pub fn is_same(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }

    /// For lists of names in which case does not count.
    pub fn folded(&self) -> String {
        self.to_string().to_lowercase()
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, rdn) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            for (place, (attribute, value)) in rdn.iter().enumerate() {
                if place > 0 {
                    f.write_str("+")?;
                }
                write!(f, "{attribute}=")?;
                write_escaped(f, value)?;
            }
        }
        Ok(())
    }
}

/// An attribute's name (RFC 4512: a descriptor or an object identifier, with options).
pub(crate) fn is_attribute(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';' | b'_');
    (1..=128).contains(&name.len())
        && name.bytes().all(fits)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Says no for some that are: what it would have to look at twice.
fn is_spelled(name: &str) -> bool {
    let is_special = |byte| matches!(byte, b'"' | b'#' | b'+' | b';' | b'<' | b'>' | b'\\');
    let is_plain = |byte| matches!(byte, b' '..=b'~') && !is_special(byte);
    let is_step = |(attribute, value): (&str, &str)| {
        is_attribute(attribute)
            && !attribute.bytes().any(|byte| byte.is_ascii_uppercase())
            && !value.starts_with(' ')
            && !value.ends_with(' ')
    };
    name.bytes().all(is_plain) && name.split(',').all(|step| step.split_once('=').is_some_and(is_step))
}

fn same(left: &[Rdn], right: &[Rdn]) -> bool {
    let folded = |rdns: &[Rdn]| Dn(rdns.to_vec()).folded();
    left.len() == right.len() && (left == right || folded(left) == folded(right))
}

fn write_escaped(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    let last = value.chars().count().saturating_sub(1);
    for (position, character) in value.chars().enumerate() {
        match character {
            // Servers trim line breaks as they trim spaces.
            control if control.is_ascii_control() => write!(f, "\\{:02x}", u32::from(control))?,
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
            ' ' if position == 0 || position == last => f.write_str("\\ ")?,
            '#' if position == 0 => f.write_str("\\#")?,
            other => write!(f, "{other}")?,
        }
    }
    Ok(())
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.0.chars().next()?;
        self.0 = &self.0[character.len_utf8()..];
        Some(character)
    }

    fn peek(&self) -> Option<char> {
        self.0.chars().next()
    }

    fn pair(&mut self) -> Result<(String, String), Malformed> {
        let (attribute, _) = self.0.split_once('=').ok_or(Malformed)?;
        self.0 = &self.0[attribute.len() + 1..];
        let attribute = attribute.trim();
        if !is_attribute(attribute) {
            return Err(Malformed);
        }
        self.0 = self.0.trim_start_matches(' ');
        let value = if self.peek() == Some('"') { self.quoted()? } else { self.plain()? };
        Ok((attribute.to_ascii_lowercase(), value))
    }

    /// Up to a separator; trailing spaces count only when escaped. A value in hexadecimal (`#04…`) is kept as it is.
    fn plain(&mut self) -> Result<String, Malformed> {
        let mut bytes = Vec::new();
        let mut kept = 0;
        while let Some(character) = self.peek() {
            match character {
                ',' | ';' | '+' => break,
                '"' | '<' | '>' => return Err(Malformed),
                '\\' => {
                    self.next();
                    self.escaped(&mut bytes)?;
                    kept = bytes.len();
                }
                other => {
                    self.next();
                    bytes.extend(other.encode_utf8(&mut [0; 4]).bytes());
                    if other != ' ' {
                        kept = bytes.len();
                    }
                }
            }
        }
        bytes.truncate(kept);
        String::from_utf8(bytes).map_err(|_| Malformed)
    }

    /// RFC 2253's quoted form, which old servers still send.
    fn quoted(&mut self) -> Result<String, Malformed> {
        self.next();
        let mut bytes = Vec::new();
        loop {
            match self.next().ok_or(Malformed)? {
                '"' => break,
                '\\' => self.escaped(&mut bytes)?,
                other => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        self.0 = self.0.trim_start_matches(' ');
        String::from_utf8(bytes).map_err(|_| Malformed)
    }

    /// What follows a backslash: two hexadecimal digits, or the character itself.
    fn escaped(&mut self, bytes: &mut Vec<u8>) -> Result<(), Malformed> {
        let first = self.next().ok_or(Malformed)?;
        match (first.to_digit(16), self.peek().and_then(|second| second.to_digit(16))) {
            (Some(high), Some(low)) => {
                self.next();
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| Malformed)?);
            }
            _ => bytes.extend(first.encode_utf8(&mut [0; 4]).bytes()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn normal(text: &str) -> String {
        Dn::parse(text).unwrap().to_string()
    }

    #[test]
    fn every_spelling_of_a_name_has_one_form() {
        for (spelling, form) in [
            ("UID=jdoe, OU=People,dc=example,dc=org", "uid=jdoe,ou=People,dc=example,dc=org"),
            ("cn=Doe\\2C John,dc=x", "cn=Doe\\, John,dc=x"),
            ("cn=\"Doe, John\" ,dc=x", "cn=Doe\\, John,dc=x"),
            ("cn=\\20lead\\ ,dc=x", "cn=\\ lead\\ ,dc=x"),
            ("cn=\\#1;dc=x", "cn=\\#1,dc=x"),
            ("cn=J\\C3\\B6rg,dc=x", "cn=Jörg,dc=x"),
            ("uid=b+cn=a,dc=x", "cn=a+uid=b,dc=x"),
            ("cn=a=b,dc=x", "cn=a=b,dc=x"),
            ("cn=nul\\00,dc=x", "cn=nul\\00,dc=x"),
            ("", ""),
        ] {
            assert_eq!(normal(spelling), form, "{spelling}");
            assert_eq!(normal(form), form, "a form is its own form");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_spelled_in_its_own_form(name in "( ?[a-zA-Z0-9.-]{1,5} ?= {0,2}[a-zA-Z0-9=#é\\\\ .-]{0,8},?){1,3}") {
            let parsed = Dn::parse(&name).map(|dn| dn.to_string());
            prop_assert_eq!(Dn::spelled(name), parsed);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["jdoe", "=x", "cn", "cn=a,", "cn=a,,dc=x", "c n=a", "cn=\"open", "cn=a\\", "*)(uid=*", "cn=<a>"]
        {
            assert!(Dn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_child_keeps_any_value_literally() {
        let base = Dn::parse("ou=people,dc=example,dc=org").unwrap();
        for value in ["a,ou=admins", "*)(uid=*", " a ", "#1", "a\\2C", "x+y=z", "\"q\"", "é", " ", "a\0b"] {
            let child = base.child("uid", value);
            let read = Dn::parse(&child.to_string()).unwrap();
            assert_eq!(read.named_by("UID"), Some(value));
            assert!(read.parent().is_same(&base) && read.is_within(&base), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_value_at_all_is_kept(value in any::<String>(), more in "[ #,+\\\\\"<>;=é\u{0}a]{0,6}") {
            let base = Dn::parse("dc=example").unwrap();
            for value in [value, more].into_iter().filter(|value| !value.is_empty()) {
                let read = Dn::parse(&base.child("uid", &value).to_string()).unwrap();
                prop_assert_eq!(read.named_by("uid"), Some(value.as_str()));
                prop_assert!(read.parent().is_same(&base));
            }
        }

        #[test]
        fn no_text_at_all_makes_the_parser_panic(text in any::<String>()) {
            let _ = Dn::parse(&text);
        }
    }

    #[test]
    fn a_name_is_within_its_bases_whatever_the_case() {
        let dn = Dn::parse("uid=a,ou=People,dc=Example").unwrap();
        for (base, within) in [("OU=people,DC=example", true), ("dc=example", true), ("ou=people", false)] {
            assert_eq!(dn.is_within(&Dn::parse(base).unwrap()), within, "{base}");
        }
        assert!(!Dn::parse("dc=example").unwrap().is_within(&dn));
    }
}
