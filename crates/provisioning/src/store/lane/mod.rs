//! Lanes: finding or making the lane of an account, claiming, releasing, and what may be claimed next.
//!
//! Lock order: whoever locks several lanes locks them in id order (`ensure`, `lock`); claims skip what is locked.

pub mod alias;
mod claim;
mod head;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, LaneId, OperationId, TenantId, WorkerId},
};
use xavyo_runtime::db;

pub use claim::{Grace, Grant, Release, claim, lock_abandoned, lock_ready, release, take_over};
pub use head::{Filled, NewLane, fill, insert, refresh};

/// The most operations a lane holds.
pub const MAX_LENGTH: i32 = 1_000;

/// A lane as it was locked.
#[derive(Clone, Debug)]
pub struct Lane {
    pub id: LaneId,
    pub fence: i64,
    pub next_sequence: i64,
    pub length: i32,
    pub runs_singly: bool,
    pub claimed: Option<ClaimedRange>,
}

/// The operations of a lane that a worker has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedRange {
    pub worker: WorkerId,
    pub from: i64,
    pub through: i64,
    pub at: DateTime<Utc>,
}

struct LaneRow {
    id: Uuid,
    fence: i64,
    next_sequence: i64,
    length: i32,
    runs_singly: bool,
    worker_id: Option<Uuid>,
    claimed_from: Option<i64>,
    claimed_through: Option<i64>,
    claimed_at: Option<DateTime<Utc>>,
}

impl From<LaneRow> for Lane {
    fn from(row: LaneRow) -> Self {
        let claimed = match (row.worker_id, row.claimed_from, row.claimed_through, row.claimed_at) {
            (Some(worker), Some(from), Some(through), Some(at)) => {
                Some(ClaimedRange { worker: WorkerId(worker), from, through, at })
            }
            _ => None,
        };
        Self {
            id: LaneId(row.id),
            fence: row.fence,
            next_sequence: row.next_sequence,
            length: row.length,
            runs_singly: row.runs_singly,
            claimed,
        }
    }
}

/// Locks lanes in id order and returns them in that order.
pub async fn lock(tx: &mut PgConnection, tenant: TenantId, lanes: &[LaneId]) -> Result<Vec<Lane>> {
    let mut ids: Vec<Uuid> = lanes.iter().map(|lane| lane.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query_as!(
        LaneRow,
        "select locked.*
           from unnest($2::uuid[]) as one(id)
          cross join lateral (
                select id, fence, next_sequence, length, runs_singly,
                       worker_id, claimed_from, claimed_through, claimed_at
                  from lane
                 where tenant_id = $1 and id = one.id
                   for no key update) as locked",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Lane::from).collect())
}

/// Takes places at the end of lanes that the caller has locked: (lane, how many).
pub async fn take_places(tx: &mut PgConnection, tenant: TenantId, taken: &[(LaneId, i64)]) -> Result<()> {
    let ids: Vec<Uuid> = taken.iter().map(|(lane, _)| lane.0).collect();
    let counts: Vec<i64> = taken.iter().map(|(_, count)| *count).collect();
    sqlx::query!(
        "update lane
            set next_sequence = next_sequence + taken.n
           from unnest($2::uuid[], $3::bigint[]) as taken(id, n)
          where lane.ctid = any (array(
                select here.ctid
                  from unnest($2::uuid[]) as one(id)
                 cross join lateral (select ctid from lane where tenant_id = $1 and id = one.id limit 1) as here))
            and lane.id = taken.id and taken.n > 0",
        tenant.0,
        &ids,
        &counts,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// When the connector next has something to do by time alone: a lane that is ready (now), waking, or claimed by
/// somebody who may die (in a second).
pub async fn next_due(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let due = sqlx::query_scalar!(
        "select least(
             (select $3::timestamptz
                from lane where tenant_id = $1 and connector_id = $2 and ready_rank is not null limit 1),
             (select min(wake_at) from lane where tenant_id = $1 and connector_id = $2 and wake_at is not null),
             (select $3::timestamptz + interval '1 second'
                from lane where tenant_id = $1 and connector_id = $2 and worker_id is not null limit 1))",
        tenant.0,
        connector.0,
        now,
    )
    .fetch_one(tx)
    .await.map_err(db::failed)?;
    Ok(due)
}

/// Operations in progress, by connector of the tenant.
pub async fn count_in_progress(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from lane
             -- a range may have gaps: what was cancelled before the claim
             join operation on operation.tenant_id = $1 and operation.lane_id = lane.id
                           and operation.sequence between claimed_from and claimed_through
            where lane.tenant_id = $1 and ($2::uuid is null or lane.connector_id = $2) and worker_id is not null"#,
        tenant.0,
        connector.map(|id| id.0),
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)?;
    Ok(count)
}

/// The connector and the lane of an operation that is not final.
pub async fn find_of_operation(
    tx: &mut PgConnection,
    tenant: TenantId,
    operation: OperationId,
) -> Result<Option<(ConnectorId, LaneId)>> {
    let found = sqlx::query!(
        "select connector_id, lane_id from operation where tenant_id = $1 and id = $2",
        tenant.0,
        operation.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(found.map(|row| (ConnectorId(row.connector_id), LaneId(row.lane_id))))
}

/// Locks the lanes of a connector that a dead letter holds, in id order.
pub async fn lock_blocked(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Vec<LaneId>> {
    let ids = sqlx::query_scalar!(
        "select id
           from lane
          where tenant_id = $1 and connector_id = $2 and blocked_by_operation_id is not null
          order by id
            for no key update",
        tenant.0,
        connector.0,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(ids.into_iter().map(LaneId).collect())
}
