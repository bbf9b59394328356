//! Firing: what is due is claimed, its connector looked up, and the slot taken.
//!
//! Three short steps: [`schedule_due::claim`] keeps other replicas away for a while; the connector is asked for without a
//! transaction; then the slot is taken under the schedule's lock, together with the run that it starts. Only the last step
//! decides: a replica that comes late, after its claim has run out, finds the slot taken.

use std::time::Duration;

use chrono::TimeDelta;
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::time;
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    Reason,
    error::Result,
    ids::{RunId, SubjectId},
    schedule::{self as core, Schedule},
};
use xavyo_runtime::{
    Caller,
    db::{self, Transaction},
    lifecycle::with_sources,
};

use super::Schedules;
use crate::{
    provisioning::connector::ConnectorView,
    runs::{Slot, StartRun},
    store::{
        action::{self, Action, ActionResult},
        run, schedule,
        schedule_due::{self, Due},
    },
};

/// Schedules claimed at once: with more due, the rest are other replicas', or wait for the next look.
const CLAIMED: i64 = 100;
/// Connectors looked up at once.
const AT_ONCE: usize = 8;
/// How long a claim lasts: a slot that could not be taken is tried again then.
pub(super) const CLAIM: TimeDelta = TimeDelta::seconds(30);

/// What became of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Started(RunId),
    /// Its time came and nothing was started; why, in words.
    Skipped(String),
    /// The connector is gone: its schedule is disabled.
    Disabled,
    /// Nothing is due any more: another replica took it, or somebody changed the schedule.
    Nothing,
}

impl Schedules {
    /// Fires what is due, look after look, until told to stop. Replicas that look in step would all claim at once.
    pub async fn run(self, look_every: Duration, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            if let Err(error) = self.step().await {
                tracing::warn!(error = with_sources(&error), "looking for due schedules failed");
            }
            let pause = look_every.mul_f64(rand::random_range(0.5..1.0));
            stop.run_until_cancelled(time::sleep(pause)).await;
        }
        Ok(())
    }

    /// Fires a batch of what is due now. Returns how many were claimed.
    pub async fn step(&self) -> Result<usize> {
        let claimed = self.claim().await?;
        let count = claimed.len();
        let fire = |due: Due| async move {
            let Due { tenant, schedule } = due;
            match self.fire(due).await {
                Ok(outcome) => tracing::info!(%tenant, %schedule, ?outcome, "a slot's time had come"),
                Err(error) => {
                    tracing::warn!(%tenant, %schedule, error = with_sources(&error), "a slot waits to be taken");
                }
            }
        };
        stream::iter(claimed).for_each_concurrent(AT_ONCE, fire).await;
        Ok(count)
    }

    pub(super) async fn claim(&self) -> Result<Vec<Due>> {
        let now = self.clock.now();
        let mut tx = self.database.begin_system().await?;
        let claimed = schedule_due::claim(&mut tx, now, now + CLAIM, CLAIMED).await?;
        db::commit(tx).await?;
        Ok(claimed)
    }

    async fn fire(&self, due: Due) -> Result<Outcome> {
        let actor = self.actor(due);
        let mut tx = self.database.begin(due.tenant).await?;
        let schedule = schedule::find_all(&mut tx, due.tenant, &[due.schedule.0]).await?.pop();
        drop(tx);
        let Some(schedule) = schedule else { return Ok(Outcome::Nothing) };
        let session = self.provisioning.session(due.tenant, actor.subject, Some(&actor.trace_id));
        let connector = match session.connector(schedule.connector_id).await {
            Err(error) if error.reason == Reason::NotFound => None,
            found => Some(found?),
        };
        self.take(&actor, due, connector.as_ref()).await
    }

    /// Takes the slot, if it is still there, and starts its run; none = the connector is gone.
    pub(super) async fn take(
        &self,
        actor: &Caller,
        due: Due,
        connector: Option<&ConnectorView>,
    ) -> Result<Outcome> {
        let mut tx = self.database.begin(due.tenant).await?;
        let Some(mut schedule) = schedule::lock(&mut tx, due.tenant, due.schedule).await? else {
            return Ok(Outcome::Nothing);
        };
        let now = self.clock.now();
        let Some(slot) = schedule.due(now) else {
            schedule_due::put(&mut tx, due, schedule.next_run_at).await?;
            db::commit(tx).await?;
            return Ok(Outcome::Nothing);
        };
        let outcome = match connector {
            None => Outcome::Disabled,
            Some(connector) => self.begin_run(&mut tx, actor, &schedule, slot, connector).await?,
        };
        if let Outcome::Started(run) = outcome {
            schedule.last_run_at = Some(now);
            schedule.last_run_id = Some(run);
        }
        if let Some(action) = self.aside(actor, &schedule, slot, &outcome) {
            action::insert(&mut tx, due.tenant, &action).await?;
        }
        schedule.enabled = outcome != Outcome::Disabled;
        schedule.next_run_at = slot.next.filter(|_| schedule.enabled);
        schedule.connector_name = connector.map(|it| it.name.clone()).or(schedule.connector_name);
        schedule.updated_at = now;
        schedule::save(&mut tx, due.tenant, &mut schedule).await?;
        self.runs.commit(tx).await?;
        Ok(outcome)
    }

    /// Starts the slot's run, or says why there is none.
    async fn begin_run(
        &self,
        tx: &mut Transaction,
        actor: &Caller,
        schedule: &Schedule,
        slot: core::Due,
        connector: &ConnectorView,
    ) -> Result<Outcome> {
        if connector.is_paused {
            return Ok(Outcome::Skipped("the connector is paused".to_owned()));
        }
        // Somebody whose clock is ahead may have fired it before the schedule was stored anew.
        if run::is_taken(tx, actor.tenant, schedule.id, slot.slot).await? {
            return Ok(Outcome::Skipped("the slot has had its run".to_owned()));
        }
        let command = StartRun {
            connector_id: schedule.connector_id,
            mode: schedule.mode,
            dry_run: false,
            accept_count_at_least: None,
            reason: None,
            slot: Some(Slot {
                schedule_id: schedule.id,
                at: slot.slot,
                full_every_days: schedule.full_every_days,
            }),
            request_id: None,
        };
        match self.runs.begin(tx, actor, &command, connector).await {
            Ok(record) => Ok(Outcome::Started(record.run.id)),
            Err(error) if error.reason == Reason::RunActive => Ok(Outcome::Skipped(error.message)),
            Err(error) => Err(error),
        }
    }

    /// The audit row of a slot without a run; a run writes its own.
    fn aside(
        &self,
        actor: &Caller,
        schedule: &Schedule,
        slot: core::Due,
        outcome: &Outcome,
    ) -> Option<Action> {
        let (action_type, result, why) = match outcome {
            Outcome::Started(_) | Outcome::Nothing => return None,
            Outcome::Skipped(why) => ("run_started", ActionResult::Skipped, why.as_str()),
            Outcome::Disabled => ("schedule_disabled", ActionResult::Success, "the connector is gone"),
        };
        let details = json!({
            "schedule_id": schedule.id,
            "slot_at": slot.slot,
            "missed": slot.was_missed,
            "reason": why,
        });
        let action = self.action(actor, action_type, schedule);
        Some(Action { result, details: Some(details), ..action })
    }

    /// In whose name slots fire.
    pub(super) fn actor(&self, due: Due) -> Caller {
        Caller {
            tenant: due.tenant,
            subject: SubjectId::SCHEDULE,
            roles: Vec::new(),
            trace_id: self.clock.new_id().simple().to_string(),
        }
    }
}
