-- The audit log of a connector's reconciliation: one row for each change by a caller and for each remediation, in the
-- transaction that makes the change (S4). Append-only: neither update nor delete is granted to the program.
create table action (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    run_id uuid,
    discrepancy_id uuid,
    -- Out of the contract's closed list (ReconciliationAction).
    action_type text not null,
    result text not null check (result in ('success', 'failure', 'under_way', 'skipped')),
    dry_run boolean not null,
    performed_by uuid not null,
    performed_at timestamptz not null,
    -- Reason, direction, operation, error: never a value of a sensitive attribute.
    details jsonb,
    trace_id text,
    primary key (tenant_id, id)
);
call protect('action');
grant select, insert on action to xavyo_reconciliation;

-- Lists of one connector and of one discrepancy, newest first.
create index action_of_connector on action (tenant_id, connector_id, id);
create index action_of_discrepancy on action (tenant_id, discrepancy_id, id)
    where discrepancy_id is not null;

-- The chain over a tenant's audit rows, laid by a sealer after they are committed, so that no audited transaction waits
-- for another. A table of its own: the rows it seals are never touched again.
create table action_seal (
    tenant_id uuid not null,
    -- The place in the chain: 1, 2, 3 … without a gap.
    position bigint not null check (position >= 1),
    action_id uuid not null,
    previous_hash bytea not null check (length(previous_hash) = 32),
    hash bytea not null check (length(hash) = 32),
    primary key (tenant_id, position),
    foreign key (tenant_id, action_id) references action (tenant_id, id)
);
call protect('action_seal');
grant select, insert on action_seal to xavyo_reconciliation;

-- A row is sealed once; what has no seal yet is found by it.
create unique index action_seal_once on action_seal (tenant_id, action_id);
