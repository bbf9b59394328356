//! The head of a lane: what may be claimed of it next, and from when on.
//!
//! A lane that stands empty gets its head from the operations that come to it: [`insert`], [`fill`]. Whatever else changes a
//! lane's operations has it recomputed: [`refresh`].

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, LaneId, TenantId},
};
use xavyo_runtime::db;

/// A lane to be made.
#[derive(Clone, Debug)]
pub struct NewLane {
    pub id: LaneId,
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
}

/// An empty lane with the operations that come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    pub lane: LaneId,
    pub next_sequence: i64,
    pub length: i32,
    /// The head can run now, with this rank.
    pub ready_rank: Option<DateTime<Utc>>,
    /// The head can run from then on.
    pub wake_at: Option<DateTime<Utc>>,
}

impl Filled {
    /// A lane to which nothing comes yet.
    pub fn empty(lane: LaneId) -> Self {
        Self { lane, next_sequence: 1, length: 0, ready_rank: None, wake_at: None }
    }
}

/// Makes lanes, with the operations that come to them at once.
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, lanes: &[(NewLane, Filled)]) -> Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = lanes.iter().map(|(lane, _)| lane.id.0).collect();
    let connectors: Vec<Uuid> = lanes.iter().map(|(lane, _)| lane.connector_id.0).collect();
    let classes: Vec<&str> = lanes.iter().map(|(lane, _)| lane.object_class.as_str()).collect();
    let intents: Vec<&str> = lanes.iter().map(|(lane, _)| lane.intent.as_str()).collect();
    let next: Vec<i64> = lanes.iter().map(|(_, filled)| filled.next_sequence).collect();
    let lengths: Vec<i32> = lanes.iter().map(|(_, filled)| filled.length).collect();
    let ranks: Vec<Option<DateTime<Utc>>> = lanes.iter().map(|(_, filled)| filled.ready_rank).collect();
    let wake: Vec<Option<DateTime<Utc>>> = lanes.iter().map(|(_, filled)| filled.wake_at).collect();
    sqlx::query!(
        "insert into lane (
             tenant_id, id, connector_id, object_class, intent, next_sequence, length, ready_rank, wake_at)
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::int[],
                                  $8::timestamptz[], $9::timestamptz[])",
        tenant.0,
        &ids,
        &connectors,
        &classes as &[&str],
        &intents as &[&str],
        &next,
        &lengths,
        &ranks as &[Option<DateTime<Utc>>],
        &wake as &[Option<DateTime<Utc>>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Fills empty lanes that the caller has locked.
pub async fn fill(tx: &mut PgConnection, tenant: TenantId, mut lanes: Vec<Filled>) -> Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    lanes.sort_unstable_by_key(|filled| filled.lane);
    let ids: Vec<Uuid> = lanes.iter().map(|filled| filled.lane.0).collect();
    let next: Vec<i64> = lanes.iter().map(|filled| filled.next_sequence).collect();
    let lengths: Vec<i32> = lanes.iter().map(|filled| filled.length).collect();
    let ranks: Vec<Option<DateTime<Utc>>> = lanes.iter().map(|filled| filled.ready_rank).collect();
    let wake: Vec<Option<DateTime<Utc>>> = lanes.iter().map(|filled| filled.wake_at).collect();
    sqlx::query!(
        "update lane
            set next_sequence = ($3::bigint[])[width_bucket(id, $2::uuid[])],
                length = ($4::int[])[width_bucket(id, $2::uuid[])],
                ready_rank = ($5::timestamptz[])[width_bucket(id, $2::uuid[])],
                wake_at = ($6::timestamptz[])[width_bucket(id, $2::uuid[])],
                blocked_by_operation_id = null
          where ctid = any (array(
                select here.ctid
                  from unnest($2::uuid[]) as one(id)
                 cross join lateral (select ctid from lane where tenant_id = $1 and id = one.id limit 1) as here))",
        tenant.0,
        &ids,
        &next,
        &lengths,
        &ranks as &[Option<DateTime<Utc>>],
        &wake as &[Option<DateTime<Utc>>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Recomputes the length and what may be claimed next, of lanes that the caller has locked. Claimed lanes keep nothing:
/// their finish does this again.
///
/// The head is the first operation that is not passed over (a dead letter that was overtaken, or that its connector
/// lets be passed). A dead letter, a hold or an outage at the head stops the lane; a retry or not_before delays it.
pub async fn refresh(
    tx: &mut PgConnection,
    tenant: TenantId,
    lanes: &[LaneId],
    now: DateTime<Utc>,
) -> Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<Uuid> = lanes.iter().map(|lane| lane.0).collect();
    ids.sort_unstable();
    ids.dedup();
    sqlx::query!(
        r#"with head as materialized (
               select touched.id as lane_id, summary.n, summary.rank, first.id,
                      first.status in ('pending', 'failed') and not first.is_held as may_run,
                      first.status = 'dead_letter' as blocks, first.due_at
                 from unnest($2::uuid[]) as touched(id)
                cross join lateral (
                      select count(*)::int as n,
                             min(created_at - priority * interval '6 seconds')
                                 filter (where status <> 'dead_letter') as rank
                        from operation
                       where tenant_id = $1 and lane_id = touched.id) as summary
                 left join lateral (
                      select o.id, o.status, o.hold_reason is not null as is_held,
                             greatest(o.next_attempt_at, o.not_before) as due_at
                        from operation o
                        join connector c on c.tenant_id = o.tenant_id and c.id = o.connector_id
                       where o.tenant_id = $1 and o.lane_id = touched.id
                         and not (o.status = 'dead_letter'
                                  and (o.overtaken or c.policies ->> 'on_dead_letter' = 'continue'))
                       order by o.sequence
                       limit 1) as first on true),
           -- one row of arrays in the order of the sorted ids, so that nothing is compared with each
           heads as materialized (
               select array_agg(n order by lane_id) as n,
                      array_agg(case when may_run and (due_at is null or due_at <= $3) then rank end
                                order by lane_id) as ready_rank,
                      array_agg(case when may_run and due_at > $3 then due_at end order by lane_id) as wake_at,
                      array_agg(case when blocks then id end order by lane_id) as blocked_by
                 from head)
           update lane
              set length = heads.n[width_bucket(lane.id, $2)],
                  ready_rank = case when worker_id is null
                                    then heads.ready_rank[width_bucket(lane.id, $2)] end,
                  wake_at = case when worker_id is null
                                 then heads.wake_at[width_bucket(lane.id, $2)] end,
                  blocked_by_operation_id = heads.blocked_by[width_bucket(lane.id, $2)]
             from heads
            where lane.ctid = any (array(
                  select here.ctid
                    from unnest($2::uuid[]) as one(id)
                   cross join lateral (select ctid from lane where tenant_id = $1 and id = one.id limit 1) as here))"#,
        tenant.0,
        &ids,
        now,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
