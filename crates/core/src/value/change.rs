//! What an operation writes: for each target attribute a new whole value, a removal, or values to add and remove.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{account::AccountState, value::Value};

/// The reserved attribute by which an update enables or disables an account.
pub const ACCOUNT_STATE: &str = "account_state";

/// The change of one attribute. In JSON: a value or a list of values, `null`, or `{"add": […], "remove": […]}`.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The attribute holds exactly these values afterwards. Never empty: that is [`Change::Clear`].
    Set(Vec<Value>),
    Clear,
    /// Values that are already there, or already gone, are left as they are.
    Modify {
        add: Vec<Value>,
        remove: Vec<Value>,
    },
}

/// Changes by target attribute.
pub type Changes = BTreeMap<String, Change>;

/// The state that changes ask for by the reserved attribute, if they do.
pub fn wanted_state(changes: &Changes) -> Option<AccountState> {
    match changes.get(ACCOUNT_STATE) {
        Some(Change::Set(values)) => match values.as_slice() {
            [Value::Text(name)] => AccountState::named(name),
            _ => None,
        },
        Some(Change::Clear | Change::Modify { .. }) | None => None,
    }
}

/// Both, one after the other, as one: where they meet, the later has the last word.
pub fn joined(earlier: &Changes, later: &Changes) -> Changes {
    let mut both = earlier.clone();
    for (name, change) in later {
        let joined = match both.remove(name) {
            Some(before) => before.then(change),
            None => change.clone(),
        };
        both.insert(name.clone(), joined);
    }
    both
}

impl Change {
    fn then(self, later: &Self) -> Self {
        let Self::Modify { add, remove } = later else { return later.clone() };
        let without = |values: Vec<Value>, gone: &[Value]| -> Vec<Value> {
            values.into_iter().filter(|value| !gone.contains(value)).collect()
        };
        let and = |values: Vec<Value>, more: &[Value]| {
            let mut all = without(values, more);
            all.extend_from_slice(more);
            all
        };
        let whole = |values: Vec<Value>| match and(without(values, remove), add) {
            none if none.is_empty() => Self::Clear,
            values => Self::Set(values),
        };
        match self {
            Self::Set(values) => whole(values),
            Self::Clear => whole(Vec::new()),
            Self::Modify { add: added, remove: removed } => Self::Modify {
                add: and(without(added, remove), add),
                remove: and(without(removed, add), remove),
            },
        }
    }

    /// Every value that it names: those that are written, and those that are removed.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let (written, removed) = match self {
            Self::Set(values) => (values.as_slice(), [].as_slice()),
            Self::Clear => ([].as_slice(), [].as_slice()),
            Self::Modify { add, remove } => (add.as_slice(), remove.as_slice()),
        };
        written.iter().chain(removed)
    }

    /// The same with other values.
    pub fn try_map<E>(&self, change: impl FnMut(&Value) -> Result<Value, E>) -> Result<Self, E> {
        let mut change = change;
        let mut all = |values: &[Value]| values.iter().map(&mut change).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::Set(values) => Self::Set(all(values)?),
            Self::Clear => Self::Clear,
            Self::Modify { add, remove } => Self::Modify { add: all(add)?, remove: all(remove)? },
        })
    }

    /// Writing a whole value twice leaves what writing it once does; adding or removing need not.
    pub fn sets_whole_value(&self) -> bool {
        match self {
            Self::Set(_) | Self::Clear => true,
            Self::Modify { .. } => false,
        }
    }

    /// Reads the JSON form. The error says what was expected.
    pub fn from_json(json: serde_json::Value) -> Result<Self, String> {
        match json {
            serde_json::Value::Null => Ok(Self::Clear),
            serde_json::Value::Array(items) => match values(items)? {
                empty if empty.is_empty() => Ok(Self::Clear),
                values => Ok(Self::Set(values)),
            },
            serde_json::Value::Object(mut fields) if is_modify(&fields) => {
                let mut take = |name: &str| list(fields.remove(name));
                Ok(Self::Modify { add: take("add")?, remove: take("remove")? })
            }
            one => Ok(Self::Set(vec![Value::from_json(one)?])),
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(values) => match values.as_slice() {
                [one] => one.serialize(serializer),
                many => many.serialize(serializer),
            },
            Self::Clear => serializer.serialize_none(),
            Self::Modify { add, remove } => {
                BTreeMap::from([("add", add), ("remove", remove)]).serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(serde_json::Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn is_modify(fields: &serde_json::Map<String, serde_json::Value>) -> bool {
    !fields.is_empty() && fields.keys().all(|name| name == "add" || name == "remove")
}

fn list(json: Option<serde_json::Value>) -> Result<Vec<Value>, String> {
    match json {
        None | Some(serde_json::Value::Null) => Ok(Vec::new()),
        Some(serde_json::Value::Array(items)) => values(items),
        Some(one) => Ok(vec![Value::from_json(one)?]),
    }
}

fn values(items: Vec<serde_json::Value>) -> Result<Vec<Value>, String> {
    items.into_iter().map(Value::from_json).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_one_after_the_other_is_written_at_once() {
        let values = |text: &str| text.chars().map(|one| Value::from(one.to_string())).collect::<Vec<_>>();
        let set = |text: &str| Change::Set(values(text));
        let modify = |add: &str, remove: &str| Change::Modify { add: values(add), remove: values(remove) };
        for (earlier, later, both) in [
            (set("a"), set("b"), set("b")),
            (modify("a", "b"), set("c"), set("c")),
            (set("ab"), Change::Clear, Change::Clear),
            (set("ab"), modify("bc", "a"), set("bc")),
            (set("a"), modify("", "a"), Change::Clear),
            (Change::Clear, modify("a", "b"), set("a")),
            (modify("ab", "c"), modify("c", "ad"), modify("bc", "ad")),
        ] {
            let of = |change: &Change| Changes::from([("x".to_owned(), change.clone())]);
            assert_eq!(joined(&of(&earlier), &of(&later)), of(&both), "{earlier:?} then {later:?}");
        }
        let (mail, title) =
            (Changes::from([("m".into(), set("a"))]), Changes::from([("t".into(), set("b"))]));
        assert_eq!(joined(&mail, &title).len(), 2, "what does not meet stands side by side");
    }

    #[test]
    fn the_json_forms_are_a_value_null_and_add_remove() {
        for (json, change) in [
            (r#""x""#, Change::Set(vec![Value::from("x")])),
            (r#"["x","y"]"#, Change::Set(vec![Value::from("x"), Value::from("y")])),
            ("null", Change::Clear),
            (r#"{"add":["x"],"remove":[]}"#, Change::Modify { add: vec![Value::from("x")], remove: vec![] }),
        ] {
            assert_eq!(serde_json::from_str::<Change>(json).unwrap(), change);
            assert_eq!(serde_json::to_string(&change).unwrap(), json);
        }
    }
}
