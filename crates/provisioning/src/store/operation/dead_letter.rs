//! Dead letters by cause: connector and error code. Their index leads to each group and to the oldest of it.
//!
//! A dead letter is changed by nobody but whom it leaves with, so its `updated_at` is when it became one; a delete that
//! overtakes it counts as that, too.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, LaneId, OperationId, TenantId},
};
use xavyo_runtime::db;

/// The dead letters of one connector with one error code.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub connector_id: Uuid,
    pub connector_name: String,
    pub error_code: String,
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// The newest of them.
    pub example_id: Uuid,
    pub example_message: String,
}

/// The place of a group in the list: the largest comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub count: i64,
    pub connector_id: Uuid,
    pub error_code: String,
}

impl Group {
    pub fn place(&self) -> Place {
        Place { count: self.count, connector_id: self.connector_id, error_code: self.error_code.clone() }
    }
}

/// The largest groups after `after`.
pub async fn groups(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        r#"select grouped.connector_id, connector.name as connector_name,
                  grouped.error_code as "error_code!", grouped.n as "count!",
                  grouped.first_at as "first_at!", grouped.last_at as "last_at!",
                  newest.id as example_id, coalesce(newest.error_message, '') as "example_message!"
             from (select connector_id, error_code, count(*) as n,
                          min(updated_at) as first_at, max(updated_at) as last_at
                     from operation
                    where tenant_id = $1 and status = 'dead_letter'
                      and ($2::uuid is null or connector_id = $2)
                    group by connector_id, error_code) as grouped
             join connector on connector.tenant_id = $1 and connector.id = grouped.connector_id
            cross join lateral (
                  select id, error_message
                    from operation
                   where tenant_id = $1 and status = 'dead_letter'
                     and connector_id = grouped.connector_id and error_code = grouped.error_code
                   order by id desc
                   limit 1) as newest
            where $3::bigint is null
               or (grouped.n, grouped.connector_id, grouped.error_code) < ($3, $4::uuid, $5::text)
            order by grouped.n desc, grouped.connector_id desc, grouped.error_code desc
            limit $6"#,
        tenant.0,
        connector.map(|id| id.0),
        after.map(|place| place.count),
        after.map(|place| place.connector_id),
        after.map(|place| place.error_code.as_str()),
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}

/// How many groups there are, counted to `most` at the most.
pub async fn count_groups(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
    most: i64,
) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from (select distinct connector_id, error_code
                     from operation
                    where tenant_id = $1 and status = 'dead_letter'
                      and ($2::uuid is null or connector_id = $2)
                    limit $3) as counted"#,
        tenant.0,
        connector.map(|id| id.0),
        most,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// A cause, and how long ago its dead letters became such.
#[derive(Clone, Debug)]
pub struct Cause {
    pub connector_id: ConnectorId,
    pub error_code: String,
    /// Only those that became dead letters before; None = all.
    pub before: Option<DateTime<Utc>>,
}

/// The oldest of the cause that can be retried, each with its lane. Nothing is locked yet.
pub async fn oldest(
    tx: &mut PgConnection,
    tenant: TenantId,
    cause: &Cause,
    limit: i64,
) -> Result<Vec<(OperationId, LaneId)>> {
    let rows = sqlx::query!(
        "select id, lane_id
           from operation
          where tenant_id = $1 and status = 'dead_letter' and connector_id = $2 and error_code = $3
            and not overtaken
            and ($4::timestamptz is null or updated_at < $4)
          order by id
          limit $5",
        tenant.0,
        cause.connector_id.0,
        cause.error_code,
        cause.before,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (OperationId(row.id), LaneId(row.lane_id))).collect())
}

/// How many of the cause can be retried, or cannot because they are overtaken; counted to `most` at the most.
pub async fn count(
    tx: &mut PgConnection,
    tenant: TenantId,
    cause: &Cause,
    overtaken: bool,
    most: i64,
) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from (select
                     from operation
                    where tenant_id = $1 and status = 'dead_letter' and connector_id = $2 and error_code = $3
                      and overtaken = $4
                      and ($5::timestamptz is null or updated_at < $5)
                    limit $6) as counted"#,
        tenant.0,
        cause.connector_id.0,
        cause.error_code,
        overtaken,
        cause.before,
        most,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// The oldest of the cause that a delete has overtaken.
pub async fn overtaken(
    tx: &mut PgConnection,
    tenant: TenantId,
    cause: &Cause,
    limit: i64,
) -> Result<Vec<OperationId>> {
    let ids = sqlx::query_scalar!(
        "select id
           from operation
          where tenant_id = $1 and status = 'dead_letter' and connector_id = $2 and error_code = $3
            and overtaken
            and ($4::timestamptz is null or updated_at < $4)
          order by id
          limit $5",
        tenant.0,
        cause.connector_id.0,
        cause.error_code,
        cause.before,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(ids.into_iter().map(OperationId).collect())
}
