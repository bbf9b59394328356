-- History: final operations, attempts and logs, range-partitioned by operation id (UUIDv7 = time of creation), so that
-- retention drops whole partitions. No foreign keys into or out of them.
create table operation_history (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    connector_name text not null,
    connector_revision integer not null,
    user_id uuid,
    operation_type text not null,
    object_class text not null,
    intent text not null,
    target_uid text,
    status text not null check (status in ('completed', 'resolved', 'cancelled')),
    priority integer not null,
    retry_count integer not null,
    max_retries integer not null,
    error_code text,
    error_message text,
    payload jsonb not null,
    precondition jsonb,
    lane_id uuid not null,
    sequence bigint not null,
    not_before timestamptz,
    conflict_id uuid,
    crash_count integer not null,
    attempts integer not null,
    -- The operation that this one was folded or merged into.
    merged_into_operation_id uuid,
    cause_kind text not null,
    cause_id uuid,
    requested_by uuid not null,
    reason text,
    trace_id text,
    request_id uuid,
    resolution_notes text,
    resolved_by uuid,
    resolved_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    completed_at timestamptz not null,
    version bigint not null,
    primary key (tenant_id, id),
    check ((status = 'resolved') = (resolved_at is not null)),
    check ((status = 'resolved') = (resolved_by is not null))
) partition by range (id);
call protect('operation_history');
grant select, insert on operation_history to xavyo_provisioning;

-- Lists by connector, newest first.
create index operation_history_by_connector on operation_history (tenant_id, connector_id, id);
-- Lists by identity, newest first.
create index operation_history_by_user on operation_history (tenant_id, user_id, id) where user_id is not null;

-- The columns of operation_now, so that lists merge both by id.
create view operation_past with (security_invoker = true) as
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
           created_at, updated_at, completed_at, version
      from operation_history;
grant select on operation_past to xavyo_provisioning;

-- One try to execute an operation. Written by finish or take-over, with the claim's time and fence from the lane.
create table execution_attempt (
    tenant_id uuid not null,
    operation_id uuid not null,
    attempt_number integer not null check (attempt_number >= 1),
    fence bigint not null,
    worker_id uuid not null,
    started_at timestamptz not null,
    completed_at timestamptz not null,
    success boolean not null,
    error_code text,
    error_message text,
    outcome_unknown boolean not null default false,
    primary key (tenant_id, operation_id, attempt_number),
    check (success = (error_code is null))
) partition by range (operation_id);
call protect('execution_attempt');
grant select, insert on execution_attempt to xavyo_provisioning;

-- Every move of every operation, in the transaction that makes it. Also the feed of WatchOperations.
create table operation_log (
    tenant_id uuid not null,
    operation_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    "timestamp" timestamptz not null,
    level text not null check (level in ('info', 'warn', 'error')),
    message text not null,
    event text not null,
    from_status text,
    to_status text not null,
    -- The person or system that asked for the move; null for a worker's.
    actor uuid,
    fence bigint,
    -- The feed is served in this order, only below the oldest running transaction: ids alone are not the commit order.
    transaction_id xid8 not null default pg_current_xact_id(),
    primary key (tenant_id, operation_id, id)
) partition by range (operation_id);
call protect('operation_log');
grant select, insert on operation_log to xavyo_provisioning;

-- The feed.
create index operation_log_feed on operation_log (tenant_id, transaction_id, id);

-- The least UUIDv7 of an instant.
create function uuid_floor(at timestamptz) returns uuid
    language sql immutable parallel safe
    return (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Where no partition was made ahead, rows go here: an insert never fails for want of a partition.
create table operation_history_rest partition of operation_history default;
create table execution_attempt_rest partition of execution_attempt default;
create table operation_log_rest partition of operation_log default;
call protect('operation_history_rest');
call protect('execution_attempt_rest');
call protect('operation_log_rest');

-- Makes the weekly partitions (weeks since the epoch, UTC) from `since` to `through`. Programs own nothing, so they call
-- this, which runs as the owner. A week whose rows already lie in the default partition stays there.
create function ensure_partitions(since timestamptz, through timestamptz) returns integer
    language plpgsql security definer set search_path = public, pg_temp
as $$
declare
    week constant bigint := 7 * 24 * 3600;
    starts bigint := floor(extract(epoch from since) / week) * week;
    parent text;
    child text;
    made integer := 0;
begin
    -- One at a time: replicas start together.
    perform pg_advisory_xact_lock(hashtext('ensure_partitions'));
    while starts <= extract(epoch from through) loop
        foreach parent in array array['operation_history', 'execution_attempt', 'operation_log'] loop
            child := parent || '_' || to_char(to_timestamp(starts) at time zone 'utc', 'YYYYMMDD');
            if to_regclass(child) is null then
                begin
                    execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent,
                        uuid_floor(to_timestamp(starts)), uuid_floor(to_timestamp(starts + week)));
                    call protect(child::regclass);
                    made := made + 1;
                exception when check_violation then
                    raise warning '% keeps its rows in the default partition', child;
                end;
            end if;
        end loop;
        starts := starts + week;
    end loop;
    return made;
end
$$;
revoke execute on function ensure_partitions(timestamptz, timestamptz) from public;
grant execute on function ensure_partitions(timestamptz, timestamptz) to xavyo_provisioning;
