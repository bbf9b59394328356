//! Cancelling a run: at once where nobody works on it, else by a word to the worker, who obeys within one batch.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};
use xavyo_core::{
    error::Result,
    ids::{RunId, TenantId},
    run::Event,
};
use xavyo_runtime::Caller;

use super::{
    CancelRun, Runs,
    record::{RunRecord, StopRequest},
};
use crate::store::{
    action::{self, Action, ActionResult},
    run,
    run_work::{self, Work, WorkKind},
};

/// How long a caller waits for the worker to obey, before it is told how the run is meanwhile.
const OBEDIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Runs {
    /// ILLEGAL_MOVE where it has ended. What was done stays done.
    pub async fn cancel(&self, caller: &Caller, command: CancelRun) -> Result<RunRecord> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let mut record = run::lock(&mut tx, caller.tenant, command.run_id).await?;
        let cancelled = record.run.status.after(Event::Cancelled)?;
        let now = self.clock.now();
        if record.worker.is_some() {
            let (tenant, by) = (caller.tenant, caller.subject);
            run::request_stop(&mut tx, tenant, record.run.id, StopRequest::Cancel, by, now).await?;
        } else {
            record.run.status = cancelled;
            record.run.pause_reason = None;
            record.run.completed_at = Some(now);
            run::save(&mut tx, caller.tenant, &mut record, now).await?;
            let work = Work { tenant: caller.tenant, kind: WorkKind::Run, id: record.run.id.0 };
            run_work::delete(&mut tx, work).await?;
        }
        action::insert(&mut tx, caller.tenant, &self.cancelled(caller, &record, &command)).await?;
        self.commit(tx).await?;
        self.ended_soon(caller.tenant, record.run.id).await
    }

    /// The run once it has ended, or as it is when the patience is over.
    async fn ended_soon(&self, tenant: TenantId, id: RunId) -> Result<RunRecord> {
        let mut changes = self.nudges.runs();
        let patience = Instant::now() + OBEDIENCE;
        loop {
            let mut tx = self.database.begin(tenant).await?;
            let record = run::get(&mut tx, tenant, id).await?;
            drop(tx);
            if record.run.status.is_final() || Instant::now() >= patience {
                return Ok(record);
            }
            let look = patience.min(Instant::now() + LOOK_EVERY);
            // Either the time has come, or somebody says that a run has changed: both mean to look again.
            let _ = timeout_at(look, changes.changed()).await;
        }
    }

    fn cancelled(&self, caller: &Caller, record: &RunRecord, command: &CancelRun) -> Action {
        Action {
            id: self.clock.new_id(),
            connector_id: record.run.connector_id,
            run_id: Some(record.run.id),
            discrepancy_id: None,
            action_type: "run_cancelled",
            result: ActionResult::Success,
            dry_run: record.run.dry_run,
            performed_by: caller.subject,
            performed_at: self.clock.now(),
            details: Some(json!({ "phase": record.run.phase.name(), "reason": command.reason })),
            trace_id: Some(caller.trace_id.clone()),
        }
    }
}
