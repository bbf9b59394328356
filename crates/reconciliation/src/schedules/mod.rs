//! Schedules: storing them, and firing their slots.
//!
//! A slot fires exactly once over all replicas (R9): [`fire`] takes it by moving the schedule's `next_run_at` on under the
//! row's lock, in the transaction that starts the run. [`put`] and the switches here are what callers can ask for.
//!
//! Never here: when a slot is. That is [`xavyo_core::schedule`].

mod fire;
mod put;
#[cfg(test)]
mod tests;

use serde_json::json;
use uuid::Uuid;
use xavyo_core::{Error, Reason, error::Result, ids::ConnectorId, schedule::Schedule};
use xavyo_runtime::{Caller, Clock, Database, db};
use xavyo_wire::page::Page;

pub use put::PutSchedule;

use crate::{
    paging::Listed,
    provisioning::Provisioning,
    runs::Runs,
    store::{
        action::{self, Action, ActionResult},
        schedule::{self, ScheduleFilter},
    },
};

#[derive(Clone, Debug)]
pub struct Schedules {
    pub database: Database,
    pub clock: Clock,
    pub provisioning: Provisioning,
    /// Slots start runs as callers do.
    pub runs: Runs,
}

impl Schedules {
    pub async fn get(&self, caller: &Caller, connector: ConnectorId) -> Result<Schedule> {
        let mut tx = self.database.begin(caller.tenant).await?;
        schedule::find_of(&mut tx, caller.tenant, connector).await?.ok_or_else(no_schedule)
    }

    pub async fn list(
        &self,
        caller: &Caller,
        filter: &ScheduleFilter,
        page: &Page<Uuid>,
    ) -> Result<Listed<Schedule>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let listed = Listed::ids(&mut tx, caller.tenant, filter, page).await?;
        let schedules = schedule::find_all(&mut tx, caller.tenant, &listed.items).await?;
        Ok(listed.with(schedules))
    }

    /// Its runs, under way or ended, stay as they are.
    pub async fn delete(&self, caller: &Caller, connector: ConnectorId, etag: Option<i64>) -> Result<()> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let schedule = schedule::lock_of(&mut tx, caller.tenant, connector).await?.ok_or_else(no_schedule)?;
        check_etag(Some(&schedule), etag)?;
        schedule::delete(&mut tx, caller.tenant, schedule.id).await?;
        let deleted = self.action(caller, "schedule_deleted", &schedule);
        action::insert(&mut tx, caller.tenant, &deleted).await?;
        db::commit(tx).await
    }

    /// The next slot is counted from now. One that is enabled stays as it is.
    pub async fn enable(&self, caller: &Caller, connector: ConnectorId) -> Result<Schedule> {
        self.get(caller, connector).await?;
        let session = self.provisioning.session(caller.tenant, caller.subject, Some(&caller.trace_id));
        session.connector(connector).await?;
        self.switch(caller, connector, true).await
    }

    /// A run that is under way goes on.
    pub async fn disable(&self, caller: &Caller, connector: ConnectorId) -> Result<Schedule> {
        self.switch(caller, connector, false).await
    }

    async fn switch(&self, caller: &Caller, connector: ConnectorId, enabled: bool) -> Result<Schedule> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let mut schedule =
            schedule::lock_of(&mut tx, caller.tenant, connector).await?.ok_or_else(no_schedule)?;
        if schedule.enabled == enabled {
            return Ok(schedule);
        }
        let now = self.clock.now();
        schedule.enabled = enabled;
        schedule.next_run_at = schedule.next_slot(now);
        schedule.updated_at = now;
        schedule::save(&mut tx, caller.tenant, &mut schedule).await?;
        let switched = if enabled { "schedule_enabled" } else { "schedule_disabled" };
        let switched = self.action(caller, switched, &schedule);
        action::insert(&mut tx, caller.tenant, &switched).await?;
        db::commit(tx).await?;
        Ok(schedule)
    }

    /// The audit row of a change: what the schedule is after it.
    fn action(&self, caller: &Caller, action_type: &'static str, schedule: &Schedule) -> Action {
        let recurrence = schedule.recurrence.fields();
        Action {
            id: self.clock.new_id(),
            connector_id: schedule.connector_id,
            run_id: None,
            discrepancy_id: None,
            action_type,
            result: ActionResult::Success,
            dry_run: false,
            performed_by: caller.subject,
            performed_at: self.clock.now(),
            details: Some(json!({
                "schedule_id": schedule.id,
                "mode": schedule.mode.name(),
                "frequency": recurrence.frequency.name(),
                "minute_of_hour": recurrence.minute_of_hour,
                "hour_of_day": recurrence.hour_of_day,
                "day_of_week": recurrence.day_of_week,
                "day_of_month": recurrence.day_of_month,
                "cron_expression": recurrence.cron_expression,
                "time_zone": schedule.time_zone.name(),
                "full_every_days": schedule.full_every_days,
                "enabled": schedule.enabled,
                "next_run_at": schedule.next_run_at,
            })),
            trace_id: Some(caller.trace_id.clone()),
        }
    }
}

fn no_schedule() -> Error {
    Error::not_found("schedule")
}

/// None was given: whatever stands there is changed.
fn check_etag(schedule: Option<&Schedule>, etag: Option<i64>) -> Result<()> {
    match etag {
        Some(etag) if schedule.map(|schedule| schedule.version) != Some(etag) => {
            Err(Error::new(Reason::EtagMismatch, "the schedule has changed since it was read"))
        }
        Some(_) | None => Ok(()),
    }
}
