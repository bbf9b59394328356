//! Operations: one create, update or delete to be executed on a target, and every move of its life.
//!
//! Begin with [`OperationStatus::after`]: the table of moves. A worker makes the moves of what it has claimed, an RPC
//! those of what nobody has claimed; both ask this table first.

pub mod arrival;
pub mod effect;
pub mod lane;
pub mod leave;
pub mod retry;
#[cfg(test)]
pub(crate) mod samples;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    account::AccountState,
    cause::Cause,
    change::{self, Changes},
    conflict::ConflictOutcome,
    error::Error,
    ids::{ConflictId, ConnectorId, IdentityId, LaneId, OperationId, SubjectId},
    names::names,
};

/// Tries after the first, when neither the operation nor the connector says otherwise.
pub const DEFAULT_MAX_RETRIES: i32 = 10;
pub const MAX_RETRIES_LIMIT: i32 = 20;
pub const DEFAULT_PRIORITY: i32 = 50;
pub const MAX_PRIORITY: i32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationType {
    Create,
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    Pending,
    InProgress,
    Completed,
    Failed,
    DeadLetter,
    AwaitingSystem,
    Resolved,
    Cancelled,
}

/// What can happen to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its lane was claimed up to it.
    Claimed,
    Succeeded,
    /// The attempt failed. With retries left it waits for the next one; else it is given up in the same commit.
    Failed,
    /// The retry time has come.
    Due,
    /// A permanent error, retries exhausted, or the third crash.
    GaveUp,
    /// The target is down: no retry is used, however long it takes.
    TargetDown,
    /// The target answered a probe again.
    TargetBack,
    /// The target contradicts the operation: it goes back, held by the conflict.
    ConflictFound,
    /// The worker died or was cut off: the outcome is unknown until it is read back.
    LeaseLost,
    /// What the operation was premised on no longer holds.
    PremiseGone,
    /// RetryOperation.
    Retried,
    /// ResolveOperation, with notes.
    ResolvedByPerson,
    /// CancelOperation; or superseded, folded, merged or rejected by another operation.
    Cancelled,
}

/// Why an operation that could run is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// The connector's guard over destructive or mass effects.
    Guard,
    /// A conflict that a person decides.
    Conflict,
}

/// The premise under which an operation may write. Checked by a live read, under the fence, just before each write.
/// It covers only the attributes that the operation writes. Absent parts are not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precondition {
    /// The account still has this immutable id.
    pub immutable_id: Option<String>,
    /// The account is (not) linked to the operation's identity.
    pub linked: Option<bool>,
    /// The identity is (not) active.
    pub identity_active: Option<bool>,
    /// Digest (hex of 16 bytes) of the attributes that the operation writes, as the target showed them.
    pub attributes_digest: Option<String>,
}

/// The error that the last attempt met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub id: OperationId,
    pub connector_id: ConnectorId,
    pub connector_name: String,
    /// The connector revision under which it was accepted.
    pub connector_revision: i32,
    /// The identity (`user_id` on the wire). Absent only for an account without owner.
    pub identity_id: Option<IdentityId>,
    pub operation_type: OperationType,
    pub object_class: String,
    pub intent: String,
    pub target_uid: Option<String>,
    pub status: OperationStatus,
    pub priority: i32,
    pub retry_count: i32,
    pub max_retries: i32,
    pub failure: Option<Failure>,
    /// Empty with an identity = computed from the identity when claimed.
    pub payload: Changes,
    pub precondition: Option<Precondition>,
    pub lane_id: LaneId,
    /// The place in the lane: operations of a lane run in this order, always.
    pub sequence: i64,
    pub not_before: Option<DateTime<Utc>>,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub blocked_by: Option<OperationId>,
    pub conflict_id: Option<ConflictId>,
    /// How the conflict with the target that it met was decided: the next attempt obeys.
    pub decided: Option<ConflictOutcome>,
    pub hold_reason: Option<HoldReason>,
    pub crash_count: i32,
    /// Attempts made so far.
    pub attempts: i32,
    /// An attempt ended without its outcome being known: the account is read before anything is written again.
    pub outcome_unknown: bool,
    pub merged_into: Option<OperationId>,
    /// A later delete took over; a dead letter so marked cannot be retried.
    pub overtaken: bool,
    /// When its first attempt began.
    pub first_claimed_at: Option<DateTime<Utc>>,
    pub cause: Cause,
    pub request_id: Option<Uuid>,
    pub resolution_notes: Option<String>,
    pub resolved_by: Option<SubjectId>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    /// Rises by one with every change of the row; the etag.
    pub version: i64,
}

