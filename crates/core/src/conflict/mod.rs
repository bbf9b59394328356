//! Conflicts: two live operations, or an operation and the target, that contradict each other.
//!
//! Begin with [`ConflictStatus::after`] for their life, [`Clash::default_outcome`] for what is done about them, and
//! [`detect`] for when they arise. Automatic operations never conflict among themselves: they follow the identity.

mod detect;
mod external;
mod outcome;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use detect::{Detected, Party, detect};
pub use external::{External, external};
pub use outcome::{Clash, ConflictRule, allowed};

use crate::{
    error::Error,
    ids::{ConflictId, ConnectorId, OperationId, SubjectId},
    names::names,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictType {
    /// The same attribute, different values.
    ConcurrentUpdate,
    /// A create behind a live create.
    DuplicateCreate,
    /// An update then a delete, or a delete then an update.
    DeleteUpdate,
    /// The target changed since it was last seen.
    ExternalChange,
    /// An update of an account that is gone.
    MissingTarget,
    /// A create met a foreign account.
    AccountExists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictStatus {
    Pending,
    Resolved,
}

/// What is done to operation A, the older, and B, the newer; or to ours and what the target shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictOutcome {
    /// Both stand, B after A; with the target: ours is written.
    Applied,
    /// A is cancelled for B; with the target: ours is given up.
    Superseded,
    /// A is folded into B, whose values win; with the target: ours is written beside the foreign change.
    Merged,
    /// B is cancelled; with the target: ours is given up for good.
    Rejected,
}

/// What can happen to a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// By policy or by ResolveConflict, with an outcome that was really done to the operations.
    Resolved,
    /// One of its operations ended otherwise: it resolves itself, with a note and without an outcome.
    Moot,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    pub id: ConflictId,
    pub connector_id: ConnectorId,
    pub operation_id_a: OperationId,
    /// The same as A where the conflict is with the target.
    pub operation_id_b: OperationId,
    pub conflict_type: ConflictType,
    pub affected_attributes: Vec<String>,
    pub status: ConflictStatus,
    pub outcome: Option<ConflictOutcome>,
    pub notes: Option<String>,
    pub created_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolved_by: Option<SubjectId>,
    /// Rises by one with every change of the row; the etag.
    pub version: i64,
}

names!(ConflictType {
    ConcurrentUpdate "concurrent_update",
    DuplicateCreate "duplicate_create",
    DeleteUpdate "delete_update",
    ExternalChange "external_change",
    MissingTarget "missing_target",
    AccountExists "account_exists",
});

names!(ConflictStatus {
    Pending "pending",
    Resolved "resolved",
});

names!(ConflictOutcome {
    Applied "applied",
    Superseded "superseded",
    Merged "merged",
    Rejected "rejected",
});

names!(Event {
    Resolved "resolved",
    Moot "moot",
});

impl ConflictStatus {
    /// Every legal move is a row of this table; anything else is refused.
    pub fn after(self, event: Event) -> Result<Self, Error> {
        match (self, event) {
            (Self::Pending, Event::Resolved | Event::Moot) => Ok(Self::Resolved),
            (from, event) => Err(Error::illegal_move("conflict", from, event)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn the_moves_of_a_conflict_are_exactly_those_documented() {
        let drawn = [(ConflictStatus::Pending, ConflictStatus::Resolved)];
        let printed = tables::of_moves(&ConflictStatus::ALL, &Event::ALL, ConflictStatus::after, &drawn);
        tables::compare(&printed, include_str!("../../tables/conflict.md"));
    }
}
