//! Letting a run go: handed to whoever takes it next, put to sleep, or ended.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use xavyo_core::{
    Error,
    error::Result,
    guard::Excess,
    ids::SubjectId,
    run::{Event, PauseReason, RunFailure},
};
use xavyo_runtime::db;

use super::conduct::{Halt, Hand, PATIENCE};
use crate::{
    runs::record::StopRequest,
    store::{
        action::{self, Action, ActionResult},
        run, run_work,
    },
};

/// How soon, and how late, a connector that made a run pause is looked at again.
const LOOK_AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::minutes(1));

/// Why a run sleeps, and when it is looked at by itself.
struct Sleep {
    reason: PauseReason,
    until: Option<DateTime<Utc>>,
    /// For the audit log; of a person's pause the call has written it.
    details: Option<Json>,
}

impl Hand<'_> {
    pub(super) async fn let_go(&mut self, halt: Halt) -> Result<()> {
        let run = self.record.run.id;
        match halt {
            Halt::Lost => tracing::info!(%run, "the run is in other hands"),
            Halt::Leaving => self.hand_back(Duration::ZERO).await?,
            Halt::Interrupted(error) => {
                self.hand_back(PATIENCE[0]).await?;
                return Err(error);
            }
            Halt::Stopped(StopRequest::Cancel) => self.end(Event::Cancelled, None).await?,
            Halt::Stopped(StopRequest::Pause) => {
                self.sleep(Sleep { reason: PauseReason::User, until: None, details: None }).await?;
            }
            Halt::Connector(error) => {
                tracing::info!(%run, %error, "the run waits for its connector");
                self.sleep(self.until_the_connector_is_back(&error)).await?;
            }
            Halt::Guard(excess) => {
                tracing::info!(%run, ?excess, "the run waits for an approval of its plan");
                self.sleep(self.until_approved(excess)).await?;
            }
            Halt::Failed(error) => {
                tracing::warn!(%run, %error, source = ?std::error::Error::source(&error), "the run has failed");
                self.end(Event::Failed, Some(error)).await?;
            }
        }
        Ok(())
    }

    /// The longer the run has lasted, the more a look costs: the expected side may have to be read anew.
    fn until_the_connector_is_back(&self, error: &Error) -> Sleep {
        let now = self.engine.clock.now();
        Sleep {
            reason: PauseReason::Connector,
            until: Some(now + patience(now - self.record.run.started_at.unwrap_or(now))),
            details: Some(json!({ "error_code": error.reason.name(), "error": error.message })),
        }
    }

    fn until_approved(&self, excess: Excess) -> Sleep {
        Sleep {
            reason: PauseReason::Guard,
            until: self.record.approval_expires_at,
            details: Some(json!({
                "plan_digest": self.record.run.plan_digest,
                "effect": excess.effect.name(),
                "planned": excess.planned,
                "in_window": excess.in_window,
                "limit": excess.limit,
            })),
        }
    }

    /// Leaves the run to whoever takes it next.
    async fn hand_back(&self, after: Duration) -> Result<()> {
        let mut tx = self.begin().await?;
        let due_at = self.engine.clock.now() + after;
        run_work::release(&mut tx, self.work, self.engine.lease.worker, due_at).await?;
        db::commit(tx).await
    }

    /// Out of the worker's hands until somebody resumes it, or until its time comes.
    async fn sleep(&mut self, sleep: Sleep) -> Result<()> {
        let now = self.engine.clock.now();
        let run = &mut self.record.run;
        run.status = run.status.after(Event::Paused)?;
        run.pause_reason = Some(sleep.reason);
        self.record.worker = None;
        let mut tx = self.begin().await?;
        run::save(&mut tx, self.tenant(), &mut self.record, now).await?;
        match sleep.until {
            Some(due_at) => {
                run_work::release(&mut tx, self.work, self.engine.lease.worker, due_at).await?;
            }
            None => run_work::delete(&mut tx, self.work).await?,
        }
        if let Some(details) = sleep.details {
            action::insert(&mut tx, self.tenant(), &self.paused(sleep.reason, details)).await?;
        }
        db::commit(tx).await?;
        self.engine.nudges.run_changed();
        Ok(())
    }

    /// Out of the worker's hands for good.
    async fn end(&mut self, event: Event, failure: Option<Error>) -> Result<()> {
        let now = self.engine.clock.now();
        let run = &mut self.record.run;
        run.status = run.status.after(event)?;
        run.completed_at = Some(now);
        run.failure =
            failure.map(|error| RunFailure { code: error.reason.name().to_owned(), message: error.message });
        self.record.worker = None;
        let mut tx = self.begin().await?;
        run::save(&mut tx, self.tenant(), &mut self.record, now).await?;
        run_work::delete(&mut tx, self.work).await?;
        db::commit(tx).await?;
        self.engine.nudges.run_changed();
        Ok(())
    }

    fn paused(&self, reason: PauseReason, mut details: Json) -> Action {
        let run = &self.record.run;
        details["phase"] = json!(run.phase.name());
        details["pause_reason"] = json!(reason.name());
        Action {
            id: self.engine.clock.new_id(),
            connector_id: run.connector_id,
            run_id: Some(run.id),
            discrepancy_id: None,
            action_type: "run_paused",
            result: ActionResult::Success,
            dry_run: run.dry_run,
            performed_by: SubjectId::POLICY,
            performed_at: self.engine.clock.now(),
            details: Some(details),
            trace_id: run.trace_id.clone(),
        }
    }
}

/// A tenth of the time that the run has lasted.
pub(super) fn patience(lasted: TimeDelta) -> TimeDelta {
    let (soonest, latest) = LOOK_AGAIN;
    (lasted / 10).clamp(soonest, latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_tried_again_less_often_but_every_minute() {
        assert_eq!(patience(TimeDelta::zero()), TimeDelta::seconds(1));
        assert_eq!(patience(TimeDelta::minutes(2)), TimeDelta::seconds(12));
        assert_eq!(patience(TimeDelta::days(3)), TimeDelta::minutes(1));
    }
}
