//! Ledgers: what targets wrote, as they themselves say. The judge believes them, not the product.
//!
//! Three kinds keep one: a memory store's journal ([`memory`]), a trigger in a SQL table ([`sql`]), the accesslog of
//! slapd ([`ldap`]). Each is read into the same [`Ledger`]: every write in the order in which the target made it, and
//! the accounts that it holds now.

pub mod ldap;
pub mod memory;
pub mod sql;

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An account's attributes as text, each attribute's values sorted. Whether it is enabled stands under
/// [`ACCOUNT_STATE`], where the target knows such a thing.
pub type Attributes = BTreeMap<String, Vec<String>>;

/// The attribute by which the product asks for a state.
pub const ACCOUNT_STATE: &str = "account_state";

/// All that one target has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The connector whose target it is.
    pub connector: Uuid,
    /// The target writes the tag of each write beside it. Where it cannot, writes are attributed by account and time.
    pub tagged: bool,
    /// In the target's own order.
    pub writes: Vec<Write>,
    /// What it holds now.
    pub accounts: Vec<Account>,
}

/// One write, or one that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Write {
    /// Rises with the target's own order.
    pub position: u64,
    pub tag: Option<Tag>,
    pub call: Call,
    pub external_uid: String,
    pub immutable_id: Option<String>,
    /// The account as the target held it from then on; none when it was deleted, or nothing was written.
    pub attributes: Option<Attributes>,
    /// The target's state changed.
    pub applied: bool,
    /// By the target's clock, where it notes the time.
    pub at: Option<DateTime<Utc>>,
}

/// Who wrote: what the product passes along with each write, `operation/attempt/fence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    pub operation: Uuid,
    pub attempt: i32,
    pub fence: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Create,
    Update,
    Delete,
}

/// An account as a target holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub external_uid: String,
    pub immutable_id: Option<String>,
    pub attributes: Attributes,
}

impl Call {
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl FromStr for Tag {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or(());
        let tag = Self {
            operation: next()?.parse().map_err(drop)?,
            attempt: next()?.parse().map_err(drop)?,
            fence: next()?.parse().map_err(drop)?,
        };
        if parts.next().is_some() { Err(()) } else { Ok(tag) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.operation, self.attempt, self.fence)
    }
}

/// The values that JSON holds, as sorted text: none for null.
pub fn texts(json: &serde_json::Value) -> Vec<String> {
    let mut texts: Vec<String> = match json {
        serde_json::Value::Null => Vec::new(),
        serde_json::Value::Array(items) => items.iter().flat_map(texts).collect(),
        serde_json::Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    };
    texts.sort();
    texts
}

/// How the product names a state.
fn state(enabled: bool) -> Vec<String> {
    vec![if enabled { "enabled" } else { "disabled" }.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_an_operation_an_attempt_and_a_fence() {
        let tag = Tag { operation: Uuid::from_u128(7), attempt: 2, fence: 9 };

        assert_eq!(tag.to_string().parse(), Ok(tag));
        for wrong in ["", "x/1/1", "00000000-0000-0000-0000-000000000007/1", &format!("{tag}/1")] {
            assert_eq!(wrong.parse::<Tag>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn values_are_compared_as_sorted_text() {
        assert_eq!(texts(&serde_json::json!(["b", "a", 7, true])), ["7", "a", "b", "true"]);
        assert_eq!(texts(&serde_json::json!("one")), ["one"]);
        assert!(texts(&serde_json::Value::Null).is_empty());
    }
}
