//! Operations that are not final: appending, reading, and the moves of what stays in the hot table.
//!
//! Final operations leave for the history: see [`super::history`].

pub mod attempt;
mod change;
pub mod dead_letter;
pub mod feed;
mod head;
pub mod history;
pub mod list;
pub mod log;
mod row;
pub mod state;
pub mod statistics;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    cause::Cause,
    change::Changes,
    error::Result,
    ids::{ConflictId, ConnectorId, IdentityId, LaneId, OperationId, TenantId},
    operation::{HoldReason, Operation, OperationStatus, OperationType, Precondition},
};
use xavyo_runtime::db;

pub use change::{Changed, note_conflicts, of_lanes, of_lanes_with_leaves, save_changed};
pub use head::heads;

use self::row::OperationRow;

/// An operation as it is appended to its lane.
#[derive(Clone, Debug)]
pub struct Appended {
    pub id: OperationId,
    pub lane_id: LaneId,
    pub sequence: i64,
    pub connector_id: ConnectorId,
    pub connector_name: String,
    pub connector_revision: i32,
    pub identity_id: Option<IdentityId>,
    pub operation_type: OperationType,
    pub object_class: String,
    pub intent: String,
    pub target_uid: Option<String>,
    pub priority: i32,
    pub max_retries: i32,
    pub payload: Changes,
    pub precondition: Option<Precondition>,
    pub not_before: Option<DateTime<Utc>>,
    pub cause: Cause,
    pub request_id: Option<Uuid>,
}

/// Appends operations to lanes that the caller has locked, in one statement.
pub async fn insert(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[Appended],
    now: DateTime<Utc>,
) -> Result<()> {
    let column = |get: fn(&Appended) -> Uuid| operations.iter().map(get).collect::<Vec<Uuid>>();
    let text = |get: fn(&Appended) -> String| operations.iter().map(get).collect::<Vec<String>>();
    let number = |get: fn(&Appended) -> i32| operations.iter().map(get).collect::<Vec<i32>>();
    let sequences: Vec<i64> = operations.iter().map(|operation| operation.sequence).collect();
    let users: Vec<Option<Uuid>> =
        operations.iter().map(|operation| operation.identity_id.map(|id| id.0)).collect();
    let uids: Vec<Option<String>> = operations.iter().map(|operation| operation.target_uid.clone()).collect();
    let payloads: Vec<Json<&Changes>> = operations.iter().map(|operation| Json(&operation.payload)).collect();
    let preconditions: Vec<Option<Json<&Precondition>>> =
        operations.iter().map(|operation| operation.precondition.as_ref().map(Json)).collect();
    let not_before: Vec<Option<DateTime<Utc>>> =
        operations.iter().map(|operation| operation.not_before).collect();
    let cause_ids: Vec<Option<Uuid>> = operations.iter().map(|operation| operation.cause.id).collect();
    let reasons: Vec<Option<String>> =
        operations.iter().map(|operation| operation.cause.reason.clone()).collect();
    let traces: Vec<Option<String>> =
        operations.iter().map(|operation| operation.cause.trace_id.clone()).collect();
    let requests: Vec<Option<Uuid>> = operations.iter().map(|operation| operation.request_id).collect();
    sqlx::query(
        "insert into operation (
             tenant_id, status, created_at, updated_at,
             id, lane_id, sequence, connector_id, connector_name, connector_revision,
             user_id, operation_type, object_class, intent, target_uid, priority, max_retries,
             payload, precondition, not_before,
             cause_kind, cause_id, requested_by, reason, trace_id, request_id)
         select $1, 'pending', $2, $2, *
           from unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::uuid[], $7::text[], $8::int[],
                       $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int[], $15::int[],
                       $16::jsonb[], $17::jsonb[], $18::timestamptz[],
                       $19::text[], $20::uuid[], $21::uuid[], $22::text[], $23::text[], $24::uuid[])",
    )
    .bind(tenant.0)
    .bind(now)
    .bind(column(|operation| operation.id.0))
    .bind(column(|operation| operation.lane_id.0))
    .bind(sequences)
    .bind(column(|operation| operation.connector_id.0))
    .bind(text(|operation| operation.connector_name.clone()))
    .bind(number(|operation| operation.connector_revision))
    .bind(users)
    .bind(text(|operation| operation.operation_type.name().to_owned()))
    .bind(text(|operation| operation.object_class.clone()))
    .bind(text(|operation| operation.intent.clone()))
    .bind(uids)
    .bind(number(|operation| operation.priority))
    .bind(number(|operation| operation.max_retries))
    .bind(payloads)
    .bind(preconditions)
    .bind(not_before)
    .bind(text(|operation| operation.cause.kind.name().to_owned()))
    .bind(cause_ids)
    .bind(column(|operation| operation.cause.requested_by.0))
    .bind(reasons)
    .bind(traces)
    .bind(requests)
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The operations of lanes with sequences in a range, in order. For lanes that the caller has locked.
pub async fn in_range(
    tx: &mut PgConnection,
    tenant: TenantId,
    ranges: &[(LaneId, i64, i64)],
) -> Result<Vec<Operation>> {
    let lanes: Vec<Uuid> = ranges.iter().map(|(lane, ..)| lane.0).collect();
    let from: Vec<i64> = ranges.iter().map(|(_, from, _)| *from).collect();
    let through: Vec<i64> = ranges.iter().map(|(.., through)| *through).collect();
    let rows: Vec<OperationRow> = sqlx::query_as(
        "select o.*
           from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as part(lane_id, low, high)
           join operation_now o
             on o.tenant_id = $1 and o.lane_id = part.lane_id and o.sequence between part.low and part.high
          order by o.lane_id, o.sequence",
    )
    .bind(tenant.0)
    .bind(lanes)
    .bind(from)
    .bind(through)
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// The operation wherever it stands: hot or history.
pub async fn find(tx: &mut PgConnection, tenant: TenantId, id: OperationId) -> Result<Option<Operation>> {
    let row: Option<OperationRow> = sqlx::query_as(
        "select * from operation_now where tenant_id = $1 and id = $2
          union all
         select * from operation_past where tenant_id = $1 and id = $2",
    )
    .bind(tenant.0)
    .bind(id.0)
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    row.map(Operation::try_from).transpose()
}

/// Those of the operations that exist, in no order.
pub async fn find_all(
    tx: &mut PgConnection,
    tenant: TenantId,
    ids: &[OperationId],
) -> Result<Vec<Operation>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<OperationRow> = sqlx::query_as(
        "select * from operation_now where tenant_id = $1 and id = any($2)
          union all
         select * from operation_past where tenant_id = $1 and id = any($2)",
    )
    .bind(tenant.0)
    .bind(ids)
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// What an attempt leaves behind on an operation that stays.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: OperationId,
    pub status: OperationStatus,
    pub retry_count: i32,
    pub attempts: i32,
    pub crash_count: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub error: Option<(String, String)>,
    pub outcome_unknown: bool,
    pub conflict_id: Option<ConflictId>,
    pub hold_reason: Option<HoldReason>,
    pub first_claimed_at: Option<DateTime<Utc>>,
}

