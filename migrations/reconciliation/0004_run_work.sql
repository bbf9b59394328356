-- What waits for a worker: runs to carry on and remediations to follow, of all tenants. It carries no payload, so that
-- it can do without row-level security: a worker learns here only where to look, then begins as that tenant.
create table run_work (
    tenant_id uuid not null,
    kind text not null check (kind in ('run', 'remediation')),
    -- The run or the remediation.
    id uuid not null,
    -- Not before this time.
    due_at timestamptz not null,
    -- Who has it; free again when that worker's lease has run out.
    worker_id uuid,
    primary key (tenant_id, kind, id)
);

-- Finding what is due, oldest first. Led by the kind, not the tenant: this one question is asked for all tenants at once.
create index run_work_due on run_work (kind, due_at);

grant select, insert, update, delete on run_work to xavyo_reconciliation;
