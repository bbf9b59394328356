//! Runs.

use xavyo_core::run::Run;

use crate::{numbers::Numbered, pb::reconciliation as pb, time};

pub fn to_pb(run: &Run) -> pb::ReconciliationRun {
    pb::ReconciliationRun {
        id: run.id.to_string(),
        connector_id: run.connector_id.to_string(),
        mode: run.mode.number(),
        dry_run: run.dry_run,
        status: run.status.number(),
        started_at: run.started_at.map(time::to_pb),
        completed_at: run.completed_at.map(time::to_pb),
        accounts_processed: run.accounts_processed,
        discrepancies_found: run.discrepancies_found,
        duration_seconds: run.duration_seconds(),
        created_by: run.created_by.to_string(),
        created_at: Some(time::to_pb(run.created_at)),
        requested_mode: run.requested_mode.number(),
        mode_note: run.mode_note.clone(),
        phase: run.phase.number(),
        pause_reason: run.pause_reason.map(Numbered::number),
        connector_revision: run.connector_revision,
        plan_digest: run.plan_digest.clone(),
        approved_by: run.approved_by.map(|id| id.to_string()),
        error_code: run.failure.as_ref().map(|failure| failure.code.clone()),
        error_message: run.failure.as_ref().map(|failure| failure.message.clone()),
        accept_count_at_least: run.accept_count_at_least,
        reason: run.reason.clone(),
        schedule_id: run.schedule_id.map(|id| id.to_string()),
        trace_id: run.trace_id.clone(),
        updated_at: Some(time::to_pb(run.updated_at)),
        etag: run.version.to_string(),
    }
}
