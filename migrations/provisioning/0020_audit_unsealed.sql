-- Audit rows that wait for their place in the chain, of all tenants: where the sealer looks. Written with the row, so that no
-- audited transaction waits for another. Like connector_work it carries no payload and needs no row-level security.
create table audit_unsealed (
    tenant_id uuid not null,
    audit_event_id uuid not null,
    primary key (tenant_id, audit_event_id)
);
grant select, insert, delete on audit_unsealed to xavyo_provisioning;

-- Rows from before: the owner sees them only without its own row-level security.
alter table audit_event no force row level security;
insert into audit_unsealed (tenant_id, audit_event_id)
select tenant_id, id from audit_event;
alter table audit_event force row level security;

-- The rows of a time: what is verified of it.
create index audit_event_of_time on audit_event (tenant_id, at);