impl Kept {
    /// The operation as it stands.
    pub fn of(operation: &Operation) -> Self {
        Self {
            id: operation.id,
            status: operation.status,
            retry_count: operation.retry_count,
            attempts: operation.attempts,
            crash_count: operation.crash_count,
            next_attempt_at: operation.next_attempt_at,
            error: operation.failure.clone().map(|failure| (failure.code, failure.message)),
            outcome_unknown: operation.outcome_unknown,
            conflict_id: operation.conflict_id,
            hold_reason: operation.hold_reason,
            first_claimed_at: operation.first_claimed_at,
        }
    }
}

/// Saves operations that stay, in lanes that the caller holds.
pub async fn save(tx: &mut PgConnection, tenant: TenantId, kept: &[Kept], now: DateTime<Utc>) -> Result<()> {
    let ids: Vec<Uuid> = kept.iter().map(|one| one.id.0).collect();
    let statuses: Vec<String> = kept.iter().map(|one| one.status.name().to_owned()).collect();
    let retries: Vec<i32> = kept.iter().map(|one| one.retry_count).collect();
    let attempts: Vec<i32> = kept.iter().map(|one| one.attempts).collect();
    let crashes: Vec<i32> = kept.iter().map(|one| one.crash_count).collect();
    let next: Vec<Option<DateTime<Utc>>> = kept.iter().map(|one| one.next_attempt_at).collect();
    let codes: Vec<Option<String>> =
        kept.iter().map(|one| one.error.as_ref().map(|(code, _)| code.clone())).collect();
    let messages: Vec<Option<String>> =
        kept.iter().map(|one| one.error.as_ref().map(|(_, message)| message.clone())).collect();
    let unknown: Vec<bool> = kept.iter().map(|one| one.outcome_unknown).collect();
    let conflicts: Vec<Option<Uuid>> = kept.iter().map(|one| one.conflict_id.map(|id| id.0)).collect();
    let holds: Vec<Option<String>> =
        kept.iter().map(|one| one.hold_reason.map(|reason| reason.name().to_owned())).collect();
    let claimed: Vec<Option<DateTime<Utc>>> = kept.iter().map(|one| one.first_claimed_at).collect();
    sqlx::query!(
        "update operation
            set status = kept.status, retry_count = kept.retry_count, attempts = kept.attempts,
                crash_count = kept.crash_count, next_attempt_at = kept.next_attempt_at,
                error_code = kept.error_code, error_message = kept.error_message,
                outcome_unknown = kept.outcome_unknown,
                conflict_id = kept.conflict_id, hold_reason = kept.hold_reason,
                first_claimed_at = coalesce(operation.first_claimed_at, kept.first_claimed_at),
                updated_at = $2, version = version + 1
           from unnest($3::uuid[], $4::text[], $5::int[], $6::int[], $7::int[], $8::timestamptz[], $9::text[],
                       $10::text[], $11::bool[], $12::uuid[], $13::text[], $14::timestamptz[])
                as kept(id, status, retry_count, attempts, crash_count, next_attempt_at, error_code,
                        error_message, outcome_unknown, conflict_id, hold_reason, first_claimed_at)
          where operation.ctid = any (array(
                select here.ctid
                  from unnest($3::uuid[]) as one(id)
                 cross join lateral (
                       select ctid from operation where tenant_id = $1 and id = one.id limit 1) as here))
            and operation.id = kept.id",
        tenant.0,
        now,
        &ids,
        &statuses,
        &retries,
        &attempts,
        &crashes,
        &next as &[Option<DateTime<Utc>>],
        &codes as &[Option<String>],
        &messages as &[Option<String>],
        &unknown,
        &conflicts as &[Option<Uuid>],
        &holds as &[Option<String>],
        &claimed as &[Option<DateTime<Utc>>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Operations that an outage holds, the oldest first.
pub async fn awaiting(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    limit: i64,
) -> Result<Vec<Operation>> {
    let rows: Vec<OperationRow> = sqlx::query_as(
        "with waiting as materialized (
             select id
               from operation
              where tenant_id = $1 and connector_id = $2 and status = 'awaiting_system'
              order by id
              limit $3)
         select operation_now.*
           from waiting
           join operation_now on operation_now.tenant_id = $1 and operation_now.id = waiting.id
          order by operation_now.id",
    )
    .bind(tenant.0)
    .bind(connector.0)
    .bind(limit)
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// A live operation in any of the lanes.
pub async fn find_live(
    tx: &mut PgConnection,
    tenant: TenantId,
    lanes: &[LaneId],
) -> Result<Option<OperationId>> {
    let ids: Vec<Uuid> = lanes.iter().map(|lane| lane.0).collect();
    let found = sqlx::query_scalar!(
        "select id
           from operation
          where tenant_id = $1 and lane_id = any($2) and status <> 'dead_letter'
          limit 1",
        tenant.0,
        &ids,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(found.map(OperationId))
}

/// The oldest operation that is not final.
pub async fn oldest(tx: &mut PgConnection, tenant: TenantId) -> Result<Option<OperationId>> {
    let id =
        sqlx::query_scalar!("select id from operation where tenant_id = $1 order by id limit 1", tenant.0);
    Ok(id.fetch_optional(tx).await.map_err(db::failed)?.map(OperationId))
}

/// The sizes of operations' payloads, in bytes, wherever they stand.
pub async fn payload_sizes(
    tx: &mut PgConnection,
    tenant: TenantId,
    ids: &[OperationId],
) -> Result<HashMap<OperationId, i64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select id as "id!", length(payload::text)::bigint as "size!"
             from operation
            where tenant_id = $1 and id = any($2)
            union all
           select id, length(payload::text)::bigint
             from operation_history
            where tenant_id = $1 and id = any($2)"#,
        tenant.0,
        &ids,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (OperationId(row.id), row.size)).collect())
}
