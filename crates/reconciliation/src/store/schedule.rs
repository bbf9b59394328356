//! Schedules: one a connector. Every write leaves the copy of the next slot in [`super::schedule_due`].

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use xavyo_core::{
    Error,
    error::Result,
    ids::{ConnectorId, RunId, ScheduleId, TenantId},
    run::ReconciliationMode,
    schedule::{self, Recurrence, Schedule, ScheduleFrequency},
};
use xavyo_runtime::db;

use super::{
    list::{self, Filter},
    parse,
    schedule_due::{self, Due},
};

/// What ListSchedules may be narrowed down by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    pub enabled: Option<bool>,
}

struct ScheduleRow {
    id: Uuid,
    connector_id: Uuid,
    connector_name: Option<String>,
    mode: String,
    frequency: String,
    minute_of_hour: i32,
    hour_of_day: i32,
    day_of_week: Option<i32>,
    day_of_month: Option<i32>,
    cron_expression: Option<String>,
    time_zone: String,
    full_every_days: i32,
    enabled: bool,
    last_run_at: Option<DateTime<Utc>>,
    last_run_id: Option<Uuid>,
    next_run_at: Option<DateTime<Utc>>,
    created_by: Uuid,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
}

impl Filter for ScheduleFilter {
    const TABLE: &'static str = "schedule";

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        list::equals(query, "enabled", self.enabled);
    }
}

/// False: the connector has one already.
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, schedule: &Schedule) -> Result<bool> {
    let fields = schedule.recurrence.fields();
    let inserted = sqlx::query!(
        "insert into schedule (tenant_id, id, connector_id, connector_name, mode, frequency, minute_of_hour, hour_of_day,
                               day_of_week, day_of_month, cron_expression, time_zone, full_every_days, enabled,
                               next_run_at, created_by, created_at, updated_at, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         on conflict (tenant_id, connector_id) do nothing",
        tenant.0,
        schedule.id.0,
        schedule.connector_id.0,
        schedule.connector_name,
        schedule.mode.name(),
        fields.frequency.name(),
        fields.minute_of_hour,
        fields.hour_of_day,
        fields.day_of_week,
        fields.day_of_month,
        fields.cron_expression,
        schedule.time_zone.name(),
        schedule.full_every_days,
        schedule.enabled,
        schedule.next_run_at,
        schedule.created_by.0,
        schedule.created_at,
        schedule.updated_at,
        schedule.version,
    );
    if inserted.execute(&mut *tx).await.map_err(db::failed)?.rows_affected() == 0 {
        return Ok(false);
    }
    schedule_due::put(tx, Due { tenant, schedule: schedule.id }, schedule.next_run_at).await?;
    Ok(true)
}

/// Saves one that [`lock`] or [`lock_of`] keeps; its version follows the row's.
pub async fn save(tx: &mut PgConnection, tenant: TenantId, schedule: &mut Schedule) -> Result<()> {
    let fields = schedule.recurrence.fields();
    let saved = sqlx::query_scalar!(
        "update schedule
            set connector_name = $3, mode = $4, frequency = $5, minute_of_hour = $6, hour_of_day = $7, day_of_week = $8,
                day_of_month = $9, cron_expression = $10, time_zone = $11, full_every_days = $12, enabled = $13,
                last_run_at = $14, last_run_id = $15, next_run_at = $16, updated_at = $17, version = version + 1
          where tenant_id = $1 and id = $2
         returning version",
        tenant.0,
        schedule.id.0,
        schedule.connector_name,
        schedule.mode.name(),
        fields.frequency.name(),
        fields.minute_of_hour,
        fields.hour_of_day,
        fields.day_of_week,
        fields.day_of_month,
        fields.cron_expression,
        schedule.time_zone.name(),
        schedule.full_every_days,
        schedule.enabled,
        schedule.last_run_at,
        schedule.last_run_id.map(|run| run.0),
        schedule.next_run_at,
        schedule.updated_at,
    );
    schedule.version = saved.fetch_one(&mut *tx).await.map_err(db::failed)?;
    schedule_due::put(tx, Due { tenant, schedule: schedule.id }, schedule.next_run_at).await
}

