//! The ledger: every call that wrote, tried to write, or met a fault on demand, in the order the store saw them.
//!
//! This is also the format of a journal: one [`Entry`] as JSON a line, in UTF-8, ended by `\n`. Fields that do not
//! apply are left out. The first line, sequence 0, is the `open` that says what the store was generated from:
//!
//! ```json
//! {"sequence":0,"call":"open","generate":1000,"seed":7,"outcome":"applied"}
//! {"sequence":1,"tag":"…","call":"create","external_uid":"ada","attributes":{"mail":"ada@example.com"},
//!  "outcome":"applied","after":{"object_class":"account","external_uid":"ada","immutable_id":"…","version":1,
//!  "enabled":true,"attributes":{"mail":["ada@example.com"]}}}
//! {"sequence":2,"tag":"…","call":"update","external_uid":"ada","immutable_id":"…","attributes":{"mail":null},
//!  "outcome":"unknown_after","fault":"update:unknown_after:1;#0","after":{…}}
//! {"sequence":3,"tag":"…","call":"delete","external_uid":"ada","immutable_id":"…","outcome":"applied"}
//! ```
//!
//! (a line is broken here for the page only). `attributes` are the changes as asked for; `after` is the account as the
//! store held it from then on, there exactly when a create or update took effect. A line without `\n` was cut off by
//! the writer's death: the write did not happen, and the next writer removes it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use xavyo_core::{
    change::Changes,
    connector::{FailureKind, TargetFailure},
    value::Value,
};

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps, over all processes that share the store.
    pub sequence: u64,
    /// What the caller passed to be found here. Opaque.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    pub call: Call,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub external_uid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable_id: Option<String>,
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub attributes: Changes,
    pub outcome: Outcome,
    /// The fault on demand that was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Arc<Record>>,
    /// Of `open`: how many accounts were generated, from which seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Open,
    Read,
    /// Point reads: get, get many, find, check.
    Get,
    Create,
    Update,
    Delete,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Applied,
    AlreadyExists,
    NotFound,
    PreconditionFailed,
    /// From here on: faults on demand.
    Refused,
    BadCredentials,
    Busy,
    Down,
    /// The caller was told that the outcome is unknown; nothing was written.
    UnknownBefore,
    /// The caller was told that the outcome is unknown; it was written.
    UnknownAfter,
    /// A read ended early, and said so.
    Truncate,
    /// A read showed every second account only, and called itself complete: as a directory does that hides a subtree.
    Hidden,
}

/// An account as a store holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Empty for generated accounts: they belong to every class.
    pub object_class: String,
    pub external_uid: String,
    pub immutable_id: String,
    /// From 1; rises with every write.
    pub version: u64,
    pub enabled: bool,
    pub attributes: Held,
}

/// Attributes as a store holds them: one version of an account shares with the next what was not written.
pub type Held = BTreeMap<Arc<str>, Arc<[Value]>>;

impl Entry {
    pub(super) fn new(call: Call, outcome: Outcome) -> Self {
        Self {
            sequence: 0,
            tag: String::new(),
            call,
            external_uid: String::new(),
            immutable_id: None,
            attributes: Changes::new(),
            outcome,
            fault: None,
            after: None,
            generate: None,
            seed: None,
        }
    }

    /// The call changed what the store holds.
    pub fn took_effect(&self) -> bool {
        let wrote = matches!(self.call, Call::Create | Call::Update | Call::Delete);
        wrote && matches!(self.outcome, Outcome::Applied | Outcome::UnknownAfter)
    }
}

impl Call {
    const ALL: [Self; 6] = [Self::Open, Self::Read, Self::Get, Self::Create, Self::Update, Self::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.name() == name)
    }

    /// It can be made to fail.
    pub(super) fn is_faulty(self) -> bool {
        match self {
            Self::Open => false,
            Self::Read | Self::Get | Self::Create | Self::Update | Self::Delete => true,
        }
    }
}

impl Outcome {
    const ALL: [Self; 12] = [
        Self::Applied,
        Self::AlreadyExists,
        Self::NotFound,
        Self::PreconditionFailed,
        Self::Refused,
        Self::BadCredentials,
        Self::Busy,
        Self::Down,
        Self::UnknownBefore,
        Self::UnknownAfter,
        Self::Truncate,
        Self::Hidden,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AlreadyExists => "already_exists",
            Self::NotFound => "not_found",
            Self::PreconditionFailed => "precondition_failed",
            Self::Refused => "refused",
            Self::BadCredentials => "bad_credentials",
            Self::Busy => "busy",
            Self::Down => "down",
            Self::UnknownBefore => "unknown_before",
            Self::UnknownAfter => "unknown_after",
            Self::Truncate => "truncate",
            Self::Hidden => "hidden",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    pub(super) fn is_fault(self) -> bool {
        match self {
            Self::Applied | Self::AlreadyExists | Self::NotFound | Self::PreconditionFailed => false,
            Self::Refused
            | Self::BadCredentials
            | Self::Busy
            | Self::Down
            | Self::UnknownBefore
            | Self::UnknownAfter
            | Self::Truncate
            | Self::Hidden => true,
        }
    }

    /// What the caller is told. None = the call succeeded.
    pub(super) fn failure(self) -> Option<TargetFailure> {
        let (kind, code, message) = match self {
            Self::Applied | Self::Truncate | Self::Hidden => return None,
            Self::AlreadyExists => (FailureKind::AlreadyExists, "MEMORY_EXISTS", "the uid is taken"),
            Self::NotFound => (FailureKind::NotFound, "MEMORY_NOT_FOUND", "no such account"),
            Self::PreconditionFailed => {
                (FailureKind::PreconditionFailed, "MEMORY_VERSION", "the account has another version")
            }
            Self::Refused => (FailureKind::Refused, "MEMORY_REFUSED", "refused on demand"),
            Self::BadCredentials => {
                (FailureKind::BadCredentials, "MEMORY_CREDENTIALS", "credentials refused on demand")
            }
            Self::Busy => (FailureKind::Busy, "MEMORY_BUSY", "busy on demand"),
            Self::Down => (FailureKind::Down, "MEMORY_DOWN", "down on demand"),
            Self::UnknownBefore | Self::UnknownAfter => {
                (FailureKind::Unknown, "MEMORY_UNKNOWN", "outcome unknown on demand")
            }
        };
        Some(TargetFailure::new(kind, code, message))
    }
}
