-- Request ids: a creating call repeated with the same id and body answers the same resources. Kept for 24 hours.
create table request (
    tenant_id uuid not null,
    method text not null,
    request_id uuid not null,
    -- BLAKE3 of the call's body.
    body_hash bytea not null check (length(body_hash) = 32),
    resource_ids uuid[] not null,
    created_at timestamptz not null,
    primary key (tenant_id, method, request_id)
);
call protect('request');
grant select, insert, update, delete on request to xavyo_provisioning;

-- What may be forgotten.
create index request_age on request (tenant_id, created_at);
