//! What is changed on operations that stay in the queue, by others than the worker that has them in hand: by what comes
//! behind them, by a decision.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    change::Changes,
    conflict::ConflictOutcome,
    error::Result,
    ids::{ConflictId, LaneId, OperationId, TenantId},
    operation::{HoldReason, Operation, OperationStatus},
};
use xavyo_runtime::db;

use super::row::OperationRow;

/// An operation as it is to stand.
#[derive(Clone, Debug)]
pub struct Changed {
    pub id: OperationId,
    pub status: OperationStatus,
    pub sequence: i64,
    pub retry_count: i32,
    pub crash_count: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub payload: Changes,
    pub hold_reason: Option<HoldReason>,
    pub conflict_id: Option<ConflictId>,
    pub decided: Option<ConflictOutcome>,
    pub overtaken: bool,
}

impl Changed {
    /// The operation as it stands.
    pub fn of(operation: &Operation) -> Self {
        Self {
            id: operation.id,
            status: operation.status,
            sequence: operation.sequence,
            retry_count: operation.retry_count,
            crash_count: operation.crash_count,
            next_attempt_at: operation.next_attempt_at,
            payload: operation.payload.clone(),
            hold_reason: operation.hold_reason,
            conflict_id: operation.conflict_id,
            decided: operation.decided,
            overtaken: operation.overtaken,
        }
    }
}

/// Saves operations in lanes that the caller has locked.
pub async fn save_changed(
    tx: &mut PgConnection,
    tenant: TenantId,
    changed: &[Changed],
    now: DateTime<Utc>,
) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changed.iter().map(|one| one.id.0).collect();
    let statuses: Vec<String> = changed.iter().map(|one| one.status.name().to_owned()).collect();
    let sequences: Vec<i64> = changed.iter().map(|one| one.sequence).collect();
    let retries: Vec<i32> = changed.iter().map(|one| one.retry_count).collect();
    let crashes: Vec<i32> = changed.iter().map(|one| one.crash_count).collect();
    let next: Vec<Option<DateTime<Utc>>> = changed.iter().map(|one| one.next_attempt_at).collect();
    let payloads: Vec<Json<&Changes>> = changed.iter().map(|one| Json(&one.payload)).collect();
    let holds: Vec<Option<String>> =
        changed.iter().map(|one| one.hold_reason.map(|reason| reason.name().to_owned())).collect();
    let conflicts: Vec<Option<Uuid>> = changed.iter().map(|one| one.conflict_id.map(|id| id.0)).collect();
    let decided: Vec<Option<String>> =
        changed.iter().map(|one| one.decided.map(|outcome| outcome.name().to_owned())).collect();
    let overtaken: Vec<bool> = changed.iter().map(|one| one.overtaken).collect();
    sqlx::query(
        "update operation
            set status = changed.status, sequence = changed.sequence, retry_count = changed.retry_count,
                crash_count = changed.crash_count, next_attempt_at = changed.next_attempt_at,
                payload = changed.payload, hold_reason = changed.hold_reason,
                conflict_id = changed.conflict_id, decided = changed.decided, overtaken = changed.overtaken,
                updated_at = $2, version = version + 1
           from unnest($3::uuid[], $4::text[], $5::bigint[], $6::int[], $7::int[], $8::timestamptz[],
                       $9::jsonb[], $10::text[], $11::uuid[], $12::text[], $13::bool[])
                as changed(id, status, sequence, retry_count, crash_count, next_attempt_at, payload,
                           hold_reason, conflict_id, decided, overtaken)
          where operation.ctid = any (array(
                select here.ctid
                  from unnest($3::uuid[]) as one(id)
                 cross join lateral (
                       select ctid from operation where tenant_id = $1 and id = one.id limit 1) as here))
            and operation.id = changed.id",
    )
    .bind(tenant.0)
    .bind(now)
    .bind(ids)
    .bind(statuses)
    .bind(sequences)
    .bind(retries)
    .bind(crashes)
    .bind(next)
    .bind(payloads)
    .bind(holds)
    .bind(conflicts)
    .bind(decided)
    .bind(overtaken)
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Remembers on operations that are about to end which conflict each had a part in.
pub async fn note_conflicts(
    tx: &mut PgConnection,
    tenant: TenantId,
    parties: &[(OperationId, ConflictId)],
) -> Result<()> {
    let ids: Vec<Uuid> = parties.iter().map(|(id, _)| id.0).collect();
    let conflicts: Vec<Uuid> = parties.iter().map(|(_, conflict)| conflict.0).collect();
    sqlx::query!(
        "update operation
            set conflict_id = party.conflict_id
           from unnest($2::uuid[], $3::uuid[]) as party(id, conflict_id)
          where operation.ctid = any (array(
                select here.ctid
                  from unnest($2::uuid[]) as one(id)
                 cross join lateral (
                       select ctid from operation where tenant_id = $1 and id = one.id limit 1) as here))
            and operation.id = party.id",
        tenant.0,
        &ids,
        &conflicts,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Everything in the lanes that has not ended, lane by lane in order. For lanes that the caller has locked.
pub async fn of_lanes(tx: &mut PgConnection, tenant: TenantId, lanes: &[LaneId]) -> Result<Vec<Operation>> {
    let lanes: Vec<Uuid> = lanes.iter().map(|id| id.0).collect();
    let rows: Vec<OperationRow> = sqlx::query_as(
        "select *
           from operation_now
          where tenant_id = $1 and lane_id = any($2)
          order by lane_id, sequence",
    )
    .bind(tenant.0)
    .bind(lanes)
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// The same of those lanes alone in which a delete or disable waits. For lanes that the caller has taken or gives back:
/// nothing in them is in progress any more.
pub async fn of_lanes_with_leaves(
    tx: &mut PgConnection,
    tenant: TenantId,
    lanes: &[LaneId],
) -> Result<Vec<Operation>> {
    let ids: Vec<Uuid> = lanes.iter().map(|id| id.0).collect();
    let leaving = sqlx::query_scalar!(
        r#"select distinct lane_id
             from operation
            where tenant_id = $1 and lane_id = any($2) and status = 'pending'
              and (operation_type = 'delete' or payload ->> 'account_state' = 'disabled')"#,
        tenant.0,
        &ids,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(db::failed)?;
    if leaving.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<OperationRow> = sqlx::query_as(
        "select *, null::uuid as blocked_by_operation_id, null::uuid as merged_into_operation_id,
                null::text as resolution_notes, null::uuid as resolved_by, null::timestamptz as resolved_at,
                null::timestamptz as completed_at
           from operation
          where tenant_id = $1 and lane_id = any($2)
          order by lane_id, sequence",
    )
    .bind(tenant.0)
    .bind(leaving)
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Operation::try_from).collect()
}
