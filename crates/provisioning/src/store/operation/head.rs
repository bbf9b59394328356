//! What a claim may take: the first operations of lanes. The one statement that reads every operation that is executed: its
//! columns are read by their places, which costs a fraction of reading them by their names.

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{LaneId, TenantId},
    operation::Operation,
};
use xavyo_runtime::db;

use super::row::OperationRow;

/// The first operations of each lane, in order, at most `per_lane` of each. They begin after the dead letters that do
/// not hold their lane (overtaken, or all of them where `passes_dead_letters`); one further back stands among them, so
/// that no claim spans it. For lanes that the caller has locked and nobody has claimed.
pub async fn heads(
    tx: &mut PgConnection,
    tenant: TenantId,
    lanes: &[LaneId],
    passes_dead_letters: bool,
    per_lane: i64,
) -> Result<Vec<Operation>> {
    let ids: Vec<Uuid> = lanes.iter().map(|lane| lane.0).collect();
    let rows = sqlx::query_as!(
        OperationRow,
        r#"select first.id as "id!", first.connector_id as "connector_id!",
                  first.connector_name as "connector_name!", first.connector_revision as "connector_revision!",
                  first.user_id as "user_id?", first.operation_type as "operation_type!",
                  first.object_class as "object_class!", first.intent as "intent!",
                  first.target_uid as "target_uid?", first.status as "status!", first.priority as "priority!",
                  first.retry_count as "retry_count!", first.max_retries as "max_retries!",
                  first.error_code as "error_code?", first.error_message as "error_message?",
                  first.payload as "payload!: _", first.precondition as "precondition?: _",
                  first.lane_id as "lane_id!", first.sequence as "sequence!", first.not_before as "not_before?",
                  first.next_attempt_at as "next_attempt_at?", null::uuid as blocked_by_operation_id,
                  first.conflict_id as "conflict_id?", first.decided as "decided?",
                  first.hold_reason as "hold_reason?", first.crash_count as "crash_count!",
                  first.attempts as "attempts!", first.outcome_unknown as "outcome_unknown!",
                  first.overtaken as "overtaken!", first.first_claimed_at as "first_claimed_at?",
                  null::uuid as merged_into_operation_id, first.cause_kind as "cause_kind!",
                  first.cause_id as "cause_id?", first.requested_by as "requested_by!", first.reason as "reason?",
                  first.trace_id as "trace_id?", first.request_id as "request_id?", null::text as resolution_notes,
                  null::uuid as resolved_by, null::timestamptz as resolved_at, first.created_at as "created_at!",
                  first.updated_at as "updated_at!", null::timestamptz as completed_at, first.version as "version!"
             from unnest($2::uuid[]) as claimed(lane_id)
            cross join lateral (
                  select sequence
                    from operation
                   where tenant_id = $1 and lane_id = claimed.lane_id
                     and not (status = 'dead_letter' and (overtaken or $4))
                   order by sequence
                   limit 1) as head
            cross join lateral (
                  select *
                    from operation
                   where tenant_id = $1 and lane_id = claimed.lane_id and sequence >= head.sequence
                   order by sequence
                   limit $3) as first"#,
        tenant.0,
        &ids,
        per_lane,
        passes_dead_letters,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    rows.into_iter().map(Operation::try_from).collect()
}
