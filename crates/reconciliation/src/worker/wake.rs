//! Runs that sleep and are looked at by themselves: one whose connector may be back, and one whose approval did not come
//! in time.

use serde_json::json;
use xavyo_core::{
    Reason,
    error::Result,
    ids::{RunId, SubjectId},
    run::{Event, PauseReason, RunStatus},
};
use xavyo_runtime::db;

use super::{Engine, let_go::patience};
use crate::{
    provisioning::Session,
    runs::record::RunRecord,
    store::{
        action::{self, Action, ActionResult},
        run,
        run_work::{self, Work},
    },
};

impl Engine {
    /// Whether the run is awake: it never slept, or its connector is back. Any other sleeper is left, or ended.
    pub(super) async fn wake(&self, work: Work) -> Result<bool> {
        let mut tx = self.database.begin(work.tenant).await?;
        let record = run::get(&mut tx, work.tenant, RunId(work.id)).await?;
        if record.run.status != RunStatus::Paused {
            return Ok(true);
        }
        if !run_work::claim(&mut tx, work, self.lease.worker).await? {
            return Ok(false);
        }
        db::commit(tx).await?;
        match record.run.pause_reason {
            Some(PauseReason::Connector) => self.wake_with_connector(work, &record).await,
            Some(PauseReason::Guard) => self.expire(work, &record).await.map(|()| false),
            // Resumed by a person alone.
            Some(PauseReason::User) | None => self.forget(work).await.map(|()| false),
        }
    }

    async fn wake_with_connector(&self, work: Work, record: &RunRecord) -> Result<bool> {
        let run = &record.run;
        let session = self.provisioning.session(work.tenant, run.created_by, run.trace_id.as_deref());
        let is_back = self.is_back(&session, record).await;
        let now = self.clock.now();
        let mut tx = self.database.begin(work.tenant).await?;
        if is_back {
            run::lock(&mut tx, work.tenant, run.id).await?;
            run::resume(&mut tx, work.tenant, run.id, now).await?;
        } else {
            let due_at = now + patience(now - run.started_at.unwrap_or(now));
            run_work::release(&mut tx, work, self.lease.worker, due_at).await?;
        }
        db::commit(tx).await?;
        self.nudges.run_changed();
        Ok(is_back)
    }

    /// A connector that is gone is back as well: the run then fails and says why.
    async fn is_back(&self, session: &Session, record: &RunRecord) -> bool {
        let connector = record.run.connector_id;
        match session.connector(connector).await {
            Ok(view) => !view.is_paused && session.is_reachable(connector).await.unwrap_or(false),
            Err(error) => error.reason == Reason::NotFound,
        }
    }

    /// Cancels a run whose plan nobody has approved in time.
    async fn expire(&self, work: Work, seen: &RunRecord) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.database.begin(work.tenant).await?;
        let mut record = run::lock(&mut tx, work.tenant, seen.run.id).await?;
        let still_waits = record.run.pause_reason == Some(PauseReason::Guard);
        match record.approval_expires_at.filter(|expires_at| *expires_at > now) {
            _ if !still_waits => {}
            Some(expires_at) => run_work::release(&mut tx, work, self.lease.worker, expires_at).await?,
            None => {
                record.run.status = record.run.status.after(Event::Cancelled)?;
                record.run.pause_reason = None;
                record.run.completed_at = Some(now);
                run::save(&mut tx, work.tenant, &mut record, now).await?;
                run_work::delete(&mut tx, work).await?;
                action::insert(&mut tx, work.tenant, &self.expired(&record)).await?;
            }
        }
        db::commit(tx).await?;
        self.nudges.run_changed();
        Ok(())
    }

    async fn forget(&self, work: Work) -> Result<()> {
        let mut tx = self.database.begin(work.tenant).await?;
        run_work::delete(&mut tx, work).await?;
        db::commit(tx).await
    }

    fn expired(&self, record: &RunRecord) -> Action {
        Action {
            id: self.clock.new_id(),
            connector_id: record.run.connector_id,
            run_id: Some(record.run.id),
            discrepancy_id: None,
            action_type: "run_cancelled",
            result: ActionResult::Success,
            dry_run: record.run.dry_run,
            performed_by: SubjectId::POLICY,
            performed_at: self.clock.now(),
            details: Some(json!({
                "phase": record.run.phase.name(),
                "plan_digest": record.run.plan_digest,
                "reason": "no approval of the plan came in time",
            })),
            trace_id: record.run.trace_id.clone(),
        }
    }
}