names!(OperationType {
    Create "create",
    Update "update",
    Delete "delete",
});

names!(OperationStatus {
    Pending "pending",
    InProgress "in_progress",
    Completed "completed",
    Failed "failed",
    DeadLetter "dead_letter",
    AwaitingSystem "awaiting_system",
    Resolved "resolved",
    Cancelled "cancelled",
});

names!(Event {
    Claimed "claimed",
    Succeeded "succeeded",
    Failed "failed",
    Due "due",
    GaveUp "gave_up",
    TargetDown "target_down",
    TargetBack "target_back",
    ConflictFound "conflict_found",
    LeaseLost "lease_lost",
    PremiseGone "premise_gone",
    Retried "retried",
    ResolvedByPerson "resolved_by_person",
    Cancelled "cancelled",
});

names!(HoldReason {
    Guard "guard",
    Conflict "conflict",
});

impl Operation {
    /// The state that an update asks for: enable or disable. None = it leaves the state alone.
    pub fn wanted_state(&self) -> Option<AccountState> {
        change::wanted_state(&self.payload)
    }
}

impl OperationStatus {
    /// Nothing moves it any more; it stands in the history.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Resolved | Self::Cancelled => true,
            Self::Pending | Self::InProgress | Self::Failed | Self::DeadLetter | Self::AwaitingSystem => {
                false
            }
        }
    }

    /// It will still act by itself. A dead letter waits for a person.
    pub fn is_live(self) -> bool {
        match self {
            Self::Pending | Self::InProgress | Self::Failed | Self::AwaitingSystem => true,
            Self::Completed | Self::DeadLetter | Self::Resolved | Self::Cancelled => false,
        }
    }

    /// Every legal move is a row of this table; anything else is refused.
    #[expect(clippy::match_same_arms, reason = "one row a kind of move reads as the table it is")]
    pub fn after(self, event: Event) -> Result<Self, Error> {
        match (self, event) {
            (Self::Pending, Event::Claimed) => Ok(Self::InProgress),
            (Self::InProgress, Event::Succeeded) => Ok(Self::Completed),
            (Self::InProgress, Event::Failed) => Ok(Self::Failed),
            (Self::Failed, Event::Due | Event::Retried) => Ok(Self::Pending),
            // In the commit of the failure itself: nobody sees a failed operation that is given up.
            (Self::Failed, Event::GaveUp) => Ok(Self::DeadLetter),
            (Self::InProgress, Event::TargetDown) => Ok(Self::AwaitingSystem),
            (Self::AwaitingSystem, Event::TargetBack) => Ok(Self::Pending),
            (Self::InProgress, Event::ConflictFound | Event::LeaseLost) => Ok(Self::Pending),
            (Self::Pending | Self::InProgress, Event::PremiseGone) => Ok(Self::Cancelled),
            (Self::DeadLetter, Event::Retried) => Ok(Self::Pending),
            (Self::DeadLetter, Event::ResolvedByPerson) => Ok(Self::Resolved),
            (Self::Pending | Self::Failed | Self::AwaitingSystem, Event::Cancelled) => Ok(Self::Cancelled),
            (from, event) => Err(Error::illegal_move("operation", from, event)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn the_moves_of_an_operation_are_exactly_those_documented() {
        let drawn = [
            (OperationStatus::Pending, OperationStatus::InProgress),
            (OperationStatus::InProgress, OperationStatus::Completed),
            (OperationStatus::InProgress, OperationStatus::Failed),
            (OperationStatus::Failed, OperationStatus::Pending),
            (OperationStatus::Failed, OperationStatus::DeadLetter),
            (OperationStatus::DeadLetter, OperationStatus::Pending),
            (OperationStatus::DeadLetter, OperationStatus::Resolved),
            (OperationStatus::Pending, OperationStatus::Cancelled),
        ];
        let printed = tables::of_moves(&OperationStatus::ALL, &Event::ALL, OperationStatus::after, &drawn);
        tables::compare(&printed, include_str!("../../tables/operation.md"));
    }

    #[test]
    fn final_states_take_no_event() {
        for status in OperationStatus::ALL.into_iter().filter(|status| status.is_final()) {
            assert!(Event::ALL.into_iter().all(|event| status.after(event).is_err()), "{status}");
        }
    }
}
