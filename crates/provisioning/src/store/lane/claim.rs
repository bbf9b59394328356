//! Claiming lanes, giving them back under their fence, and taking them over from the dead.

use std::collections::HashSet;

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

/// A lane to be given back.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    pub lane: LaneId,
    /// Of the claim that ends.
    pub fence: i64,
    /// How many of its operations leave the hot table.
    pub ended: i32,
    /// Whether the next claim takes one operation only.
    pub runs_singly: bool,
}

/// A lane that was given back.
#[derive(Clone, Copy, Debug)]
pub struct Released {
    pub lane: LaneId,
    /// Operations are left: it needs a new head (see [`super::refresh`]). An empty one has none.
    pub has_more: bool,
}

/// Locks up to `limit` lanes of a connector whose head may run now, the most urgent first; none where the connector has
/// another version by now, or is deleted. Lanes that another worker is just claiming are passed over.
pub async fn lock_ready(
    tx: &mut PgConnection,
    tenant: TenantId,
    (connector, version): (ConnectorId, i64),
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Lane>> {
    let rows = sqlx::query_as!(
        LaneRow,
        r#"with as_known as materialized (
               select exists (select from connector
                               where tenant_id = $1 and id = $2 and version = $5 and deleted_at is null) as is_so),
           ready as materialized (
               select *, ready_rank as rank
                 from lane
                where tenant_id = $1 and connector_id = $2 and ready_rank is not null
                  and (select is_so from as_known)
                order by ready_rank
                limit $4
                  for no key update skip locked),
           -- a retry or a not_before whose time has come
           woken as materialized (
               select *, wake_at as rank
                 from lane
                where tenant_id = $1 and connector_id = $2 and wake_at <= $3
                  and (select is_so from as_known)
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
        version,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Lane::from).collect())
}

/// Writes the claim of lanes that the caller has locked. Returns the fence of each lane.
///
/// Like every statement here that writes many lanes, it joins nothing: `width_bucket` finds a lane's place among the
/// sorted ids, so that no plan, whatever the planner believes about a young table, compares each with each.
/// Each row is looked up by itself, too, and named by its place (ctid), which stays while the caller holds the lane: with
/// `id = any(…)` behind the tenant in the key, a plan may read all that the tenant has.
pub async fn claim(
    tx: &mut PgConnection,
    tenant: TenantId,
    worker: WorkerId,
    now: DateTime<Utc>,
    mut grants: Vec<Grant>,
) -> Result<Vec<(LaneId, i64)>> {
    grants.sort_unstable_by_key(|grant| grant.lane);
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.lane.0).collect();
    let from: Vec<i64> = grants.iter().map(|grant| grant.from).collect();
    let through: Vec<i64> = grants.iter().map(|grant| grant.through).collect();
    let rows = sqlx::query!(
        "update lane
            set worker_id = $2, claimed_at = $3,
                claimed_from = ($5::bigint[])[width_bucket(id, $4::uuid[])],
                claimed_through = ($6::bigint[])[width_bucket(id, $4::uuid[])],
                fence = fence + 1,
                ready_rank = null, wake_at = null
          where ctid = any (array(
                select here.ctid
                  from unnest($4::uuid[]) as one(id)
                 cross join lateral (select ctid from lane where tenant_id = $1 and id = one.id limit 1) as here))
      returning id, fence",
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

/// Gives back those of the lanes that are still the worker's under the fence of its claim, locked in id order, and returns
/// them: only their operations may be recorded (Q4).
pub async fn release(
    tx: &mut PgConnection,
    tenant: TenantId,
    worker: WorkerId,
    mut releases: Vec<Release>,
) -> Result<Vec<Released>> {
    releases.sort_unstable_by_key(|release| release.lane);
    let mut released = release_unchanged(tx, tenant, worker, &releases).await?;
    if released.len() < releases.len() {
        // The others are lost, or somebody else's change of them was committed after the statement had begun: it waited for
        // their locks, but could not see what it then held. A second one sees it.
        let done: HashSet<LaneId> = released.iter().map(|one| one.lane).collect();
        releases.retain(|release| !done.contains(&release.lane));
        released.extend(release_unchanged(tx, tenant, worker, &releases).await?);
    }
    Ok(released)
}

/// Locks all of the lanes, and gives back those that nobody has changed since the statement began.
async fn release_unchanged(
    tx: &mut PgConnection,
    tenant: TenantId,
    worker: WorkerId,
    releases: &[Release],
) -> Result<Vec<Released>> {
    let ids: Vec<Uuid> = releases.iter().map(|release| release.lane.0).collect();
    let fences: Vec<i64> = releases.iter().map(|release| release.fence).collect();
    let ended: Vec<i32> = releases.iter().map(|release| release.ended).collect();
    let singly: Vec<bool> = releases.iter().map(|release| release.runs_singly).collect();
    let rows = sqlx::query!(
        "update lane
            set worker_id = null, claimed_from = null, claimed_through = null, claimed_at = null,
                length = length - ($5::int[])[width_bucket(id, $3::uuid[])],
                runs_singly = ($6::bool[])[width_bucket(id, $3::uuid[])]
          where ctid = any (array(
                select held.ctid
                  from unnest($3::uuid[], $4::bigint[]) as given(id, fence)
                 cross join lateral (
                       select ctid, worker_id, fence
                         from lane
                        where tenant_id = $1 and id = given.id
                        limit 1
                          for no key update) as held
                 where held.worker_id = $2 and held.fence = given.fence))
      returning id, length",
        tenant.0,
        worker.0,
        &ids,
        &fences,
        &ended,
        &singly,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| Released { lane: LaneId(row.id), has_more: row.length > 0 }).collect())
}

/// How long a lane of a dead worker is left alone.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// The time that a call of its worker may still take to arrive.
    pub seconds: f64,
    /// The target refuses what is written on an outdated premise: no waiting where every write in hand has one.
    pub honours_premises: bool,
}

/// Locks the lanes of a connector that nobody works on any more: those of dead workers (without a row, or with a lease
/// that ended, and the grace too), and those of `own`, the caller's worker, while it has none of the connector's lanes in
/// hand.
pub async fn lock_abandoned(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    own: Option<WorkerId>,
    grace: Grace,
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
                       and worker.lease_until > now() - case
                           when $6 and not exists (
                                select from operation
                                 where operation.tenant_id = $1 and operation.lane_id = lane.id
                                   and operation.sequence between lane.claimed_from and lane.claimed_through
                                   and operation.precondition is null)
                           then interval '0' else make_interval(secs => $4) end))
          order by id
          limit $5
            for no key update skip locked",
        tenant.0,
        connector.0,
        own.map(|worker| worker.0),
        grace.seconds,
        limit,
        grace.honours_premises,
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
          where ctid = any (array(
                select here.ctid
                  from unnest($2::uuid[]) as one(id)
                 cross join lateral (select ctid from lane where tenant_id = $1 and id = one.id limit 1) as here))",
        tenant.0,
        &ids,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
