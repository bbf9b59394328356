//! The calls of a connector over all processes: one row, locked by whoever leases a share of it.
//!
//! Shares are leases: everything here is by the database's clock.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error,
    error::Result,
    ids::WorkerId,
    pace::{self, Shares},
};
use xavyo_runtime::db;

use super::work::Pair;

/// The row as it was locked.
#[derive(Clone, Debug)]
pub struct Row {
    pub shares: Shares,
    pub now: DateTime<Utc>,
    /// When the ramp of the last outage began.
    pub ramp_started_at: Option<DateTime<Utc>>,
    /// The target is down, or being tried out: the ramp stands still.
    pub is_unwell: bool,
}

impl Row {
    /// Calls a second that the ramp allows; None = it is over.
    pub fn ramp(&self) -> Option<f64> {
        let since = if self.is_unwell { Some(self.now) } else { self.ramp_started_at };
        since.and_then(|since| pace::ramp(self.now - since))
    }
}

/// Locks the connector's row, made where there is none.
pub async fn lock(tx: &mut PgConnection, pair: Pair) -> Result<Row> {
    if let Some(row) = try_lock(tx, pair).await? {
        return Ok(row);
    }
    sqlx::query!(
        "insert into connector_pace (tenant_id, connector_id, shares) values ($1, $2, '{}') on conflict do nothing",
        pair.tenant.0,
        pair.connector.0,
    )
    .execute(&mut *tx)
    .await
    .map_err(db::failed)?;
    let made = try_lock(tx, pair).await?;
    made.ok_or_else(|| Error::internal(format!("connector {} has no pace", pair.connector)))
}

async fn try_lock(tx: &mut PgConnection, pair: Pair) -> Result<Option<Row>> {
    let row = sqlx::query!(
        r#"select pace.shares as "shares: Json<Shares>", clock_timestamp() as "now!", work.ramp_started_at,
                  work.breaker <> 'closed' as "is_unwell!"
             from connector_pace pace
             join connector_work work
               on work.tenant_id = pace.tenant_id and work.connector_id = pace.connector_id
            where pace.tenant_id = $1 and pace.connector_id = $2
              for no key update of pace"#,
        pair.tenant.0,
        pair.connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(row.map(|row| Row {
        shares: row.shares.0,
        now: row.now,
        ramp_started_at: row.ramp_started_at,
        is_unwell: row.is_unwell,
    }))
}

/// When the leases of processes end that are alive.
pub async fn alive(
    tx: &mut PgConnection,
    workers: impl IntoIterator<Item = WorkerId>,
) -> Result<HashMap<WorkerId, DateTime<Utc>>> {
    let ids: Vec<Uuid> = workers.into_iter().map(|worker| worker.0).collect();
    let rows = sqlx::query!(
        "select id, lease_until from worker where id = any($1) and lease_until > clock_timestamp()",
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (WorkerId(row.id), row.lease_until)).collect())
}

/// Writes a row that the caller has locked.
pub async fn save(tx: &mut PgConnection, pair: Pair, shares: &Shares) -> Result<()> {
    sqlx::query!(
        "update connector_pace set shares = $3 where tenant_id = $1 and connector_id = $2",
        pair.tenant.0,
        pair.connector.0,
        Json(shares) as _,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