/// Removes one that [`lock_of`] keeps.
pub async fn delete(tx: &mut PgConnection, tenant: TenantId, id: ScheduleId) -> Result<()> {
    let deleted = sqlx::query!("delete from schedule where tenant_id = $1 and id = $2", tenant.0, id.0);
    deleted.execute(&mut *tx).await.map_err(db::failed)?;
    schedule_due::put(tx, Due { tenant, schedule: id }, None).await
}

/// Keeps others from moving it until the transaction ends.
pub async fn lock(tx: &mut PgConnection, tenant: TenantId, id: ScheduleId) -> Result<Option<Schedule>> {
    let locked = sqlx::query!(
        "select id
           from schedule
          where tenant_id = $1 and id = $2
            for no key update",
        tenant.0,
        id.0,
    );
    locked.fetch_optional(&mut *tx).await.map_err(db::failed)?;
    Ok(find_all(tx, tenant, &[id.0]).await?.pop())
}

/// The connector's, kept from others until the transaction ends.
pub async fn lock_of(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Option<Schedule>> {
    match id_of(tx, tenant, connector).await? {
        Some(id) => lock(tx, tenant, id).await,
        None => Ok(None),
    }
}

/// The connector's.
pub async fn find_of(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Option<Schedule>> {
    match id_of(tx, tenant, connector).await? {
        Some(id) => Ok(find_all(tx, tenant, &[id.0]).await?.pop()),
        None => Ok(None),
    }
}

async fn id_of(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Option<ScheduleId>> {
    let id = sqlx::query_scalar!(
        "select id from schedule where tenant_id = $1 and connector_id = $2",
        tenant.0,
        connector.0,
    );
    Ok(id.fetch_optional(tx).await.map_err(db::failed)?.map(ScheduleId))
}

/// Newest first, whatever the order of the ids.
pub async fn find_all(tx: &mut PgConnection, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<Schedule>> {
    let rows = sqlx::query_as!(
        ScheduleRow,
        "select id, connector_id, connector_name, mode, frequency, minute_of_hour, hour_of_day, day_of_week,
                day_of_month, cron_expression, time_zone, full_every_days, enabled, last_run_at, last_run_id,
                next_run_at, created_by, created_at, updated_at, version
           from schedule
          where tenant_id = $1 and id = any($2)
          order by id desc",
        tenant.0,
        ids,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    rows.into_iter().map(Schedule::try_from).collect()
}

impl TryFrom<ScheduleRow> for Schedule {
    type Error = Error;

    fn try_from(row: ScheduleRow) -> Result<Self, Error> {
        // What was checked when it was stored and is refused now was stored by a program with other rules.
        let refused = |error| Error::internal("a stored schedule makes no sense").caused_by(error);
        let recurrence = Recurrence::parse(&schedule::Fields {
            frequency: parse("schedule.frequency", &row.frequency, ScheduleFrequency::named)?,
            minute_of_hour: row.minute_of_hour,
            hour_of_day: row.hour_of_day,
            day_of_week: row.day_of_week,
            day_of_month: row.day_of_month,
            cron_expression: row.cron_expression,
        });
        Ok(Self {
            id: row.id.into(),
            connector_id: row.connector_id.into(),
            connector_name: row.connector_name,
            mode: parse("schedule.mode", &row.mode, ReconciliationMode::named)?,
            recurrence: recurrence.map_err(refused)?,
            time_zone: schedule::time_zone(&row.time_zone).map_err(refused)?,
            full_every_days: row.full_every_days,
            enabled: row.enabled,
            last_run_at: row.last_run_at,
            last_run_id: row.last_run_id.map(RunId),
            next_run_at: row.next_run_at,
            created_by: row.created_by.into(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        })
    }
}
