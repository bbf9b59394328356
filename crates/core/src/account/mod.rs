//! Accounts as targets show them.

pub mod link;
pub mod state;

use serde::{Deserialize, Serialize};

use crate::{names::names, value::Attributes};

/// An object in a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The name by which the target's users know it: a DN, a `userName`, a primary key. May change by a rename.
    pub external_uid: String,
    /// What the target never gives to another object: entryUUID, objectGUID, SCIM id. None where it has none.
    pub immutable_id: Option<String>,
    /// The target's own version of the object, for preconditions: ETag, entryCSN, row version.
    pub version: Option<String>,
    /// None where the target has no notion of a disabled account.
    pub enabled: Option<bool>,
    pub attributes: Attributes,
}

/// How an account is addressed: by the immutable id wherever it is known, else by its uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountKey {
    pub external_uid: String,
    pub immutable_id: Option<String>,
}

/// The state of an account that an identity calls for, or that a target shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    Enabled,
    Disabled,
    Absent,
}

names!(AccountState {
    Enabled "enabled",
    Disabled "disabled",
    Absent "absent",
});

impl Account {
    pub fn key(&self) -> AccountKey {
        AccountKey { external_uid: self.external_uid.clone(), immutable_id: self.immutable_id.clone() }
    }

    /// A target without a notion of disabled accounts shows every account as enabled.
    pub fn state(&self) -> AccountState {
        match self.enabled {
            Some(false) => AccountState::Disabled,
            Some(true) | None => AccountState::Enabled,
        }
    }
}
