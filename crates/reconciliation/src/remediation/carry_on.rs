//! Carrying on what another process, or a caller that has gone, has left: by the worker, one look at a time.

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    Error, Reason,
    discrepancy::Discrepancy,
    error::Result,
    remediation::{RemediationAction, RemediationDirection},
};
use xavyo_runtime::db;

use super::{
    Remediate, Remediations,
    begin::Intent,
    execute::ended,
    finish::passes,
    record::{Failure, Outcome, RemediationRecord},
};
use crate::{
    provisioning::{Session, operation::OperationView},
    store::{
        discrepancy, remediation,
        run_work::{self, Work},
    },
};

/// How long an operation that has not ended is left alone.
pub(super) const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(5);

impl Remediations {
    /// Takes the remediation under a new fence and brings it one step further: to its end, where that has come.
    pub async fn carry_on(&self, work: Work, stop: &CancellationToken) -> Result<()> {
        let Some((record, found)) = self.take(work).await? else { return Ok(()) };
        let session = self.provisioning.session(work.tenant, record.requested_by, record.trace_id.as_deref());
        let step = Box::pin(self.step(work, &session, &record, &found));
        let carried = stop.run_until_cancelled(step).await;
        match carried {
            Some(Ok(())) => Ok(()),
            None => self.leave(work.tenant, &record).await,
            Some(Err(error)) => {
                self.leave(work.tenant, &record).await?;
                Err(error)
            }
        }
    }

    /// None: somebody else has it, or it has finished.
    async fn take(&self, work: Work) -> Result<Option<(RemediationRecord, Discrepancy)>> {
        let mut tx = self.database.begin(work.tenant).await?;
        if !run_work::claim(&mut tx, work, self.lease.worker).await? {
            return Ok(None);
        }
        if !remediation::claim(&mut tx, work.tenant, work.id).await? {
            run_work::delete(&mut tx, work).await?;
            db::commit(tx).await?;
            return Ok(None);
        }
        let record = remediation::get(&mut tx, work.tenant, work.id).await?;
        let found = discrepancy::get(&mut tx, work.tenant, record.discrepancy_id).await?;
        db::commit(tx).await?;
        Ok(Some((record, found.discrepancy)))
    }

    async fn step(
        &self,
        work: Work,
        session: &Session,
        record: &RemediationRecord,
        found: &Discrepancy,
    ) -> Result<()> {
        match self.operation_of(session, record).await? {
            Some(operation) if operation.has_ended() => {
                let failure = ended(&operation).err().map(|error| Failure::of(&error));
                self.finish(work.tenant, record, Outcome { failure, changes: None }).await?;
                Ok(())
            }
            Some(_) => self.leave(work.tenant, record).await,
            None => self.repeat(work, session, record, found).await,
        }
    }

    /// The operation that an earlier attempt has asked for, noted or not.
    async fn operation_of(
        &self,
        session: &Session,
        record: &RemediationRecord,
    ) -> Result<Option<OperationView>> {
        match record.operation_id {
            Some(id) => session.operation(id).await.map(Some),
            None => session.operation_caused_by(record.id).await,
        }
    }

    /// Plans anew out of the present and does it: what was done before is answered again under its request id. That there
    /// is nothing left to do means that it was done.
    async fn repeat(
        &self,
        work: Work,
        session: &Session,
        record: &RemediationRecord,
        found: &Discrepancy,
    ) -> Result<()> {
        let command = command_of(record);
        match self.planned(session, None, work.tenant, found, record.remedy, &command).await {
            Ok(planned) => {
                let intent = Intent {
                    tenant: work.tenant,
                    record: record.clone(),
                    planned,
                    session: session.clone(),
                    held: None,
                };
                self.carry_out(&intent)
                    .await
                    .map(|_| ())
                    .or_else(|error| if passes(&error) { Err(error) } else { Ok(()) })
            }
            Err(error) if passes(&error) => Err(error),
            Err(error) => {
                let failure = (!shows_as_done(record, &error)).then(|| Failure::of(&error));
                self.finish(work.tenant, record, Outcome { failure, changes: None }).await?;
                Ok(())
            }
        }
    }
}

/// A remedy that needs no operation leaves no other trace than that the finding no longer holds.
fn shows_as_done(record: &RemediationRecord, error: &Error) -> bool {
    let needs_no_operation = match record.remedy.action {
        RemediationAction::Link | RemediationAction::Unlink | RemediationAction::InactivateIdentity => true,
        RemediationAction::Create | RemediationAction::Update => {
            record.remedy.direction == RemediationDirection::TargetToXavyo
        }
        RemediationAction::Delete => false,
    };
    error.reason == Reason::Superseded && needs_no_operation
}

/// What was asked for.
fn command_of(record: &RemediationRecord) -> Remediate {
    Remediate {
        discrepancy_id: record.discrepancy_id,
        action: record.remedy.action,
        direction: Some(record.remedy.direction),
        choice: record.choice.clone(),
        reason: record.reason.clone(),
        dry_run: false,
        run_id: record.run_id,
        request_id: None,
    }
}
