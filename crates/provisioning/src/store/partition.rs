//! Partitions of the history, made ahead. The program owns no table: a function of the owner's makes them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
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
