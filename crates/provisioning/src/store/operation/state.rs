//! What stands still in the queue, and why: behind dead letters, by the guard, in conflict, for want of the target.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, LaneId, OperationId, TenantId},
};
use xavyo_runtime::db;

#[derive(Clone, Debug)]
pub struct QueueState {
    pub blocked: i64,
    pub held: i64,
    pub in_conflict: i64,
    pub waiting_for_target: i64,
    pub oldest_at: Option<DateTime<Utc>>,
}

/// Each part is answered by an index, so that it costs what stands still, not what is in the queue.
pub async fn read(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
) -> Result<QueueState> {
    sqlx::query_as!(
        QueueState,
        r#"select
             -- pending behind a dead letter; most lanes have nothing but the dead letter itself
             (select coalesce(sum(behind.n), 0)::bigint
                from lane l
               cross join lateral (
                     select count(*) as n
                       from operation o
                      where o.tenant_id = $1 and o.lane_id = l.id and o.status = 'pending') as behind
               where l.tenant_id = $1 and ($2::uuid is null or l.connector_id = $2)
                 and l.blocked_by_operation_id is not null and l.length > 1) as "blocked!",
             (select count(*)
                from operation
               where tenant_id = $1 and ($2::uuid is null or connector_id = $2)
                 and hold_reason is not null and hold_reason = 'guard') as "held!",
             (select count(*)
                from operation
               where tenant_id = $1 and ($2::uuid is null or connector_id = $2)
                 and hold_reason is not null and hold_reason = 'conflict') as "in_conflict!",
             (select count(*)
                from operation
               where tenant_id = $1 and ($2::uuid is null or connector_id = $2)
                 and status = 'awaiting_system')
             -- and whatever is behind them while the breaker is open
             + (select count(*)
                  from connector_work w
                  join operation o on o.tenant_id = $1 and o.connector_id = w.connector_id and o.status = 'pending'
                 where w.tenant_id = $1 and ($2::uuid is null or w.connector_id = $2) and w.breaker = 'open')
                 as "waiting_for_target!",
             -- ids are in the order of creation
             (select created_at
                from operation
               where tenant_id = $1 and ($2::uuid is null or connector_id = $2)
                 and status <> 'dead_letter'
               order by id
               limit 1) as oldest_at"#,
        tenant.0,
        connector.map(|id| id.0),
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// The situation of a connector, as far as its operations wait for it.
#[derive(Clone, Debug)]
pub struct ConnectorState {
    pub connector_id: Uuid,
    pub paused: bool,
    pub pause_reason: Option<String>,
    /// When the pause ends by itself, if it does.
    pub paused_until: Option<DateTime<Utc>>,
    /// The next probe, while the target is down.
    pub probe_at: Option<DateTime<Utc>>,
}

pub async fn of_connectors(
    tx: &mut PgConnection,
    tenant: TenantId,
    connectors: &[ConnectorId],
) -> Result<Vec<ConnectorState>> {
    let ids: Vec<Uuid> = connectors.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        ConnectorState,
        "select c.id as connector_id, c.paused, c.pause_reason, w.paused_until, w.probe_at
           from connector c
           join connector_work w on w.tenant_id = c.tenant_id and w.connector_id = c.id
          where c.tenant_id = $1 and c.id = any($2)",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}

/// The first operation of each lane that has not ended, dead letters left out.
pub async fn heads_of_lanes(
    tx: &mut PgConnection,
    tenant: TenantId,
    lanes: &[LaneId],
) -> Result<Vec<(LaneId, OperationId)>> {
    let ids: Vec<Uuid> = lanes.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select asked.id as "lane_id!", first.id
             from unnest($2::uuid[]) as asked(id)
            cross join lateral (
                  select id
                    from operation
                   where tenant_id = $1 and lane_id = asked.id and status <> 'dead_letter'
                   order by sequence
                   limit 1) as first"#,
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (LaneId(row.lane_id), OperationId(row.id))).collect())
}
