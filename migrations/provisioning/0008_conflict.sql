-- Conflicts: two live operations, or an operation and the target, that contradict each other.
create table conflict (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    lane_id uuid not null,
    operation_id_a uuid not null,
    -- A conflict with the target has the same id on both sides.
    operation_id_b uuid not null,
    conflict_type text not null check (conflict_type in (
        'concurrent_update', 'duplicate_create', 'delete_update', 'external_change', 'missing_target',
        'account_exists')),
    affected_attributes text[] not null,
    status text not null check (status in ('pending', 'resolved')),
    outcome text check (outcome in ('applied', 'superseded', 'merged', 'rejected')),
    notes text,
    created_at timestamptz not null,
    resolved_at timestamptz,
    resolved_by uuid,
    version bigint not null default 1,
    primary key (tenant_id, id),
    check ((status = 'resolved') = (resolved_at is not null)),
    -- A conflict whose operation ended otherwise resolves itself: with a note, without an outcome.
    check (status = 'resolved' or outcome is null)
);
call protect('conflict');
grant select, insert, update on conflict to xavyo_provisioning;

-- Conflicts of an operation, whichever side it is on.
create index conflict_by_operation_a on conflict (tenant_id, operation_id_a);
create index conflict_by_operation_b on conflict (tenant_id, operation_id_b);
-- What a person has to decide.
create index conflict_pending on conflict (tenant_id, id) where status = 'pending';
