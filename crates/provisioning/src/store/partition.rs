//! Partitions of the history, made ahead, and dropped when nobody needs them. The program owns no table: functions of the
//! owner's do it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::error::Result;
use xavyo_runtime::db;

/// Makes the weekly partitions of the time given. Returns how many were missing.
pub async fn ensure(
    connection: &mut PgConnection,
    since: DateTime<Utc>,
    through: DateTime<Utc>,
) -> Result<i32> {
    let made = sqlx::query_scalar!("select ensure_partitions($1, $2)", since, through)
        .fetch_one(connection)
        .await
        .map_err(db::failed)?;
    Ok(made.unwrap_or(0))
}

/// Drops the weeks of history that ended before `before`, unless an operation that is not final, `oldest` being the
/// oldest of all tenants, was created in them or before. Returns how many. CONTENDED where others use them just now.
pub async fn drop_old(connection: &mut PgConnection, before: DateTime<Utc>, oldest: Uuid) -> Result<i32> {
    let dropped = sqlx::query_scalar!("select drop_history($1, $2)", before, oldest)
        .fetch_one(connection)
        .await
        .map_err(db::failed)?;
    Ok(dropped.unwrap_or(0))
}
