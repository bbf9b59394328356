//! Storing a schedule: created, or replaced whole.

use xavyo_core::{
    error::Result,
    ids::{ConnectorId, ScheduleId},
    run::ReconciliationMode,
    schedule::{Recurrence, Schedule, Tz},
};
use xavyo_runtime::{Caller, db};

use super::{Schedules, check_etag};
use crate::store::{action, schedule};

/// PutSchedule.
#[derive(Clone, Debug)]
pub struct PutSchedule {
    pub connector_id: ConnectorId,
    pub mode: ReconciliationMode,
    pub recurrence: Recurrence,
    pub time_zone: Tz,
    pub enabled: bool,
    pub full_every_days: i32,
    pub etag: Option<i64>,
}

impl Schedules {
    /// Refuses a connector that does not exist, and an expression that never fires. A replacement that leaves the times as
    /// they were leaves the next slot, too.
    pub async fn put(&self, caller: &Caller, command: PutSchedule) -> Result<Schedule> {
        command.recurrence.check_fires(self.clock.now(), command.time_zone)?;
        let session = self.provisioning.session(caller.tenant, caller.subject, Some(&caller.trace_id));
        let connector = session.connector(command.connector_id).await?;

        let mut tx = self.database.begin(caller.tenant).await?;
        let mut existing = schedule::lock_of(&mut tx, caller.tenant, command.connector_id).await?;
        let wanted = self.wanted(caller, &command, connector.name);
        if existing.is_none() {
            check_etag(None, command.etag)?;
            if !schedule::insert(&mut tx, caller.tenant, &wanted).await? {
                // Somebody else stored one meanwhile: this one replaces it.
                existing = schedule::lock_of(&mut tx, caller.tenant, command.connector_id).await?;
            }
        }
        let stored = match existing {
            None => wanted,
            Some(existing) => {
                check_etag(Some(&existing), command.etag)?;
                let mut replaced = replaced(&existing, wanted);
                schedule::save(&mut tx, caller.tenant, &mut replaced).await?;
                replaced
            }
        };
        action::insert(&mut tx, caller.tenant, &self.action(caller, "schedule_put", &stored)).await?;
        db::commit(tx).await?;
        Ok(stored)
    }

    /// The schedule as a new one.
    fn wanted(&self, caller: &Caller, command: &PutSchedule, connector_name: String) -> Schedule {
        let now = self.clock.now();
        let schedule = Schedule {
            id: ScheduleId(self.clock.new_id()),
            connector_id: command.connector_id,
            connector_name: Some(connector_name),
            mode: command.mode,
            recurrence: command.recurrence.clone(),
            time_zone: command.time_zone,
            full_every_days: command.full_every_days,
            enabled: command.enabled,
            last_run_at: None,
            last_run_id: None,
            next_run_at: None,
            created_by: caller.subject,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        Schedule { next_run_at: schedule.next_slot(now), ..schedule }
    }
}

fn replaced(existing: &Schedule, wanted: Schedule) -> Schedule {
    let times = |schedule: &Schedule| (schedule.recurrence.clone(), schedule.time_zone, schedule.enabled);
    let next_run_at =
        if times(existing) == times(&wanted) { existing.next_run_at } else { wanted.next_run_at };
    Schedule {
        id: existing.id,
        last_run_at: existing.last_run_at,
        last_run_id: existing.last_run_id,
        next_run_at,
        created_by: existing.created_by,
        created_at: existing.created_at,
        ..wanted
    }
}
