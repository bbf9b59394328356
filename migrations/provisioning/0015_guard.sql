-- The guard: what it has let through of late, and what a person lets pass. No foreign key to the connector: whoever
-- claims holds lanes by then, and connectors are locked before lanes.

-- One row a connector, made by its first claim under a limit. Whoever claims under a limit locks it and counts there, in
-- the claim's own transaction: over all replicas nothing is counted twice or not at all.
create table guard_window (
    tenant_id uuid not null,
    connector_id uuid not null,
    -- Counts by the hour, each with the live links as they were when it began; the last 24 hours and no more.
    hours jsonb not null,
    primary key (tenant_id, connector_id)
);
call protect('guard_window');
grant select, insert, update on guard_window to xavyo_provisioning;

-- Held operations that an approver has let go. The claim that takes one deletes its row: it passes once.
create table guard_release (
    tenant_id uuid not null,
    operation_id uuid not null,
    released_by uuid not null,
    released_at timestamptz not null,
    primary key (tenant_id, operation_id)
);
call protect('guard_release');
grant select, insert, update, delete on guard_release to xavyo_provisioning;

-- What a person has approved of a run's plan: exactly these items pass, each once. A taken row stays until it expires, so
-- that telling the plan again does not let the item pass again.
create table approved_item (
    tenant_id uuid not null,
    run_id uuid not null,
    discrepancy_id uuid not null,
    connector_id uuid not null,
    plan_digest text not null,
    operation_type text not null check (operation_type in ('create', 'update', 'delete')),
    object_class text not null,
    intent text not null,
    identity_id uuid,
    external_uid text,
    immutable_id text,
    approved_by uuid not null,
    approved_at timestamptz not null,
    expires_at timestamptz not null,
    -- The operation that has passed by it.
    operation_id uuid,
    primary key (tenant_id, run_id, discrepancy_id),
    -- An item names an account, or the identity that gets one.
    check (identity_id is not null or external_uid is not null)
);
call protect('approved_item');
grant select, insert, update, delete on approved_item to xavyo_provisioning;

-- The claim's way from an operation to the item that it is: by the identity, else by the account.
create index approved_item_by_identity on approved_item (tenant_id, connector_id, identity_id)
    where operation_id is null and identity_id is not null;
create index approved_item_by_uid on approved_item (tenant_id, connector_id, external_uid)
    where operation_id is null and external_uid is not null;
-- What housekeeping forgets.
create index approved_item_expired on approved_item (tenant_id, expires_at);

-- What the guard would have counted a held operation as.
alter table operation add column held_effect text check (held_effect in ('destructive', 'constructive'));
alter table operation add check (hold_reason is distinct from 'guard' or held_effect is not null);

-- Groups of what the guard holds, by cause.
create index operation_held_by_cause on operation (tenant_id, connector_id, cause_kind, cause_id)
    where hold_reason = 'guard';
