//! Schedules: when a connector is reconciled by itself.
//!
//! Begin with [`Recurrence`] for what can be said, [`Recurrence::next_after`] for when that is, and [`Schedule::due`] for
//! what happens when the time has come. Each slot fires exactly once, over all replicas (R9): whoever moves
//! `next_run_at` on, under the row's version, has it.

mod recurrence;
mod slot;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
pub use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use recurrence::{Cron, Fields, Recurrence};

use crate::{
    error::Error,
    ids::{ConnectorId, RunId, ScheduleId, SubjectId},
    names::names,
    run::ReconciliationMode,
};

/// A delta schedule runs full when the last full run is this old, unless it says otherwise.
pub const DEFAULT_FULL_EVERY_DAYS: i32 = 7;
pub const MAX_FULL_EVERY_DAYS: i32 = 365;

/// A slot that is taken later than this was missed: nobody was up.
const MISSED_AFTER: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleFrequency {
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Cron,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub id: ScheduleId,
    pub connector_id: ConnectorId,
    pub connector_name: Option<String>,
    pub mode: ReconciliationMode,
    pub recurrence: Recurrence,
    pub time_zone: Tz,
    pub full_every_days: i32,
    pub enabled: bool,
    pub last_run_at: Option<DateTime<Utc>>,
    pub last_run_id: Option<RunId>,
    /// The next slot; none while disabled.
    pub next_run_at: Option<DateTime<Utc>>,
    pub created_by: SubjectId,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Rises by one with every change of the row; the etag.
    pub version: i64,
}

/// A slot whose time has come. However many were missed, one run makes up for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub slot: DateTime<Utc>,
    /// Nobody took it in time: the log says so.
    pub was_missed: bool,
    /// The slot after now; none where the expression has no further one.
    pub next: Option<DateTime<Utc>>,
}

names!(ScheduleFrequency {
    Hourly "hourly",
    Daily "daily",
    Weekly "weekly",
    Monthly "monthly",
    Cron "cron",
});

impl Schedule {
    /// The slot that is to be taken now, if there is one.
    pub fn due(&self, now: DateTime<Utc>) -> Option<Due> {
        let slot = self.next_run_at.filter(|slot| self.enabled && *slot <= now)?;
        Some(Due {
            slot,
            was_missed: now - slot > MISSED_AFTER,
            next: self.recurrence.next_after(now, self.time_zone),
        })
    }

    /// What `next_run_at` becomes when the schedule is stored, enabled or disabled.
    pub fn next_slot(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.enabled { self.recurrence.next_after(now, self.time_zone) } else { None }
    }
}

/// Reads an IANA name; an empty one is UTC.
pub fn time_zone(name: &str) -> Result<Tz, Error> {
    if name.is_empty() {
        return Ok(Tz::UTC);
    }
    name.parse().map_err(|_| Error::invalid("time_zone", "an IANA time zone, like Europe/Berlin"))
}
