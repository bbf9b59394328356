//! Distinguished names (RFC 4514) as text: escaping a value into one, and the normal form by which two are compared.

use crate::comparison::{fold, single_spaced};

/// Escapes text so that it stands as a value inside a distinguished name (RFC 4514 §2.4).
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, character) in value.chars().enumerate() {
        match character {
            '\0' => escaped += "\\00",
            ' ' if place == 0 || place == last => escaped += "\\ ",
            '#' if place == 0 => escaped += "\\#",
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => {
                escaped.push('\\');
                escaped.push(character);
            }
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// The form in which equal names are equal text: attribute types in lower case, values folded and without outer or
/// repeated spaces, escapes made uniform, the parts of a multi-valued RDN sorted. None where it is not a name.
pub fn normalise(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some(String::new());
    }
    plain(name).or_else(|| any(name))
}

/// The normal form of a name without escapes, quotes, joined parts or anything beyond ASCII, as most are: in one pass. None
/// says nothing.
fn plain(name: &str) -> Option<String> {
    let is_special = |byte| matches!(byte, b'"' | b'#' | b'+' | b';' | b'<' | b'>' | b'\\');
    let is_plain = |byte| matches!(byte, b' '..=b'~') && !is_special(byte);
    if !name.bytes().all(is_plain) {
        return None;
    }
    let mut normal = String::with_capacity(name.len());
    for rdn in name.split(',') {
        let (attribute, value) = rdn.split_once('=')?;
        let attribute = attribute.trim_matches(' ');
        let is_prefixed = attribute.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("oid."));
        if !is_attribute(attribute) || is_prefixed || value.contains('=') {
            return None;
        }
        if !normal.is_empty() {
            normal.push(',');
        }
        normal += attribute;
        normal.push('=');
        for (place, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
            if place > 0 {
                normal.push(' ');
            }
            normal += word;
        }
    }
    normal.make_ascii_lowercase();
    Some(normal)
}

fn any(name: &str) -> Option<String> {
    let rdns = split(name, &[',', ';']).into_iter().map(|rdn| {
        let mut parts = split(rdn, &['+']).into_iter().map(part).collect::<Option<Vec<_>>>()?;
        parts.sort_unstable();
        Some(parts.join("+"))
    });
    rdns.collect::<Option<Vec<_>>>().map(|rdns| rdns.join(","))
}

/// `type=value` in its normal form.
fn part(part: &str) -> Option<String> {
    let (attribute, value) = part.split_once('=')?;
    let attribute = attribute.trim().to_lowercase();
    let attribute = attribute.strip_prefix("oid.").unwrap_or(&attribute);
    if !is_attribute(attribute) {
        return None;
    }
    let value = trimmed(value);
    if value.starts_with('#') {
        return Some(format!("{attribute}={}", value.to_lowercase()));
    }
    let value = unescape(value)?;
    let folded = single_spaced(fold(&value));
    Some(format!("{attribute}={}", escape(&folded)))
}

fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// Splits at separators that are neither escaped nor quoted.
fn split<'n>(name: &'n str, separators: &[char]) -> Vec<&'n str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped, mut is_quoted) = (0, false, false);
    for (place, character) in name.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            separator if !is_quoted && separators.contains(&separator) => {
                parts.push(&name[start..place]);
                start = place + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&name[start..]);
    parts
}

/// Without outer spaces, but for an escaped one at the end.
fn trimmed(value: &str) -> &str {
    let value = value.trim_start();
    let end = value.trim_end();
    let escapes = end.chars().rev().take_while(|character| *character == '\\').count();
    if escapes % 2 == 1 && end.len() < value.len() { &value[..=end.len()] } else { end }
}

/// Takes the escapes and quotes of a value away; pairs of hex digits are bytes of UTF-8.
fn unescape(value: &str) -> Option<String> {
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(place) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..place]);
        rest = &rest[place + 1..];
        let digits = rest.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let hex = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = hex {
            bytes.push(byte);
            rest = &rest[2..];
        } else {
            let character = rest.chars().next()?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[character.len_utf8()..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn names_that_differ_in_spelling_only_are_equal() {
        for (one, other) in [
            ("uid=jane,ou=People,dc=example,dc=org", "UID = Jane , OU=people; DC=Example,dc=org"),
            (r"cn=Doe\, Jane,dc=org", r#"CN="doe, jane",dc=org"#),
            (r"cn=Doe\2C Jane,dc=org", r"cn=doe\, jane,dc=org"),
            ("cn=a+sn=b", "SN=B+CN=A"),
            (r"cn=J\C3\BCrgen", "cn=jürgen"),
            ("2.5.4.3=x", "OID.2.5.4.3=X"),
        ] {
            assert_eq!(normalise(one).unwrap(), normalise(other).unwrap(), "{one} and {other}");
        }
    }

    #[test]
    fn names_of_different_objects_are_not() {
        for (one, other) in [
            ("uid=jane,dc=org", "uid=jane,ou=x,dc=org"),
            (r"cn=a\,b", "cn=a,cn=b"),
            (r"cn=a\ ", "cn=a b"),
            ("cn=a,dc=org", "cn=a+dc=org"),
        ] {
            assert_ne!(normalise(one).unwrap(), normalise(other).unwrap(), "{one} and {other}");
        }
    }

    #[test]
    fn what_is_no_name_has_no_normal_form() {
        for text in ["jane", "=x", "c n=x", "cn=a,,dc=org"] {
            assert_eq!(normalise(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_name_is_normal_as_any_name_is(
            name in "( ?[a-zA-Z0-9.-]{1,5} ?= {0,2}[a-zA-Z0-9=#é\\\\ .-]{0,8},?){1,3}",
        ) {
            if let Some(normal) = plain(&name) {
                prop_assert_eq!(Some(normal), any(&name), "{}", name);
            }
        }
    }

    #[test]
    fn usual_names_are_plain() {
        assert_eq!(plain("UID = Jane  Doe, OU=people").as_deref(), Some("uid=jane doe,ou=people"));
        for name in [r"cn=a\,b", "cn=a+sn=b", "cn=é", "OID.2.5.4.3=x", "cn=a=b", "jane"] {
            assert_eq!(plain(name), None, "{name}");
        }
    }

    #[test]
    fn an_escaped_value_comes_back() {
        for value in ["plain", " a ", "#1", r#"a,b+c"d\e<f>g;h=i"#, "é"] {
            assert_eq!(unescape(trimmed(&escape(value))).as_deref(), Some(value));
        }
    }
}
