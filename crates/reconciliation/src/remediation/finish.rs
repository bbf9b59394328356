//! Ending a remediation: its outcome, the audit row and the discrepancy's end in one transaction (R10).

use serde_json::json;
use xavyo_core::{Error, Reason, discrepancy::Event, error::Result, ids::TenantId};
use xavyo_runtime::db;

use super::{
    Remediations,
    begin::Intent,
    record::{Failure, Outcome, RemediationRecord},
};
use crate::{
    crash::{self, Point},
    store::{
        action::{self, Action, ActionResult},
        discrepancy::{self, Settlement},
        remediation,
        run_work::{self, Work, WorkKind},
    },
};

impl Remediations {
    /// Carries the intent out in the background: it goes on when the caller has gone. Answers what came of it; a refusal of
    /// the whole, before anything was done, as the error that it is.
    pub(super) fn spawn(&self, intent: Intent) -> tokio::task::JoinHandle<Result<RemediationRecord>> {
        let remediations = self.clone();
        self.tasks.spawn(async move {
            let stop = remediations.stop.clone();
            match stop.run_until_cancelled(remediations.carry_out(&intent)).await {
                Some(outcome) => outcome,
                None => {
                    Err(Error::new(Reason::ShuttingDown, "this process is stopping: another one carries on"))
                }
            }
        })
    }

    /// Executes and records. An interruption leaves the intent to whoever takes it next.
    pub(super) async fn carry_out(&self, intent: &Intent) -> Result<RemediationRecord> {
        let outcome = self.execute(intent).await;
        crash::point(Point::RemediationDone);
        match outcome {
            Err(error) if passes(&error) => {
                self.leave(intent.tenant, &intent.record).await?;
                Err(error)
            }
            Err(error) => {
                let outcome = Outcome { failure: Some(Failure::of(&error)), changes: None };
                let record = self.finish(intent.tenant, &intent.record, outcome).await?;
                if was_refused(&error) { Err(error) } else { Ok(record) }
            }
            Ok(outcome) => self.finish(intent.tenant, &intent.record, outcome).await,
        }
    }

    /// Records the outcome, under the fence.
    pub(super) async fn finish(
        &self,
        tenant: TenantId,
        record: &RemediationRecord,
        outcome: Outcome,
    ) -> Result<RemediationRecord> {
        let now = self.clock.now();
        let mut tx = self.database.begin(tenant).await?;
        remediation::finish(&mut tx, tenant, record, &outcome, now).await?;
        let mut record = remediation::get(&mut tx, tenant, record.id).await?;
        let (event, note, result) = match &outcome.failure {
            None => {
                let note = format!("remediated: {} {}", record.remedy.action, record.remedy.direction);
                (Some(Event::Remediated), note, ActionResult::Success)
            }
            Some(failure) if failure.reason == Reason::Superseded.name() => {
                (Some(Event::Superseded), failure.message.clone(), ActionResult::Failure)
            }
            Some(_) => (None, String::new(), ActionResult::Failure),
        };
        if let Some(event) = event {
            let settlement = Settlement { event, by: record.requested_by, note: &note, at: now };
            discrepancy::settle(&mut tx, tenant, record.discrepancy_id, settlement).await?;
        }
        record.outcome = Some(outcome);
        action::insert(&mut tx, tenant, &self.action(&record, result)).await?;
        run_work::delete(&mut tx, work(tenant, &record)).await?;
        crash::point(Point::RemediationWritten);
        db::commit(tx).await?;
        Ok(record)
    }

    /// Gives an unfinished one back, to be looked at again soon.
    pub(super) async fn leave(&self, tenant: TenantId, record: &RemediationRecord) -> Result<()> {
        let mut tx = self.database.begin(tenant).await?;
        let due_at = self.clock.now() + super::carry_on::LOOK_AGAIN;
        run_work::release(&mut tx, work(tenant, record), self.lease.worker, due_at).await?;
        db::commit(tx).await
    }

    /// What a caller is told whose deadline has come first, with its own audit row.
    pub(super) async fn still_under_way(&self, intent: &Intent) -> Result<RemediationRecord> {
        let mut tx = self.database.begin(intent.tenant).await?;
        let record = remediation::get(&mut tx, intent.tenant, intent.record.id).await?;
        if record.outcome.is_none() {
            action::insert(&mut tx, intent.tenant, &self.action(&record, ActionResult::UnderWay)).await?;
        }
        db::commit(tx).await?;
        Ok(record)
    }

    pub(super) fn action(&self, record: &RemediationRecord, result: ActionResult) -> Action {
        let outcome = record.outcome.as_ref();
        let failure = outcome.and_then(|outcome| outcome.failure.as_ref());
        Action {
            id: self.clock.new_id(),
            connector_id: record.connector_id,
            run_id: record.run_id,
            discrepancy_id: Some(record.discrepancy_id),
            action_type: record.remedy.action.name(),
            result,
            dry_run: record.dry_run,
            performed_by: record.requested_by,
            performed_at: self.clock.now(),
            details: Some(json!({
                "remediation_id": record.id,
                "direction": record.remedy.direction.name(),
                "identity_id": record.choice.identity_id,
                "external_uid": record.choice.external_uid,
                "reason": record.reason,
                "operation_id": record.operation_id,
                "changes": outcome.and_then(|outcome| outcome.changes.clone()),
                "error_reason": failure.map(|failure| failure.reason.clone()),
                "error": failure.map(|failure| failure.message.clone()),
            })),
            trace_id: record.trace_id.clone(),
        }
    }
}

pub(super) fn work(tenant: TenantId, record: &RemediationRecord) -> Work {
    Work { tenant, kind: WorkKind::Remediation, id: record.id }
}

/// Trying again later may go further; nothing is known to have failed.
pub(super) fn passes(error: &Error) -> bool {
    matches!(
        error.reason,
        Reason::PeerUnavailable
            | Reason::DatabaseUnavailable
            | Reason::DeadlineExceeded
            | Reason::Contended
            | Reason::ClaimLost
            | Reason::ShuttingDown
    )
}

/// The other service would not have any of it: nothing was done, and the caller is told so by a status.
fn was_refused(error: &Error) -> bool {
    matches!(
        error.reason,
        Reason::ModeForbids
            | Reason::ActionNotAllowed
            | Reason::ProtectedAccount
            | Reason::NoInverseMapping
            | Reason::ConnectorPaused
            | Reason::InvalidField
            | Reason::LimitExceeded
    )
}
