//! Runs: one reconciliation of one connector, and every move of its life.
//!
//! Begin with [`RunStatus::after`], the table of moves. What a run finds is in [`crate::classification`], what it
//! says at its end in [`crate::report`]. Leases and fences of the replica that works on a run are not part of it.

mod mode;

use chrono::{DateTime, TimeDelta, Utc};
pub use mode::{Basis, Hindrance, MAX_REVISITED, choose};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Reason},
    ids::{ConnectorId, RunId, ScheduleId, SubjectId},
    names::names,
};

/// How long a run that the guard paused waits for its approval before it is cancelled.
pub const APPROVAL_WINDOW: TimeDelta = TimeDelta::hours(72);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconciliationMode {
    /// Everything on both sides is compared.
    Full,
    /// What changed since the last completed run, and what has no link.
    Delta,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
    Paused,
}

/// What can happen to a run. Another replica's take-over is no event: the run stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A replica took it up.
    Started,
    Completed,
    /// A read was not provably complete, too many expressions failed, or the target refused.
    Failed,
    /// By a person, the guard or the connector: [`PauseReason`].
    Paused,
    /// ResumeRun; or the connector is back.
    Resumed,
    /// CancelRun; or no approval came within [`APPROVAL_WINDOW`].
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// PauseRun.
    User,
    /// The planned effects are above the connector's limits: the plan waits for its approval.
    Guard,
    /// The connector is paused or its target is down.
    Connector,
}

/// What a run is doing. The phases follow one another in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The connector's revision is fixed, the expected side loaded.
    Prepare,
    /// The target streams past the expected side.
    Read,
    /// Details are compared, absences confirmed, findings written.
    Compare,
    /// The plan is made and weighed.
    Guard,
    /// What the policies ask for is carried out.
    Remediate,
    Report,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub connector_id: ConnectorId,
    /// What was asked for.
    pub requested_mode: ReconciliationMode,
    /// What it became: a delta without a usable watermark is a full run.
    pub mode: ReconciliationMode,
    /// Why the mode is not the requested one.
    pub mode_note: Option<String>,
    /// Changes nothing outside the run's own rows.
    pub dry_run: bool,
    /// The least number of accounts that counts as a complete read, accepted by a person with a reason.
    pub accept_count_at_least: Option<i64>,
    pub status: RunStatus,
    pub phase: Phase,
    /// Present exactly while paused.
    pub pause_reason: Option<PauseReason>,
    /// The connector revision that it compares under; known once prepared.
    pub connector_revision: Option<i32>,
    pub accounts_processed: i64,
    pub discrepancies_found: i64,
    /// Digest (hex of 16 bytes) of the plan that the guard weighed: what an approval names.
    pub plan_digest: Option<String>,
    pub approved_by: Option<SubjectId>,
    /// Present exactly when failed.
    pub failure: Option<RunFailure>,
    /// The schedule whose slot it is; none = a caller asked for it.
    pub schedule_id: Option<ScheduleId>,
    pub created_by: SubjectId,
    pub reason: Option<String>,
    pub trace_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// Rises by one with every change of the row; the etag.
    pub version: i64,
}

/// Why a run failed: a stable code (`INCOMPLETE_READ`) and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    pub code: String,
    pub message: String,
}

/// What ResumeRun says to a run that the guard paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval<'a> {
    pub by: SubjectId,
    /// The plan that the approver saw.
    pub plan_digest: &'a str,
}

names!(ReconciliationMode {
    Full "full",
    Delta "delta",
});

names!(RunStatus {
    Pending "pending",
    Running "running",
    Completed "completed",
    Failed "failed",
    Cancelled "cancelled",
    Paused "paused",
});

names!(Event {
    Started "started",
    Completed "completed",
    Failed "failed",
    Paused "paused",
    Resumed "resumed",
    Cancelled "cancelled",
});

names!(PauseReason {
    User "user",
    Guard "guard",
    Connector "connector",
});

