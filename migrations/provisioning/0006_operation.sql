-- Operations that are not final: live ones and dead letters. Finish moves final ones to operation_history.
-- No foreign keys: whoever inserts holds the connector's and the lane's lock.
--
-- `in_progress` is never stored: an operation is in progress exactly when its lane is claimed and its sequence lies in
-- the claimed range. The view operation_now says so for every read.
create table operation (
    tenant_id uuid not null,
    -- UUIDv7: the order of ids is the order of creation, and decides the partition of the history.
    id uuid not null,
    connector_id uuid not null,
    -- As it was when the operation was accepted.
    connector_name text not null,
    connector_revision integer not null,
    -- The identity; absent only for an account without owner.
    user_id uuid,
    operation_type text not null check (operation_type in ('create', 'update', 'delete')),
    object_class text not null,
    intent text not null,
    target_uid text,
    status text not null check (status in ('pending', 'failed', 'dead_letter', 'awaiting_system')),
    priority integer not null check (priority between 0 and 100),
    retry_count integer not null default 0 check (retry_count >= 0),
    max_retries integer not null check (max_retries between 0 and 20),
    error_code text,
    error_message text,
    -- {target attribute: value | null | {add, remove}}; empty = computed from the identity when claimed.
    payload jsonb not null,
    -- Write-only values, sealed with the connector's key; erased at the end state.
    sealed jsonb,
    precondition jsonb,

    lane_id uuid not null,
    -- The place in the lane.
    sequence bigint not null,
    not_before timestamptz,
    next_attempt_at timestamptz,
    conflict_id uuid,
    hold_reason text check (hold_reason in ('guard', 'conflict')),
    -- Rises only when the operation was claimed alone and its worker died.
    crash_count integer not null default 0,
    -- Attempts made so far; the next one's number is one more.
    attempts integer not null default 0,
    outcome_unknown boolean not null default false,
    -- A later delete took over: a dead letter so marked cannot be retried.
    overtaken boolean not null default false,
    first_claimed_at timestamptz,

    -- The cause of everything.
    cause_kind text not null check (cause_kind in (
        'api', 'identity_change', 'import', 'connector_revision', 'run', 'remediation', 'revert')),
    cause_id uuid,
    requested_by uuid not null,
    reason text,
    trace_id text,
    request_id uuid,

    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- The etag.
    version bigint not null default 1,
    primary key (tenant_id, id),
    check (status <> 'failed' or next_attempt_at is not null),
    check (status <> 'dead_letter' or error_code is not null),
    check ((hold_reason = 'conflict') is not true or conflict_id is not null)
) with (fillfactor = 80);
call protect('operation');
grant select, insert, update, delete on operation to xavyo_provisioning;

-- The order of a lane; also the claim's way from lane to operations.
create unique index operation_lane_order on operation (tenant_id, lane_id, sequence);
-- Lists by connector, newest first.
create index operation_by_connector on operation (tenant_id, connector_id, id);
-- Lists by identity, newest first.
create index operation_by_user on operation (tenant_id, user_id, id) where user_id is not null;
-- Dead letters by cause, and their lists.
create index operation_dead_letter on operation (tenant_id, connector_id, error_code, id) where status = 'dead_letter';
-- What an outage holds, released at a ramp.
create index operation_awaiting on operation (tenant_id, connector_id, id) where status = 'awaiting_system';
-- What the guard or a conflict holds.
create index operation_held on operation (tenant_id, connector_id, id) where hold_reason is not null;

-- Operations as callers see them.
create view operation_now with (security_invoker = true) as
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
           o.created_at, o.updated_at, null::timestamptz as completed_at, o.version
      from operation o
      join lane l on l.tenant_id = o.tenant_id and l.id = o.lane_id;
grant select on operation_now to xavyo_provisioning;
