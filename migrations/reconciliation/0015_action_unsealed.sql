-- Audit rows that wait for their place in the chain, of all tenants: where the sealer looks. Written with the row, so that no
-- audited transaction waits for another. Like run_work it carries no payload and needs no row-level security.
create table action_unsealed (
    tenant_id uuid not null,
    action_id uuid not null,
    primary key (tenant_id, action_id)
);
grant select, insert, delete on action_unsealed to xavyo_reconciliation;

-- Rows from before: the owner sees them only without its own row-level security.
alter table action no force row level security;
insert into action_unsealed (tenant_id, action_id)
select tenant_id, id from action;
alter table action force row level security;

-- The rows of a time: what is listed, or verified, of it.
create index action_of_time on action (tenant_id, performed_at);