names!(Phase {
    Prepare "prepare",
    Read "read",
    Compare "compare",
    Guard "guard",
    Remediate "remediate",
    Report "report",
});

impl RunStatus {
    /// Nothing moves it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Pending | Self::Running | Self::Paused => false,
        }
    }

    /// It keeps a second run of its connector from starting (R5).
    pub fn is_active(self) -> bool {
        !self.is_final()
    }

    /// Every legal move is a row of this table; anything else is refused.
    pub fn after(self, event: Event) -> Result<Self, Error> {
        match (self, event) {
            (Self::Pending, Event::Started) | (Self::Paused, Event::Resumed) => Ok(Self::Running),
            (Self::Running, Event::Completed) => Ok(Self::Completed),
            (Self::Running, Event::Failed) => Ok(Self::Failed),
            (Self::Running, Event::Paused) => Ok(Self::Paused),
            (Self::Pending | Self::Running | Self::Paused, Event::Cancelled) => Ok(Self::Cancelled),
            (from, event) => Err(Error::illegal_move("run", from, event)),
        }
    }
}

impl Phase {
    /// The phase after this one; none after the last.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Prepare => Some(Self::Read),
            Self::Read => Some(Self::Compare),
            Self::Compare => Some(Self::Guard),
            Self::Guard => Some(Self::Remediate),
            Self::Remediate => Some(Self::Report),
            Self::Report => None,
        }
    }
}

impl Run {
    /// From start to end; none before the end, or where it was cancelled before it started.
    pub fn duration(&self) -> Option<TimeDelta> {
        Some(self.completed_at? - self.started_at?)
    }

    /// The data model's `duration_seconds`.
    pub fn duration_seconds(&self) -> Option<f64> {
        self.duration().map(TimeDelta::as_seconds_f64)
    }

    /// Resuming a run that the guard paused needs an approval of exactly the plan that waits, of another person than
    /// the starter where `four_eyes` asks for it. Other pauses need none.
    pub fn check_resume(&self, approval: Option<Approval<'_>>, four_eyes: bool) -> Result<(), Error> {
        self.status.after(Event::Resumed)?;
        if self.pause_reason != Some(PauseReason::Guard) {
            return Ok(());
        }
        let refused = |message: &str| {
            let digest = self.plan_digest.clone().unwrap_or_default();
            Err(Error::new(Reason::ApprovalRequired, message).with("plan_digest", digest))
        };
        match approval {
            None => refused("the guard paused the run: resume it with an approval of its plan"),
            Some(approval) if self.plan_digest.as_deref() != Some(approval.plan_digest) => {
                refused("the approval names another plan than the one that waits")
            }
            Some(approval) if four_eyes && approval.by == self.created_by => {
                refused("the plan must be approved by another person than the one who started the run")
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn the_moves_of_a_run_are_exactly_those_documented() {
        let drawn = [
            (RunStatus::Pending, RunStatus::Running),
            (RunStatus::Running, RunStatus::Completed),
            (RunStatus::Running, RunStatus::Failed),
            (RunStatus::Running, RunStatus::Cancelled),
            (RunStatus::Running, RunStatus::Paused),
            (RunStatus::Paused, RunStatus::Running),
        ];
        let printed = tables::of_moves(&RunStatus::ALL, &Event::ALL, RunStatus::after, &drawn);
        tables::compare(&printed, include_str!("../../tables/run.md"));
    }

    #[test]
    fn final_states_take_no_event() {
        for status in RunStatus::ALL.into_iter().filter(|status| status.is_final()) {
            assert!(Event::ALL.into_iter().all(|event| status.after(event).is_err()), "{status}");
        }
    }

    #[test]
    fn the_phases_follow_one_another_to_the_last() {
        let walked: Vec<Phase> = std::iter::successors(Some(Phase::Prepare), |phase| phase.next()).collect();
        assert_eq!(walked, Phase::ALL);
    }
}
