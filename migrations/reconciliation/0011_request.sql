-- Request ids: a creating call repeated with the same id and body answers the same resources, with another body it is
-- refused. Kept for 24 hours. Written in the transaction that makes the resource.
create table request (
    tenant_id uuid not null,
    method text not null,
    request_id uuid not null,
    -- BLAKE3 of the call's body.
    body_hash bytea not null check (length(body_hash) = 32),
    -- A run, a remediation; of a bulk call its remediations in the order of the items. Empty while the first call of
    -- the id is still in its transaction.
    resource_ids uuid[] not null,
    created_at timestamptz not null,
    primary key (tenant_id, method, request_id)
);
call protect('request');
grant select, insert, update, delete on request to xavyo_reconciliation;

-- What may be forgotten: whoever inserts sweeps the expired ones of the same tenant.
create index request_age on request (tenant_id, created_at);
