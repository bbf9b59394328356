//! Sealed values: what stands in the place of a value that cannot be read back, from the moment it is accepted until it
//! is written to its target.
//!
//! A sealed value is text that begins with a character no caller may send, U+FDD0, which Unicode leaves to internal use
//! (23.7), followed by base64. So it goes wherever its operation's payload goes, merged with others too, and every
//! reading of it is [`HIDDEN`]. Sealing and opening are the provisioning service's; equal values of an account seal
//! equally, so that they compare.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    Value,
    change::{Change, Changes},
};

/// What nobody may read is shown as this.
pub const HIDDEN: &str = "***";

/// How a sealed value begins, and no other.
pub const MARK: char = '\u{fdd0}';

/// The value that stands for a sealed one.
pub fn of(sealed: &[u8]) -> Value {
    Value::Text(format!("{MARK}{}", BASE64_STANDARD.encode(sealed)))
}

pub fn is_sealed(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.starts_with(MARK))
}

/// What [`of`] was given; none for a value that is not sealed, or damaged.
pub fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Text(text) => BASE64_STANDARD.decode(text.strip_prefix(MARK)?).ok(),
        Value::Integer(_) | Value::Double(_) | Value::Boolean(_) | Value::Binary(_) | Value::Timestamp(_) => {
            None
        }
    }
}

/// Whether any value of the changes is sealed.
pub fn in_changes(changes: &Changes) -> bool {
    changes.values().any(|change| change.values().any(is_sealed))
}

/// The changes as readers see them: nothing of a sealed value, not even how many there are.
pub fn shown(changes: &Changes) -> Changes {
    let hidden = || Change::Set(vec![Value::from(HIDDEN)]);
    let shown = |(name, change): (&String, &Change)| {
        let is_sealed = change.values().any(is_sealed);
        (name.clone(), if is_sealed { hidden() } else { change.clone() })
    };
    changes.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_is_known_by_its_mark_and_shown_as_nothing() {
        let sealed = of(b"ciphertext");
        assert_eq!(bytes(&sealed).as_deref(), Some(&b"ciphertext"[..]));
        assert!(!is_sealed(&Value::from("***")) && bytes(&Value::from("Y2lwaGVydGV4dA==")).is_none());
        let (mail, password) = (Change::Set(vec![Value::from("a@x")]), Change::Set(vec![sealed.clone()]));
        let added = Change::Modify { add: vec![sealed.clone(), sealed], remove: Vec::new() };
        let changes = Changes::from([
            ("mail".to_owned(), mail.clone()),
            ("password".to_owned(), password),
            ("recovery".to_owned(), added),
            ("title".to_owned(), Change::Clear),
        ]);
        assert!(in_changes(&changes));
        let shown = serde_json::to_string(&shown(&changes)).unwrap();
        assert_eq!(shown, r#"{"mail":"a@x","password":"***","recovery":"***","title":null}"#);
    }
}
