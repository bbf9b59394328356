-- Identities: the authoritative records of persons and services.
create table identity (
    tenant_id uuid not null,
    id uuid not null,
    -- The record's key in the source that imports it.
    source_key text check (length(source_key) between 1 and 512),
    active boolean not null,
    -- {name: [values]}
    attributes jsonb not null,
    -- The etag; CEL is evaluated before a transaction and holds only for the version it saw.
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    primary key (tenant_id, id)
);
call protect('identity');
grant select, insert, update, delete on identity to xavyo_provisioning;

-- An import upserts by it.
create unique index identity_source_key_free on identity (tenant_id, source_key) where deleted_at is null;
