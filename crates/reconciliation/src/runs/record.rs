//! A run as this service keeps it: core's run, and what only lists, watches and the worker ask for.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use xavyo_core::{
    ids::{DiscrepancyId, WorkerId},
    report::{DiscrepancySummary, SetApart},
    run::{Event, Run},
};

#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    pub run: Run,
    /// Of a schedule's run: the slot that it stands for.
    pub slot_at: Option<DateTime<Utc>>,
    pub progress: Progress,
    /// One of each read that has ended.
    pub proofs: Vec<ReadProof>,
    /// Older open findings whose accounts this run could not judge: it leaves them open.
    pub spared: Vec<DiscrepancyId>,
    /// Findings that the approver left out of the plan.
    pub excluded: Vec<DiscrepancyId>,
    /// Of a plan that waits or waited for its approval: until when it might come.
    pub approval_expires_at: Option<DateTime<Utc>>,
    /// What somebody asked of a run that a worker holds.
    pub stop_request: Option<StopRequest>,
    /// Whose hands it is in.
    pub worker: Option<WorkerId>,
    /// The number of the claim: a save with an older one changes nothing.
    pub fence: i64,
}

/// How far a run is, beyond what the data model says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Rises with every save.
    pub sequence: i64,
    /// Those of the last complete run.
    pub accounts_expected: Option<i64>,
    /// When accounts began to flow: the run's rate counts from here.
    pub reading_started_at: Option<DateTime<Utc>>,
    pub found: DiscrepancySummary,
    pub set_apart: SetApart,
    /// Calls made on the target.
    pub calls_made: i64,
}

/// What a read of one side said of itself at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadProof {
    pub side: Side,
    pub object_class: String,
    pub intent: String,
    pub complete: bool,
    /// In words.
    pub evidence: String,
    pub count: i64,
    /// Of the expected side: identities with a linked account.
    #[serde(default)]
    pub links: i64,
    /// The side's own mark, taken before the read.
    pub watermark: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Expected,
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopRequest {
    Pause,
    Cancel,
}

impl RunRecord {
    /// Whether every read was provably complete; none until each side of at least one kind of account has ended.
    pub fn is_complete(&self) -> Option<bool> {
        let ended = |side| self.proofs.iter().any(|proof| proof.side == side);
        (ended(Side::Expected) && ended(Side::Target)).then(|| self.proofs.iter().all(|proof| proof.complete))
    }
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Target => "target",
        }
    }
}

impl StopRequest {
    /// The event that obeying it is.
    pub fn event(self) -> Event {
        match self {
            Self::Pause => Event::Paused,
            Self::Cancel => Event::Cancelled,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Pause, Self::Cancel].into_iter().find(|request| request.name() == name)
    }
}

/// A run as StartRun makes it, at the beginning of time.
#[cfg(test)]
pub(crate) fn example() -> RunRecord {
    use xavyo_core::{
        ids::{ConnectorId, RunId, SubjectId},
        run::{Phase, ReconciliationMode, RunStatus},
    };

    let id = uuid::Uuid::from_u128;
    RunRecord {
        run: Run {
            id: RunId(id(1)),
            connector_id: ConnectorId(id(2)),
            requested_mode: ReconciliationMode::Full,
            mode: ReconciliationMode::Full,
            mode_note: None,
            dry_run: false,
            accept_count_at_least: None,
            status: RunStatus::Pending,
            phase: Phase::Prepare,
            pause_reason: None,
            connector_revision: None,
            accounts_processed: 0,
            discrepancies_found: 0,
            plan_digest: None,
            approved_by: None,
            failure: None,
            schedule_id: None,
            created_by: SubjectId(id(3)),
            reason: None,
            trace_id: None,
            created_at: DateTime::UNIX_EPOCH,
            started_at: None,
            completed_at: None,
            updated_at: DateTime::UNIX_EPOCH,
            version: 1,
        },
        slot_at: None,
        progress: Progress::default(),
        proofs: Vec::new(),
        spared: Vec::new(),
        excluded: Vec::new(),
        approval_expires_at: None,
        stop_request: None,
        worker: None,
        fence: 0,
    }
}
