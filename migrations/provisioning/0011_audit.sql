-- The audit log: one row for each change by a caller, in the transaction that makes it. Append-only: programs may
-- neither update nor delete. A sealer chains the rows per tenant: position, previous hash, hash.
create table audit_event (
    tenant_id uuid not null,
    id uuid not null,
    at timestamptz not null,
    subject uuid not null,
    -- The RPC.
    method text not null,
    resource_type text not null,
    resource_id uuid,
    connector_id uuid,
    -- What changed; never a secret.
    details jsonb not null,
    reason text,
    trace_id text,
    primary key (tenant_id, id)
);
call protect('audit_event');
grant select, insert on audit_event to xavyo_provisioning;

-- The story of one resource.
create index audit_event_by_resource on audit_event (tenant_id, resource_id, id);
-- The story of one connector.
create index audit_event_by_connector on audit_event (tenant_id, connector_id, id);

-- The chain, beside the rows, so that sealing needs no right to update them.
create table audit_seal (
    tenant_id uuid not null,
    position bigint not null check (position >= 1),
    audit_event_id uuid not null,
    previous_hash bytea not null check (length(previous_hash) = 32),
    hash bytea not null check (length(hash) = 32),
    primary key (tenant_id, position),
    unique (tenant_id, audit_event_id),
    foreign key (tenant_id, audit_event_id) references audit_event (tenant_id, id)
);
call protect('audit_seal');
grant select, insert on audit_seal to xavyo_provisioning;
