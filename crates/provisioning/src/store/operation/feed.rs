//! The feed of WatchOperations: the log in the order (transaction, id), served only below the oldest running
//! transaction. Ids alone are not the order of commits; with this bound no later commit can come in between. A move that
//! follows another one's commit by its lane's lock, in a transaction with a lower number, bears the other's number: see
//! [`super::log::insert`].

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use xavyo_core::{error::Result, ids::TenantId};
use xavyo_runtime::db;

use super::log::{Line, Row};

/// A place in the feed: everything up to and including it was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub transaction: i64,
    pub id: Uuid,
}

#[derive(FromRow)]
struct FeedRow {
    transaction: i64,
    #[sqlx(flatten)]
    row: Row,
}

/// Where the feed ends now: what commits from here on comes after it.
pub async fn end(tx: &mut PgConnection) -> Result<Place> {
    let transaction =
        sqlx::query_scalar!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!""#)
            .fetch_one(tx)
            .await
            .map_err(db::failed)?;
    Ok(Place { transaction: transaction - 1, id: Uuid::max() })
}

/// The newest place that is served now; none where nothing was ever moved.
pub async fn newest(tx: &mut PgConnection, tenant: TenantId) -> Result<Option<Place>> {
    let newest = sqlx::query!(
        r#"select transaction_id::text::bigint as "transaction!", id
             from operation_log
            where tenant_id = $1 and transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            order by transaction_id desc, id desc
            limit 1"#,
        tenant.0,
    );
    let newest = newest.fetch_optional(tx).await.map_err(db::failed)?;
    Ok(newest.map(|row| Place { transaction: row.transaction, id: row.id }))
}

/// Whether moves after the place may have been dropped with the history that they belong to.
pub async fn is_lost(tx: &mut PgConnection, place: Place) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from history_floor where transaction_id > $1::text::xid8) as "lost!""#,
        place.transaction.to_string(),
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// Up to `limit` lines after `after`, in order, each with its place.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    after: Place,
    limit: i64,
) -> Result<Vec<(Place, Line)>> {
    let rows: Vec<FeedRow> = sqlx::query_as(
        r#"select transaction_id::text::bigint as transaction,
                  id, operation_id, connector_id, "timestamp", level, message, event, from_status, to_status,
                  actor, fence, claimed_at, attempt_number
             from operation_log
            where tenant_id = $1
              and (transaction_id, id) > ($2::text::xid8, $3)
              and transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            order by transaction_id, id
            limit $4"#,
    )
    .bind(tenant.0)
    .bind(after.transaction.to_string())
    .bind(after.id)
    .bind(limit)
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let lines = rows.into_iter().flat_map(|FeedRow { transaction, row }| {
        row.lines().map(move |line| (Place { transaction, id: line.id }, line))
    });
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(lines.filter(|(place, _)| *place > after).take(limit).collect())
}
