//! Pausing and cancelling a run: at once where nobody works on it, else by a word to the worker, who obeys within one
//! batch.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};
use xavyo_core::{
    error::Result,
    ids::{RunId, TenantId},
    run::{PauseReason, RunStatus},
};
use xavyo_runtime::{Caller, db::Transaction};

use super::{
    Runs,
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

/// PauseRun or CancelRun.
#[derive(Clone, Debug)]
pub struct StopRun {
    pub run_id: RunId,
    pub request: StopRequest,
    pub reason: Option<String>,
}

impl Runs {
    /// ILLEGAL_MOVE where it has ended, or is to be paused and is paused. What was done stays done.
    pub async fn stop(&self, caller: &Caller, command: StopRun) -> Result<RunRecord> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let mut record = run::lock(&mut tx, caller.tenant, command.run_id).await?;
        let request = command.request;
        // A run that has not begun pauses as soon as it has.
        let waits = record.run.status == RunStatus::Pending && request == StopRequest::Pause;
        let from = if waits { RunStatus::Running } else { record.run.status };
        let stopped = from.after(request.event())?;
        let now = self.clock.now();
        if waits || record.worker.is_some() {
            run::request_stop(&mut tx, caller.tenant, record.run.id, request, caller.subject, now).await?;
        } else {
            record.run.status = stopped;
            record.run.pause_reason = (stopped == RunStatus::Paused).then_some(PauseReason::User);
            record.run.completed_at = stopped.is_final().then_some(now);
            self.set_down(&mut tx, caller.tenant, &mut record).await?;
        }
        action::insert(&mut tx, caller.tenant, &self.stopped(caller, &record, &command)).await?;
        self.commit(tx).await?;
        self.obeyed_soon(caller.tenant, record.run.id, request).await
    }

    /// Nobody is to work on it.
    async fn set_down(&self, tx: &mut Transaction, tenant: TenantId, record: &mut RunRecord) -> Result<()> {
        run::save(tx, tenant, record, self.clock.now()).await?;
        run_work::delete(tx, Work { tenant, kind: WorkKind::Run, id: record.run.id.0 }).await
    }

    /// The run once it has obeyed, or as it is when the patience is over.
    async fn obeyed_soon(&self, tenant: TenantId, id: RunId, request: StopRequest) -> Result<RunRecord> {
        let mut changes = self.nudges.runs();
        let patience = Instant::now() + OBEDIENCE;
        loop {
            let mut tx = self.database.begin(tenant).await?;
            let record = run::get(&mut tx, tenant, id).await?;
            drop(tx);
            let status = record.run.status;
            let has_obeyed =
                status.is_final() || (request == StopRequest::Pause && status == RunStatus::Paused);
            if has_obeyed || Instant::now() >= patience {
                return Ok(record);
            }
            let look = patience.min(Instant::now() + LOOK_EVERY);
            // Either the time has come, or somebody says that a run has changed: both mean to look again.
            let _ = timeout_at(look, changes.changed()).await;
        }
    }

    fn stopped(&self, caller: &Caller, record: &RunRecord, command: &StopRun) -> Action {
        let action_type = match command.request {
            StopRequest::Pause => "run_paused",
            StopRequest::Cancel => "run_cancelled",
        };
        Action {
            id: self.clock.new_id(),
            connector_id: record.run.connector_id,
            run_id: Some(record.run.id),
            discrepancy_id: None,
            action_type,
            result: ActionResult::Success,
            dry_run: record.run.dry_run,
            performed_by: caller.subject,
            performed_at: self.clock.now(),
            details: Some(json!({ "phase": record.run.phase.name(), "reason": command.reason })),
            trace_id: Some(caller.trace_id.clone()),
        }
    }
}
