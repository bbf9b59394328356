//! What targets say in their errors, without what was written there.
//!
//! Servers quote the values that they refuse, passwords included. A failure's message goes to logs, dead letters and
//! reports, so every value of the call is taken out of it first.

use xavyo_core::{
    change::{Change, Changes},
    value::{Attributes, Value},
};

const LONGEST: usize = 500;

/// The values of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction(Vec<String>);

impl Redaction {
    pub fn of_attributes(attributes: &Attributes) -> Self {
        Self::of(attributes.values().flatten())
    }

    pub fn of_changes(changes: &Changes) -> Self {
        Self::of(changes.values().flat_map(|change| match change {
            Change::Set(values) => values.iter().collect(),
            Change::Clear => Vec::new(),
            Change::Modify { add, remove } => add.iter().chain(remove).collect(),
        }))
    }

    pub fn of<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut texts: Vec<String> =
            values.into_iter().map(Value::to_text).filter(|text| !text.is_empty()).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    /// The text with each value replaced by `***`: anywhere, or for values of one or two bytes only inside quotes.
    pub fn apply(&self, text: &str) -> String {
        let mut text: String = text.chars().filter(|character| !character.is_control()).collect();
        for value in &self.0 {
            if value.len() > 2 {
                text = text.replace(value.as_str(), "***");
            } else {
                for quote in ['"', '\''] {
                    text = text.replace(&format!("{quote}{value}{quote}"), &format!("{quote}***{quote}"));
                }
            }
        }
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_the_call_is_left_in_a_message() {
        let redaction =
            Redaction::of(&[Value::from("hunter2"), Value::from("7"), Value::from("hunter2-longer")]);
        assert_eq!(redaction.apply("value \"hunter2-longer\" is bad"), "value \"***\" is bad");
        assert_eq!(redaction.apply("hunter2 on line 7, not '7'"), "*** on line 7, not '***'");
    }
}
