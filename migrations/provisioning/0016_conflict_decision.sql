-- How the conflict with the target that an operation met was decided: its next attempt obeys, and does not meet the same
-- conflict again.
alter table operation add column decided text check (decided in ('applied', 'superseded', 'merged', 'rejected'));

-- The views of before, and that column.
create or replace view operation_now with (security_invoker = true) as
    select o.tenant_id, o.id, o.connector_id, o.connector_name, o.connector_revision, o.user_id, o.operation_type,
           o.object_class, o.intent, o.target_uid,
           case
               when l.worker_id is not null and o.sequence between l.claimed_from and l.claimed_through
               then 'in_progress'
               else o.status
           end as status,
           o.priority, o.retry_count, o.max_retries, o.error_code, o.error_message, o.payload, o.precondition,
           o.lane_id, o.sequence, o.not_before, o.next_attempt_at,
           case
               when l.blocked_by_operation_id <> o.id and o.status = 'pending'
               then l.blocked_by_operation_id
           end as blocked_by_operation_id,
           o.conflict_id, o.hold_reason, o.crash_count, o.attempts, o.outcome_unknown, o.overtaken, o.first_claimed_at,
           null::uuid as merged_into_operation_id,
           o.cause_kind, o.cause_id, o.requested_by, o.reason, o.trace_id, o.request_id,
           null::text as resolution_notes, null::uuid as resolved_by, null::timestamptz as resolved_at,
           o.created_at, o.updated_at, null::timestamptz as completed_at, o.version,
           o.decided
      from operation o
      join lane l on l.tenant_id = o.tenant_id and l.id = o.lane_id;
create or replace view operation_past with (security_invoker = true) as
    select tenant_id, id, connector_id, connector_name, connector_revision, user_id, operation_type,
           object_class, intent, target_uid, status,
           priority, retry_count, max_retries, error_code, error_message, payload, precondition,
           lane_id, sequence, not_before, null::timestamptz as next_attempt_at,
           null::uuid as blocked_by_operation_id,
           conflict_id, null::text as hold_reason, crash_count, attempts, false as outcome_unknown,
           false as overtaken, null::timestamptz as first_claimed_at,
           merged_into_operation_id,
           cause_kind, cause_id, requested_by, reason, trace_id, request_id,
           resolution_notes, resolved_by, resolved_at,
           created_at, updated_at, completed_at, version,
           null::text as decided
      from operation_history;

-- Lists by connector, newest first.
create index conflict_by_connector on conflict (tenant_id, connector_id, id);
