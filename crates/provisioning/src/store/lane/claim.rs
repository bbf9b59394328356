//! Claiming lanes, giving them back under their fence, and taking them over from the dead.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, LaneId, TenantId, WorkerId},
};
use xavyo_runtime::db;

use super::{Lane, LaneRow};

/// What a claim writes to one lane.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub lane: LaneId,
    pub from: i64,
    pub through: i64,
}

/// A lane given back under its fence.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    pub lane: LaneId,
    pub fence: i64,
    /// Whether the next claim takes one operation only.
    pub runs_singly: bool,
}

/// Locks up to `limit` lanes of a connector whose head may run now, the most urgent first. Lanes that another worker
/// is just claiming are passed over.
pub async fn lock_ready(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Lane>> {
    let rows = sqlx::query_as!(
        LaneRow,
        r#"with ready as materialized (
               select *, ready_rank as rank
                 from lane
                where tenant_id = $1 and connector_id = $2 and ready_rank is not null
                order by ready_rank
                limit $4
                  for no key update skip locked),
           -- a retry or a not_before whose time has come
           woken as materialized (
               select *, wake_at as rank
                 from lane
                where tenant_id = $1 and connector_id = $2 and wake_at <= $3
                order by wake_at
                limit $4
                  for no key update skip locked)
           -- as they were locked: the lane's row in this statement's snapshot may be older
           select id as "id!", fence as "fence!", next_sequence as "next_sequence!", length as "length!",
                  runs_singly as "runs_singly!", worker_id, claimed_from, claimed_through, claimed_at
             from (select * from ready union all select * from woken) as both_kinds
            order by rank
            limit $4"#,
        tenant.0,
        connector.0,
        now,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Lane::from).collect())
}

/// Writes the claim of lanes that the caller has locked. Returns the fence of each lane.
pub async fn claim(
    tx: &mut PgConnection,
    tenant: TenantId,
    worker: WorkerId,
    now: DateTime<Utc>,
    grants: &[Grant],
) -> Result<Vec<(LaneId, i64)>> {
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.lane.0).collect();
    let from: Vec<i64> = grants.iter().map(|grant| grant.from).collect();
    let through: Vec<i64> = grants.iter().map(|grant| grant.through).collect();
    let rows = sqlx::query!(
        "update lane
            set worker_id = $2, claimed_at = $3,
                claimed_from = granted.from_sequence, claimed_through = granted.through_sequence,
                fence = fence + 1,
                ready_rank = null, wake_at = null
           from unnest($4::uuid[], $5::bigint[], $6::bigint[]) as granted(id, from_sequence, through_sequence)
          where lane.tenant_id = $1 and lane.id = any($4) and lane.id = granted.id
      returning lane.id, lane.fence",
        tenant.0,
        worker.0,
        now,
        &ids,
        &from,
        &through,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (LaneId(row.id), row.fence)).collect())
}

/// Gives lanes back, unless a newer claim has taken one over. Returns those that were still ours under their fence:
/// only their operations may be recorded (Q4).
pub async fn release(
    tx: &mut PgConnection,
    tenant: TenantId,
    worker: WorkerId,
    releases: &[Release],
) -> Result<Vec<LaneId>> {
    let ids: Vec<Uuid> = releases.iter().map(|release| release.lane.0).collect();
    let fences: Vec<i64> = releases.iter().map(|release| release.fence).collect();
    let singly: Vec<bool> = releases.iter().map(|release| release.runs_singly).collect();
    let rows = sqlx::query!(
        "with ours as materialized (
             select lane.id, held.singly
               from unnest($3::uuid[], $4::bigint[], $5::bool[]) as held(id, fence, singly)
               join lane on lane.tenant_id = $1 and lane.id = any($3) and lane.id = held.id
                        and lane.fence = held.fence and lane.worker_id = $2
              order by lane.id
                for no key update of lane)
         update lane
            set worker_id = null, claimed_from = null, claimed_through = null, claimed_at = null,
                runs_singly = ours.singly
           from ours
          where lane.tenant_id = $1 and lane.id = any($3) and lane.id = ours.id
      returning lane.id",
        tenant.0,
        worker.0,
        &ids,
        &fences,
        &singly,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| LaneId(row.id)).collect())
}

/// Locks the lanes of a connector that nobody works on any more: those of dead workers (without a row, or with a lease
/// that ended more than `grace_seconds` ago: the time that a call of theirs may still take to arrive), and those of
/// `worker` itself, which calls this while it has none of the connector's lanes in hand.
pub async fn lock_abandoned(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    worker: WorkerId,
    grace_seconds: f64,
    limit: i64,
) -> Result<Vec<Lane>> {
    let rows = sqlx::query_as!(
        LaneRow,
        "select id, fence, next_sequence, length, runs_singly,
                worker_id, claimed_from, claimed_through, claimed_at
           from lane
          where tenant_id = $1 and connector_id = $2 and worker_id is not null
            and (worker_id = $3
                 or not exists (
                    select from worker
                     where worker.id = lane.worker_id
                       and worker.lease_until > now() - make_interval(secs => $4)))
          order by id
          limit $5
            for no key update skip locked",
        tenant.0,
        connector.0,
        worker.0,
        grace_seconds,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Lane::from).collect())
}

/// Frees lanes that the caller has locked as abandoned. The fence rises, so that the dead worker, should it wake, can
/// finish nothing (fault 15).
pub async fn take_over(tx: &mut PgConnection, tenant: TenantId, lanes: &[LaneId]) -> Result<()> {
    let ids: Vec<Uuid> = lanes.iter().map(|lane| lane.0).collect();
    sqlx::query!(
        "update lane
            set worker_id = null, claimed_from = null, claimed_through = null, claimed_at = null,
                fence = fence + 1,
                runs_singly = true
          where tenant_id = $1 and id = any($2)",
        tenant.0,
        &ids,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
