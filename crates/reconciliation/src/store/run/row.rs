//! The row of a run, parsed into the domain once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;
use xavyo_core::{
    Error,
    digest::Digest,
    discrepancy::DiscrepancyType,
    ids::{DiscrepancyId, ScheduleId, SubjectId, WorkerId},
    report::{DiscrepancySummary, SetApart},
    run::{PauseReason, Phase, ReconciliationMode, Run, RunFailure, RunStatus},
};

use crate::{
    runs::record::{Progress, ReadProof, RunRecord, StopRequest},
    store::parse,
};

pub(super) struct RunRow {
    pub id: Uuid,
    pub connector_id: Uuid,
    pub connector_revision: Option<i32>,
    pub mode: String,
    pub requested_mode: String,
    pub mode_note: Option<String>,
    pub dry_run: bool,
    pub status: String,
    pub phase: String,
    pub pause_reason: Option<String>,
    pub failure_reason: Option<String>,
    pub failure_message: Option<String>,
    pub stop_request: Option<String>,
    pub worker_id: Option<Uuid>,
    pub fence: i64,
    pub accept_count_at_least: Option<i64>,
    pub progress_sequence: i64,
    pub accounts_processed: i64,
    pub accounts_expected: Option<i64>,
    pub reading_started_at: Option<DateTime<Utc>>,
    pub missing_found: i64,
    pub orphan_found: i64,
    pub mismatch_found: i64,
    pub collision_found: i64,
    pub unlinked_found: i64,
    pub deleted_found: i64,
    pub in_flight: i64,
    pub protected: i64,
    pub unevaluable: i64,
    pub suppressed: i64,
    pub ignored: i64,
    pub renamed: i64,
    pub calls_made: i64,
    pub proofs: Json<Vec<ReadProof>>,
    pub spared_discrepancy_ids: Vec<Uuid>,
    pub plan_digest: Option<Vec<u8>>,
    pub approved_by: Option<Uuid>,
    pub excluded_discrepancy_ids: Vec<Uuid>,
    pub approval_expires_at: Option<DateTime<Utc>>,
    pub schedule_id: Option<Uuid>,
    pub slot_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub trace_id: Option<String>,
    pub created_by: Uuid,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    pub version: i64,
}

impl RunRow {
    fn found(&self) -> DiscrepancySummary {
        DiscrepancyType::ALL.into_iter().map(|kind| (kind, self.found_of(kind))).collect()
    }

    fn found_of(&self, kind: DiscrepancyType) -> i64 {
        match kind {
            DiscrepancyType::Missing => self.missing_found,
            DiscrepancyType::Orphan => self.orphan_found,
            DiscrepancyType::Mismatch => self.mismatch_found,
            DiscrepancyType::Collision => self.collision_found,
            DiscrepancyType::Unlinked => self.unlinked_found,
            DiscrepancyType::Deleted => self.deleted_found,
        }
    }

    fn set_apart(&self) -> SetApart {
        SetApart {
            protected: self.protected,
            in_flight: self.in_flight,
            unevaluable: self.unevaluable,
            suppressed: self.suppressed,
            ignored: self.ignored,
            renamed: self.renamed,
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            sequence: self.progress_sequence,
            accounts_expected: self.accounts_expected,
            reading_started_at: self.reading_started_at,
            found: self.found(),
            set_apart: self.set_apart(),
            calls_made: self.calls_made,
        }
    }

    fn run(self, discrepancies_found: i64) -> Result<Run, Error> {
        let failure = self.failure_reason.zip(self.failure_message);
        Ok(Run {
            id: self.id.into(),
            connector_id: self.connector_id.into(),
            requested_mode: parse("run.requested_mode", &self.requested_mode, ReconciliationMode::named)?,
            mode: parse("run.mode", &self.mode, ReconciliationMode::named)?,
            mode_note: self.mode_note,
            dry_run: self.dry_run,
            accept_count_at_least: self.accept_count_at_least,
            status: parse("run.status", &self.status, RunStatus::named)?,
            phase: parse("run.phase", &self.phase, Phase::named)?,
            pause_reason: self
                .pause_reason
                .map(|reason| parse("run.pause_reason", &reason, PauseReason::named))
                .transpose()?,
            connector_revision: self.connector_revision,
            accounts_processed: self.accounts_processed,
            discrepancies_found,
            plan_digest: self.plan_digest.map(digest).transpose()?.map(|digest| digest.to_string()),
            approved_by: self.approved_by.map(SubjectId),
            failure: failure.map(|(code, message)| RunFailure { code, message }),
            schedule_id: self.schedule_id.map(ScheduleId),
            created_by: self.created_by.into(),
            reason: self.reason,
            trace_id: self.trace_id,
            created_at: self.created_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            updated_at: self.updated_at,
            version: self.version,
        })
    }
}

impl TryFrom<RunRow> for RunRecord {
    type Error = Error;

    fn try_from(mut row: RunRow) -> Result<Self, Error> {
        let progress = row.progress();
        let stop_request = row.stop_request.as_deref();
        Ok(Self {
            proofs: std::mem::take(&mut row.proofs.0),
            spared: std::mem::take(&mut row.spared_discrepancy_ids).into_iter().map(DiscrepancyId).collect(),
            excluded: std::mem::take(&mut row.excluded_discrepancy_ids)
                .into_iter()
                .map(DiscrepancyId)
                .collect(),
            approval_expires_at: row.approval_expires_at,
            stop_request: stop_request
                .map(|name| parse("run.stop_request", name, StopRequest::named))
                .transpose()?,
            worker: row.worker_id.map(WorkerId),
            fence: row.fence,
            slot_at: row.slot_at,
            run: row.run(progress.found.total)?,
            progress,
        })
    }
}

fn digest(bytes: Vec<u8>) -> Result<Digest, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::internal("run.plan_digest is not 16 bytes long"))?;
    Ok(Digest(bytes))
}

/// The counts of a summary in the order of the columns.
pub(super) fn counts(found: &BTreeMap<DiscrepancyType, i64>) -> [i64; 6] {
    DiscrepancyType::ALL.map(|kind| found.get(&kind).copied().unwrap_or_default())
}
